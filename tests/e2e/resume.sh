#!/usr/bin/env bash
# A plan made from the text after any pass has the bytes of the plan made in one go.
. tests/e2e/common.bash

compile "$tiny" -o "$work/straight.plan" || finish
for pass in $(graphc --list-passes | cut -d' ' -f1); do
    graphc --stop-after="$pass" --dump="$pass" "$tiny" >"$work/$pass.ir" 2>"$work/err" ||
        fail "stop after $pass: $(head -n 3 "$work/err")"
    compile "$work/$pass.ir" -w "$tiny" -o "$work/resumed.plan" &&
        same_bytes "resumed after $pass" "$work/straight.plan" "$work/resumed.plan"
done
finish
