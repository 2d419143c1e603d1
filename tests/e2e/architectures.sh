#!/usr/bin/env bash
# Every architecture of examples/models: random models of Hugging Face's own classes with every
# feature on (architectures/make.py) give the logits that transformers computed, on every target, in
# one chunk and token by token; --verify finds nothing; bf16 files are read exactly; a new
# architecture is one Lua file; and each file has at most 80 lines.
. tests/e2e/common.bash

make_model=$(tool make_model) && compare=$(tool compare) ||
    { fail "a tool does not build"; finish; }

same_as_golden() { # name, options of graphc
    local folder=$work/$1 golden=tests/e2e/architectures/$1/golden.txt told
    local name=$1
    shift
    compile "$folder" --kv=f32 "$@" -o "$work/plan" || return
    logits "$work/whole.npy" "$work/plan" --ids "$(golden_ids "$golden")" --chunk 64 &&
        logits "$work/single.npy" "$work/plan" --ids "$(golden_ids "$golden")" --chunk 1 || return
    told=$("$compare" "$work/whole.npy" "$golden" 1e-5 relative) || fail "$name $*: $told"
    same_bytes "$name $*: token by token" "$work/whole.npy" "$work/single.npy"
}

# Biases, norms and what conventions are undone of are read alike in any float type.
same_in_bf16() { # name
    local type
    for type in bf16 rounded; do
        "$make_model" "tests/e2e/architectures/$1/tensors.txt" "$work/$1/model.safetensors" $type &&
            compile "$work/$1" --kv=f32 -O0 --target=ref -o "$work/plan" &&
            logits "$work/$type.npy" "$work/plan" --ids 1,2,3,4,5 || return
    done
    same_bytes "$1: bf16 and the same numbers in f32" "$work/bf16.npy" "$work/rounded.npy"
}

one_model() { # name
    local target
    mkdir "$work/$1"
    cp "tests/e2e/architectures/$1/config.json" "$work/$1"
    "$make_model" "tests/e2e/architectures/$1/tensors.txt" "$work/$1/model.safetensors" ||
        { fail "$1: no model"; return; }
    same_as_golden "$1" -O0 --target=ref
    for target in $(targets); do
        same_as_golden "$1" --target="$target" --act=f32
    done
    graphc --verify "$work/$1" -o "$work/plan" >"$work/told" 2>&1 ||
        fail "$1: --verify: $(head -n 3 "$work/told")"
    same_in_bf16 "$1"
}

# Lines of code of a script; comments and empty lines do not count.
lines_of() {
    grep -cvE '^[[:space:]]*(--.*)?$' "$1"
}

# Functions of the shared modules that one architecture alone uses count as its own.
at_most_80_lines() {
    local script users function own
    local -A extra=()
    for function in $(sed -nE 's/^function (blocks|rope_of)\.([a-z_0-9]+).*/\2/p' \
        examples/models/{blocks,rope}.lua); do
        mapfile -t users < <(grep -lE "[.]$function\b" examples/models/*.lua |
            grep -vE '/(blocks|rope)[.]lua$')
        own=$(sed -nE "/^function [a-z_]+[.]$function\b/,/^end/p" \
            examples/models/{blocks,rope}.lua | lines_of -)
        [ ${#users[@]} != 1 ] || extra[${users[0]}]=$((${extra[${users[0]}]-0} + own))
    done
    for script in examples/models/*.lua; do
        [[ $script != */blocks.lua && $script != */rope.lua ]] || continue
        own=$(($(lines_of "$script") + ${extra[$script]-0}))
        [ "$own" -le 80 ] || fail "$script has $own lines"
    done
}

# A script that the program has never seen runs the model whose config names it.
a_new_architecture() {
    mkdir "$work/novel" "$work/registry"
    sed 's/"model_type": "gpt2"/"model_type": "novel"/' tests/e2e/architectures/gpt2/config.json \
        >"$work/novel/config.json"
    sed 's/^transformer[.]/novel./' tests/e2e/architectures/gpt2/tensors.txt >"$work/novel.txt"
    "$make_model" "$work/novel.txt" "$work/novel/model.safetensors"
    ! graphc "$work/novel" -o "$work/plan" 2>"$work/told" || fail "novel: compiled without a script"
    grep -q 'novel[.]lua' "$work/told" || fail "novel: $(cat "$work/told") names no file to write"
    cat >"$work/registry/novel.lua" <<'END'
-- Mean of what was seen so far is all that mixes tokens here: v alone, q of zeros.
local n, vocab = model.hyperparameters.n_embd, model.hyperparameters.vocab_size
local e = model.weight("novel.wte.weight", {vocab, n})
local x = embed(e, token)
local keys, values = kv_state("k", "v", {heads = 1, dim = n})
kv_store(x, pos, seq, pages, keys)
kv_store(x, pos, seq, pages, values)
x = tanh(x + attention(x * 0, pos, seq, pages, keys, values, {heads = 1, scale = 1}))
output("logits", matmul(gather_rows(x, row), e))
model.describe {context = 128, vocabulary = vocab}
END
    GRAPHC_MODELS=$work/registry graphc --verify "$work/novel" -o "$work/plan" >"$work/told" 2>&1 ||
        { fail "novel: $(head -n 3 "$work/told")"; return; }
    logits "$work/novel.npy" "$work/plan" --ids 5,6,7 --chunk 2
    [ -s "$work/novel.npy" ] || fail "novel: no logits"
}

for folder in tests/e2e/architectures/*/; do
    one_model "$(basename "$folder")"
done
at_most_80_lines
a_new_architecture
skip_targets
finish
