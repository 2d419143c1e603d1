#!/usr/bin/env bash
# Conversations: through a pipe, as one turn, on a terminal.
. tests/e2e/common.bash
export XDG_STATE_HOME=$work/state

graphc "$tiny" -o "$work/tiny.plan" 2>"$work/err" || { fail "compile: $(cat "$work/err")"; finish; }
chat=(graphrun "$work/tiny.plan" -i --greedy -n 12)
note='note: the model has no chat template; ChatML stands in for it '
note+='(--chat-template FILE gives another)'
cat >"$work/plain.jinja" <<'TEMPLATE'
{% for m in messages %}{{ m.role }}: {{ m.content }}
{% endfor %}
{% if add_generation_prompt %}assistant:{% endif %}
TEMPLATE
plain=(--chat-template "$work/plain.jinja")

says() { # what, file, fixed text
    grep -qF -- "$3" "$2" || fail "$1: \"$3\" is not in: $(head -c 300 "$2")"
}
says_not() {
    ! grep -qF -- "$3" "$2" || fail "$1: \"$3\" is in $2"
}

# --- templates

echo '[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho", "n": 1.0}]' \
    >"$work/two.json"
graphrun "$work/tiny.plan" --apply-template "$work/two.json" >"$work/out" 2>"$work/err" ||
    fail "apply: $(cat "$work/err")"
printf '<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHo<|im_end|>\n%s' \
    '<|im_start|>assistant
' >"$work/expected"
same_bytes "ChatML" "$work/expected" "$work/out"
[ "$(cat "$work/err")" = "$note" ] || fail "no note that ChatML stands in: $(cat "$work/err")"
graphrun "$work/tiny.plan" --apply-template - --chat-template chatml <"$work/two.json" \
    >"$work/out" 2>"$work/err" || fail "apply stdin"
same_bytes "ChatML asked for" "$work/expected" "$work/out"
[ ! -s "$work/err" ] || fail "a note though ChatML was asked for"

echo '{{ messages[1].n }} {{ tools[0] }} {{ x }} {{ bos_token }}{{ add_generation_prompt }}' \
    >"$work/values.jinja"
echo '["t"]' >"$work/tools.json"
[ "$(graphrun "$work/tiny.plan" --apply-template "$work/two.json" --tools "$work/tools.json" \
    --chat-template-kwargs '{"x": [1], "add_generation_prompt": false}' \
    --chat-template "$work/values.jinja" 2>&1)" = "1.0 t [1] <s>False" ] || fail "variables"

refuses() { # message, options
    local message=$1 status
    shift
    graphrun "$work/tiny.plan" "$@" >"$work/out" 2>"$work/err" </dev/null
    status=$?
    [ $status = 1 ] && [ ! -s "$work/out" ] || fail "$*: exit $status, $(head -c 100 "$work/out")"
    says "$*" "$work/err" "$message"
}
echo '{% if %}' >"$work/bad.jinja"
refuses "$work/bad.jinja:1: error: an expression was expected" -p x -i \
    --chat-template "$work/bad.jinja"
printf 'a\n{{ raise_exception("no tools, please") }}' >"$work/raises.jinja"
refuses "$work/raises.jinja:2: error: no tools, please" --apply-template "$work/two.json" \
    --chat-template "$work/raises.jinja"
refuses "$work/none: error: cannot be read" -p x -i --chat-template "$work/none"
echo '{}' >"$work/object.json"
refuses "the messages are not a JSON array" --apply-template "$work/object.json"
refuses "--ids is no turn" --ids 1,2 -sys x
refuses "need -i, --sys or --apply-template" -p x --tools "$work/tools.json"
refuses "are for one reply" -i --json
printf '[]\0' >"$work/nul.json"
refuses "NUL byte" --apply-template "$work/nul.json"

# --- one turn

"${chat[@]}" "${plain[@]}" -p "Once upon" -sys "Tell." --echo >"$work/out" 2>"$work/err" ||
    fail "one turn: $(cat "$work/err")"
[ "$(head -n 2 "$work/out")" = $'system: Tell.\nuser: Once upon' ] ||
    fail "one turn: $(cat "$work/out")"
graphrun "$work/tiny.plan" --ids "$(printf 'system: Tell.\nuser: Once upon\nassistant:' |
    graphrun "$work/tiny.plan" --tokenize | tr ' ' ',')" --greedy -n 12 >"$work/raw"
"${chat[@]}" "${plain[@]}" -p "Once upon" -sys "Tell." >"$work/out" 2>/dev/null
same_bytes "one turn and its tokens" "$work/raw" "$work/out"

# --- a conversation through a pipe

printf '%s\n' "Once upon a time" "And then?" '"""two' 'lines"""' "/save $work/saved.json" |
    "${chat[@]}" "${plain[@]}" >"$work/out" 2>"$work/err" || fail "pipe: $(cat "$work/err")"
