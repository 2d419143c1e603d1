// Every matmul row of the catalogue with every type of weight it takes: one token (weights larger
// than the caches stream through), a small batch over the same, a prefill chunk.
#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/bench.h"
#include "tests/kernels/harness.h"

enum { K = 2048, PATTERN_ROWS = 256, WEIGHT_BYTES = 96 << 20 };

// A packed weight of random rows that repeat.
static KernelOperand new_weight(DType dtype, Layout layout)
{
    KernelOperand plain = operand_new(dtype, LAYOUT_plain, PATTERN_ROWS, K);
    operand_fill(&plain, 7, FILL_random);
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

static void run_tokens(const KernelRow *row, DType stored, int64_t tokens)
{
    char name[128];
    snprintf(name, sizeof name, "%s/%s/T%d", row->name, dtype_table[stored].name, (int)tokens);
    if (!bench_wanted(row, name))
        return;
    DType input = DTYPE_f32;
    while (!(row->inputs >> input & 1))
        input++;
    KernelOperand weight =
        new_weight(stored, row->layouts & LAYOUT_SET(plain) ? LAYOUT_plain : packed_layout(stored));
    Layout layout = input == DTYPE_f32 ? LAYOUT_plain : tokens == 1 ? LAYOUT_t1 : LAYOUT_t8;
    KernelOperand operands[] = {operand_new(input, layout, tokens, K), weight};
    bool chunk = tokens > 8; // the results of one for all rows would be too large
    if (chunk)
        operands[1].rows = K;
    operand_fill(&operands[0], 3, FILL_random);
    KernelOperand result = operand_new(DTYPE_f32, LAYOUT_plain, tokens, operands[1].rows);
    Attributes attributes = op_default_attributes(OP_matmul);
    KernelCall call = {&result, operands, 1, 2, &attributes, {0}};
    bench_run(name, row, &call, chunk ? NULL : weight.data,
              layout_bytes(stored, weight.layout, weight.rows, K));
    operand_free(&operands[0]);
    operand_free(&result);
}

void bench_matmuls(void)
{
    static const int64_t tokens[] = {1, 8, 512};
    for (int32_t i = 0; i < kernel_count; i++)
        for (DType stored = 0; stored < DTYPE_COUNT; stored++)
            for (size_t j = 0; j < sizeof tokens / sizeof *tokens; j++)
                if (kernel_table[i].op == OP_matmul && kernel_table[i].stored >> stored & 1)
                    run_tokens(&kernel_table[i], stored, tokens[j]);
}
