#!/usr/bin/env bash
# What the default options cost, type by type: the Kullback-Leibler divergence (nats a token) of
# their logits from those of `-O0 --target=ref --kv=f32` on the same file, over a story. Files are
# written by graphquant, in every mixture.
#
# With a PYTHON that has llama-cpp-python, llama.cpp's divergence on the same files stands beside
# it, and the mean of ours over all mixtures of a model may not be larger, but for 5 % of chance:
# roundings that fall otherwise move the divergence of a single type by a tenth. CHUNKS=4 takes that
# many pieces, of DATA's stories too, and tells more of a type.
# REPORT=1 prints the table.
. tests/e2e/common.bash

compare=$(tool compare) || { fail "tests/e2e/compare.c does not build"; finish; }
python=
"${PYTHON:-python3}" -c 'import llama_cpp' 2>/dev/null && python=${PYTHON:-python3}
bound=2e-3
chunks=${CHUNKS:-1}
texts=("$goldens/story.txt")
[ "$chunks" = 1 ] || need_data text/cs336_tinystories_sample.txt
[ "$chunks" = 1 ] || texts+=("$DATA/text/cs336_tinystories_sample.txt")

# Ids of piece $1: BOS, then 299 tokens of the text.
piece() {
    awk -v piece="$1" '{ printf("%s", $1)
        for (i = 2 + 299 * piece; i <= 1 + 299 * (piece + 1); i++) printf(",%s", $i) }' "$work/ids"
}

# The mean over pieces of $1.PIECE.npy's divergence from ref.PIECE.npy; fails where that of a piece
# is above $2 or no number.
divergence() {
    local at status=0
    for ((at = 0; at < pieces; at++)); do
        "$compare" "$work/$1.$at.npy" "$work/ref.$at.npy" "$2" kl || status=1
    done >"$work/said"
    awk '{ sum += $NF } END { print sum / NR }' "$work/said"
    return $status
}

each_piece() { # name, plan
    local at
    for ((at = 0; at < pieces; at++)); do
        logits "$work/$1.$at.npy" "$2" --ids "$(piece $at)" || return
    done
}

theirs() { # model
    local at
    for ((at = 0; at < pieces; at++)); do
        "$python" -B tests/diff/llama_logits.py "$1" "$(piece $at)" "$work/theirs.$at.npy" \
            2>"$work/err" || { fail "llama.cpp, $1: $(tail -n 1 "$work/err")"; return 1; }
    done
}

one_mix() { # model, mixture
    local file=$work/mix.gguf what=${1##*/} ours other=-
    what="${what%.*} $2"
    graphquant "$1" "$file" "$2" >/dev/null 2>"$work/err" ||
        { fail "graphquant $what: $(grep -v ^note: "$work/err" | head -n 3)"; return; }
    compile "$file" -O0 --target=ref --kv=f32 -o "$work/ref.plan" &&
        compile "$file" -o "$work/ours.plan" && each_piece ref "$work/ref.plan" &&
        each_piece ours "$work/ours.plan" || return
    ours=$(divergence ours $bound) || fail "$what: divergence $ours; the bound is $bound"
    if [ -n "$python" ]; then
        theirs "$file" || return
        other=$(divergence theirs 1) || fail "$what: llama.cpp's divergence is $other"
        echo "$ours $other" >>"$work/both"
    fi
    [ -z "${REPORT-}" ] || printf '%-36s %10s %10s\n' "$what" "$ours" "$other"
}

one_model() { # model
    local mix told whole
    cat "${texts[@]}" | graphrun "$1" --tokenize >"$work/ids"
    whole=$((($(wc -w <"$work/ids") - 1) / 299))
    pieces=$((whole < chunks ? whole : chunks))
    : >"$work/both"
    for mix in $(sed -nE 's/^MIX\(([a-z0-9_]+),.*/\1/p' frontends/gguf/mixes.def); do
        one_mix "$1" "$mix"
    done
    [ -n "$python" ] || return
    told=$(awk '{ ours += $1; theirs += $2 } END { print ours / NR, theirs / NR }' "$work/both")
    [ -z "${REPORT-}" ] || echo "mean of ${1##*/}: $told"
    awk -v told="$told" 'BEGIN { split(told, mean, " "); exit !(mean[1] <= 1.05 * mean[2]) }' ||
        fail "${1##*/}: the mean divergence and llama.cpp's: $told"
}

[ -z "${REPORT-}" ] || printf '%-36s %10s %10s\n' "model, mixture" graphc llama.cpp
one_model "$tiny"
weights=weights/TinyStories-656K/TinyStories-656K.f16.gguf
have_data $weights && one_model "$DATA/$weights"
[ -n "$python" ] || skip "llama.cpp's divergence" "a PYTHON with llama-cpp-python"
finish
