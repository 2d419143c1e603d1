#!/usr/bin/env bash
# The dump that stands beside the small model is what the compiler makes of it today.
. tests/e2e/common.bash

remake="build/graphc --dump --target=avx2 examples/models/llama.lua -w examples/tiny/tiny.gguf"
# shellcheck disable=SC2086 # words are meant
graphc ${remake#build/graphc } >"$work/dump" 2>"$work/err" || fail "$(head -n 3 "$work/err")"
cmp -s "$work/dump" examples/tiny/tiny.ir ||
    fail "examples/tiny/tiny.ir is not what \`$remake\` prints; if the change is meant, remake it"
finish
