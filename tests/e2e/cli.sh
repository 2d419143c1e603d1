#!/usr/bin/env bash
# What the two programs promise on a command line: results on stdout, talk on stderr; exit 0 good,
# 1 bad input, 2 bad usage; errors are one line that says `error:`.
. tests/e2e/common.bash

status=0
run() { # command: stdout, stderr and status for the checks below
    "$@" >"$work/out" 2>"$work/err" </dev/null
    status=$?
    command="$*"
}

good() { # command
    run "$@"
    [ $status = 0 ] || fail "$command: exit status $status: $(head -n 3 "$work/err")"
}

bad() { # status (a regular expression), what the message holds (a regular expression), command
    local wanted=$1 message=$2
    shift 2
    run "$@"
    [[ $status =~ ^$wanted$ ]] || fail "$command: exit status $status, expected $wanted"
    [ "$(grep -c 'error: ' "$work/err")" = 1 ] && grep -qE "error: .*($message)" "$work/err" ||
        fail "$command: no line with 'error: ' and '$message': $(head -n 3 "$work/err")"
    [ ! -s "$work/out" ] || fail "$command: an error, but stdout has: $(head -n 3 "$work/out")"
}

says() { # what, expected stdout
    [ "$(cat "$work/out")" = "$2" ] || fail "$1 ($command): expected '$2', got '$(cat "$work/out")'"
}

# --- help and usage

for program in graphc graphrun; do
    good $program --help
    [ ! -s "$work/err" ] || fail "$program --help talks on stderr"
    letter=$([ $program = graphc ] && echo C || echo R)
    row="^OPTION\\(([^,]*${letter}[^,]*), [A-Z]+, [a-z_]+, [^,]+, \"([a-z-]+)\".*"
    while read -r option; do
        grep -q -e "--$option" "$work/out" || fail "$program --help does not list --$option"
    done < <(sed -nE "s/$row/\2/p" tools/common/options.def)
    good $program --version
    bad 2 'nonsense' $program --nonsense
    bad 2 'script' $program --script
    bad 2 'value' $program --help=yes
    run $program
    [ $status = 2 ] && [ -s "$work/err" ] && [ ! -s "$work/out" ] ||
        fail "$program alone: exit status $status; wants usage on stderr and 2"
done
bad 1 'No such file|cannot be' graphc --dump "$work/none.gguf"
bad 1 'No such file|cannot be' graphrun "$work/none.gguf" -p x
bad 1 'No such file|cannot be' graphrun "$work/none.plan" -p x
good graphc --ops
grep -q '^add_rms_norm: ' "$work/out" || fail "graphc --ops does not list add_rms_norm"
good graphc --list-passes
grep -q '^memplan ' "$work/out" || fail "graphc --list-passes does not list memplan"
bad 2 'number' graphrun x.plan -n many
bad 2 'number' graphc -b1x x.gguf
plan=$work/tiny.plan
bad '[12]' 'z80' graphc --dump --target=z80 "$tiny"
bad '[12]' '7' graphc --dump -O7 "$tiny"
bad '[12]' 'f8' graphc --dump --kv=f8 "$tiny"
bad '[12]' 'nonsense' graphc --dump=nonsense "$tiny"
bad '[12]' 'nonsense' graphc --dump --disable=nonsense "$tiny"
bad 1 'shape|nonsense' graphc --dump -w shape:nonsense examples/models/llama.lua

# --- plans

good graphc "$tiny" -o "$plan"
[ ! -s "$work/out" ] || fail "graphc -o writes to stdout: $(head -n 2 "$work/out")"
good graphc --check "$plan"
good graphc --info "$plan"
[ -s "$work/out" ] || fail "graphc --info PLAN says nothing"
bad 1 'cannot|No such' graphc "$tiny" -o "$work/no/such/folder/x.plan"
ls "$work"/no 2>/dev/null && fail "graphc -o makes folders"
head -c 1000 "$plan" >"$work/cut.plan"
bad 1 '.' graphrun "$work/cut.plan" -p x -n 1
bad 1 '.' graphc --check "$work/cut.plan"
cp "$plan" "$work/flipped.plan"
printf '\377\377\377' | dd of="$work/flipped.plan" bs=1 seek=200 conv=notrunc 2>/dev/null
cmp -s "$plan" "$work/flipped.plan" || bad 1 '.' graphrun "$work/flipped.plan" -p x -n 1
cp "$plan" "$work/weights.plan"
size=$(stat -c %s "$plan")
printf '\125\252\125\252' |
    dd of="$work/weights.plan" bs=1 seek=$((size - 300000)) conv=notrunc 2>/dev/null
