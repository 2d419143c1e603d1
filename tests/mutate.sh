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
# `make everything`: the copy begins with its objects, so that a mutant costs one compile and a few
# links.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2
export LC_ALL=C.UTF-8
BUILD=$(realpath -m "${BUILD:-build}")
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
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
swiglu_matmul|children[0], recipe->children[1], SW|children[1], recipe->children[0], SW
quantise_post|root->results[0], value|root->results[0], value->producer.node->operands[0].value
'

# --- the copy

tree=$work/tree
mkdir "$tree"
cp -a Makefile graph kernels passes runtime frontends tools tests examples "$tree"
cp -a "$BUILD" "$tree/build"
cp -a "$tree/passes" "$tree/kernels" "$work"
export CK_DEFAULT_TIMEOUT=${CK_DEFAULT_TIMEOUT:-60} # a slow machine kills no mutant
export BUILD=build DATA="${DATA:-../shared/data}"
DATA=$(realpath -m "$DATA")
cd "$tree" || exit 2
unset MAKEFLAGS MAKELEVEL

build() { # targets
    make -j2 WERROR= "$@" >"$work/make" 2>&1 || {
        echo "error: the mutant does not build" >&2
        sed 's/^/    /' "$work/make" >&2
        exit 2
    }
}

# Names of a table's rows, as the compiler sees it.
rows() { # macro with its parameters, what a row is, table
    printf '#define %s %s\n#include "%s"\n' "$@" |
        ${CC:-gcc} -E -P -I. -x c - | tr ' ' '\n' | sed -n 's/^@//p'
}
passes=$(rows 'PASS(name, ...)' '@name' passes/passes.def)
rules=$(rows 'RULE(pass, name, ...)' '@pass/name' passes/rules.def)
kernels=$(rows 'KERNEL(op, variant, target, ...)' '@op/variant/target' kernels/kernels.def)

# --- mutants: each changes one file of the copy

# Puts a statement at the beginning of a function.
first_statement() { # file, function, statement
    sed -i "/^bool $2(PassContext \*context/{n;s/{/{ $3/}" "$1"
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
break_kernel() { # index in the catalogue
    cat >"$work/wrapper" <<'END'
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
            i #define MUTANT $1
            r $work/wrapper
            N
        }" kernels/kernel.c
}

# --- killers: each prints its name if it goes red

golden() { # pass
    build build/graphc
    ONLY=passes/${1:+$1/} tests/run.sh golden >"$work/log" 2>&1 || echo "golden $1"
}
program() { # path below tests
    build "build/tests/$1"
    OUT=$work timeout 120 "build/tests/$1" >"$work/log" 2>&1 || echo "$1"
}

first_red() { # killer=argument...
    local killer by
    for killer; do
        by=$("${killer%=*}" "${killer#*=}") || exit 2
        [ -z "$by" ] || { echo "$by" && return; }
    done
}

kill_pass() {
    first_red "golden=$1" program=unit/test_passes program=diff/random_graphs
}
# What a pass writes must be noticed by evaluation, not only in its text.
kill_rewrite() {
    first_red program=diff/random_graphs program=unit/test_passes "golden=$1"
}
kill_kernel() { # op
    local tests
    tests=$(grep -lwE -- "(OP_)?$1" tests/kernels/test_*.c | sed 's/^tests./program=/;s/[.]c$//')
    # shellcheck disable=SC2086
    first_red $tests program=unit/test_passes program=diff/random_graphs
}

# --- the run

killed=0 survived=0 all=0
wanted() {
    local word
    [ ${#words[@]} -gt 0 ] || return 0
    for word in "${words[@]}"; do
        [[ $1 == *"$word"* ]] && return 0
    done
    return 1
}

# The objects of a changed file come back from the copy aside, and what was linked with them goes.
restore() { # file
    cp -a "$work/$1" "$1"
    cp -a "$work/intact.o" "build/${1%.c}.o"
    rm -f build/graphc build/graphrun build/tests/unit/test_passes build/tests/diff/random_graphs
    find build/tests/kernels -name 'test_*' ! -name '*.[do]' -delete
}

mutate() { # name, file, kill_* with argument, break command...
    local name=$1 file=$2 killer=$3 subject=$4 by
    shift 4
    all=$((all + 1))
    wanted "$name" || return 0
    cp -a "build/${file%.c}.o" "$work/intact.o"
    "$@"
    if cmp -s "$file" "$work/$file"; then
        echo "error: $name: nothing to break in $file" >&2
        exit 2
    fi
    by=$("$killer" "$subject") || exit 2
    restore "$file"
    if [ -n "$by" ]; then
        killed=$((killed + 1))
        echo "killed   $name: $by"
    else
        survived=$((survived + 1))
        echo "SURVIVED $name"
    fi
}

# A test that is red already kills nothing.
build everything
# shellcheck disable=SC2046
by=$(first_red golden= program=unit/test_passes program=diff/random_graphs \
    $(sed -E 's/^tests.(.*)[.]c$/program=\1/' < <(ls tests/kernels/test_*.c))) || exit 2
if [ -n "$by" ]; then
    echo "error: red before anything is broken: $by" >&2
    exit 2
fi
for pass in $passes; do
    mutate "pass $pass" "passes/$pass.c" kill_pass "$pass" \
        first_statement "passes/$pass.c" "pass_$pass" 'if (context) return true;'
done
for rule in $rules; do
    file=passes/${rule%/*}.c name=${rule#*/}
    mutate "rule $name" "$file" kill_pass "${rule%/*}" \
        first_statement "$file" "rule_$name" 'if (context) return false;'
    mutate "rewrite $name" "$file" kill_rewrite "${rule%/*}" break_rewrite "$file" "$name"
done
index=0
for kernel in $kernels; do
    case $kernel in
    */ref) mutate "kernel ${kernel//\//.}" kernels/kernel.c kill_kernel "${kernel%%/*}" \
        break_kernel $index ;;
    esac
    index=$((index + 1))
done

# The tables themselves say how many there had to be.
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
${CC:-gcc} -I. "$work/rows.c" build/kernels/*.o build/graph/base/{types,ops}.o \
    -lm -o "$work/rows" || exit 2
expected=$("$work/rows")
echo "$all mutants, $expected expected from the tables: $killed killed, $survived survived"
[ "$all" = "$expected" ] && [ $survived = 0 ]
