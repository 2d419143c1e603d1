#!/usr/bin/env bash
# Synthetic models (graphquant --synth), whole runs: tests/bench/models.sh [peers].
#
# Without a word: graphrun --bench of each, one table. With `peers`: each against the engines that
# are there (peers.py), ratios of medians. Files are made once, in $BUILD/bench.
#
#   ONLY    words: only models whose SHAPE/TYPE contains one
#   MODELS  SHAPE/TYPE …, instead of the list below
#   TESTS   what --bench takes   REPEATS  how often   PYTHON  with llama-cpp-python
#   PEERS   programs that take the options of llama-bench
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${BUILD:-build}
folder=$build/bench
models=${MODELS:-"stories15m/q4_0 stories15m/q8_0 qwen2-0.5b/q4_0 qwen2-0.5b/q8_0
tinyllama-1.1b/q4_0 tinyllama-1.1b/q8_0"}

wanted() { # name
    local word
    [ -n "${ONLY// /}" ] || return 0
    for word in $ONLY; do
        [[ $1 != *"$word"* ]] || return 0
    done
    return 1
}

# Sets gguf and plan, which it makes where they are missing or older than what makes them.
prepare() { # shape, type
    gguf=$folder/$1.$2.gguf plan=$folder/$1.$2.plan
    [ "$gguf" -nt "$build/graphquant" ] || "$build/graphquant" --synth "$1" "$gguf" "$2" >&2
    [ "$plan" -nt "$gguf" ] && [ "$plan" -nt "$build/graphc" ] ||
        "$build/graphc" "$gguf" -o "$plan" >&2
}

ONLY=${ONLY:-}
mkdir -p "$folder"
for model in $models; do
    wanted "model/$model" || continue
    prepare "${model%/*}" "${model#*/}"
    if [ "${1:-}" = peers ]; then
        "${PYTHON:-python3}" tests/bench/peers.py --graphrun "$build/graphrun" --name "$model" \
            --tests "${TESTS:-pp512,tg64}" --repeats "${REPEATS:-5}" "$gguf" "$plan" ${PEERS:-}
    else
        printf 'model/%s\n' "$model"
        "$build/graphrun" "$plan" --bench "${TESTS:-pp512,tg32,tg32@1024,tg16x8}" -r "${REPEATS:-3}"
    fi
done
