#!/usr/bin/env bash
# A llama of 22 layers compiles in under 50 ms: the whole process, best of five.
. tests/e2e/common.bash

best=1000000
for _ in 1 2 3 4 5; do
    begin=${EPOCHREALTIME/./}
    graphc --time-passes -w shape:tinyllama-1.1b,type=q4_0 examples/models/llama.lua \
        2>"$work/times" ||
        fail "exit status $?: $(head -n 3 "$work/times")"
    took=$((${EPOCHREALTIME/./} - begin))
    [ $took -ge $best ] || best=$took
done
grep -q '^all  *[0-9.]*$' "$work/times" || fail "--time-passes does not end with the sum of all"
[ $best -lt 50000 ] || fail "$best µs for 22 layers: $(cat "$work/times")"
[ -z "${REPORT-}" ] || echo "best of five: $best µs"
finish
