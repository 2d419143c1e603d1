#!/usr/bin/env bash
# graphquant against llama.cpp: its converter, run on the same folders, writes the same tensors and
# keys (converter.py), and its program says of our file what we say.
#
# LLAMA_CPP names a checkout of llama.cpp; PYTHON a Python with transformers and torch;
# LLAMA_COMPLETION the built program. The folders: the architectures of tests/e2e, each with a
# tokenizer, and TinyStories-656K.
. tests/e2e/common.bash

python=${PYTHON:-python3}
if [ ! -e "${LLAMA_CPP:-}/convert_hf_to_gguf.py" ] ||
    ! "$python" -c 'import torch, transformers' 2>/dev/null; then
    skip 'the converter' 'LLAMA_CPP (a checkout of llama.cpp) and a PYTHON with transformers'
    finish
fi
need_data tokenizers/llama2/tokenizer.json
make_model=$(tool make_model) || { fail "make_model does not build"; finish; }

compare_files() { # name, folder, type
    local told
    graphquant "$2" "$work/ours.gguf" "$3" >/dev/null 2>"$work/err" ||
        { fail "$1 $3: $(head -n 2 "$work/err")"; return; }
    told=$("$python" tests/diff/converter.py "$LLAMA_CPP" "$2" "$3" "$work/ours.gguf" \
        "$work/theirs.gguf" 2>"$work/err") ||
        fail "$1 $3: $(tail -n 4 <<<"${told:-$(<"$work/err")}")"
}

# The models of tests/e2e with room for the vocabulary of Llama 2.
for folder in tests/e2e/architectures/*/; do
    name=$(basename "$folder") to=$work/$(basename "$folder")
    mkdir "$to"
    sed -E 's/"vocab_size": 160/"vocab_size": 32000/' "$folder/config.json" >"$to/config.json"
    sed -E 's/^(.*(embed_tokens|lm_head|wte|embed_in|embed_out)[.]weight .* )160 /\132000 /' \
        "$folder/tensors.txt" >"$work/tensors.txt"
    "$make_model" "$work/tensors.txt" "$to/model.safetensors"
    cp "$DATA"/tokenizers/llama2/tokenizer* "$to"
    case $name in
    # The converter wants other tokenizers for these.
    gpt2 | gptneox* | qwen* | olmo2 | smollm3 | llama_dynamic) ;;
    *) compare_files "$name" "$to" f32 ;;
    esac
done

stories=weights/TinyStories-656K/hf_bf16
if have_data $stories; then
    for type in f32 f16 bf16 q8_0; do
        compare_files "$stories" "$DATA/$stories" $type
    done
    if [ -x "${LLAMA_COMPLETION:-}" ]; then
        graphquant "$DATA/$stories" "$work/ours.gguf" f32 >/dev/null
        theirs=$("$LLAMA_COMPLETION" -m "$work/ours.gguf" -p 'Once upon a time' -n 20 --temp 0 \
            -no-cnv 2>/dev/null)
        ours=$(graphrun "$work/ours.gguf" -p 'Once upon a time' -n 20 --greedy --echo --kv=f32 \
            --act=f32)
        words=$(echo "$theirs" | head -n 1 | sed 's/^ *//; s/ *$//')
        [ ${#words} -gt 40 ] && [[ $ours == "$words"* ]] || fail "llama.cpp: $theirs; we: $ours"
    else
        skip 'what llama.cpp says' 'LLAMA_COMPLETION (its program llama-completion)'
    fi
fi
finish
