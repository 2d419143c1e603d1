#!/usr/bin/env bash
# Ctrl-C ends a generation cleanly: exit 130, what was written stays, soon. A reader that goes
# away ends it too.
. tests/e2e/common.bash
set -m # background jobs keep SIGINT

graphc "$tiny" -O0 --target=ref --kv=f32 -o "$work/slow.plan" || { fail "compile"; finish; }
endless=(graphrun "$work/slow.plan" -p Once -n 1000000 --ignore-eos --greedy -t 1)
"${endless[@]}" >"$work/out" 2>"$work/err" &
program=$!
for _ in $(seq 500); do
    [ -s "$work/out" ] && break
    kill -0 $program 2>/dev/null || break
    sleep 0.01
done
begin=${EPOCHREALTIME/./}
kill -INT $program 2>/dev/null || fail "ended before it could be interrupted: $(cat "$work/err")"
wait $program
status=$?
took=$((${EPOCHREALTIME/./} - begin))
[ $status = 130 ] || fail "exit status $status, expected 130: $(head -n 3 "$work/err")"
[ $took -lt 1000000 ] || fail "took $took µs to end"
[ -s "$work/out" ] || fail "nothing streamed before the interrupt"
grep -q 'error: ' "$work/err" && fail "calls it an error: $(cat "$work/err")"

timeout 20 "${endless[@]}" 2>"$work/err" | head -c 10 >/dev/null
[ "${PIPESTATUS[0]}" != 124 ] || fail "goes on when nobody reads"
finish
