#!/usr/bin/env bash
# What --mem and --dry-run say of memory is what a run takes: the resident set, with all weights
# touched and the context full, is at most the prediction and 8 MB (the program, its libraries and
# the tokenizer are not predicted) and at least 98 % of it, whether a plan carries its weights or
# makes them. --mem's four forms tell one story; --diff exits like diff.
. tests/e2e/common.bash

member() { # name: a number of the JSON object on stdin
    sed -nE "s/.*\"$1\": (-?[0-9.]+).*/\1/p" | head -n 1
}

# Ids of a prompt of N tokens that reads every row of the embedding, in turn.
every_id() { # tokens, vocabulary
    seq 0 $(($1 - 1)) |
        awk -v vocabulary="$2" '{ printf("%s%d", (NR == 1 ? "" : ","), $1 % vocabulary) }'
}

resident() { # what, plan, tokens of context, vocabulary, options
    local what=$1 plan=$2 context=$3 vocabulary=$4 predicted measured said
    shift 4
    predicted=$(graphrun "$plan" --dry-run --json -c "$context" "$@" 2>/dev/null |
        member total)
    said=$(graphc --mem=json "$plan" -c "$context" "$@" | member total)
    [ "$said" = "$predicted" ] || fail "$what: --mem says $said, --dry-run $predicted"
    graphrun "$plan" --ids "$(every_id $((context - 16)) "$vocabulary")" -c "$context" \
        --ignore-eos --greedy --json "$@" >"$work/run.json" 2>"$work/run.err" ||
        { fail "$what: $(head -n 3 "$work/run.err")" && return; }
    grep -q '"finish": "context"' "$work/run.json" || fail "$what: the context did not fill"
    measured=$(member resident_mib <"$work/run.json")
    [ -z "${REPORT-}" ] || echo "$what: predicted $predicted bytes, resident $measured MiB"
    awk -v predicted="${predicted:-0}" -v mib="${measured:-0}" 'BEGIN {
        over = mib * 1048576 - predicted
        exit !(predicted > 0 && over <= 8e6 && over >= -0.02 * predicted) }' ||
        fail "$what: predicted $predicted bytes, resident $measured MiB"
}

vocabulary=$(hyperparameter "$tiny" vocab_size)
compile "$tiny" -o "$work/tiny.plan" && resident "tiny" "$work/tiny.plan" 512 "$vocabulary" -t 2
# 100 MB of weights of 32 bits and 40 MB of keys and values: large beside the tolerance. Made at
# open, they were mapped as a file for that long; of that nothing may be left.
requantise=$(tool requantise) || fail "tests/e2e/requantise.c does not build"
"$requantise" "$tiny" "$work/f32.gguf" f32 0 40 >/dev/null || fail "requantise makes no 40 layers"
for weights in embed ref; do
    compile "$work/f32.gguf" --kv=f32 -b 256 --weights=$weights -o "$work/$weights.plan" &&
        resident "large, $weights" "$work/$weights.plan" 1024 "$vocabulary" -t 2
done
# And a long context over few weights.
"$requantise" "$tiny" "$work/short.gguf" f32 >/dev/null && compile "$work/short.gguf" --kv=f32 \
    -o "$work/long.plan" && resident "long" "$work/long.plan" 8192 "$vocabulary" -t 2

made=$(graphrun "$work/ref.plan" --dry-run --json | member opening)
[ "${made:-0}" -gt 90000000 ] && [ "$made" -lt "$(stat -c %s "$work/f32.gguf")" ] ||
    fail "--dry-run of a plan without weights: opening $made"

# --- keys and values take 32, 16 or 8.5 bits an element

