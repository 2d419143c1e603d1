#!/usr/bin/env bash
# Runs tests and counts them (tests/README.md).
#
#   tests/run.sh unit kernels golden diff e2e layers    any of these
#   tests/run.sh bless                                  writes the golden tests' expected text
#
# From the environment: BUILD (folder of the programs), DATA, ONLY (words: runs what has one of them
# in its path). The last line is `N passed, N failed` and, if any, `, N skipped`; failures exit
# with 1.
# A test that could not look at its subject prints `skip: why`; it counts as skipped, not as passed.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2

BUILD=$(realpath -m "${BUILD:-build}")
DATA=$(realpath -m "${DATA:-../shared/data}")
export BUILD DATA PATH="$BUILD:$PATH" LC_ALL=C.UTF-8
export CK_DEFAULT_TIMEOUT=${CK_DEFAULT_TIMEOUT:-30}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
out=$BUILD/tests/out
passed=0 failed=0 skipped=0

count() { # passed, failed, skipped
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
}

wanted() {
    local word
    [ -n "${ONLY-}" ] || return 0
    for word in $ONLY; do
        [[ $1 == *"$word"* ]] && return 0
    done
    return 1
}

# --- programs with Check

# One program's output to $out/NAME.log, its exit status to $out/NAME.exit.
run_program() {
    local name=${1//\//.} limit=${CK_TIMEOUT_MULTIPLIER:-1}
    timeout $((300 * limit)) "$BUILD/tests/$1" >"$out/$name.log" 2>&1 </dev/null
    echo $? >"$out/$name.exit"
}
export -f run_program
export out

report_program() {
    local log=$out/${1//\//.}.log status checks=0 bad=0 skips summary
    status=$(<"${log%.log}.exit")
    summary=$(grep -aoE '%: Checks: [0-9]+, Failures: [0-9]+, Errors: [0-9]+' "$log")
    while IFS=' ,' read -r _ _ run _ failures _ errors; do
        checks=$((checks + ${run:-0})) bad=$((bad + ${failures:-0} + ${errors:-0}))
    done <<<"$summary"
    skips=$(grep -ac '^skip:' "$log")
    [ "$skips" -le $((checks - bad)) ] || skips=$((checks - bad))
    if [ "$checks" = 0 ]; then
        echo "FAIL $1: ran no checks (exit status $status)"
        bad=1
    elif [ "$status" != 0 ] && [ "$bad" = 0 ]; then
        echo "FAIL $1: exit status $status after $checks checks"
        bad=1 checks=$((checks + 1))
    elif [ "$bad" != 0 ]; then
        echo "FAIL $1: $bad of $checks checks"
    else
        echo "ok   $1: $((checks - skips)) checks"
    fi
    if [ "$bad" != 0 ]; then
        sed 's/^/     /' "$log"
    else
        grep -a '^skip:' "$log" | sed 's/^/     /'
    fi
    [ "$checks" = 0 ] && count 0 1 0 || count $((checks - bad - skips)) "$bad" "$skips"
}

run_programs() { # folder
    local source names=() name
    for source in "tests/$1"/test_*.c; do
        [ -e "$source" ] && wanted "$source" || continue
        name=${source#tests/} names+=("${name%.c}")
    done
    [ ${#names[@]} -gt 0 ] || return 0
    mkdir -p "$out"
    printf '%s\n' "${names[@]}" | xargs -P "$(nproc)" -I{} bash -c 'run_program {}'
    for name in "${names[@]}"; do
        report_program "$name"
    done
}

# --- golden text

# The rest of the comment line that holds a key (RUN, NEEDS) in a case's first lines.
golden_key() {
    head -n 5 "$1" | sed -nE "s/^(;|--) *$2: *(.*[^ ]) *\$/\2/p" | head -n 1
}

# Runs the command of a case; its text as the .txt has it goes to $out/golden. 1 after a crash.
golden_run() {
    local case=$1 command status text
    command=$(golden_key "$case" RUN)
    command=${command//%s/$case}
    command=${command//%t/$out/golden.t}
    rm -rf "$out"/golden.t*
    ASAN_OPTIONS=detect_leaks=0 timeout 120 bash -c "$command" \
        >"$out/golden.out" 2>"$out/golden.err" </dev/null
    status=$?
    {
        sed '$a\' "$out/golden.out"
        [ ! -s "$out/golden.err" ] || { echo "--- stderr" && sed '$a\' "$out/golden.err"; }
        [ $status = 0 ] || echo "--- exit $status"
    } >"$out/golden"
    text=$(cat "$out/golden" && echo .)
    text=${text//"$out/golden.t"/%t}
    text=${text//"$DATA"/\$DATA}
    printf '%s' "${text%.}" >"$out/golden"
    [ $status -lt 124 ] && ! grep -qaE 'Sanitizer|runtime error:' "$out/golden.err"
}

golden_case() {
    local case=$1 expected=${1%.*}.txt
    if [ "$(golden_key "$case" NEEDS)" = DATA ] && [ ! -d "$DATA" ]; then
        if [ "${CI-}" = true ]; then
            echo "FAIL $case: needs DATA ($DATA)"
            count 0 1 0
        else
            echo "skip: $case: needs DATA ($DATA)"
            count 0 0 1
        fi
    elif ! golden_run "$case"; then
        echo "FAIL $case: crashed"
        sed 's/^/     /' "$out/golden"
        count 0 1 0
    elif [ "$blessing" = yes ]; then
        cmp -s "$out/golden" "$expected" ||
            { echo "wrote $expected" && cp "$out/golden" "$expected"; }
        count 1 0 0
    elif [ ! -e "$expected" ]; then
        echo "FAIL $case: no expected text; make bless writes it"
        count 0 1 0
    elif ! diff -u "$expected" "$out/golden" >"$out/golden.diff"; then
        echo "FAIL $case"
        sed '1,2d; s/^/     /' "$out/golden.diff"
        count 0 1 0
    else
        count 1 0 0
    fi
}

run_golden() {
    local case good=$passed all=0
    mkdir -p "$out"
    while IFS= read -r case; do
        wanted "$case" && [ -n "$(golden_key "$case" RUN)" ] || continue
        golden_case "$case"
        all=$((all + 1))
    done < <(find tests/ir tests/passes tests/errors -name '*.ir' -o -name '*.lua' \
        2>/dev/null | sort)
    [ $all = 0 ] || echo "     golden: $((passed - good)) of $all cases"
}

# --- scripts

run_scripts() { # folder
    local script skips
    mkdir -p "$out"
    for script in "tests/$1"/*.sh; do
        [ -e "$script" ] && wanted "$script" || continue
        if ! timeout 600 bash "$script" >"$out/script" 2>&1 </dev/null; then
            echo "FAIL $script"
            sed 's/^/     /' "$out/script"
            count 0 1 0
            continue
        fi
        skips=$(grep -ac '^skip:' "$out/script")
        if [ "$skips" -gt 0 ]; then
            grep -a '^skip:' "$out/script"
            count 0 0 "$skips"
        else
            echo "ok   $script"
            count 1 0 0
        fi
    done
}

run_layers() {
    if tests/lint.sh layers link; then
        echo "ok   layers"
        count 1 0 0
    else
        echo "FAIL layers"
        count 0 1 0
    fi
}

[ $# -gt 0 ] || set -- unit kernels golden diff e2e layers
blessing=no
for kind; do
    case $kind in
    unit | kernels) run_programs "$kind" ;;
    golden) run_golden ;;
    bless) blessing=yes && run_golden ;;
    diff | e2e) run_scripts "$kind" ;;
    layers) run_layers ;;
    *)
        echo "error: no tests of kind $kind" >&2
        exit 2
        ;;
    esac
done

if [ $((passed + failed + skipped)) = 0 ]; then
    echo "error: nothing to run for: $*${ONLY:+ (ONLY=$ONLY)}" >&2
    failed=1
fi
line="$passed passed, $failed failed"
[ $skipped = 0 ] || line+=", $skipped skipped"
echo "$line"
[ $failed = 0 ]
