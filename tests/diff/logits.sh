#!/usr/bin/env bash
# Logits against goldens of the independent oracle (tests/e2e/oracle.py): unoptimised within 1e-3;
# optimised in f32 within 2e-3 on every target; with the default options within the bounds below.
#
# REPORT=1 prints every measured difference. tests/e2e/goldens/make.sh makes the goldens.
. tests/e2e/common.bash

compare=$(tool compare) || { fail "tests/e2e/compare.c does not build"; finish; }

check() { # what, npy, golden or npy, bound
    local said
    said=$("$compare" "$2" "$3" "$4" 2>&1) || fail "$1: $said; the bound is $4"
    [ -z "${REPORT-}" ] || echo "$1: $said"
}

# model, its goldens, bound with the default options.
model() {
    local file=$1 golden=$2 bound=$3 label=${2##*/} target ids size
    compile "$file" -O0 --target=ref --kv=f32 -o "$work/plain.plan"
    for target in $(targets); do
        compile "$file" --target="$target" --kv=f32 --act=f32 -o "$work/$target.plan"
    done
    compile "$file" -o "$work/default.plan"
    for size in 16 300; do
        if [ ! -e "$golden.$size.golden" ]; then
            fail "no $golden.$size.golden; tests/e2e/goldens/make.sh makes it"
            continue
        fi
        ids=$(golden_ids "$golden.$size.golden")
        logits "$work/plain.npy" "$work/plain.plan" --ids "$ids" &&
            check "$label.$size -O0 ref" "$work/plain.npy" "$golden.$size.golden" 1e-3
        for target in $(targets); do
            logits "$work/$target.npy" "$work/$target.plan" --ids "$ids" &&
                check "$label.$size $target f32" "$work/$target.npy" "$golden.$size.golden" 2e-3
        done
        logits "$work/default.npy" "$work/default.plan" --ids "$ids" &&
            check "$label.$size defaults" "$work/default.npy" "$golden.$size.golden" "$bound"
    done
}

skip_targets
weights=weights/TinyStories-656K
have_data "$weights/TinyStories-656K.f16.gguf" &&
    model "$DATA/$weights/TinyStories-656K.f16.gguf" "$goldens"/TinyStories-656K-f16 0.02
have_data "$weights/TinyStories-656K-Q8_0.gguf" &&
    model "$DATA/$weights/TinyStories-656K-Q8_0.gguf" "$goldens"/TinyStories-656K-Q8_0 0.5
model "$tiny" "$goldens/tiny" 0.5
finish