for kv in f32:64 f16:32 q8_0:17; do
    compile "$tiny" --kv="${kv%:*}" -o "$work/kv.plan" || continue
    bytes=$(graphrun "$work/kv.plan" --dry-run --json -c 512 | member kv)
    f32=${f32:-$bytes}
    [ $((bytes * 64)) = $((f32 * ${kv#*:})) ] || fail "--kv=${kv%:*}: $bytes bytes, f32 takes $f32"
done

# --- nothing runs, nothing is allocated: a context that no machine holds can be asked for

graphrun "$work/tiny.plan" --dry-run -c 1000000000 >"$work/out" 2>/dev/null ||
    fail "--dry-run of a large context: exit status $?"
grep -qE '^kv +15360[0-9]{8} ' "$work/out" ||
    fail "--dry-run -c 1000000000: $(grep ^kv "$work/out")"
graphrun "$work/tiny.plan" --sequences 2 -p x >/dev/null 2>"$work/err" &&
    fail "--sequences without --dry-run is taken"

# --- the forms

options=(-c 200 -t 3 --sequences 2)
graphc --mem "$work/tiny.plan" "${options[@]}" >"$work/table" || fail "--mem: exit status $?"
graphrun "$work/tiny.plan" --dry-run "${options[@]}" 2>/dev/null >"$work/dry"
head -n "$(wc -l <"$work/dry")" "$work/table" | cmp -s - "$work/dry" ||
    fail "--mem and --dry-run tell different figures"
for form in json svg trace; do
    graphc --mem=$form "$work/tiny.plan" "${options[@]}" >"$work/$form" || fail "--mem=$form: $?"
done
values=$(grep -cE '^ +[0-9]+-[0-9]+ ' "$work/table")
act=$(grep -cE '^ +[0-9]+-[0-9]+ +(act|own)' "$work/table")
[ "$values" -gt 0 ] && [ "$(grep -c '"in_place_of"' "$work/json")" = "$values" ] ||
    fail "--mem=json does not list the $values values of the table"
[ "$(grep -c '"ph": "X"' "$work/trace")" = "$values" ] || fail "--mem=trace: not $values values"
[ "$(grep -c '<rect.*<title>' "$work/svg")" = "$act" ] || fail "--mem=svg: not $act rectangles"
grep -qE '(href|src|url)' "$work/svg" && fail "--mem=svg needs something beside itself"
[ "$(member total <"$work/json")" = "$(awk '$1 == "total" { print $2 }' "$work/dry")" ] ||
    fail "--mem=json has another total than --dry-run"
for phase in decode prefill; do
    dumped=$(graphc --dump "$work/tiny.plan" |
        sed -nE "s/^phase @$phase .*act=(0x[0-9a-f]+).*/\1/p")
    grep -q "^phase @$phase .*: peak $((dumped))," "$work/table" ||
        fail "--mem: the peak of @$phase is not $((dumped))"
done
python=$(numpy)
[ -z "$python" ] || for form in json trace; do
    "$python" -c 'import json, sys; json.load(sys.stdin)' <"$work/$form" ||
        fail "--mem=$form: no JSON"
done

# Of a compile, nothing is known that its plan would not tell, but the size of the plan itself.
cut_plan='s/"plan".*"rounding"/"rounding"/; s/"total.*//'
graphc --mem=json "$tiny" "${options[@]}" | sed "$cut_plan" >"$work/a"
sed "$cut_plan" "$work/json" >"$work/b"
cmp -s "$work/a" "$work/b" || fail "--mem of a compile differs from --mem of its plan"
graphc --mem shape:tinyllama-1.1b,type=q4_0,layers=2 >/dev/null || fail "--mem of a shape: $?"
graphc --mem=pie "$work/tiny.plan" >/dev/null 2>&1 && fail "--mem=pie is taken"

# --- diff

difference() { # expected status, A, B
    graphc --diff "$2" "$3" >"$work/out" 2>"$work/err"
    local status=$?
    [ $status = "$1" ] || fail "--diff $2 $3: exit status $status, expected $1"
}
compile "$tiny" -o "$work/same.plan"
compile "$tiny" -O1 -o "$work/o1.plan"
difference 0 "$work/tiny.plan" "$work/same.plan"
[ ! -s "$work/out" ] || fail "--diff of equal plans prints $(head -n 1 "$work/out")"
difference 1 "$work/tiny.plan" "$work/o1.plan"
for line in '^options: opt 2 -> 1$' \
    '^weight %blk.0.attn_q.weight: \+ ' '^phase @decode: \+ step '; do
    grep -qE "$line" "$work/out" || fail "--diff of -O2 and -O1 has no line $line"
done
difference 2 "$work/tiny.plan" "$work/none.plan"
finish
