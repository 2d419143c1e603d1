#!/usr/bin/env bash
# What the unit test expects of chat templates is what python-jinja2 says now. Needs a Python with
# jinja2 (PYTHON, or python3).
. tests/e2e/common.bash
folder=tests/unit/templates

python=
for each in ${PYTHON:-} python3; do
    "$each" -c 'import jinja2' 2>/dev/null && python=$each && break
done
[ -n "$python" ] || { skip "the oracle" "a Python with jinja2"; finish; }

"$python" $folder/oracle.py language $folder/language.jsonl >"$work/language" ||
    fail "oracle.py language"
same_bytes "language.jsonl" $folder/language.jsonl "$work/language"

have_data templates || finish
"$python" $folder/oracle.py templates "$DATA/templates" $folder/conversations.jsonl \
    >"$work/expected" || fail "oracle.py templates"
tail -n +2 $folder/expected.txt >"$work/known"
same_bytes "expected.txt" "$work/known" "$work/expected"

# And once through the program, byte by byte and not by its hash.
graphc -w "$tiny" --vocab-only -o "$work/vocabulary.plan" || { fail "compile"; finish; }
sed -n '/"case": "tools"/p' $folder/conversations.jsonl >"$work/line"
"$python" - "$work" <<'PYTHON'
import json, sys
line = json.load(open(sys.argv[1] + "/line"))
for name in "messages", "tools":
    json.dump(line[name], open(f"{sys.argv[1]}/{name}.json", "w"))
PYTHON
for template in Qwen-Qwen2.5-7B-Instruct meta-llama-Llama-3.2-3B-Instruct; do
    path=$DATA/templates/$template.jinja
    graphrun "$work/vocabulary.plan" --apply-template "$work/messages.json" \
        --tools "$work/tools.json" --chat-template "$path" \
        --chat-template-kwargs '{"date_string": "1 May 2026"}' >"$work/ours" 2>"$work/err" ||
        fail "$template: $(cat "$work/err")"
    sed 's/^{/{"date_string": "1 May 2026", /' "$work/line" >"$work/dated"
    "$python" $folder/oracle.py render "$path" "$work/dated" tools >"$work/theirs"
    same_bytes "$template" "$work/theirs" "$work/ours"
done
finish
