#!/usr/bin/env bash
# graphquant: every architecture gives through its GGUF file the logits that its folder gives, and
# the file is the one that was compared with llama.cpp's converter (tests/diff/converter.sh); GGUF
# files written anew are the same model; what goes wrong leaves no file.
. tests/e2e/common.bash

make_model=$(tool make_model) && compare=$(tool compare) ||
    { fail "a tool does not build"; finish; }
architectures=tests/e2e/architectures

quant() { # arguments of graphquant
    graphquant "$@" >"$work/told" 2>"$work/quant.err" || {
        fail "graphquant $*: $(head -n 3 "$work/quant.err")"
        return 1
    }
}

same_logits() { # what, ids, A, B, options
    local what=$1 ids=$2 one=$3 other=$4 told
    shift 4
    compile "$one" --kv=f32 "$@" -o "$work/one.plan" &&
        compile "$other" --kv=f32 "$@" -o "$work/other.plan" &&
        logits "$work/one.npy" "$work/one.plan" --ids "$ids" &&
        logits "$work/other.npy" "$work/other.plan" --ids "$ids" || return
    told=$("$compare" "$work/other.npy" "$work/one.npy" 1e-6 relative) || fail "$what $*: $told"
}

one_architecture() { # name
    local folder=$work/$1 golden ids
    ids=$(golden_ids "$architectures/$1/golden.txt")
    mkdir "$folder"
    cp "$architectures/$1/config.json" "$folder"
    "$make_model" "$architectures/$1/tensors.txt" "$folder/model.safetensors"
    quant "$folder" "$folder.gguf" f32 || return
    same_logits "$1" "$ids" "$folder" "$folder.gguf" -O0 --target=ref
    same_logits "$1" "$ids" "$folder" "$folder.gguf" --act=f32
    golden=$(sed -n "s/^$1 //p" "$architectures/gguf.txt")
    [ "$(cksum <"$folder.gguf")" = "$golden" ] ||
        fail "$1: the file has cksum $(cksum <"$folder.gguf"), not $golden: does it still equal" \
            "that of llama.cpp's converter?"
}

