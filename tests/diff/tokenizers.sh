#!/usr/bin/env bash
# Random and real texts against Hugging Face's tokenizers and SentencePiece: ids, and the text they
# decode to, of every kind of vocabulary. TEXTS (800) a tokenizer; needs Python with tokenizers and
# sentencepiece (PYTHON, else python3). BENCH=yes compares speed instead.
. tests/e2e/common.bash

need_data tokenizers/gpt2/tokenizer.json
cases=$BUILD/tests/diff/tokenizer/cases
[ -x "$cases" ] || { fail "$cases is not built: make everything"; finish; }
python=
for candidate in ${PYTHON:-} python3; do
    "$candidate" -c 'import sentencepiece, tokenizers' 2>/dev/null && python=$candidate && break
done
[ -n "$python" ] || { skip "other tokenizers" "python3 with tokenizers and sentencepiece"; finish; }

oracle=tests/diff/tokenizer/oracle.py
if [ -n "${BENCH-}" ]; then
    "$python" -B $oracle --bench "$DATA" "$work" "$cases" "$BUILD/graphc"
    exit
fi
"$python" -B $oracle "$DATA" "$work" "$cases" "$BUILD/graphc" "${TEXTS:-800}" >"$work/said" 2>&1 ||
    fail "$(tail -n 40 "$work/said")"
[ -z "${REPORT-}" ] || cat "$work/said"
finish
