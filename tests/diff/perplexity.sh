#!/usr/bin/env bash
# --perplexity of a story is the oracle's mean negative log-likelihood, in one chunk and in chunks
# of 64.
. tests/e2e/common.bash

one_model() { # name in goldens/perplexity.txt, model
    local size tokens mean got
    compile "$2" --kv=f32 --act=f32 -o "$work/plan" || return
    grep -q "^$1 " "$goldens/perplexity.txt" || fail "no $1 in $goldens/perplexity.txt"
    while read -r _ size tokens mean; do
        got=$(graphrun "$work/plan" --perplexity "$goldens/story.txt" -c "$size" 2>"$work/err") ||
            fail "$1 -c $size: $(head -n 3 "$work/err")"
        awk -v got="$got" -v tokens="$tokens" -v mean="$mean" 'BEGIN {
            count = split(got, word, /[ ,]+/)
            for (i = 1; i < count; i++) {
                if (word[i] ~ /likelihood$/) said = word[i + 1]
                if (word[i] == "perplexity") power = word[i + 1]
            }
            off = said - mean
            exit !(word[1] == tokens && off < 1e-4 && off > -1e-4 && power / exp(said) > 0.9999 &&
                   power / exp(said) < 1.0001)
        }' || fail "$1 -c $size: expected $tokens tokens and a mean of $mean, got: $got"
    done < <(grep "^$1 " "$goldens/perplexity.txt")
}

stories=weights/TinyStories-656K/TinyStories-656K
one_model tiny "$tiny"
have_data $stories-Q8_0.gguf && one_model TinyStories-656K-Q8_0 "$DATA/$stories-Q8_0.gguf"
have_data $stories.f16.gguf && one_model TinyStories-656K-f16 "$DATA/$stories.f16.gguf"
finish
