#!/usr/bin/env bash
# Tests the tests: breaks each row of passes.def, rules.def and the reference rows of kernels.def in
# turn, in a copy of the tree; some test must go red for each.
#
#   tests/mutate.sh [WORD...]    all mutants, or those whose name contains one of the words
#
#   pass NAME        the pass returns at once and does nothing
#   rule NAME        the rule never fires
#   rewrite NAME     the rule fires and writes something wrong (a row of `rewrites` below)
#   kernel NAME      the reference changes one bit of the first element that it writes
#
# Prints a line a mutant, with the test that killed it; survivors make the exit status 1. Needs
# `make everything`: JOBS (2) copies begin with its objects, so that a mutant costs one compile and
# a few links, and a test is ended by its first failure.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2
export LC_ALL=C.UTF-8
BUILD=$(realpath -m "${BUILD:-build}")
JOBS=${JOBS:-2}
work=$(mktemp -d) || exit 1
copies=() # processes
trap 'kill "${copies[@]}" 2>/dev/null; rm -rf "$work"' EXIT
words=("$@")

# rule, what is replaced (first occurrence after the rule's first line), by what
rewrites='
gather_early|moved->results[0])|operands[0])
slice_of_slice|attributes.slice.end += inner|attributes.slice.begin += inner
slice_all|shape_equal(&x->shape, &root->results[0]->shape)|root->attributes.slice.axis == 1
neg_neg|inner->operands[0].value|root->operands[0].value
mul_one|1 - i|i
div_one|operands[0].value|operands[1].value
slice_weight|recipe, begin, end|recipe, 0, end - begin
concat_weights|operands[i].value;|operands[0].value;
add_rms_norm|{x, y, weight}|{x, x, weight}
rope_qk_store|insert_rope_qk_store(root, keys, &q, &k)|insert_rope_qk_store(root, keys, \&k, \&k)
swiglu_matmul|EPILOGUE_swiglu|EPILOGUE_geglu
geglu_matmul|EPILOGUE_geglu|EPILOGUE_swiglu
swiglu_experts|g->recipe, u->recipe|u->recipe, g->recipe
quantise_post|root->results[0], value|root->results[0], value->producer.node->operands[0].value
'

# A slow machine kills no mutant.
export CK_DEFAULT_TIMEOUT=${CK_DEFAULT_TIMEOUT:-60}
export CK_TIMEOUT_MULTIPLIER=${CK_TIMEOUT_MULTIPLIER:-5}
export DATA=${DATA:-../shared/data}
DATA=$(realpath -m "$DATA")
unset MAKEFLAGS MAKELEVEL

# --- the mutants: kind, name, file, what is broken in it, whose tests must notice

# Names of a table's rows, as the compiler sees it.
rows() { # macro with its parameters, what a row is, table
    printf '#define %s %s\n#include "%s"\n' "$@" |
        ${CC:-gcc} -E -P -I. -x c - | tr ' ' '\n' | sed -n 's/^@//p'
}

list_mutants() {
    local pass rule kernel index=0
    for pass in $(rows 'PASS(name, ...)' '@name' passes/passes.def); do
        echo "pass $pass passes/$pass.c $pass $pass"
    done
    for rule in $(rows 'RULE(pass, name, ...)' '@pass/name' passes/rules.def); do
        pass=${rule%/*} rule=${rule#*/}
        echo "rule $rule passes/$pass.c $rule $pass"
        echo "rewrite $rule passes/$pass.c $rule $pass"
    done
    for kernel in $(rows 'KERNEL(op, variant, target, ...)' '@op/variant/target' \
        kernels/kernels.def); do
        [[ $kernel != */ref ]] ||
            echo "kernel ${kernel//\//.} kernels/kernel.c $index ${kernel%%/*}"
        index=$((index + 1))
    done
}

