#!/usr/bin/env bash
# Runs the fuzzers of a build folder one after another: tests/fuzz/run.sh FOLDER
#
# From the environment: SECONDS_EACH, SEED (another each time unless given), BUILD (programs that
# make the first inputs), DATA. First inputs are gathered from the test data, the golden tests and
# the compiler; what a fuzzer finds interesting stays in FOLDER/corpus/NAME for the next run. A
# crash leaves its input in FOLDER/crashes and fails.
set -euo pipefail
cd "$(dirname "$0")/../.."

folder=$1
BUILD=${BUILD:-build} DATA=${DATA:-../shared/data}
passed=0 failed=0

seed_gguf() {
    [ -d "$DATA" ] || echo "skip: fuzz: seeds of gguf need DATA ($DATA)"
    find "$DATA" -size -200k -name '*.gguf' -exec cp --backup=numbered -t "$1" {} + 2>/dev/null ||
        true
    # llama2.c: 4 columns, 4 hidden, 1 layer, 2 heads, 1 kv head, 3 pieces, context 2.
    { printf '\4\0\0\0\4\0\0\0\1\0\0\0\2\0\0\0\1\0\0\0\3\0\0\0\2\0\0\0'
        head -c 496 /dev/zero; } >"$1/llama2c.bin"
    cp -t "$1" "$DATA"/malformed/gguf/* 2>/dev/null || true
}

# A folder as one input: config.json, a zero byte, model.safetensors.
seed_safetensors() {
    local name tool=$folder/make_model
    ${CC:-cc} -O1 tests/e2e/make_model.c -o "$tool" -lm
    for name in tests/e2e/architectures/*/; do
        # Of few numbers: a fuzzer's inputs are small.
        grep -E 'norm|ln_|bias' "$name/tensors.txt" >"$tool.txt" || continue
        "$tool" "$tool.txt" "$tool.safetensors"
        { cat "$name/config.json"; printf '\0'; cat "$tool.safetensors"; } >"$1/$(basename "$name")"
    done
}

seed_ir() {
    local file
    while IFS= read -r file; do # names repeat from folder to folder
        cp "$file" "$1/${file//\//.}"
    done < <(find tests -name '*.ir' -size -64k)
    "$BUILD/graphc" examples/models/llama.lua -w shape:tinyllama-1.1b,layers=1 --dump \
        >"$1/final.ir" 2>/dev/null || echo "skip: fuzz: no seed of ir from graphc"
}

seed_plan() {
    local model=examples/tiny/tiny.gguf
    "$BUILD/graphc" examples/models/llama.lua -w $model --weights=ref -o "$1/weights.plan" \
        >/dev/null 2>&1 || echo "skip: fuzz: no seed of plan from graphc"
    "$BUILD/graphc" -w $model --vocab-only -o "$1/vocabulary.plan" >/dev/null 2>&1 || true
}

seed_tokenizer_json() {
    printf '%s' '{"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2,"<u>":3},"merges":["a b"],' \
        '"unk_token":"<u>"},"added_tokens":[{"id":4,"content":"<x>","lstrip":true}],' \
        '"normalizer":{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Replace",' \
        '"pattern":{"Regex":"a+"},"content":"b"}]},"pre_tokenizer":{"type":"Split","pattern":' \
        '{"Regex":"\\s+"},"behavior":"MergedWithNext","invert":true},"decoder":{"type":"Fuse"}}' \
        >"$1/bpe.json"
    printf '%s' '{"model":{"type":"Unigram","unk_id":0,"vocab":[["<u>",0],["a",-1],["ab",-2]]},' \
        '"pre_tokenizer":{"type":"Metaspace","replacement":"_","prepend_scheme":"first"},' \
        '"decoder":{"type":"Metaspace","replacement":"_"}}' >"$1/unigram.json"
}

seed_sentencepiece_model() {
    find "$DATA" -size -200k -name '*.model' -exec cp -t "$1" {} + 2>/dev/null || true
}

seed_template() {
    local number=0 file
    cp -t "$1" "$DATA"/templates/*.jinja 2>/dev/null ||
        echo "skip: fuzz: seeds of template need DATA ($DATA)"
    while IFS= read -r file; do
        number=$((number + 1))
        printf '%s' "$file" >"$1/language.$number"
    done < <(sed -nE 's/^\{"template": "([^"\\]*)".*/\1/p' tests/unit/templates/language.jsonl)
    for file in "$DATA"/malformed/JSONTestSuite/test_parsing/*.json; do
        [ ! -e "$file" ] || { printf '\0' && cat "$file"; } >"$1/${file##*/}"
    done
}

mkdir -p "$folder/crashes"
for source in tests/fuzz/fuzz_*.c; do
    program=${source%.c} name=${source##*fuzz_}
    name=${name%.c}
    corpus=$folder/corpus/$name
    mkdir -p "$corpus" "$corpus.seeds"
    if declare -F "seed_$name" >/dev/null; then
        "seed_$name" "$corpus.seeds"
    fi
    if "$folder/$program" -max_total_time="${SECONDS_EACH:-60}" -seed="${SEED:-0}" -timeout=20 \
        -max_len=262144 \
        -rss_limit_mb=4096 -artifact_prefix="$folder/crashes/$name." -print_final_stats=1 \
        "$corpus" "$corpus.seeds" >"$folder/$name.log" 2>&1 </dev/null; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$folder/$name.log")
        echo "ok   fuzz $name: $runs runs, $(find "$corpus" -type f | wc -l) inputs kept"
        passed=$((passed + 1))
    else
        echo "FAIL fuzz $name"
        grep -vE '^#[0-9]+' "$folder/$name.log" | tail -n 60 | sed 's/^/     /'
        failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed"
[ $failed = 0 ]
