// Ops that treat one row of their operands at a time: norms, activations, quantisation. rows.c has
// the loops over rows and spans of columns, once; a RowsBody has what a target does to a span:
// rows_ref.c in scalars, rows_simd.h in 16 lanes. The other element-wise ops are in elementwise.c.
#ifndef KERNELS_ROWS_H
#define KERNELS_ROWS_H

#include "kernels/kernel.h"
#include "kernels/quantise.h"

typedef void ComputeUnary(const float *x, float *out, int64_t columns);
typedef void ComputeGated(const float *gate, const float *up, float *out, int64_t columns);

// All may work in place: `out` is the first operand's memory or disjoint from every operand.
typedef struct RowsBody {
    // Sums in 16 lanes of x, of x * x, of (x - about)².
    float (*sum)(const float *x, int64_t columns);
    float (*sum_squares)(const float *x, int64_t columns);
    float (*sum_squares_about)(const float *x, float about, int64_t columns);
    // out = (x * factor) * weight.
    void (*scale)(const float *x, float factor, const float *weight, float *out, int64_t columns);
    // out = ((x - mean) * factor) * weight + bias, in one fma; bias NULL: without.
    void (*centre)(const float *x, float mean, float factor, const float *weight, const float *bias,
                   float *out, int64_t columns);
    // out = x + y; y_step 0 takes y[0] for every column.
    void (*add)(const float *x, const float *y, int64_t y_step, float *out, int64_t columns);
    ComputeUnary *silu, *exp, *tanh, *gelu, *gelu_tanh;
    ComputeGated *swiglu, *geglu;
    QuantiseSpan *quantise[DTYPE_COUNT]; // by the type of activations
} RowsBody;

extern const RowsBody rows_body_ref, rows_body_avx2, rows_body_avx512;

// Rounds columns begin … begin+columns-1 (whole blocks) of row `row` of an activation result.
void activation_write(const RowsBody *body, const KernelOperand *result, int64_t row, int64_t begin,
                      const float *x, int64_t columns);
// Row `row` of a plain f32 matrix.
static inline float *operand_row(const KernelOperand *operand, int64_t row)
{
    return (float *)operand->data + row * operand->columns;
}

// One tile a row of result 0 (SPLIT_TOKENS).
KernelTiles tiles_result_rows;

KernelRun rms_norm_ref, rms_norm_avx2, rms_norm_avx512;
KernelRun layer_norm_ref, layer_norm_avx2, layer_norm_avx512;
KernelRun add_rms_norm_ref, add_rms_norm_avx2, add_rms_norm_avx512;
KernelRun swiglu_ref, swiglu_avx2, swiglu_avx512;
KernelRun geglu_ref, geglu_avx2, geglu_avx512;
KernelRun quantise_ref, quantise_avx2, quantise_avx512;
KernelRun add_ref, add_avx2, add_avx512;
KernelRun silu_ref, silu_avx2, silu_avx512;
KernelRun exp_ref, exp_avx2, exp_avx512;
KernelRun tanh_ref, tanh_avx2, tanh_avx512;
KernelRun gelu_ref, gelu_avx2, gelu_avx512;
KernelRun gelu_tanh_ref, gelu_tanh_avx2, gelu_tanh_avx512;

#endif
