#!/usr/bin/env bash
# --bench, --profile and --trace: grammar, what is counted (to the byte), that the parts add up.
# Nothing here depends on how fast the machine is or on who else uses it.
. tests/e2e/common.bash

plan=$work/tiny.plan
compile "$tiny" -o "$plan" || finish

bench() { # list, options: its JSON in $work/json
    local list=$1
    shift
    graphrun "$plan" --bench "$list" -r 2 --json "$@" >"$work/json" 2>"$work/err" ||
        fail "--bench $list: $(head -n 3 "$work/err")"
}

field() { # test, name: a number of the test's object
    sed -nE "s/.*\"test\": \"$1\"[^}]*(\{[^}]*\}[^}]*)?\"$2\": ([0-9.a-z]+).*/\2/p" "$work/json"
}

equal() { # what, is, expected
    [ "$2" = "$3" ] || fail "$1 is '$2', expected '$3'"
}

refuses() { # what its error says (a regular expression), options
    local message=$1
    shift
    if graphrun "$plan" "$@" </dev/null >"$work/out" 2>"$work/err"; then
        fail "$* runs"
    else
        equal "exit status of $*" $? 1
    fi
    grep -qE "error: .*($message)" "$work/err" || fail "$*: $(cat "$work/err")"
    [ ! -s "$work/out" ] || fail "$*: an error, but stdout has text"
}

# --- grammar

for word in pp pp0 tg pq5 pp5x2 tg5x0 tg5x tg5@ tg5@0 'tg5 ' \
    tg5x2@3 TG5 pp99999999999 'pp5,' ',pp5'; do
    refuses '--bench: "[^"]*" is no test: .*ppN' --bench "$word"
done
refuses '"tq9"' --bench pp4,tq9,tg4
refuses 'needs a context of 4 tokens' --bench tg4 -c 2
refuses '-r wants' --bench tg4 -r 0

# --- what is counted

bench pp16,tg4,tg4@100,tg4@100x3
for word in pp16 tg4 tg4@100 tg4@100x3; do
    for key in kept dropped steady bytes read_bytes_per_second f32_operations f32_peak_per_second \
        int8_operations int8_peak_per_second limit_tokens_per_second reached min max median; do
        [ -n "$(field "$word" $key)" ] || fail "$word has no $key"
    done
    awk -v least="$(field $word min)" -v median="$(field $word median)" \
        -v most="$(field $word max)" -v kept="$(field $word kept)" \
        -v dropped="$(field $word dropped)" -v steady="$(field $word steady)" \
        -v limit="$(field $word limit_tokens_per_second)" -v reached="$(field $word reached)" '
        BEGIN {
            share = median / limit - reached
            exit !(0 < least && least <= median && median <= most && kept >= 1 && kept <= 4 &&
                   (steady == "true" ? kept <= 2 && kept + dropped <= 4 : !dropped) &&
                   share < 0.001 && share > -0.001)
        }' || fail "$word: figures do not agree: $(cat "$work/json")"
done
# Products of a token: three layers of q k v o gate up down, then the head; bytes as q8_0.
layer=$((256 * (256 + 128 + 128) + 256 * 256 + 3 * 512 * 256)) head=$((1024 * 256))
after_qkv=$((256 * 256 + 3 * 512 * 256))
token=$((3 * layer + head))
position=$((3 * 2 * 128 * 2)) # keys and values in f16
equal "products of tg4" "$(field tg4 int8_operations)" $((4 * 2 * token))
equal "bytes of tg4" "$(field tg4 bytes)" $((4 * token * 34 / 32 + (1 + 2 + 3 + 4) * position))
equal "bytes of depth" "$(($(field tg4@100 bytes) - $(field tg4 bytes)))" $((4 * 100 * position))
equal "products of three sequences" "$(field tg4@100x3 int8_operations)" $((3 * 4 * 2 * token))
equal "bytes of three sequences" "$(field tg4@100x3 bytes)" \
    $((4 * token * 34 / 32 + 3 * (101 + 102 + 103 + 104) * position))
# Of a prompt only the last token goes beyond the last layer's keys and values.
equal "products of pp16" "$(field pp16 int8_operations)" \
    $((2 * (16 * (3 * layer - after_qkv) + after_qkv + head)))
