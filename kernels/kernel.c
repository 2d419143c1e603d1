// The catalogue's table and its look-ups. A family of kernels (matmul, rows, attention …) declares
// its functions in a header of its own; kernels.def names them, and this file is the only one that
// includes all of those headers.
#include "kernels/kernel.h"

#include <stddef.h>
#include <string.h>

#include "kernels/attention.h"
#include "kernels/elementwise.h"
#include "kernels/embed.h"
#include "kernels/matmul.h"
#include "kernels/movement.h"
#include "kernels/rope.h"
#include "kernels/route.h"
#include "kernels/rows.h"

const char *const target_names[TARGET_COUNT] = {"ref", "avx2", "avx512", "avx512bf16"};

#define D(name) DTYPE_SET(name)
#define P(name) DTYPE_SET(name)
#define L(name) LAYOUT_SET(name)
#define E(name) (1u << EPILOGUE_##name)

const KernelRow kernel_table[] = {
#define KERNEL(...) KERNEL_PARTS(NULL, __VA_ARGS__)
#define KERNEL_PARTS(parts, op, variant, target, order, split, inputs, stored, layouts, posts,     \
                     epilogues, tolerance, abi, run, tiles, scratch)                               \
    {#op "." #variant "." #target,                                                                 \
     OP_##op,                                                                                      \
     TARGET_##target,                                                                              \
     ORDER_##order,                                                                                \
     SPLIT_##split,                                                                                \
     inputs,                                                                                       \
     stored,                                                                                       \
     layouts,                                                                                      \
     posts,                                                                                        \
     epilogues,                                                                                    \
     tolerance,                                                                                    \
     abi,                                                                                          \
     run,                                                                                          \
     tiles,                                                                                        \
     scratch,                                                                                      \
     parts},
#include "kernels/kernels.def"
#undef KERNEL
#undef KERNEL_PARTS
};

const int32_t kernel_count = (int32_t)(sizeof kernel_table / sizeof *kernel_table);

Target target_from_name(const char *name)
{
    if (strcmp(name, "native") == 0)
        return target_native();
    int target = 0;
    while (target < TARGET_COUNT && strcmp(target_names[target], name) != 0)
        target++;
    return (Target)target;
}

const KernelRow *kernel_from_name(const char *name)
{
    // What select chose has the table's own name: schedule asks many times for each node.
    for (int32_t i = 0; i < kernel_count; i++)
        if (kernel_table[i].name == name)
            return &kernel_table[i];
    for (int32_t i = 0; i < kernel_count; i++)
        if (strcmp(kernel_table[i].name, name) == 0)
            return &kernel_table[i];
    return NULL;
}

// Whether a row's set holds all that is asked for; a row without the field (0) does not care.
static bool set_accepts(uint32_t set, uint32_t asked)
{
    return set == 0 || (asked & ~set) == 0;
}

static bool row_accepts(const KernelRow *row, const KernelQuery *query)
{
    return row->op == query->op && row->target <= query->target &&
           set_accepts(row->inputs, query->inputs) && set_accepts(row->stored, query->stored) &&
           set_accepts(row->layouts, query->layouts) &&
           set_accepts(row->posts, 1u << query->post) &&
           set_accepts(row->epilogues, 1u << query->epilogue);
}

const KernelRow *kernel_find(const KernelQuery *query)
{
    const KernelRow *best = NULL;
    for (int32_t i = 0; i < kernel_count; i++) {
        const KernelRow *row = &kernel_table[i];
        if (row_accepts(row, query) && (!best || row->target > best->target))
            best = row;
    }
    return best;
}
