#!/usr/bin/env bash
# graphc --repro: the bundle of a compile that succeeds, fails in a script, in a pass or before
# anything could be read; run.sh in another folder prints the same, with nothing of the model's
# weights; a folder that is there is refused.
. tests/e2e/common.bash

export GRAPHC=$BUILD/graphc
given=("$work/given.out" "$work/given.err")

# graphc with --repro, then the moved bundle's run.sh, which must exit alike and print the same.
bundle() { # name, expected status, arguments of graphc
    local name=$1 wanted=$2 status
    shift 2
    graphc --repro="$work/$name" "$@" >"${given[0]}" 2>"${given[1]}"
    status=$?
    [ $status = "$wanted" ] || fail "$name: exit status $status: $(head -n 3 "${given[1]}")"
    grep -q "^repro: $work/$name is the bundle" "${given[1]}" ||
        fail "$name: the bundle is not told"
    grep -qF -- "--repro=$work/$name" "$work/$name/about.txt" || fail "$name: no command"
    mv "$work/$name" "$work/moved-$name"
    replays "$name" "$wanted"
}

# What an error says, without the folders of its place.
message() {
    sed -nE 's/^(.*\/)?([^\/]*: )?error: /\2error: /p' "$1"
}

replays() { # name, expected status
    (cd / && sh "$work/moved-$1/run.sh") >"$work/out" 2>"$work/err"
    [ $? = "$2" ] || fail "$1: run.sh exits otherwise: $(head -n 3 "$work/err")"
    same_bytes "$1: what run.sh prints" "${given[0]}" "$work/out"
    [ "$(message "${given[1]}")" = "$(message "$work/err")" ] ||
        fail "$1: run.sh says $(message "$work/err"), not $(message "${given[1]}")"
    [ "$2" = 0 ] || [ -n "$(message "$work/err")" ] || fail "$1: no error"
}

stages() { # name: names of the stages it has
    (cd "$work/moved-$1" && ls ./??-*.ir 2>/dev/null) | sed -E 's/.*[0-9]-(.*)\.ir/\1/'
}

bundle good 0 --dump --explain -b 64 "$tiny"
cmp -s <(stages good) <(echo built && graphc --list-passes | cut -d' ' -f1) ||
    fail "good: stages are $(stages good | tr '\n' ' ')"
same_bytes 'the script' examples/models/llama.lua "$work/moved-good/llama.lua"
rm "$work/moved-good/model/tiny.gguf"
[ "$(du -sb "$work/moved-good" | cut -f1)" -lt $(($(stat -c %s "$tiny") / 4)) ] ||
    fail "good: the bundle has the weights"

bundle shape 0 --dump=fuse --stop-after=fuse -w shape:tinyllama-1.1b,layers=2 \
    examples/models/llama.lua
bundle text 0 --dump "$work/moved-good/05-merge.ir" -w "$tiny"

# A script that another file helps to fail.
mkdir "$work/models"
echo 'return function(name) error("no model is called " .. name) end' >"$work/models/refuse.lua"
echo 'require "refuse" (model.name)' >"$work/models/it's.lua"
GRAPHC_MODELS=$work/models bundle script 1 --dump "$work/models/it's.lua" -w "$tiny"
grep -q 'no model is called' "$work/moved-script/result.txt" || fail 'script: no result.txt'
[ -e "$work/moved-script/required/refuse.lua" ] || fail 'script: the required file is missing'
[ -z "$(stages script)" ] || fail 'script: stages of a script that fails'

# A pass that fails: the last stage is what it was given.
graphc --dump=merge --stop-after=merge "$tiny" | sed '/ffn_down/s/q8_0/q8_1/g' >"$work/bad.ir"
bundle pass 1 --dump "$work/bad.ir"
last=$(stages pass | tail -n 1)
[ "$last" = layout ] || fail "pass: the last stage is $last"
head -c 1000 "$tiny" >"$work/cut.gguf"
bundle unread 1 --dump "$work/cut.gguf"

graphc --repro="$work/moved-good" "$tiny" >/dev/null 2>"$work/err" && fail 'a folder that is there'
grep -q 'error: .*File exists' "$work/err" || fail "a folder that is there: $(cat "$work/err")"
graphc --dump "$tiny" | graphc --repro="$work/stdin" - 2>/dev/null && fail 'text on stdin is taken'
[ ! -e "$work/stdin" ] || fail 'text on stdin leaves a folder'
finish
