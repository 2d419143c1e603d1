// Ops on rows, each with what it writes: f32 or activations. They work in caches, so there is no
// limit of memory.
#include <stdio.h>
#include <string.h>

#include "tests/bench/bench.h"
#include "tests/kernels/harness.h"

enum { COLUMNS = 2048 };

// Operands by op: x is f32[T,n], v a vector of n.
static const char *const op_operands[OP_COUNT] = {
    [OP_add] = "xx",     [OP_exp] = "x",       [OP_silu] = "x",         [OP_tanh] = "x",
    [OP_gelu] = "x",     [OP_gelu_tanh] = "x", [OP_softmax] = "x",      [OP_swiglu] = "xx",
    [OP_geglu] = "xx",   [OP_rms_norm] = "xv", [OP_layer_norm] = "xvv", [OP_add_rms_norm] = "xxv",
    [OP_quantise] = "x",
};

static Attributes attributes_of(Op op, DType post)
{
    Attributes attributes = op_default_attributes(op);
    const AttributeInfo *info = op_table[op].attributes;
    for (int i = 0; info[i].name; i++) {
        if (info[i].kind == ATTRIBUTE_dtype)
            attributes.words[i] = (uint32_t)post;
        if (strcmp(info[i].name, "eps") == 0)
            attributes.rms_norm.eps = 1e-5f;
    }
    return attributes;
}

static void run_tokens(const KernelRow *row, DType post, int64_t tokens)
{
    char name[128];
    snprintf(name, sizeof name, "%s/%s/T%d", row->name, dtype_table[post].name, (int)tokens);
    if (!bench_wanted(row, name))
        return;
    KernelOperand operands[3], results[2];
    int32_t count = (int32_t)strlen(op_operands[row->op]), written = op_table[row->op].results;
    for (int32_t i = 0; i < count; i++) {
        bool vector = op_operands[row->op][i] == 'v';
        operands[i] = operand_new(DTYPE_f32, LAYOUT_plain, vector ? 1 : tokens, COLUMNS);
        operand_fill(&operands[i], (uint64_t)i, FILL_random);
    }
    Layout layout = post == DTYPE_f32 ? LAYOUT_plain : tokens == 1 ? LAYOUT_t1 : LAYOUT_t8;
    for (int32_t i = 0; i < written; i++)
        results[i] = i == written - 1 ? operand_new(post, layout, tokens, COLUMNS)
                                      : operand_new(DTYPE_f32, LAYOUT_plain, tokens, COLUMNS);
    Attributes attributes = attributes_of(row->op, post);
    KernelCall call = {results, operands, written, count, &attributes, {0}, NULL};
    bench_run(name, row, &call, NULL, 0);
    for (int32_t i = 0; i < count; i++)
        operand_free(&operands[i]);
    for (int32_t i = 0; i < written; i++)
        operand_free(&results[i]);
}

void bench_rows(void)
{
    for (int32_t i = 0; i < kernel_count; i++) {
        const KernelRow *row = &kernel_table[i];
        uint32_t posts = row->posts ? row->posts : DTYPE_SET(f32);
        for (DType post = 0; op_operands[row->op] && post < DTYPE_COUNT; post++)
            if (posts >> post & 1) {
                run_tokens(row, post, 1);
                run_tokens(row, post, 512);
            }
    }
}
