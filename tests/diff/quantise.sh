#!/usr/bin/env bash
# The writers of quantised types against ggml's own quantisers: equal bytes.
#
# GGML_BASE names a libggml-base.a (or .so) of a llama.cpp build; ROWS rows a type (1,200).
. tests/e2e/common.bash

if [ ! -e "${GGML_BASE:-}" ]; then
    skip 'quantisers' 'GGML_BASE (libggml-base.a of a llama.cpp build)'
    finish
fi
mapfile -t flags < <(pkg-config --cflags --libs libxxhash | tr ' ' '\n' | sed '/^$/d')
if ${CC:-cc} -std=gnu11 -O2 -ffp-contract=off -I. tests/diff/ggml/quantise.c \
    "$BUILD"/kernels/row_write*.o "$BUILD"/graph/base/{types,hash,arena}.o "$GGML_BASE" "${flags[@]}" \
    -lstdc++ -lm -fopenmp -ldl -o "$work/quantise" 2>"$work/err"; then
    "$work/quantise" "${ROWS:-1200}" >"$work/told" 2>"$work/err" || fail "$(head -n 12 "$work/told")"
    [ -z "${REPORT-}" ] || cat "$work/told"
else
    fail "tests/diff/ggml/quantise.c: $(head -n 3 "$work/err")"
fi
finish