# The tables themselves say how many there have to be.
count_rows() {
    cat >"$work/rows.c" <<'END'
#include <stdio.h>
#include "kernels/kernel.h"
#include "passes/rules.h"
int main(void)
{
    int references = 0;
    for (int i = 0; i < kernel_count; i++)
        references += kernel_table[i].target == TARGET_ref;
    printf("%d\n", PASS_COUNT + 2 * RULE_COUNT + references);
}
END
    ${CC:-gcc} -I. "$work/rows.c" "$BUILD"/kernels/*.o \
        "$BUILD"/graph/base/{types,ops,recipe}.o -lm -o "$work/rows" && "$work/rows"
}

wanted() {
    local word
    [ ${#words[@]} -gt 0 ] || return 0
    for word in "${words[@]}"; do
        [[ $1 == *"$word"* ]] && return 0
    done
    return 1
}

# --- breaking

# Puts a statement at the beginning of a function.
first_statement() { # file, function, statement
    sed -i "/^bool $2(PassContext \*context/{n;s/{/{ $3/}" "$1"
}

break_pass() { # file, pass
    first_statement "$1" "pass_$2" 'if (context) return true;'
}

break_rule() { # file, rule
    first_statement "$1" "rule_$2" 'if (context) return false;'
}

break_rewrite() { # file, rule
    local from to
    IFS='|' read -r _ from to < <(grep "^$2|" <<<"$rewrites")
    from=$(sed 's/[][\.*^$/]/\\&/g' <<<"$from")
    to=${to//\//\\/}
    [ "$2" = rope_qk_store ] || to=${to//&/\\&}
    sed -i "/^bool rule_$2(/,/^}/s/$from/$to/" "$1"
}

# The row's function is wrapped: after it ran, bit 6 of the first byte that it writes changes; what
# it writes without results is the first token of the page.
break_kernel() { # file, index in the catalogue
    cat >"$copy/wrapper" <<'END'
#define KERNEL(op, variant, target, order, split, inputs, stored, layouts, posts, epilogues,       \
               tolerance, abi, run, tiles, scratch)                                                \
    run,
static KernelRun *const intact[] = {
#include "kernels/kernels.def"
};
#undef KERNEL
static void mutant(const KernelCall *call, void *scratch, int64_t first, int64_t last)
{
    intact[MUTANT](call, scratch, first, last);
    if (first != 0 || last == 0)
        return;
    unsigned char *byte = call->result_count ? call->results[0].data : NULL;
    if (!byte) {
        const int32_t *pos = call->operands[1].data, *seq = call->operands[2].data;
        const int32_t *table = call->operands[3].data;
        int32_t page = table[seq[0] * call->pages.pages_per_sequence +
                             pos[0] / call->pages.page_tokens];
        byte = (unsigned char *)call->operands[4].data + page * call->pages.page_bytes;
    }
    *byte ^= 0x40;
}
enum { FIRST_ROW = __COUNTER__ + 1 };
END
    sed -i -e "s/^     run, .*/     __COUNTER__ - FIRST_ROW == MUTANT ? mutant : run, \\\\/" \
        -e "/^const KernelRow kernel_table/{
            i #define MUTANT $2
            r $copy/wrapper
            N
        }" "$1"
}

# --- killers: each prints its name if it goes red

build() { # targets
    make -j2 WERROR= "$@" >"$copy/make" 2>&1 || {
        echo "error: the mutant does not build" >&2
        sed 's/^/    /' "$copy/make" >&2
        exit 2
    }
}

golden() { # pass
    build build/graphc
    ONLY=passes/${1:+$1/} tests/run.sh golden >"$copy/log" 2>&1 || echo "golden $1"
}

# Check tells of each test when it ends, random_graphs of each graph: the first that fails will do.
program() { # path below tests
    local red='^not ok|^FAIL' pid
    build "build/tests/$1"
    CK_TAP_LOG_FILE_NAME=/dev/stdout OUT=$copy timeout 600 "build/tests/$1" >"$copy/log" 2>&1 &
    pid=$!
    while kill -0 $pid 2>/dev/null && ! grep -qE "$red" "$copy/log"; do
        sleep 0.1
    done
    ! grep -qE "$red" "$copy/log" || kill $pid 2>/dev/null
    wait $pid
    case $? in
    0) ;;
    124) echo "$1, which does not end" ;;
    *) echo "$1" ;;
    esac
}

