// What the tests of row-wise kernels share: every row of the catalogue against the reference of its
// op.
#ifndef TESTS_KERNELS_COMPARE_H
#define TESTS_KERNELS_COMPARE_H

#include "tests/kernels/store.h"

// Plain, with random contents.
KernelOperand f32_new(int64_t rows, int64_t columns, uint64_t seed);
float *f32_of(const KernelOperand *operand, int64_t row);
// Runs the reference into the case's results and compares every other row that this CPU runs with
// them; in place, result 0 of those is operand 0's copy.
void compare_rows(Case *test, Op op, bool in_place, Random *random);

typedef struct Result {
    DType dtype;
    Layout layout;
} Result;

static const Result results[] = {
    {DTYPE_f32, LAYOUT_plain}, {DTYPE_q8, LAYOUT_t1},  {DTYPE_q8, LAYOUT_t8},
    {DTYPE_q8k, LAYOUT_t1},    {DTYPE_q8k, LAYOUT_t8}, {DTYPE_bf16x2, LAYOUT_t1},
    {DTYPE_bf16x2, LAYOUT_t8},
};
enum { RESULTS = sizeof results / sizeof *results };

static const int64_t row_counts[] = {1, 2, 7, 8, 9, 17};
enum { ROW_COUNTS = sizeof row_counts / sizeof *row_counts };

// Columns to try for a type: all tails for f32, one to several blocks else.
static inline int64_t columns_for(DType dtype, int64_t i)
{
    int64_t most_blocks = dtype == DTYPE_q8k ? 3 : dtype == DTYPE_q8 ? 12 : 300;
    return dtype == DTYPE_f32 ? 1 + i * 7 % 130
                              : (1 + i % most_blocks) * dtype_table[dtype].block_elements;
}

#endif
