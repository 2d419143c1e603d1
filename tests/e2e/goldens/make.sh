#!/usr/bin/env bash
# Remakes the goldens beside it with the oracle, tests/e2e/oracle.py: needs NumPy ($PYTHON or
# python3).
#
#   tests/e2e/goldens/make.sh tiny       those of examples/tiny/tiny.gguf, after it was trained anew
#   tests/e2e/goldens/make.sh stories    those of TinyStories-656K ($DATA)
#
# What changes here, and why, is for the review to ask: goldens follow the models, never the
# compiler.
. tests/e2e/common.bash

python=$(numpy)
[ -n "$python" ] || { echo "needs python3 with NumPy (set PYTHON)" >&2; exit 1; }

oracle() { # model, arguments
    "$python" -B tests/e2e/oracle.py "$@"
}

golden() { # name, model, ids
    oracle "$2" --ids "$3" --golden >"$work/golden" || exit 1
    mv "$work/golden" "$goldens/$1.golden"
    echo "$goldens/$1.golden"
}

# A text's first 16 and 300 ids.
both() { # name, model, text
    local size
    for size in 16 300; do
        golden "$1.$size" "$2" "$(oracle "$2" --prompt "@$3" --tokens $size)"
    done
}

# Lines `MODEL CHUNK TOKENS MEAN` for the story, replacing the model's.
likelihood() { # name, model
    local size
    touch "$goldens/perplexity.txt"
    grep -v "^$1 " "$goldens/perplexity.txt" >"$work/lines"
    for size in 512 64; do
        echo "$1 $size $(oracle "$2" --prompt "@$goldens/story.txt" --perplexity $size)"
    done >>"$work/lines"
    sort "$work/lines" >"$goldens/perplexity.txt"
}

case ${1-} in
tiny)
    requantise=$(tool requantise) || exit 1
    both tiny "$tiny" $goldens/story.txt
    for type in f32 f16 bf16 q8_0 q4_0 q6_k mixed; do
        "$requantise" "$tiny" "$work/$type.gguf" $type || exit 1
        golden "tiny-$type.16" "$work/$type.gguf" "$(golden_ids $goldens/tiny.16.golden)"
    done
    "$requantise" "$tiny" "$work/freqs.gguf" f32 \
        $(($(hyperparameter "$tiny" rope.dimension_count) / 2)) || exit 1
    golden tiny-freqs.16 "$work/freqs.gguf" "$(golden_ids $goldens/tiny.16.golden)"
    oracle "$tiny" --prompt "Once upon a time" --greedy 48 2>/dev/null >"$goldens/tiny.greedy48.txt"
    likelihood tiny "$tiny"
    ;;
stories)
    need_data weights/TinyStories-656K
    for model in "$DATA"/weights/TinyStories-656K/TinyStories-656K[.-]*.gguf; do
        type=$(basename "$model" .gguf)
        type=TinyStories-656K-${type#TinyStories-656K?}
        both "$type" "$model" "$DATA/text/cs336_tinystories_sample.txt"
        likelihood "$type" "$model"
    done
    ;;
*)
    echo "usage: tests/e2e/goldens/make.sh tiny|stories" >&2
    exit 2
    ;;
esac