first_red() { # killer=argument...
    local killer by
    for killer; do
        by=$("${killer%=*}" "${killer#*=}") || exit 2
        [ -z "$by" ] || { echo "$by" && return; }
    done
}

kill_pass() { # pass
    first_red "golden=$1" program=unit/test_passes program=diff/random_graphs
}
kill_rule() { # pass
    kill_pass "$1"
}
# What a pass writes must be noticed by evaluation, not only in its text.
kill_rewrite() { # pass
    first_red program=diff/random_graphs program=unit/test_passes "golden=$1"
}
kernel_tests() { # op, or nothing: all
    grep -lwE -- "(OP_)?${1:-.*}" tests/kernels/test_*.c | sed 's/^tests./program=/;s/[.]c$//'
}
kill_kernel() { # op
    # shellcheck disable=SC2046
    first_red $(kernel_tests "$1") program=unit/test_passes program=diff/random_graphs
}

# --- the copies

make_copy() {
    mkdir -p "$copy/tree"
    cp -a Makefile graph kernels passes runtime frontends tools tests examples "$copy/tree"
    cp -a "$BUILD" "$copy/tree/build"
    cp -a passes kernels "$copy"
    cd "$copy/tree" && BUILD=build build everything
}

# The objects of a changed file come back from the copy aside, and what was linked with them goes.
restore() { # file
    cp -a "$copy/$1" "$1"
    cp -a "$copy/intact.o" "build/${1%.c}.o"
    rm -f build/graphc build/graphrun build/tests/unit/test_passes build/tests/diff/random_graphs
    find build/tests/kernels -name 'test_*' ! -name '*.[do]' -delete
}

mutate() { # kind, name, file, what is broken, whose tests must notice
    local by
    cp -a "build/${3%.c}.o" "$copy/intact.o"
    "break_$1" "$3" "$4"
    if cmp -s "$3" "$copy/$3"; then
        echo "error: $1 $2: nothing to break in $3" >&2
        exit 2
    fi
    by=$("kill_$1" "$5") || exit 2
    restore "$3"
    [ -n "$by" ] && echo "killed   $1 $2: $by" || echo "SURVIVED $1 $2"
}

# A test that is red already kills nothing: each copy tries its share of them first.
try_intact() { # killer=argument...
    local by
    by=$(first_red "$@") || exit 2
    [ -z "$by" ] && return
    echo "error: red before anything is broken: $by" >&2
    exit 2
}

run_copy() { # number
    local killers=() mutant index=0
    copy=$work/$1
    make_copy
    export BUILD=build
    # shellcheck disable=SC2207
    killers=(golden= program=unit/test_passes program=diff/random_graphs $(kernel_tests))
    for index in "${!killers[@]}"; do
        [ $((index % JOBS)) != "$1" ] || try_intact "${killers[index]}"
    done
    : >"$work/intact.$1"
    while [ "$(find "$work" -maxdepth 1 -name 'intact.*' | wc -l)" -lt "$JOBS" ]; do
        sleep 0.2
        [ ! -e "$work/failed" ] || exit 2
    done
    index=0
    while read -r -a mutant; do
        [ $((index++ % JOBS)) != "$1" ] || mutate "${mutant[@]}"
    done <"$work/wanted"
}

list_mutants >"$work/all"
while read -r kind name rest; do
    ! wanted "$kind $name" || echo "$kind $name $rest"
done <"$work/all" >"$work/wanted"
for ((i = 0; i < JOBS; i++)); do
    { (run_copy "$i") || { : >"$work/failed" && exit 2; }; } > >(tee -a "$work/told") &
    copies+=($!)
done
for pid in "${copies[@]}"; do
    wait "$pid" || exit 2
done
sleep 0.2 # tee
all=$(wc -l <"$work/all") expected=$(count_rows) || exit 2
killed=$(grep -c '^killed ' "$work/told") survived=$(grep -c '^SURVIVED ' "$work/told")
echo "$all mutants, $expected expected from the tables: $killed killed, $survived survived"
[ "$all" = "$expected" ] && [ $((killed + survived)) = "$(wc -l <"$work/wanted")" ] &&
    [ "$survived" = 0 ]
