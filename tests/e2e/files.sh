#!/usr/bin/env bash
# Models in other files than GGUF run as what they are: two formats of one model give equal bytes of
# logits, a llama2.c model tells the text and has the likelihood that llama2.c gives it.
. tests/e2e/common.bash

plain=(-O0 --target=ref --kv=f32)

# BF16 in the folder, F16 in the GGUF file: both are exactly the same numbers.
stories=weights/TinyStories-656K
if have_data $stories/hf_bf16; then
    ids=$(seq -s, 1 60)
    for options in "${plain[*]}" "--act=f32 --kv=f32"; do
        # shellcheck disable=SC2086
        graphrun "$DATA/$stories/hf_bf16" --ids "$ids" --logits "$work/folder.npy" $options &&
            graphrun "$DATA/$stories/TinyStories-656K.f16.gguf" --ids "$ids" \
                --logits "$work/gguf.npy" $options
        same_bytes "logits of the folder and of the GGUF file, $options" \
            "$work/folder.npy" "$work/gguf.npy"
    done
    # One file of the folder, a script of one's own, a plan.
    graphrun "$DATA/$stories/hf_bf16/model.safetensors" --ids "$ids" --logits "$work/file.npy" \
        --act=f32 --kv=f32
    same_bytes 'logits of model.safetensors' "$work/file.npy" "$work/folder.npy"
    compile examples/models/llama.lua -w "$DATA/$stories/hf_bf16/" --act=f32 --kv=f32 \
        -o "$work/plan" && logits "$work/plan.npy" "$work/plan" --ids "$ids"
    same_bytes 'logits of the plan' "$work/plan.npy" "$work/folder.npy"
fi

# Sizes that are given for each layer are those of the layer, in a folder of any name.
if have_data $stories/hf_bf16; then
    mkdir "$work/listed" && cp "$DATA/$stories/hf_bf16/model.safetensors" "$work/listed"
    sed -E 's/("num_(attention|key_value)_heads"|"intermediate_size"): ([0-9]+)/\1: [\3, \3]/' \
        "$DATA/$stories/hf_bf16/config.json" >"$work/listed/config.json"
    grep -q '"num_key_value_heads": \[4, 4\]' "$work/listed/config.json" ||
        fail 'no list is written'
    graphrun "$work/listed" --ids "$ids" --logits "$work/listed.npy" --act=f32 --kv=f32
    same_bytes 'logits with sizes for each layer' "$work/listed.npy" "$work/folder.npy"
    graphc --repro="$work/repro" "$work/listed" >"$work/out" 2>&1 ||
        fail "--repro of a folder: $(head -n 3 "$work/out")"
fi

llama2c=weights/stories260K/stories260K.bin
if have_data $llama2c; then
    compile "$DATA/$llama2c" "${plain[@]}" -o "$work/plan"
    graphrun "$work/plan" -p '' -n 200 --greedy >"$work/text"
    same_bytes 'the text of stories260K' "$work/text" "$DATA/expected/stories260K.greedy200.txt"
    said=$(graphrun "$work/plan" --perplexity "$DATA/text/cs336_tinystories_sample.txt" \
        --documents '<|endoftext|>')
    awk -v said="$said" 'BEGIN { split(said, word, /[ ,]+/)
        exit !(word[1] == 1809 && word[6] > 1.27546 && word[6] < 1.27586) }' ||
        fail "the likelihood of stories260K: expected 1809 tokens, 1.27566, got: $said"
    said=$(graphrun "$work/plan" --tokenize <<<'Once upon a time')
    [ "$said" = '1 403 407 261 378 13' ] || fail "the tokenizer beside stories260K: $said"
fi
finish