bench pp40 --chunk 16
equal "bytes of a prompt in three chunks" "$(field pp40 bytes)" \
    $(((3 * (3 * layer - after_qkv) + after_qkv + head) * 34 / 32 + (16 + 32 + 40) * position))

graphrun "$plan" --bench tg4 -r 1 >"$work/out" 2>"$work/err" || fail "--bench as a table"
grep -qE '^tg4 +[0-9.]+ .* [0-9.]+ of [0-9.]+ GB/s' "$work/out" || fail "table: $(cat "$work/out")"

# --- profile

profile() { # grouping: the table in $work/err
    graphrun "$plan" -p "Once upon a time" -n 9 --greedy --ignore-eos "--profile=$1" -t 2 \
        >"$work/out" 2>"$work/err" || fail "--profile=$1: $(head -n 3 "$work/err")"
}

for grouping in kernel op layer line; do
    profile $grouping
    # Rows add up to the head's figure; each thread's parts are the wall clock.
    calls=$(awk -v grouping=$grouping '
        function far(a, b, most) { return a - b > most || b - a > most }
        /^profile: / { match($0, /, [0-9.]+ ms/); wall = substr($0, RSTART + 2) + 0
                       match($0, /[0-9.]+ in steps/); steps = substr($0, RSTART) + 0; next }
        /^step / { rows = 1; next }
        /^thread / { threads++; rows = 0
                     if (far($3 + $6 + $(NF - 4), wall, 0.01)) print "thread", $0, wall }
        rows { calls += $(NF - 9); total += $(NF - 8); share += $(NF - 7); count++
               if ($(NF - 5) > $(NF - 6) + 0.1 || $(NF - 6) > $(NF - 4) + 0.1) print "order", $0 }
        END { if (threads != 2 || !count || far(total, steps, 0.002 * count) ||
                  far(share, 100, 0.06 * count)) print "sums", total, steps, share
              print calls }' "$work/err")
    [[ $calls =~ ^[0-9]+$ ]] || fail "--profile=$grouping: $calls: $(head -n 1 "$work/err")"
    equal "calls by $grouping" "$calls" "${first_calls:=$calls}"
done
profile kernel
grep -qE '^matmul\.q8_n16k4\.[a-z0-9]+ q8_0 256->512 decode +' "$work/err" ||
    fail "no row of a matmul's kernel and shape: $(cat "$work/err")"
profile layer
equal "layers" "$(grep -oE '^(layer [0-9]|outside layers)' "$work/err" | sort | tr '\n' ,)" \
    "layer 0,layer 1,layer 2,outside layers,"
refuses 'kernel, op, layer' -p a -n 1 --profile=step
refuses 'need a run' --tokenize --profile
# Of --bench, what was measured and nothing else: three runs of each repetition.
graphrun "$plan" --bench tg3@5 -r 1 --json --profile >"$work/json" 2>"$work/err"
equal "runs of --bench" "$(sed -nE 's/^profile: ([0-9]+) runs.*/\1/p' "$work/err")" \
    $((3 * ($(field tg3@5 kept) + $(field tg3@5 dropped))))

# --- trace

graphrun "$plan" -p "Once upon a time" -n 9 --greedy --ignore-eos --trace "$work/trace.json" -t 2 \
    >/dev/null 2>"$work/err" || fail "--trace: $(head -n 3 "$work/err")"
steps=$(grep -c '"ph": "X".*"args": {"phase": .*"results": .*"operands": "' "$work/trace.json")
equal "steps of both threads" "$steps" $((2 * first_calls))
awk -F'"(tid|ts|dur)": |, ' '
    /"ph": "X"/ { match($0, /"tid": [0-9]+/); thread = substr($0, RSTART + 7, RLENGTH - 7)
                  match($0, /"ts": [0-9.]+/); begin = substr($0, RSTART + 6, RLENGTH - 6) + 0
                  match($0, /"dur": [0-9.]+/); long = substr($0, RSTART + 7, RLENGTH - 7) + 0
                  if (begin < ended[thread] - 0.002) print "overlap: " $0
                  ended[thread] = begin + long }' "$work/trace.json" >"$work/overlaps"
[ ! -s "$work/overlaps" ] || fail "$(head -n 1 "$work/overlaps")"
refuses 'cannot be written' -p a -n 1 --trace "$work/no/such/folder"
refuses 'need a run' --tokenize --trace "$work/none.json"
[ ! -e "$work/none.json" ] || fail "a trace of nothing is left behind"

finish
