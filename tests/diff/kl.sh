#!/usr/bin/env bash
# What the default options cost, type by type: the Kullback-Leibler divergence (nats a token) of
# their logits from those of `-O0 --target=ref --kv=f32` on the same file, over a story. Files are
# written by graphquant, in every mixture.
#
# With a PYTHON that has llama-cpp-python, llama.cpp's divergence on the same file stands beside it,
# and ours may not be the larger. REPORT=1 prints the table. MODELS names other files.
. tests/e2e/common.bash

compare=$(tool compare) || { fail "tests/e2e/compare.c does not build"; finish; }
python=
"${PYTHON:-python3}" -c 'import llama_cpp' 2>/dev/null && python=${PYTHON:-python3}
bound=2e-3

divergence() { # npy; from $work/ref.npy
    "$compare" "$1" "$work/ref.npy" "$bound" kl >"$work/said" 2>&1
    local status=$?
    sed -n 's/.*divergence //p' "$work/said"
    return $status
}

one_mix() { # model, mixture
    local file=$work/mix.gguf what=${1##*/} ours theirs=-
    what="${what%.*} $2"
    graphquant "$1" "$file" "$2" >/dev/null 2>"$work/err" ||
        { fail "graphquant $what: $(grep -v ^note: "$work/err" | head -n 3)"; return; }
    compile "$file" -O0 --target=ref --kv=f32 -o "$work/plan" &&
        logits "$work/ref.npy" "$work/plan" --ids "$ids" &&
        compile "$file" -o "$work/plan" &&
        logits "$work/npy" "$work/plan" --ids "$ids" || return
    ours=$(divergence "$work/npy") || fail "$what: $(cat "$work/said"); the bound is $bound"
    if [ -n "$python" ]; then
        "$python" tests/diff/llama_logits.py "$file" "$ids" "$work/theirs.npy" 2>"$work/err" ||
            { fail "llama.cpp, $what: $(tail -n 1 "$work/err")"; return; }
        theirs=$(divergence "$work/theirs.npy")
        awk -v ours="$ours" -v theirs="$theirs" 'BEGIN { exit !(ours <= theirs) }' ||
            fail "$what: divergence $ours, llama.cpp's $theirs"
    fi
    [ -z "${REPORT-}" ] || printf '%-36s %10s %10s\n' "$what" "$ours" "$theirs"
}

one_model() { # model
    local mix
    ids=$(graphrun "$1" --tokenize <$goldens/story.txt | cut -d ' ' -f 1-300 | tr ' ' ,)
    for mix in $(sed -nE 's/^MIX\(([a-z0-9_]+),.*/\1/p' frontends/gguf/mixes.def); do
        one_mix "$1" "$mix"
    done
}

[ -z "${REPORT-}" ] || printf '%-36s %10s %10s\n' "model, mixture" graphc llama.cpp
one_model "$tiny"
weights=weights/TinyStories-656K/TinyStories-656K.f16.gguf
have_data $weights && one_model "$DATA/$weights"
[ -n "$python" ] || skip "llama.cpp's divergence" "a PYTHON with llama-cpp-python"
finish
