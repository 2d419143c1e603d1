#!/usr/bin/env bash
# The compile cache: weights that plans share, keys that notice every change, two writers at once,
# writers that are killed, damage, the size it may have, and folders that cannot be written.
. tests/e2e/common.bash
folder=$XDG_CACHE_HOME/graphc

cached() { # options: prints the path of the plan
    graphc --cached "$tiny" "$@" 2>"$work/cached.err" | head -n 1
}

held() { # suffix: how many such files the cache has
    find "$folder" -name "*.$1" 2>/dev/null | wc -l
}

age() { # files: last used long ago, the first before the others
    local minutes=$((1000 + $#)) file
    for file; do
        touch -d "-$minutes minutes" "$file"
        minutes=$((minutes - 1))
    done
}

reply() { # options: what the model says
    graphrun "$tiny" -p 'Once upon a time' -n 24 --greedy "$@" 2>"$work/run.err" ||
        fail "graphrun $*: $(head -n 2 "$work/run.err")"
}

# --- one weights file for what packs alike, another where weights are merged otherwise

expected=$(reply --no-cache)
plan=$(cached --target=avx2)
for options in --target=avx512 '-b 64' --kv=f32; do
    # shellcheck disable=SC2086
    [ "$(cached --target=avx2 $options)" != "$plan" ] || fail "$options is not in the key"
done
[ "$(held plan) $(held weights)" = '4 1' ] ||
    fail "four plans share: $(held plan) plans, $(held weights) weights"
[ "$(stat -c %s "$plan")" -lt 1000000 ] || fail "the plan is not small"
weights=$(find "$folder" -name '*.weights')
cached --target=avx2 -O1 >/dev/null
[ "$(held weights)" = 2 ] || fail "-O1 packs otherwise, yet there are $(held weights) weights"
[ "$(reply)" = "$expected" ] || fail "a plan of the cache says something else"
graphc --check "$plan" >/dev/null || fail "--check of a plan of the cache"
compile "$tiny" --target=avx2 -o "$work/whole.plan"
graphc --diff "$plan" "$work/whole.plan" >"$work/out"
[ "$(cat "$work/out")" = 'options: place of the weights 2 -> 1' ] ||
    fail "an embedded plan differs in: $(head -n 3 "$work/out")"

# --- the key: a script's text, a model's header even where size and time are the same

cp "$tiny" "$work/model.gguf"
mkdir "$work/models" && cp examples/models/*.lua "$work/models"
of_copy() {
    GRAPHC_MODELS=$work/models graphc --cached "$work/model.gguf"
}
first=$(of_copy)
[ "$(of_copy)" = "$first" ] || fail "the same inputs give another key"
echo '-- a change' >>"$work/models/llama.lua"
second=$(of_copy)
[ "$second" != "$first" ] || fail "the text of the script is not in the key"
touch -r "$work/model.gguf" "$work/time"
place=$(grep -abo -m 1 'general.architecture' "$work/model.gguf" | head -n 1 | cut -d: -f1)
key=$(grep -abo 'general.name' "$work/model.gguf" | head -n 1 | cut -d: -f1)
printf X | dd of="$work/model.gguf" bs=1 seek=$((${key:-$place} + 24)) conv=notrunc 2>/dev/null
touch -r "$work/time" "$work/model.gguf"
[ "$(of_copy)" != "$second" ] || fail "the model's header is not in the key"

# --- damage: found at open and made again, or refused by name

cp "$weights" "$work/weights"
damage() { # what: the file was changed by the caller
    [ "$(cached --target=avx2)" = "$plan" ] || fail "$1: the plan is not made again"
    same_bytes "$1: made again" "$weights" "$work/weights"
}
truncate -s -1 "$weights"
graphrun "$plan" -p x >/dev/null 2>"$work/err" && fail "cut weights are mapped"
grep -q 'cut short.*make the plan again with: graphc' "$work/err" ||
    fail "cut weights: $(head -n 1 "$work/err")"
damage 'cut weights'
printf X | dd of="$weights" bs=1 seek=40 conv=notrunc 2>/dev/null
damage 'damaged header'
rm "$weights"
damage 'missing weights'
printf X | dd of="$plan" bs=1 seek=3000 conv=notrunc 2>/dev/null
damage 'damaged plan'
printf '\377\0\377\0' | dd of="$weights" bs=1 seek=3000000 conv=notrunc 2>/dev/null
graphc --check "$plan" >/dev/null 2>"$work/err" && fail "--check misses damaged weights"
grep -qF "remove $weights" "$work/err" || fail "damaged weights: $(head -n 1 "$work/err")"
rm "$weights"
damage 'removed weights'

# --- several at once: one works, the others take what it made

cp "$plan" "$work/plan"
graphc --cache=clear
[ "$(find "$folder" -type f | wc -l)" = 0 ] || fail "--cache=clear leaves $(ls "$folder")"
for i in 1 2 3 4; do
    cached --target=avx2 >"$work/path.$i" &
done
wait
for i in 1 2 3 4; do
    [ "$(cat "$work/path.$i")" = "$plan" ] || fail "process $i of 4: $(cat "$work/path.$i")"
done
same_bytes 'four at once, plan' "$plan" "$work/plan"
same_bytes 'four at once, weights' "$weights" "$work/weights"
[ "$(held part)" = 0 ] || fail "four at once leave parts"

# A writer waits for the one before it, and no longer than that one lives.
rm "$plan" "$weights"
: >"$weights.part"
mkfifo "$work/never"
(exec 8<>"$weights.part" && flock -x 8 && read -r _ <"$work/never") &
holder=$!
for _ in {1..100}; do
    flock -n "$weights.part" true || break
    sleep 0.02
done
cached --target=avx2 >"$work/path" &
waiter=$!
sleep 0.3
[ ! -e "$plan" ] && kill -0 $waiter || fail "weights that another one writes are not waited for"
{ kill -KILL $holder && wait $holder; } 2>/dev/null
wait $waiter
[ "$(cat "$work/path")" = "$plan" ] || fail "a writer that was killed holds up the next one"
same_bytes 'after a killed writer' "$weights" "$work/weights"

# --- killed at 100 moments, spread over the time that making an entry takes

lasts=1000000000
for _ in {1..5}; do
    rm "$plan" "$weights"
    begun=$(date +%s%N)
    graphc --cached "$tiny" --target=avx2 >/dev/null
    took=$(($(date +%s%N) - begun))
    [ $took -ge $lasts ] || lasts=$took
done
killed=0 parts=0
for moment in $(awk -v lasts=$lasts 'BEGIN { srand(7)
        for (i = 0; i < 100; i++) printf("%.6f\n", 0.001 + rand() * lasts * 1e-9) }'); do
    # The weights stay now and then: a kill then falls upon the plan.
    rm -f "$plan"
    [ "${moment: -1}" -gt 7 ] || rm -f "$weights"
    timeout -s KILL "$moment" graphc --cached "$tiny" --target=avx2 >/dev/null 2>&1
    [ $? != 137 ] || killed=$((killed + 1))
    [ "$(held part)" = 0 ] || parts=$((parts + 1))
    [ ! -e "$weights" ] || same_bytes "killed after $moment s, weights" "$weights" "$work/weights"
    [ ! -e "$plan" ] || same_bytes "killed after $moment s, plan" "$plan" "$work/plan"
done 2>/dev/null
[ $killed -ge 40 ] && [ $parts -ge 5 ] || fail "of 100 only $killed were killed, $parts half-way"
[ "$(cached --target=avx2)" = "$plan" ] || fail "no plan after the kills"
same_bytes 'after the kills, plan' "$plan" "$work/plan"
same_bytes 'after the kills, weights' "$weights" "$work/weights"
graphc --cache=prune
[ "$(held part)" = 0 ] || fail "--cache=prune leaves parts that nobody writes"
[ "$(reply --target=avx2)" = "$expected" ] || fail "the model says something else after the kills"

# --- the size: the longest unused goes, weights with the last plan that needs them

old=$(cached --target=avx2 -b 64)
other=$(cached --target=avx2 -O1)
bytes() { find "$folder" -type f -printf '%s\n' | awk '{ sum += $1 } END { print sum }'; }
age "$old" "$plan" "$other" "$folder"/*.weights
all=$(bytes)
GRAPHC_CACHE_BYTES=$all graphc --cache=prune
[ "$(bytes)" = "$all" ] || fail "prune removes what fits"
GRAPHC_CACHE_BYTES=$((all - 1)) graphc --cache=prune
[ ! -e "$old" ] && [ -e "$plan" ] && [ -e "$weights" ] || fail "the oldest plan did not go alone"
GRAPHC_CACHE_BYTES=5000000 graphc --cache=prune
[ ! -e "$plan" ] && [ ! -e "$weights" ] && [ -e "$other" ] && [ "$(held weights)" = 1 ] ||
    fail "weights outlive their last plan, or a plan its weights: $(ls "$folder")"
GRAPHC_CACHE_BYTES=0 cached --target=avx2 >/dev/null
[ -e "$plan" ] && [ -e "$weights" ] && [ ! -e "$other" ] && [ "$(held weights)" = 1 ] ||
    fail "making an entry does not prune, or prunes what was just made: $(ls "$folder")"
graphc --cache >"$work/out"
grep -q "$(basename "$plan")  $(basename "$weights")  graphc llama.lua" "$work/out" ||
    fail "--cache: $(head -n 2 "$work/out")"
GRAPHC_CACHE_BYTES=12x cached >/dev/null
grep -q 'GRAPHC_CACHE_BYTES=12x: wants a number of bytes' "$work/cached.err" ||
    fail "GRAPHC_CACHE_BYTES=12x: $(cat "$work/cached.err")"

# In use: whoever runs it has it open; here it waits for its prompt.
mkfifo "$work/prompt"
graphrun "$tiny" --target=avx2 -n 4 --greedy <"$work/prompt" >"$work/reply" 2>"$work/run.err" &
runner=$!
exec 9>"$work/prompt"
for _ in {1..100}; do
    graphc --cache | grep -q '\.weights  in use' && break
    sleep 0.05
done
age "$plan" "$weights"
GRAPHC_CACHE_BYTES=0 graphc --cache=prune
graphc --cache=clear
[ -e "$plan" ] && [ -e "$weights" ] || fail "what is in use was removed"
printf 'Once upon a time' >&9
exec 9>&-
wait $runner || fail "the run whose cache was cleared: $(head -n 1 "$work/run.err")"
[[ $expected == "$(cat "$work/reply")"* ]] || fail "the run says: $(cat "$work/reply")"
GRAPHC_CACHE_BYTES=0 graphc --cache=prune
[ ! -e "$plan" ] && [ ! -e "$weights" ] ||
    fail "nothing is in use, yet prune leaves $(ls "$folder")"

# --- folders that cannot be made or written

[ "$(XDG_CACHE_HOME=/dev/null/cache reply)" = "$expected" ] || fail "without a cache folder"
[ "$(env -u HOME -u XDG_CACHE_HOME bash -c 'graphrun "$0" -p "Once upon a time" -n 24 --greedy' \
    "$tiny" 2>/dev/null)" = "$expected" ] || fail "without a home"
as_user=()
[ "$(id -u)" != 0 ] || as_user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
chmod 755 "$work" "$XDG_CACHE_HOME" "$folder"
if "${as_user[@]}" graphc --version >/dev/null 2>&1 && "${as_user[@]}" test -r "$tiny"; then
    read_only() { # what
        chmod 555 "$folder"
        [ "$("${as_user[@]}" graphrun "$tiny" -p 'Once upon a time' -n 24 --greedy \
            2>"$work/run.err")" = "$expected" ] || fail "$1: $(head -n 2 "$work/run.err")"
        chmod 755 "$folder"
    }
    read_only 'an empty folder that is only read'
    [ "$(find "$folder" -type f | wc -l)" = 0 ] || fail "a folder that is only read was written"
    path=$(cached)
    chmod 644 "$folder"/*
    read_only 'a folder that is only read'
    chmod 555 "$folder"
    [ "$("${as_user[@]}" graphc --cached "$tiny")" = "$path" ] ||
        fail "the entry of a folder that is only read is not used"
    chmod 755 "$folder"
else
    skip 'a folder that is only read' 'a user that is not root and can read this tree'
fi
finish