[ "$(wc -l <"$work/out")" -ge 3 ] || fail "three turns: $(cat "$work/out")"
says "saved" "$work/saved.json" '"two\nlines"'
says "saved" "$work/err" "6 messages written to $work/saved.json"

# Turns that keep what the session holds answer as if all had been fed at once.
graphrun "$work/tiny.plan" "${plain[@]}" --apply-template "$work/saved.json" >"$work/prompt" ||
    fail "a saved conversation"
says "what was saved" "$work/prompt" "user: And then?"
printf '%s\n' "/load $work/saved.json" "More" |
    "${chat[@]}" "${plain[@]}" >"$work/loaded" 2>/dev/null
printf '%s\n' "Once upon a time" "And then?" '"""two' 'lines"""' "More" |
    "${chat[@]}" "${plain[@]}" 2>/dev/null | tail -n "$(wc -l <"$work/loaded")" >"$work/kept"
same_bytes "kept tokens" "$work/loaded" "$work/kept"

printf '%s\n' "/system Be kind" "Hi" /reset "/save $work/reset.json" /clear "/system" \
    "/save $work/empty.json" "/set temp 0.5" "/set top-k=3" "/set nothing 1" "/set temp x" \
    "/set greedy off" "/set greedy maybe" /show /nope "/load $work/none" "/save" "/?" /bye "Hi" |
    "${chat[@]}" >"$work/out" 2>"$work/err" || fail "commands: $(cat "$work/err")"
[ "$(wc -l <"$work/out")" = 1 ] || fail "something was answered after /bye: $(cat "$work/out")"
[ "$(tr -d ' \t\n' <"$work/reset.json")" = '[{"role":"system","content":"Bekind"}]' ] ||
    fail "/reset: $(cat "$work/reset.json")"
[ "$(cat "$work/empty.json")" = "[]" ] || fail "/system alone: $(cat "$work/empty.json")"
says "/show" "$work/err" "set: --predict 12 --temp 0.5 --top-k 3"
says "/set" "$work/err" "error: nothing cannot be set here"
says "/set" "$work/err" 'error: temp wants a number, not "x"'
says "command" "$work/err" "error: there is no command /nope; /help lists them"
says "/load" "$work/err" "$work/none: error: cannot be read"
says "/save" "$work/err" "the file's name is missing"
says "/help" "$work/err" "/exit"

# Stop texts end a reply before they are seen.
printf '%s\n' "Once upon a time" | "${chat[@]}" "${plain[@]}" >"$work/long" 2>/dev/null
word=$(tr -s ' ' '\n' <"$work/long" | sed -n 4p)
printf '%s\n' "/set stop $word" "Once upon a time" |
    "${chat[@]}" "${plain[@]}" >"$work/out" 2>/dev/null
[ -n "$word" ] && says_not "stop" "$work/out" "$word"

# --- a full context

printf '%s\n' "Once upon a time there was" "And then?" /reset "Hi" |
    "${chat[@]}" -c 48 -n 100 --ignore-eos >"$work/out" 2>"$work/err" || fail "context"
says "full" "$work/err" "the context of 48 tokens is full: /reset, or begin again with a larger -c"
says "full" "$work/err" "the context holds 48: /reset, or begin again with a larger -c"
[ "$(wc -l <"$work/out")" -ge 2 ] || fail "no answer after /reset: $(cat "$work/out")"

# --- on a terminal

if command -v tmux >/dev/null && command -v timeout >/dev/null; then
    pane() { tmux -L "graphc$$" "$@"; }
    wait_for() { # text
        for _ in $(seq 200); do
            pane capture-pane -p -t chat -S -200 2>/dev/null | grep -qF -- "$1" && return
            sleep 0.05
        done
        fail "terminal: \"$1\" did not come: $(pane capture-pane -p -t chat | grep . | tail -n 5)"
    }
    pane -f /dev/null new-session -d -s chat -x 100 -y 40 "env XDG_STATE_HOME=$work/state \
        LC_ALL=C.UTF-8 TERM=xterm $BUILD/graphrun $work/tiny.plan -i --greedy -n 9 -c 30000; \
        echo left \$?; sleep 30"
    wait_for ">>>"
    pane send-keys -t chat "/set predict 10000" Enter "/set ignore-eos" Enter "Once upon" Enter
    wait_for "Once upon"
    sleep 0.5
    pane send-keys -t chat C-c
    wait_for "stopped; what was said stays"
    pane send-keys -t chat "/show" Enter
    wait_for "2 messages;"
    if ldd "$BUILD/graphrun" | grep -q libedit; then
        pane send-keys -t chat "half" C-c
        wait_for "Ctrl-C once more"
        pane send-keys -t chat C-c
        wait_for "left 130"
        says "history" "$work/state/graphc/history" 'Once\040upon'
    else
        skip "a line that is edited, history" "a build with libedit"
    fi
    pane kill-server
else
    skip "a terminal" "tmux"
fi
finish
