# What the scripts of tests/e2e and tests/diff share; each begins with `. tests/e2e/common.bash`.
#
# A script tests one subject. It calls `fail` for each fact that does not hold, goes on, and ends
# with `finish`. Scripts run from the root of the repository, alone or by tests/run.sh.
set -uo pipefail
export LC_ALL=C.UTF-8
BUILD=$(realpath -m "${BUILD:-build}")
DATA=$(realpath -m "${DATA:-../shared/data}")
PATH=$BUILD:$PATH
# graphc looks for model scripts in ../examples/models, seen from where it stands.
[ -d "$BUILD/../examples/models" ] || export GRAPHC_MODELS=$PWD/examples/models
# The llama of our own and what the oracle says of models; TINY and GOLDENS name others.
# shellcheck disable=SC2034
tiny=${TINY:-examples/tiny/tiny.gguf}
# shellcheck disable=SC2034
goldens=${GOLDENS:-tests/e2e/goldens}
name=$(basename "$0" .sh)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
export XDG_CACHE_HOME=$work/cache
failures=0

# One line each, the first twenty.
fail() {
    local text=$*
    failures=$((failures + 1))
    [ $failures -gt 20 ] || echo "FAIL $name: ${text:0:400}"
}

finish() {
    [ $failures -le 20 ] || echo "FAIL $name: and $((failures - 20)) more"
    [ $failures = 0 ]
    exit
}

[ -x "$BUILD/graphc" ] && [ -x "$BUILD/graphrun" ] || { fail "$BUILD has no programs: make"; finish; }

skip() { # what, need
    echo "skip: $name: $1: needs $2"
}

# Skips the whole script unless the file is there; without one, a missing DATA is a failure where
# CI=true.
need_data() {
    [ -e "$DATA/$1" ] && return 0
    [ "${CI-}" = true ] && fail "needs $DATA/$1" && finish
    echo "skip: $name: needs DATA ($DATA/$1)"
    exit 0
}

have_data() {
    [ -e "$DATA/$1" ] && return 0
    if [ "${CI-}" = true ]; then fail "needs $DATA/$1"; else skip "$1" "DATA"; fi
    return 1
}

# The path of a tool whose source is tests/e2e/NAME.c, built when it is older than the source.
tool() {
    local program=$BUILD/tests/e2e/$1 source=tests/e2e/$1.c
    if [ ! "$program" -nt "$source" ]; then
        mkdir -p "$BUILD/tests/e2e"
        ${CC:-cc} -std=gnu11 -O2 -ffp-contract=off -Wall -Wextra "$source" -o "$program.$$" -lm >&2 &&
            mv "$program.$$" "$program" || return 1
    fi
    echo "$program"
}

# The Python that has NumPy, empty if none.
numpy() {
    local python
    for python in ${PYTHON:-} python3; do
        "$python" -c 'import numpy' 2>/dev/null && echo "$python" && return
    done
}

# Targets whose instructions this processor has, slowest first.
targets() {
    local flags
    flags=" $(grep -m 1 '^flags' /proc/cpuinfo) "
    echo ref
    [[ $flags == *" avx2 "* && $flags == *" fma "* && $flags == *" f16c "* ]] && echo avx2
    [[ $flags == *" avx512bw "* && $flags == *" avx512vl "* && $flags == *" avx512dq "* &&
        $flags == *" avx512_vnni "* ]] || return 0
    echo avx512
    [[ $flags == *" avx512_bf16 "* ]] && echo avx512bf16
}

# A line for each target that cannot be tested here.
skip_targets() {
    local target present
    present=" $(targets | tr '\n' ' ') "
    for target in avx2 avx512 avx512bf16; do
        [[ $present == *" $target "* ]] || skip "$target" "a processor that has it"
    done
}

# Compiles quietly; arguments as for graphc.
compile() {
    graphc "$@" 2>"$work/compile.err" || {
        fail "graphc $*: $(head -n 3 "$work/compile.err")"
        return 1
    }
}

# logits OUT.npy PLAN [options]: fails loudly.
logits() {
    local out=$1
    shift
    graphrun "$@" --logits "$out" >/dev/null 2>"$work/run.err" || {
        fail "graphrun $(cut -c1-100 <<<"$*") --logits: $(head -n 3 "$work/run.err")"
        return 1
    }
}

# hyperparameter FILE.gguf NAME: a whole number of the file's metadata.
hyperparameter() {
    graphc --info "$1" | sed -nE "s/^llama\.$2:.* = ([0-9]+)$/\1/p"
}

golden_ids() {
    sed -n 's/^ids //p' "$1"
}

same_bytes() { # what, A, B
    cmp -s "$2" "$3" || fail "$1: $(cmp "$2" "$3" 2>&1)"
}
