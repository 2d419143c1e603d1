#!/usr/bin/env bash
# Hostile and truncated model files: both programs say one line `FILE: error: what` and exit with
# 1. The valid files among them show their metadata.
. tests/e2e/common.bash

refused() { # file, command
    local file=$1 status
    shift
    timeout 10 "$@" >"$work/out" 2>"$work/err" </dev/null
    status=$?
    [ $status = 1 ] || fail "$*: exit status $status, expected 1: $(head -n 3 "$work/err")"
    [ "$(wc -l <"$work/err")" = 1 ] && grep ': error: .' "$work/err" | grep -qF "$file" ||
        fail "$*: not one line with the file and an error: $(head -n 5 "$work/err")"
    [ ! -s "$work/out" ] || fail "$*: writes to stdout: $(head -n 3 "$work/out")"
}

# --- folders

folder=$work/folder
llama=tests/e2e/architectures/llama
make_model=$(tool make_model) || { fail "tests/e2e/make_model.c does not build"; finish; }
"$make_model" $llama/tensors.txt "$work/good.safetensors"
good_folder() {
    rm -rf "$folder"
    mkdir "$folder"
    cp $llama/config.json "$folder"
    cp "$work/good.safetensors" "$folder/model.safetensors"
}

# A safetensors file with the bytes of stdin as its header.
with_header() {
    local length
    cat >"$work/header"
    length=$(stat -c %s "$work/header")
    # shellcheck disable=SC2059
    { printf "$(printf '\\x%02x\\x%02x\\x%02x\\x%02x' $((length & 255)) $((length >> 8 & 255)) \
        $((length >> 16 & 255)) $((length >> 24)))\\0\\0\\0\\0"; cat "$work/header"; } \
        >"$folder/model.safetensors"
}

good_folder
graphc "$folder" -o "$work/plan" 2>"$work/err" || fail "the good folder: $(cat "$work/err")"

# A hyperparameter that no model has is an error of the config or of the script that meets it.
while IFS='=' read -r key value; do
    good_folder
    sed -E "s|\"$key\": *[^,]*|\"$key\": $value|" $llama/config.json >"$folder/config.json"
    cmp -s $llama/config.json "$folder/config.json" && fail "$key does not stand in config.json"
    timeout 20 graphc "$folder" -o "$work/plan" >"$work/out" 2>"$work/err"
    status=$?
    [ $status = 1 ] && [ "$(wc -l <"$work/err")" = 1 ] && grep -q ': error: .' "$work/err" ||
        fail "$key = $value: exit status $status: $(head -n 3 "$work/err")"
done <<'LINES'
num_hidden_layers=1000000000
num_hidden_layers=0
num_hidden_layers=1e300
num_attention_heads=0
num_attention_heads=2147483647
num_key_value_heads=3
num_key_value_heads=[]
head_dim=0
head_dim=7
head_dim=1000000
hidden_size=2147483647
hidden_size="64"
vocab_size=0
vocab_size=2147483647
intermediate_size=-1
max_position_embeddings=0
max_position_embeddings=9007199254740993
rms_norm_eps=NaN
rms_norm_eps=-1
rms_norm_eps=1e308
rope_theta=0
rope_theta=1e308
factor=0
rope_type="new"
model_type="a/../b"
model_type="unheard"
LINES
grep -qF 'write unheard.lua (see examples/models/README.md)' "$work/err" ||
    fail "an unknown architecture: $(cat "$work/err")"

# Shards that lead nowhere, to the index itself, around in a circle.
good_folder
mv "$folder/model.safetensors" "$folder/a.safetensors"
for shard in none.safetensors model.safetensors.index.json ../a.safetensors loop.safetensors; do
    ln -sf loop.safetensors "$folder/loop.safetensors"
    echo "{\"weight_map\": {\"lm_head.weight\": \"$shard\"}}" \
        >"$folder/model.safetensors.index.json"
    refused folder graphc "$folder"
done

good_folder
for bytes in 0 4 8 100 5000; do
    head -c $bytes "$folder/model.safetensors" >"$work/cut.safetensors"
    refused cut.safetensors graphc --dump "$work/cut.safetensors"
done

if have_data malformed/JSONTestSuite; then
    suite=$DATA/malformed/JSONTestSuite/test_parsing
    for path in "$suite"/n_*.json; do
        cp -f "$path" "$folder/config.json"
        refused config.json graphc --info "$folder"
    done
    good_folder
    # The other files go through the same reader (tests/unit/test_json.c).
    for path in "$suite"/n_{array_comma_after_close,number_-01,string_unescaped_tab}.json; do
        for file in model.safetensors.index.json generation_config.json; do
            cp -f "$path" "$folder/$file"
            refused "$file" graphc --info "$folder"
            rm -f "$folder/$file"
        done
        with_header <"$path"
        refused model.safetensors graphc --info "$folder/model.safetensors"
    done
fi

# --- llama2.c

llama2c=$DATA/weights/stories260K/stories260K.bin
if have_data weights/stories260K; then
    for bytes in 0 27 28 5000 1056000; do
        head -c $bytes "$llama2c" >"$work/cut.bin"
        refused cut.bin graphc --dump "$work/cut.bin"
    done
fi

# --- GGUF

need_data malformed/gguf
seen=0
for path in "$DATA"/malformed/gguf/*; do
    file=$(basename "$path")
    seen=$((seen + 1))
    case $file in
    valid-small.gguf | v3-empty.bin)
        graphc --info "$path" >"$work/out" 2>"$work/err" ||
            fail "graphc --info $file: $(cat "$work/err")"
        [ -s "$work/out" ] && [ ! -s "$work/err" ] ||
            fail "graphc --info $file: nothing, or not on stdout"
        ;;
    *)
        refused "$file" graphc --info "$path"
        refused "$file" graphc --dump "$path"
        refused "$file" graphc --dump examples/models/llama.lua -w "$path"
        ;;
    esac
    # Even the valid ones are no models: there is nothing to run.
    refused "$file" graphrun "$path" -p x -n 1
done
[ $seen -ge 7 ] || fail "only $seen files"
grep -q 'general\.' <(graphc --info "$DATA/malformed/gguf/valid-small.gguf") ||
    fail "--info of valid-small.gguf names no metadata"

# Cut anywhere, a good file is refused too.
model=$DATA/weights/TinyStories-656K/TinyStories-656K-Q8_0.gguf
for bytes in 0 8 23 100 5000 30000 100000 749727; do
    head -c $bytes "$model" >"$work/cut.gguf"
    refused cut.gguf graphc --dump "$work/cut.gguf"
    refused cut.gguf graphrun "$work/cut.gguf" -p x -n 1
done
finish
