#!/usr/bin/env bash
# A llama of 32 layers without weights compiles in 20 ms, the whole process; of 1,000 layers, llama
# or random, it takes about four times the time of 250. Processor time, the least of several runs,
# so that a busy machine does not matter.
. tests/e2e/common.bash

# Microseconds of processor time that graphc takes, the least of N runs.
least_time() { # runs, arguments of graphc
    local runs=$1 best=1000000000 took
    local TIMEFORMAT='%3U %3S'
    shift
    for ((run = 0; run < runs; run++)); do
        took=$({ time graphc "$@" >/dev/null 2>"$work/err"; } 2>&1) ||
            { fail "graphc $*: $(head -n 3 "$work/err")"; break; }
        took=$(awk '{ printf("%d", ($1 + $2) * 1e6) }' <<<"$took")
        [ "$took" -ge $best ] || best=$took
    done
    echo "$best"
}

report() {
    [ -z "${REPORT-}" ] || echo "$*"
}

shape=shape:tinyllama-1.1b,type=q4_0
llama=examples/models/llama.lua
took=$(least_time 7 -w "$shape,layers=32" "$llama")
report "32 layers: $took µs"
graphc --time-passes -w "$shape,layers=32" "$llama" 2>"$work/times"
[ "$took" -le 20000 ] || fail "$took µs for 32 layers: $(cat "$work/times")"
grep -q '^all  *[0-9.]*$' "$work/times" || fail "--time-passes does not end with the sum of all"
awk 'NR > 1 && $1 != "all" && NF != 7 { exit 1 } $1 == "fuse" && $7 >= $6 { exit 1 }' \
    "$work/times" || fail "--time-passes: fuse saves no bytes, or not seven columns"

linear() { # what, script
    local few many
    few=$(least_time 5 -w "$shape,layers=250" "$2")
    many=$(least_time 4 -w "$shape,layers=1000" "$2")
    report "$1: 250 layers $few µs, 1000 layers $many µs"
    [ "$many" -le $((few * 8)) ] ||
        fail "$1: 1000 layers take $many µs, 250 take $few: more than linear"
}
linear llama "$llama"
linear random tests/e2e/random_layers.lua
# The text of it too.
for layers in 250 1000; do
    graphc --dump=merge --stop-after=merge -w "$shape,layers=$layers" "$llama" >"$work/$layers.ir"
done
few=$(least_time 4 --dump --explain "$work/250.ir")
many=$(least_time 3 --dump --explain "$work/1000.ir")
report "from and to text: $few µs, $many µs"
[ "$many" -le $((few * 8)) ] || fail "text of 1000 layers takes $many µs, of 250 $few"
finish
