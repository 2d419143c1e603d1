#!/usr/bin/env bash
# Every logit, against the independent oracle computed afresh: unoptimised within 1e-3, with the
# default options within the bounds of logits.sh. Where only keys and values are rounded (f16
# weights) the oracle rounds them too and all else must agree within 2e-3. Needs NumPy.
. tests/e2e/common.bash

compare=$(tool compare) || { fail "tests/e2e/compare.c does not build"; finish; }
python=$(numpy)
[ -n "$python" ] || { skip "every logit" "python3 with NumPy"; finish; }

check() { # what, npy, bound
    local said
    said=$("$compare" "$2" "$work/oracle.npy" "$3" 2>&1) || fail "$1: $said; the bound is $3"
    [ -z "${REPORT-}" ] || echo "$1: $said"
}

oracle() { # model, ids, options
    local model=$1 ids=$2
    shift 2
    "$python" -B tests/e2e/oracle.py "$model" --ids "$ids" --logits "$work/oracle.npy" "$@" ||
        fail "the oracle fails: $model $*"
}

model() { # name, file, bound with the default options, are the weights quantised
    local ids
    compile "$2" -O0 --target=ref --kv=f32 -o "$work/plain.plan" || return
    compile "$2" -o "$work/default.plan" || return
    ids=$(golden_ids "$goldens/$1.300.golden")
    logits "$work/plain.npy" "$work/plain.plan" --ids "$ids" || return
    logits "$work/default.npy" "$work/default.plan" --ids "$ids" || return
    oracle "$2" "$ids"
    check "$1 -O0 ref" "$work/plain.npy" 1e-3
    check "$1 defaults" "$work/default.npy" "$3"
    if [ "$4" = no ]; then
        oracle "$2" "$ids" --like-defaults
        check "$1 defaults, rounded alike" "$work/default.npy" 2e-3
    fi
}

stories=weights/TinyStories-656K/TinyStories-656K
have_data $stories.f16.gguf && model TinyStories-656K-f16 "$DATA/$stories.f16.gguf" 0.02 no
have_data $stories-Q8_0.gguf && model TinyStories-656K-Q8_0 "$DATA/$stories-Q8_0.gguf" 0.5 yes
model tiny "$tiny" 0.5 yes
finish
