// Element-wise ops, reductions and softmax in scalars. They are what graphs are made of before
// fusion and in tests; those that may stay in fused graphs (add, silu, exp) have SIMD rows, see
// rows.h.
#ifndef KERNELS_ELEMENTWISE_H
#define KERNELS_ELEMENTWISE_H

#include "kernels/kernel.h"

KernelRun sub_ref, mul_ref, div_ref;
KernelRun neg_ref, sqrt_ref, reciprocal_ref;
KernelRun reduce_sum_ref, reduce_max_ref, softmax_ref;

// exp(x - max) / sum of them.
void softmax_row(const float *x, float *out, int64_t columns);

#endif
