#!/usr/bin/env bash
# Greedy text of the unoptimised plan is, byte for byte, what f32 arithmetic on the dequantised
# weights gives (data/expected, made by others); greedy ids of our own model are the oracle's.
. tests/e2e/common.bash

model=weights/TinyStories-656K/TinyStories-656K-Q8_0.gguf

continuation() { # prompt, tokens, file with the expected text
    graphrun "$work/plan" -p "$1" -n "$2" --greedy >"$work/text" 2>"$work/err" ||
        fail "-p '$1': $(head -n 3 "$work/err")"
    # A newline that ends the reply is the program's, not the model's.
    [ "$(cat "$work/text")" = "$(cat "$3")" ] ||
        fail "-p '$1' -n $2: expected: $(cat "$3") --- got: $(cat "$work/text")"
}

compile "$tiny" -O0 --target=ref --kv=f32 -o "$work/plan" &&
    continuation 'Once upon a time' 48 "$goldens/tiny.greedy48.txt"
have_data "$model" || finish
compile "$DATA/$model" -O0 --target=ref --kv=f32 -o "$work/plan" || finish
expected=$DATA/expected/TinyStories-656K-Q8_0
continuation 'Once upon a time' 32 "$expected.once-upon-a-time.greedy32.txt"
continuation 'Hello' 16 "$expected.hello.greedy16.txt"
finish
