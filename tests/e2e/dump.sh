#!/usr/bin/env bash
# The dump of an optimised llama with one weight type: fusions and steps are as promised, every
# line has the promised form, memory is near its lower bound, the text of every pass parses back,
# and two compiles give equal bytes.
. tests/e2e/common.bash

check() { # dump, graph, layers: leaves its figures in $figures
    figures=$(awk -v graph="$2" -v layers="$3" -f tests/e2e/dump.awk "$1") ||
        fail "$(basename "$1"): $(head -n 5 <<<"$figures")"
}

one_model() { # name, layers, arguments of graphc
    local name=$1 layers=$2 target
    shift 2
    for target in ref avx2 avx512 avx512bf16; do
        graphc --dump --target=$target "$@" >"$work/$name.$target" 2>"$work/err" ||
            { fail "graphc --dump --target=$target $*: $(head -n 3 "$work/err")"; continue; }
        check "$work/$name.$target" decode "$layers"
        check "$work/$name.$target" prefill "$layers"
        graphc --dump --target=$target "$@" >"$work/again" 2>/dev/null
        same_bytes "$name: two dumps for $target" "$work/$name.$target" "$work/again"
    done
}

two_plans() { # name, arguments of graphc
    local name=$1
    shift
    compile "$@" -o "$work/first.plan" && mv "$work/first.plan" "$work/one" &&
        compile "$@" -o "$work/first.plan" &&
        same_bytes "$name: two plans" "$work/one" "$work/first.plan"
}

# Steps and barriers of one layer: what one layer more adds.
steps_of_a_layer() {
    local layers steps=() barriers=()
    for layers in 3 4; do
        graphc --dump -w "shape:tinyllama-1.1b,type=q4_0,layers=$layers" examples/models/llama.lua \
            >"$work/layers" || fail "layers=$layers"
        check "$work/layers" decode "$layers"
        steps+=("$(cut -d' ' -f2 <<<"$figures")")
        barriers+=("$(sed '/^graph @prefill/,$d' "$work/layers" | grep -c '^  barrier$')")
    done
    [ $((steps[1] - steps[0])) -le 8 ] ||
        fail "$((steps[1] - steps[0])) steps a layer in @decode, at most 8 promised"
    [ $((barriers[1] - barriers[0])) -le 5 ] ||
        fail "$((barriers[1] - barriers[0])) barriers a layer in @decode, at most 5 promised"
}

# The text after each pass goes through the rest of the pipeline to the same module.
parses_back() { # name, arguments of graphc
    local name=$1 pass
    shift
    graphc --dump "$@" >"$work/final" || { fail "$name: graphc --dump"; return; }
    for pass in $(graphc --list-passes | cut -d' ' -f1); do
        graphc "--dump=$pass" "$@" >"$work/$pass.ir" 2>"$work/err" &&
            graphc --dump "$work/$pass.ir" >"$work/back" 2>>"$work/err" ||
            { fail "$name after $pass: $(head -n 3 "$work/err")"; continue; }
        same_bytes "$name: from the text after $pass" "$work/final" "$work/back"
    done
}

llama=examples/models/llama.lua
one_model tinyllama 22 -w shape:tinyllama-1.1b,type=q4_0 $llama
one_model tiny "$(hyperparameter "$tiny" block_count)" \
    "$tiny"
two_plans tiny "$tiny"
two_plans 'tiny for ref, -O0' --target=ref -O0 "$tiny"
parses_back tinyllama -w shape:tinyllama-1.1b,type=q4_0 $llama
steps_of_a_layer
stories=weights/TinyStories-656K
if have_data $stories; then
    one_model TinyStories-Q8_0 2 "$DATA/$stories/TinyStories-656K-Q8_0.gguf"
    one_model TinyStories-f16 2 "$DATA/$stories/TinyStories-656K.f16.gguf"
    two_plans TinyStories-Q8_0 "$DATA/$stories/TinyStories-656K-Q8_0.gguf"
fi
finish
