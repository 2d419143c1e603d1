#!/usr/bin/env bash
# Every weight type, on the trained weights of examples/tiny requantised: logits against goldens
# of the independent oracle, unoptimised, optimised in f32 on every target, and with the default
# options within a bound for the type; `mixed` has matrices of one merge in several types; `freqs`
# has Llama 3's rope. Then files of graphquant in every mixture: the default options against the
# reference on the same file.
#
# REPORT=1 prints every measured difference. tests/e2e/goldens/make.sh makes the goldens.
. tests/e2e/common.bash

compare=$(tool compare) || { fail "tests/e2e/compare.c does not build"; finish; }
requantise=$(tool requantise) || { fail "tests/e2e/requantise.c does not build"; finish; }

check() { # what, npy, golden, bound
    local said
    said=$("$compare" "$2" "$3" "$4" 2>&1) || fail "$1: $said; the bound is $4"
    [ -z "${REPORT-}" ] || echo "$1: $said"
}

one_type() { # name, type, pairs of rope_freqs or none, bound with the default options
    local type=$1 target ids golden=$goldens/tiny-$1.16.golden file=$work/$1.gguf
    "$requantise" "$tiny" "$file" "$2" ${3:+"$3"} || { fail "requantise $*"; return; }
    [ -e "$golden" ] || { fail "no $golden; tests/e2e/goldens/make.sh tiny makes it"; return; }
    ids=$(golden_ids "$golden")
    compile "$file" -O0 --target=ref --kv=f32 -o "$work/plan" &&
        logits "$work/npy" "$work/plan" --ids "$ids" &&
        check "$type -O0 ref" "$work/npy" "$golden" 1e-3
    for target in $(targets); do
        compile "$file" --target="$target" --kv=f32 --act=f32 -o "$work/plan" &&
            logits "$work/npy" "$work/plan" --ids "$ids" &&
            check "$type $target f32" "$work/npy" "$golden" 2e-3
    done
    compile "$file" -o "$work/plan" && logits "$work/npy" "$work/plan" --ids "$ids" &&
        check "$type defaults" "$work/npy" "$golden" "$4"
}

skip_targets
# Keys and values in half precision are all that f32, f16 and bf16 lose; bf16 also rounds the input
# of each matmul to bf16 on a target that multiplies such pairs. The others round it to 8 bits, in
# blocks of 32 (q8_0, q4_0) or 256 (q6_k).
one_type f32 f32 '' 0.02
one_type f16 f16 '' 0.02
one_type bf16 bf16 '' 0.02
one_type q8_0 q8_0 '' 0.2
one_type q4_0 q4_0 '' 0.2
one_type q6_k q6_k '' 0.3
one_type mixed mixed '' 0.3
one_type freqs f32 $(($(hyperparameter "$tiny" rope.dimension_count) / 2)) 0.02

defaults() { # what, model, ids, bound: against the reference on the same model
    compile "$2" -O0 --target=ref --kv=f32 -o "$work/plan" &&
        logits "$work/ref.npy" "$work/plan" --ids "$3" &&
        compile "$2" -o "$work/plan" &&
        logits "$work/npy" "$work/plan" --ids "$3" &&
        check "$1" "$work/npy" "$work/ref.npy" "$4"
}

stories=weights/TinyStories-656K
if have_data "$stories/hf_bf16"; then
    ids=$(golden_ids "$goldens/TinyStories-656K-f16.300.golden")
    defaults 'a folder of bf16' "$DATA/$stories/hf_bf16" "$ids" 0.2
fi

ids=$(golden_ids "$goldens/tiny-f32.16.golden")
one_mix() { # name, bound
    local file=$work/mix.gguf
    graphquant "$work/f32.gguf" "$file" "$1" >/dev/null 2>"$work/err" ||
        { fail "graphquant $1: $(head -n 3 "$work/err")"; return; }
    defaults "mixture $1" "$file" "$ids" "$2"
}
for mix in $(sed -nE 's/^MIX\(([a-z0-9_]+),.*/\1/p' frontends/gguf/mixes.def); do
    one_mix "$mix" 0.3
done
finish