bad 1 '.' graphc --check "$work/weights.plan"
for target in avx2 avx512 avx512bf16; do
    targets | grep -qx "$target" && continue
    compile "$tiny" --target="$target" -o "$work/other.plan" &&
        bad 1 "the plan is for $target, this CPU has" graphrun "$work/other.plan" -p x -n 1
done

# --- text

prompt='Once upon a time'
good graphrun "$plan" -p "$prompt" -n 48 --greedy
text=$(cat "$work/out")
[ ${#text} -gt 40 ] || fail "48 greedy tokens give only: $text"
same() { # what, command: gives the same text
    local what=$1
    shift
    good "$@"
    says "$what" "$text"
}
same 'run twice' graphrun "$plan" -p "$prompt" -n 48 --greedy
same 'one thread' graphrun "$plan" -p "$prompt" -n 48 --greedy -t 1
same '-m' graphrun -m "$plan" -p "$prompt" -n 48 --greedy
same '--temp 0' graphrun "$plan" -p "$prompt" -n 48 --temp 0
same '--top-k 1' graphrun "$plan" -p "$prompt" -n 48 --top-k 1 --seed 5
printf %s "$prompt" >"$work/prompt"
same '-f FILE' graphrun "$plan" -f "$work/prompt" -n 48 --greedy
piped=$(graphrun "$plan" -f - -n 48 --greedy <"$work/prompt" 2>/dev/null)
[ "$piped" = "$text" ] || fail "-f -: expected '$text', got '$piped'"
ids=$(graphrun "$plan" --tokenize <"$work/prompt" | tr -s ' \n' ',' | sed 's/,*$//')
same '--ids' graphrun "$plan" --ids "$ids" -n 48 --greedy
good graphrun "$plan" -p "$prompt" -n 48 --greedy --echo
says '--echo' "$prompt$text"
good graphrun "$plan" -p "$prompt" -n 48 --greedy --stats
says '--stats leaves stdout alone' "$text"
grep -qE '[0-9].*tok' "$work/err" || fail "--stats: no figures on stderr: $(cat "$work/err")"
good graphrun "$plan" -p "$prompt" -n 0 --greedy
says '-n 0' ''
good graphrun "$plan" -p "$prompt" -n 1 --greedy --print-ids
[[ $(cat "$work/out") =~ ^[0-9]+$ ]] || fail "--print-ids -n 1: not one id: $(cat "$work/out")"
good graphrun "$plan" -p "$prompt" -n 48 --greedy --print-ids
[[ $(cat "$work/out") =~ ^[0-9]+(\ [0-9]+)+$ ]] || fail "--print-ids: not ids: $(cat "$work/out")"
[ "$(wc -w <"$work/out")" -le 48 ] || fail "--print-ids -n 48: $(wc -w <"$work/out") ids"
word=${text:25:6}
good graphrun "$plan" -p "$prompt" -n 48 --greedy --stop "$word"
says "--stop '$word'" "${text%%"$word"*}"
good graphrun "$plan" -p "$prompt" -n 48 --greedy --stop 'no such text' --stop "$word"
says "two --stop" "${text%%"$word"*}"

# --- sampling

good graphrun "$plan" -p "$prompt" -n 60 --seed 7 --temp 1.5
first=$(cat "$work/out")
good graphrun "$plan" -p "$prompt" -n 60 --seed 7 --temp 1.5 -t 1
says '--seed 7 again' "$first"
good graphrun "$plan" -p "$prompt" -n 60 --seed 8 --temp 1.5
[ "$(cat "$work/out")" != "$first" ] || fail "--seed 7 and --seed 8 give the same text"
good graphrun "$plan" -p "$prompt" -n 60 --temp 1.5
seed=$(grep -oE 'seed[^0-9]*[0-9]+' "$work/err" | grep -oE '[0-9]+$')
unseeded=$(cat "$work/out")
if [ -z "$seed" ]; then
    fail "a random seed is not printed: $(cat "$work/err")"
else
    good graphrun "$plan" -p "$prompt" -n 60 --temp 1.5 --seed "$seed"
    says "the printed seed" "$unseeded"
fi

# --- limits

bad 1 'context' graphrun "$plan" --ids "$ids" -c 2 -n 1 --greedy
bad 1 '999999' graphrun "$plan" --ids 1,999999 -n 1 --greedy
bad '[12]' 'x|number|id' graphrun "$plan" --ids 1,x -n 1 --greedy
bad '[12]' '.' graphrun "$plan" -p x -n 1 --temp -1
bad '[12]' '.' graphrun "$plan" -p x -n 1 -t 0
bad 1 'writ|space' graphrun "$plan" -p x -n 1 --greedy --logits /dev/full
graphrun "$plan" -p "$prompt" -n 4 --greedy >/dev/full 2>"$work/err"
status=$?
[ $status = 1 ] || fail "a full disk under stdout: exit status $status, expected 1"
grep -q 'error: ' "$work/err" || fail "a full disk under stdout is not reported: $(cat "$work/err")"
good graphrun "$plan" -p "$prompt" -n 1000000 --greedy --ignore-eos -c 64 --print-ids
prompt_ids=$(tr ',' '\n' <<<"$ids" | wc -l)
drawn=$(wc -w <"$work/out")
[ "$drawn" -le $((65 - prompt_ids)) ] && [ "$drawn" -ge $((63 - prompt_ids)) ] ||
    fail "-c 64 after $prompt_ids tokens ends after $drawn"

# --- JSON

if command -v jq >/dev/null; then valid() { jq -e . "$1"; }
elif command -v python3 >/dev/null; then valid() { python3 -m json.tool "$1"; }
else valid() { skip "--json" "jq or python3"; }
fi
good graphrun "$plan" -p "$prompt" -n 48 --greedy --json
valid "$work/out" >"$work/json" 2>&1 ||
    fail "--json: $(head -n 2 "$work/json"): $(head -c 300 "$work/out")"
# A reply with quotes, newlines and halves of characters is JSON too.
good graphrun "$plan" -p "$prompt" -n 200 --temp 5 --top-k 0 --top-p 1 --min-p 0 --seed 3 --json
valid "$work/out" >"$work/json" 2>&1 || fail "--json of noise: $(head -n 2 "$work/json")"

# --- from the model file, through the cache

same 'GGUF' graphrun "$tiny" -p "$prompt" -n 48 --greedy
cached=$(find "$XDG_CACHE_HOME" -type f | wc -l)
[ "$cached" -ge 1 ] || fail "nothing in the cache"
same 'GGUF again' graphrun "$tiny" -p "$prompt" -n 48 --greedy
[ "$(find "$XDG_CACHE_HOME" -type f | wc -l)" = "$cached" ] ||
    fail "the same run makes another cache entry"
XDG_CACHE_HOME=$work/other same '--no-cache' graphrun "$tiny" -p "$prompt" -n 48 --greedy --no-cache
[ -z "$(find "$work/other" -type f 2>/dev/null)" ] ||
    fail "--no-cache leaves: $(find "$work/other" -type f)"
XDG_CACHE_HOME=/dev/null/cache same 'no cache folder' graphrun "$tiny" -p "$prompt" -n 48 --greedy
same '--script' graphrun "$tiny" --script examples/models/llama.lua -p "$prompt" -n 48 --greedy
good graphrun "$tiny" -O0 --target=ref --kv=f32 -b 7 -p "$prompt" -n 4 --greedy
finish
