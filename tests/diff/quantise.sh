#!/usr/bin/env bash
# Quantised files against llama.cpp: the writers against ggml's own quantisers, whole files against
# llama-quantize: equal bytes, equal types.
#
# GGML_BASE names a libggml-base.a (or .so) of a llama.cpp build, ROWS rows a type (1,200);
# LLAMA_QUANTIZE its program llama-quantize, PYTHON a Python with gguf. REPORT=1 prints all.
. tests/e2e/common.bash

python=${PYTHON:-python3}

quantisers() {
    local flags
    mapfile -t flags < <(pkg-config --cflags --libs libxxhash | tr ' ' '\n' | sed '/^$/d')
    ${CC:-cc} -std=gnu11 -O2 -ffp-contract=off -I. tests/diff/ggml/quantise.c \
        "$BUILD"/kernels/row_write*.o "$BUILD"/graph/base/{types,hash,arena}.o "$GGML_BASE" \
        "${flags[@]}" -lstdc++ -lm -fopenmp -ldl -o "$work/quantise" 2>"$work/err" ||
        { fail "tests/diff/ggml/quantise.c: $(head -n 3 "$work/err")"; return; }
    "$work/quantise" "${ROWS:-1200}" >"$work/told" 2>"$work/err" ||
        fail "$(head -n 12 "$work/told")"
    [ -z "${REPORT-}" ] || cat "$work/told"
}

one_file() { # model, type, options of both
    local model=$1 type=$2 told
    shift 2
    graphquant "$@" "$model" "$work/ours.gguf" "$type" >/dev/null 2>"$work/err" ||
        { fail "graphquant $model $type: $(grep -v ^note: "$work/err")"; return; }
    "$LLAMA_QUANTIZE" --allow-requantize "$@" "$model" "$work/theirs.gguf" "$type" \
        >"$work/err" 2>&1 ||
        { fail "llama-quantize $model $type: $(tail -n 1 "$work/err")"; return; }
    told=$("$python" tests/diff/quantise.py "$work/ours.gguf" "$work/theirs.gguf") ||
        fail "$model $type $*: $(head -n 8 <<<"$told")"
    [ -z "${REPORT-}" ] || echo "$(basename "$model") $type $*: $told"
}

all_mixes() { # model
    local type
    for type in $mixes; do
        one_file "$1" "$type"
    done
}

if [ -e "${GGML_BASE:-}" ]; then
    quantisers
else
    skip 'quantisers' 'GGML_BASE (libggml-base.a of a llama.cpp build)'
fi

mixes=$(sed -nE 's/^MIX\(([a-z0-9_]+),.*/\1/p' frontends/gguf/mixes.def)
if [ ! -x "${LLAMA_QUANTIZE:-}" ] || ! "$python" -c 'import gguf' 2>/dev/null; then
    skip 'whole files' 'LLAMA_QUANTIZE (its program llama-quantize) and a PYTHON with gguf'
    finish
fi
# Layers enough for every part of them; grouped heads or not; rows of all three kinds; both heads.
shapes='llama,layers=17,embd=256,heads=8,kv_heads=1,ff=512
llama,layers=5,embd=192,heads=4,kv_heads=4,ff=256
llama,layers=2,embd=36,heads=2,kv_heads=1,ff=64
qwen2,layers=9,embd=224,heads=7,kv_heads=1,ff=256
qwen2,layers=3,embd=256,heads=4,kv_heads=2,ff=608
llama,layers=80,embd=256,heads=4,kv_heads=2,ff=256'
for shape in $shapes; do
    model=$work/$shape.gguf
    graphquant --synth "$shape,vocab=1024" "$model" f32 >/dev/null || fail "--synth $shape"
    all_mixes "$model"
done
one_file "$work/$(head -n 1 <<<"$shapes").gguf" q4_k --pure
one_file "$work/$(head -n 1 <<<"$shapes").gguf" iq4_xs --pure
# Experts, eight of them and another number.
if make_model=$(tool make_model); then
    for name in mixtral qwen3moe; do
        folder=tests/e2e/architectures/$name
        mkdir "$work/$name" && cp "$folder/config.json" "$work/$name"
        "$make_model" "$folder/tensors.txt" "$work/$name/model.safetensors"
        graphquant "$work/$name" "$work/$name.gguf" f32 >/dev/null && all_mixes "$work/$name.gguf"
    done
else
    fail 'tests/e2e/make_model.c does not build'
fi
for model in "$tiny" "$DATA"/weights/TinyStories-656K/*.gguf; do
    [ ! -e "$model" ] || all_mixes "$model"
done
finish
