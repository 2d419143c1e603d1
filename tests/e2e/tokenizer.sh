#!/usr/bin/env bash
# Tokenizer vectors that others made, through the command line: every case of .inp gives the line
# of .out and comes back as text, from the vocabulary's GGUF file and from a plan that holds only
# the vocabulary.
. tests/e2e/common.bash

folder=tokenizers/ggml-vocab

# Cases to $work/case.N, one a file; prints how many.
split_cases() {
    awk -v work="$work" 'BEGIN { RS = "\n__ggml_vocab_test__\n" }
        { printf "%s", $0 >(work "/case." NR); close(work "/case." NR) }
        END { print NR }' "$1"
}

one_case() { # label, number, expected ids, file, does the text come back
    local got
    got=$(graphrun "$4" --tokenize --no-bos <"$work/case.$2" 2>"$work/err") ||
        fail "$1 case $2: $(head -n 3 "$work/err")"
    if [ "$got" != "$3" ]; then
        fail "$1 case $2 ($(head -c 60 "$work/case.$2" | tr '\n' ' ')): expected $3, got $got"
        return
    fi
    [ "$5" = yes ] || return
    graphrun "$4" --detokenize <<<"$got" >"$work/back" 2>"$work/err" ||
        fail "$1 case $2 --detokenize: $(head -n 3 "$work/err")"
    cmp -s "$work/back" "$work/case.$2" ||
        fail "$1 case $2 comes back as: $(od -c "$work/back" | head -n 3)"
}

vocabulary() { # name
    local base=$DATA/$folder/ggml-vocab-$1.gguf cases number expected
    compile "$base" --vocab-only -o "$work/vocabulary.plan" || return
    cases=$(split_cases "$base.inp")
    [ "$cases" -ge 40 ] || fail "$1: only $cases cases"
    for ((number = 1; number <= cases; number++)); do
        read -r expected < <(sed -n "${number}p" "$base.out")
        one_case "$1" $number "$expected" "$base" no
        one_case "$1 plan" $number "$expected" "$work/vocabulary.plan" yes
    done
}

need_data $folder/ggml-vocab-llama-spm.gguf
vocabulary llama-spm
vocabulary phi-3
vocabulary gpt-2
vocabulary falcon
vocabulary deepseek-llm

# With BOS unless --no-bos; a vocabulary cannot generate.
bos=$(graphrun "$work/vocabulary.plan" --tokenize <<<"a" 2>/dev/null)
[[ $bos == "1 "* ]] || fail "without --no-bos the ids begin with BOS, got $bos"
graphrun "$work/vocabulary.plan" -p x -n 1 >"$work/out" 2>"$work/err"
[ $? = 1 ] && grep -q 'error: ' "$work/err" ||
    fail "generating from a vocabulary: $(cat "$work/err")"
graphrun "$work/vocabulary.plan" --detokenize <<<"999999" >"$work/out" 2>"$work/err"
[ $? = 1 ] && grep -q 'error: ' "$work/err" ||
    fail "an id outside the vocabulary: $(cat "$work/err")"
finish
