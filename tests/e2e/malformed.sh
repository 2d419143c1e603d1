#!/usr/bin/env bash
# Hostile and truncated GGUF files: both programs say one line `FILE: error: what` and exit with
# 1. The valid files among them show their metadata.
. tests/e2e/common.bash

refused() { # file, command
    local file=$1 status
    shift
    timeout 10 "$@" >"$work/out" 2>"$work/err" </dev/null
    status=$?
    [ $status = 1 ] || fail "$*: exit status $status, expected 1: $(head -n 3 "$work/err")"
    [ "$(wc -l <"$work/err")" = 1 ] && grep ': error: .' "$work/err" | grep -qF "$file" ||
        fail "$*: not one line with the file and an error: $(head -n 5 "$work/err")"
    [ ! -s "$work/out" ] || fail "$*: writes to stdout: $(head -n 3 "$work/out")"
}

need_data malformed/gguf
seen=0
for path in "$DATA"/malformed/gguf/*; do
    file=$(basename "$path")
    seen=$((seen + 1))
    case $file in
    valid-small.gguf | v3-empty.bin)
        graphc --info "$path" >"$work/out" 2>"$work/err" ||
            fail "graphc --info $file: $(cat "$work/err")"
        [ -s "$work/out" ] && [ ! -s "$work/err" ] ||
            fail "graphc --info $file: nothing, or not on stdout"
        ;;
    *)
        refused "$file" graphc --info "$path"
        refused "$file" graphc --dump "$path"
        refused "$file" graphc --dump examples/models/llama.lua -w "$path"
        ;;
    esac
    # Even the valid ones are no models: there is nothing to run.
    refused "$file" graphrun "$path" -p x -n 1
done
[ $seen -ge 7 ] || fail "only $seen files"
grep -q 'general\.' <(graphc --info "$DATA/malformed/gguf/valid-small.gguf") ||
    fail "--info of valid-small.gguf names no metadata"

# Cut anywhere, a good file is refused too.
model=$DATA/weights/TinyStories-656K/TinyStories-656K-Q8_0.gguf
for bytes in 0 8 23 100 5000 30000 100000 749727; do
    head -c $bytes "$model" >"$work/cut.gguf"
    refused cut.gguf graphc --dump "$work/cut.gguf"
    refused cut.gguf graphrun "$work/cut.gguf" -p x -n 1
done
finish
