#!/usr/bin/env bash
# graphc --verify: every pass keeps the bits on the models at hand; a rule that is broken on purpose
# is caught, named, and replayed from the text that is left; --rewrite-limit stops before it.
. tests/e2e/common.bash
root=$PWD
export GRAPHC_MODELS=$PWD/examples/models

good() { # name, arguments of graphc
    local what=$1
    shift
    (cd "$work" && graphc --verify "$@") >"$work/out" 2>"$work/err" ||
        { fail "$what: $(tail -n 4 "$work/err")"; return; }
    [ ! -s "$work/out" ] || fail "$what: talks on stdout: $(head -n 2 "$work/out")"
    grep -qE '^verify: memplan +equal bits, [1-9]' "$work/err" ||
        fail "$what: memplan was not compared"
    grep -qE '^verify: numerics +KL divergence [0-9.e-]+ nats a row, outputs differ' "$work/err" ||
        fail "$what: does not say what numerics costs"
    tail -n 1 "$work/err" | grep -qE '^verify: good, ' || fail "$what: does not end well"
    ! grep -q warning "$work/err" || fail "$what: $(grep warning "$work/err")"
}

# A second graphc, of the build's objects but passes/rules.c, which is compiled with a rule broken.
broken_graphc() { # rule
    local folder=$BUILD/broken/$1 flags source objects=()
    mkdir -p "$folder"
    read -r flags <"$BUILD/flags"
    packages=$(sed -n 's/^PACKAGES = //p' Makefile)
    for source in graph/*.c graph/base/*.c kernels/*.c runtime/*.c runtime/*/*.c passes/*.c \
        frontends/*.c frontends/*/*.c tools/common/*.c tools/compiler/*.c tools/graphc.c; do
        [ "$source" = passes/rules.c ] || [ ! -e "$BUILD/${source%.c}.o" ] ||
            objects+=("$BUILD/${source%.c}.o")
    done
    # shellcheck disable=SC2086,SC2046
    ${flags/ -MMD -MP/} "-DGRAPHC_BROKEN_RULE=$1" -c passes/rules.c -o "$folder/rules.o" &&
        ${flags/ -MMD -MP/} "${objects[@]}" "$folder/rules.o" -o "$folder/graphc" \
            $("${PKG_CONFIG:-pkg-config}" --libs $packages) -pthread -lm
}

caught() { # rule, pass, arguments of graphc
    local rule=$1 pass=$2 number left
    shift 2
    broken_graphc "$rule" 2>"$work/err" ||
        { fail "graphc with $rule broken: $(head -n 5 "$work/err")"; return; }
    rm -f "$work"/graphc-verify-*
    (cd "$work" && PATH=$BUILD/broken/$rule:$PATH && timeout 100 graphc --verify "$@") \
        >"$work/out" 2>"$work/err"
    [ $? = 1 ] || fail "broken $rule: not exit 1: $(tail -n 2 "$work/err")"
    grep -qE "^error: pass $pass changes what the module computes: .* element \[[0-9,]+\] is " \
        "$work/err" || fail "broken $rule: $pass is not named: $(tail -n 2 "$work/err")"
    number=$(sed -nE "s/.*; rewrite ([0-9]+) is to blame: $pass $rule: .*/\1/p" "$work/err")
    [ -n "$number" ] ||
        { fail "broken $rule: no rewrite is named: $(tail -n 1 "$work/err")"; return; }
    left=$work/graphc-verify-$pass.ir
    graphc --stop-after=dce --dump "$left" >/dev/null 2>"$work/parse" ||
        fail "broken $rule: the text that is left does not parse: $(cat "$work/parse")"
    replays "$rule" "$pass"
    (cd "$work" && PATH=$BUILD/broken/$rule:$PATH &&
        graphc --verify --stop-after="$pass" --rewrite-limit=$((number - 1)) "$@") \
        >/dev/null 2>"$work/limited" ||
        fail "broken $rule: wrong before rewrite $number too: $(tail -n 1 "$work/limited")"
}

# The command that is printed fails with the same message.
replays() { # rule, pass
    local command
    command=$(sed -n 's/^verify: replay: //p' "$work/err")
    (cd "$work" && PATH=$BUILD/broken/$1:$PATH && timeout 100 bash -c "$command") \
        >/dev/null 2>"$work/replayed"
    [ $? = 1 ] || fail "broken $1: the replay is not exit 1: $command"
    same_difference "$work/err" "$work/replayed" || fail "broken $1: another replay: \
$(tail -n 1 "$work/replayed") instead of $(tail -n 1 "$work/err")"
}

same_difference() {
    local first second
    first=$(sed -n 's/^error: \(.*\); rewrite .*/\1/p' "$1")
    second=$(sed -n 's/^error: \(.*\); rewrite .*/\1/p' "$2")
    [ -n "$first" ] && [ "$first" = "$second" ]
}

# N rewrites are N lines of --explain, and the last of them is the last without a limit's N-th.
limited() {
    local limit all
    graphc --explain --stop-after=fuse "$tiny" | grep ': fired: rewrite ' >"$work/all"
    all=$(wc -l <"$work/all")
    [ "$all" -ge 10 ] || fail "only $all rewrites in $tiny"
    for limit in 0 1 7 $((all - 1)) $((all + 5)); do
        graphc --explain --stop-after=fuse --rewrite-limit=$limit "$tiny" |
            grep ': fired: rewrite ' >"$work/some"
        head -n "$limit" "$work/all" | cmp -s - "$work/some" ||
            fail "--rewrite-limit=$limit: $(wc -l <"$work/some") rewrites, or others"
    done
    sed 's/.*rewrite //' "$work/all" | cmp -s - <(seq "$all") || fail 'rewrites are not numbered'
    ! graphc --rewrite-limit=-1 "$tiny" 2>"$work/err" || fail '--rewrite-limit=-1 is taken'
}

tiny=$root/$tiny
good tiny "$tiny"
# Text without weights gets random ones; of other types than the file's, in chunks of 5.
graphc --dump=simplify --stop-after=simplify --kv=f32 -b 5 "$tiny" |
    sed '/attn/s/q8_0\[/q4_0[/g; /ffn/s/q8_0\[/q6_k[/g; /token_embd/s/q8_0\[/bf16[/g' \
        >"$work/mixed.ir"
good 'random weights' "$work/mixed.ir"
grep -q 'of 1 to 5 tokens .* random weights' "$work/err" || fail 'random weights are not told'
if have_data weights; then
    for model in "$DATA"/weights/*/*.gguf; do
        good "$(basename "$model")" "$model"
    done
fi
caught gather_early simplify "$tiny"
caught add_rms_norm fuse --act=f32 "$tiny"
limited
finish
