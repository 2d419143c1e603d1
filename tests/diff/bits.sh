#!/usr/bin/env bash
# Bit-identity: the logits of a prompt are the same bytes for any number of threads, any largest
# chunk of the plan, any chunking of the prompt, token by token, and on every target.
. tests/e2e/common.bash

variants() { # target, model, ids, options…: leaves the logits in $work/TARGET.npy
    local target=$1 model=$2 ids=$3 batch chunk
    shift 3
    compile "$model" --target="$target" "$@" -o "$work/$target.plan" || return
    logits "$work/$target.npy" "$work/$target.plan" --ids "$ids" -t 1 || return
    logits "$work/npy" "$work/$target.plan" --ids "$ids" -t 2 &&
        same_bytes "$label $target: -t 1 and -t 2" "$work/$target.npy" "$work/npy"
    for batch in 1 7 64; do
        compile "$model" --target="$target" -b "$batch" "$@" -o "$work/batch.plan" &&
            logits "$work/npy" "$work/batch.plan" --ids "$ids" -t 2 &&
            same_bytes "$label $target: -b 512 and -b $batch" "$work/$target.npy" "$work/npy"
    done
    for chunk in 1 7 64; do
        logits "$work/npy" "$work/$target.plan" --ids "$ids" --chunk "$chunk" &&
            same_bytes "$label $target: --chunk $chunk" "$work/$target.npy" "$work/npy"
    done
}

# The scalar reference is slow: it is compared with, not varied.
one_model() { # label, model, ids, options…
    local label=$1 model=$2 ids=$3 target
    shift 3
    compile "$model" --target=ref "$@" -o "$work/ref.plan" &&
        logits "$work/ref.npy" "$work/ref.plan" --ids "$ids" || return
    for target in $(targets | grep -v ref); do
        variants "$target" "$model" "$ids" "$@"
        [ "$target" = "${differs-}" ] ||
            same_bytes "$label: ref and $target" "$work/ref.npy" "$work/$target.npy"
    done
}

skip_targets
weights=weights/TinyStories-656K
for type in f16 Q8_0; do
    file=$weights/TinyStories-656K${type/#/-}.gguf
    file=${file/-f16/.f16}
    have_data "$file" || continue
    one_model "$type" "$DATA/$file" "$(golden_ids "$goldens/TinyStories-656K-$type.300.golden")"
done
for kv in f32 f16 q8_0; do
    one_model "tiny --kv=$kv" "$tiny" "$(golden_ids "$goldens/tiny.300.golden")" --kv=$kv
done
# One kv head, so that threads share a token's attention by parts of the context; deep enough for
# several blocks a part.
graphquant --synth llama,layers=1,embd=64,heads=4,kv_heads=1,ff=64,vocab=1024,ctx=2600 \
    "$work/deep.gguf" q8_0 >/dev/null || fail "--synth makes no model of one kv head"
one_model "one kv head" "$work/deep.gguf" "$(seq -s , 20 900),$(seq -s , 20 900),$(seq -s , 20 700)"
# Rounds activations, which no other target does.
requantise=$(tool requantise) && "$requantise" "$tiny" "$work/bf16.gguf" bf16 ||
    fail "tests/e2e/requantise.c makes no bf16"
differs=avx512bf16 one_model bf16 "$work/bf16.gguf" "$(golden_ids "$goldens/tiny.300.golden")"
finish
