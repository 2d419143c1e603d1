#!/usr/bin/env bash
# For every model at hand, every -O and every pass that it runs: a plan made from the text after the
# pass has the bytes of the plan made in one go, and that text, read and printed, stays the same.
. tests/e2e/common.bash

# The passes that -O runs, in order.
passes_of() { # -O
    sed -nE 's/^PASS\(([a-z_]+), *[A-Z_]+, *[A-Z_]+, *([0-9]).*/\1 \2/p' passes/passes.def |
        while read -r pass least; do
            [ "$least" -gt "$1" ] || echo "$pass"
        done
}
[ "$(passes_of 2)" = "$(graphc --list-passes | cut -d' ' -f1)" ] ||
    fail '--list-passes names other passes than passes.def'

resumed() { # -O, weights, options of graphc
    local opt=$1 weights=$2 what pass
    what="$(basename "$2") -O$*"
    shift 2
    compile "-O$opt" "$@" "$weights" -o "$work/straight.plan" || return
    for pass in $(passes_of "$opt"); do
        graphc --stop-after="$pass" --dump="$pass" "-O$opt" "$@" "$weights" >"$work/$pass.ir" \
            2>"$work/err" || { fail "$what: stop after $pass: $(head -n 3 "$work/err")"; continue; }
        compile "$work/$pass.ir" -w "$weights" -o "$work/resumed.plan" &&
            same_bytes "$what: resumed after $pass" "$work/straight.plan" "$work/resumed.plan"
        graphc --stop-after="$pass" --dump "$work/$pass.ir" >"$work/again" 2>"$work/err"
        same_bytes "$what: text after $pass, read and printed" "$work/$pass.ir" "$work/again"
    done
}

models=("$tiny")
! have_data weights || models+=("$DATA"/weights/*/*.gguf)
for model in "${models[@]}"; do
    for opt in 0 1 2; do
        resumed $opt "$model"
    done
done
resumed 2 "$tiny" --target=ref --act=f32 --kv=f32 -b 7
finish
