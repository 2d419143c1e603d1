// Every row of the catalogue that multiplies by weights, with every type it takes: one token
// (weights larger than the caches stream through), a small batch over the same, a prefill chunk.
#include <stdio.h>

#include "kernels/row_write.h"
#include "tests/bench/bench.h"
#include "tests/kernels/harness.h"

enum { EXPERTS = 8, SLOTS = 2 };
enum { K = 2048, PATTERN_ROWS = 256, WEIGHT_BYTES = 96 << 20 };

static KernelOperand random_weight(DType dtype)
{
    KernelOperand floats = operand_new(DTYPE_f32, LAYOUT_plain, PATTERN_ROWS, K);
    KernelOperand weight = operand_new(dtype, LAYOUT_plain, PATTERN_ROWS, K);
    operand_fill(&floats, 7, FILL_random);
    for (int64_t row = 0; row < PATTERN_ROWS; row++)
        row_from_f32(dtype, (const float *)floats.data + row * K, K,
                     (uint8_t *)weight.data + row * dtype_row_bytes(dtype, K));
    operand_free(&floats);
    return weight;
}

// A packed weight of random rows that repeat.
static KernelOperand new_weight(DType dtype, Layout layout)
{
    KernelOperand plain = random_weight(dtype);
    KernelOperand pattern =
        layout == LAYOUT_plain ? operand_copy(&plain) : operand_pack(&plain, layout);
    int64_t bytes = layout_bytes(dtype, layout, PATTERN_ROWS, K);
    KernelOperand weight = pattern;
    weight.rows = WEIGHT_BYTES / bytes * PATTERN_ROWS;
    weight.data = bench_fill(weight.rows / PATTERN_ROWS * bytes, pattern.data, bytes);
    operand_free(&plain);
    operand_free(&pattern);
    return weight;
}

// Which experts each token goes to.
static KernelOperand new_ids(int64_t tokens)
{
    KernelOperand ids = operand_new(DTYPE_i32, LAYOUT_plain, tokens, SLOTS);
    for (int64_t i = 0; i < tokens * SLOTS; i++)
        ((int32_t *)ids.data)[i] = (int32_t)(i * 3 % EXPERTS);
    return ids;
}

static void run_weight(const KernelRow *row, const char *name, KernelOperand weight, DType input,
                       int64_t tokens)
{
    bool chunk = tokens > 8, experts = row->op == OP_matmul_experts;
    Layout layout = input == DTYPE_f32 ? LAYOUT_plain : tokens == 1 ? LAYOUT_t1 : LAYOUT_t8;
    KernelOperand operands[] = {operand_new(input, layout, tokens, K), weight, new_ids(tokens)};
    if (chunk) // the results of one for all rows would be too large
        operands[1].rows = K;
    operand_fill(&operands[0], 3, FILL_random);
    int64_t outputs = experts ? operands[1].rows / EXPERTS * SLOTS : operands[1].rows;
    KernelOperand result = operand_new(DTYPE_f32, LAYOUT_plain, tokens, outputs);
    Attributes attributes = op_default_attributes(row->op);
    if (experts)
        attributes.matmul_experts.experts = EXPERTS;
    KernelCall call = {&result, operands, 1, experts ? 3 : 2, &attributes, {0}, NULL};
    bench_run(name, row, &call, chunk ? NULL : weight.data,
              layout_bytes(weight.dtype, weight.layout, weight.rows, K));
    operand_free(&operands[0]);
    operand_free(&operands[2]);
    operand_free(&result);
}

static void run_tokens(const KernelRow *row, DType stored, int64_t tokens)
{
    char name[128];
    snprintf(name, sizeof name, "%s/%s/T%d", row->name, dtype_table[stored].name, (int)tokens);
    if (!bench_wanted(row, name))
        return;
    if (!row_can_write(stored)) {
        bench_print(name, "skip: nothing here writes %s", dtype_table[stored].name);
        return;
    }
    DType input = DTYPE_f32;
    while (!(row->inputs >> input & 1))
        input++;
    bool plain = row->layouts & LAYOUT_SET(plain);
    run_weight(row, name, new_weight(stored, plain ? LAYOUT_plain : packed_layout(stored)), input,
               tokens);
}

void bench_matmuls(void)
{
    static const int64_t tokens[] = {1, 4, 8, 512};
    for (int32_t i = 0; i < kernel_count; i++)
        for (DType stored = 0; stored < DTYPE_COUNT; stored++)
            for (size_t j = 0; j < sizeof tokens / sizeof *tokens; j++)
                if (op_table[kernel_table[i].op].traits & OP_DOTS &&
                    kernel_table[i].stored >> stored & 1)
                    run_tokens(&kernel_table[i], stored, tokens[j]);
}