for folder in "$architectures"/*/; do
    one_architecture "$(basename "$folder")"
done

# Without a type a GGUF file of ours is copied: the same weights, so the same logits to the bit.
ids=1,80,147,90,12
quant "$tiny" "$work/copy.gguf" && quant "$work/copy.gguf" "$work/again.gguf"
same_bytes 'a copy of a copy' "$work/copy.gguf" "$work/again.gguf"
for threads in 1 3; do
    quant "$tiny" "$work/f32-$threads.gguf" f32 -t $threads
    sed '$d' "$work/told" >"$work/told-$threads"
done
same_bytes 'another number of threads' "$work/f32-1.gguf" "$work/f32-3.gguf"
same_bytes 'the table with them' "$work/told-1" "$work/told-3"
same_logits 'the copy' $ids "$tiny" "$work/copy.gguf"
quant "$work/f32-1.gguf" "$work/q8_0.gguf" q8_0
line='blk[.]0[.]attn_q[.]weight +256,256 +f32 +q8_0 +[0-9]+[.][0-9]{3} +[0-9.]+e[-+]'
grep -qE "$line" "$work/told" || fail "the table: $(head -n 3 "$work/told")"
grep -qE '^[0-9]+ tensors, [0-9.]+ MiB, from [0-9.]+ MiB; 8[.][0-9]+ bits' "$work/told" ||
    fail "the totals: $(tail -n 2 "$work/told")"
graphc --verify "$work/q8_0.gguf" -o "$work/plan" >"$work/told" 2>&1 ||
    fail "q8_0 --verify: $(head -n 3 "$work/told")"

# Real models, and what others made of them.
stories=weights/TinyStories-656K
if have_data $stories; then
    quant "$DATA/$stories/hf_bf16" "$work/f16.gguf" f16
    quant "$work/f16.gguf" "$work/q8_0.gguf" q8_0
    ids=$(seq -s, 1 60)
    same_logits 'f16 of another converter' "$ids" "$DATA/$stories/TinyStories-656K.f16.gguf" \
        "$work/f16.gguf"
    same_logits 'Q8_0 of another quantiser' "$ids" "$DATA/$stories/TinyStories-656K-Q8_0.gguf" \
        "$work/q8_0.gguf"
fi
llama2c=weights/stories260K/stories260K.bin
if have_data $llama2c; then
    quant "$DATA/$llama2c" "$work/stories.gguf"
    same_logits 'llama2.c' 1,403,407,261,378 "$DATA/$llama2c" "$work/stories.gguf"
    quant "$DATA/$llama2c" "$work/stories.gguf" q8_0
    grep -q 'note: "blk.0.ffn_down.weight" is written in f16' "$work/quant.err" ||
        fail "rows of 172: $(cat "$work/quant.err")"
fi

# Mixtures and fallbacks; the type of every tensor is llama-quantize's (tests/diff/quantise.sh).
quant "$tiny" "$work/mix.gguf" Q4_K_M
types=$(awk '/weight|bias/ {print $4}' "$work/told" | sort | uniq -c | tr -s ' \n' ' ')
[ "$types" = ' 7 f32 19 q4_k 3 q6_k ' ] || fail "q4_k_m has $types"
grep -q 'note: 22 tensors are quantised already' "$work/quant.err" ||
    fail "requantised: $(cat "$work/quant.err")"
quant "$tiny" "$work/pure.gguf" q4_k_m --pure
[ "$(awk '/weight/ {print $4}' "$work/told" | sort -u | tr '\n' ' ')" = 'f32 q4_k ' ] ||
    fail "--pure: $(cat "$work/told")"

# Models that nobody trained: the same bytes everywhere, of both vocabularies; text survives them.
text='Once upon a time there was a little girl. (42 × ü)'
for shape in llama,vocab=3000:2156171980 qwen2,vocab=3000,layers=3,embd=192,heads=6:2829021049; do
    quant --synth "${shape%:*}" "$work/synth.gguf" q4_k_m
    [ "$(cksum <"$work/synth.gguf" | cut -d' ' -f1)" = "${shape#*:}" ] ||
        fail "--synth ${shape%:*}: cksum $(cksum <"$work/synth.gguf")"
    quant --synth "${shape%:*}" "$work/again.gguf" q4_k_m -t 3
    same_bytes "--synth ${shape%:*} again" "$work/synth.gguf" "$work/again.gguf"
    graphc --vocab-only "$work/synth.gguf" -o "$work/plan" &&
        ids=$(graphrun "$work/plan" --tokenize <<<"$text") &&
        [ "$(graphrun "$work/plan" --detokenize <<<"$ids")" = "$text" ] &&
        [ "$(wc -w <<<"$ids")" -lt 36 ] || fail "--synth ${shape%:*}: \"$text\" became $ids"
done

refuses() { # what it says, arguments
    local said=$1 status
    shift
    graphquant "$@" >/dev/null 2>"$work/quant.err"
    status=$?
    [ $status = 1 ] || [ $status = 2 ] || fail "graphquant $*: exit $status"
    grep -qF -- "$said" "$work/quant.err" || fail "graphquant $*: $(cat "$work/quant.err")"
}
mkdir "$work/large"
cp "$architectures/olmo2/config.json" "$work/large"
sed 's/^\(model.layers.1.mlp.up_proj.weight\) 0 [^ ]*/\1 0 1e6/' \
    "$architectures/olmo2/tensors.txt" >"$work/large.txt"
"$make_model" "$work/large.txt" "$work/large/model.safetensors"
refuses 'tensor "blk.1.ffn_up.weight": row 0, column ' "$work/large" "$work/bad.gguf" f16
refuses 'is no number that f16 can hold; take f32 or bf16' "$work/large" "$work/bad.gguf" f16
refuses 'type q5 is not one of f32 f16' "$tiny" "$work/bad.gguf" q5
refuses 'no shape is called "gpt"; known are' --synth gpt "$work/bad.gguf"
refuses 'embd=0: expected a number from 1 to' --synth llama,embd=0 "$work/bad.gguf"
refuses '4 heads over 3 kv heads do not share' --synth llama,kv_heads=3 "$work/bad.gguf"
refuses 'a vocabulary of 100 pieces' --synth llama,vocab=100 "$work/bad.gguf"
refuses 'wants --synth SHAPE OUT.gguf' --synth llama
refuses 'would overwrite the model that is read' "$work/copy.gguf" "$work/./copy.gguf"
refuses 'not a regular file' "$tiny" "$work"
refuses 'cannot be written' "$tiny" "$work/no/bad.gguf"
refuses 'graphquant wants MODEL OUT.gguf' "$tiny"
(
    failures=0
    ulimit -f 1 && trap '' XFSZ
    refuses 'cannot be written: File too large' "$tiny" "$work/bad.gguf"
    [ $failures = 0 ]
) || fail 'a full disk is not reported'
left=$(find "$work" -name 'bad.gguf*')
[ -z "$left" ] || fail "a file is left behind: $left"
finish
