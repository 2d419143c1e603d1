// A block of a quantised file type as integers: what its floats are made of, and what matmul's
// reference multiplies.
#ifndef KERNELS_ROW_READ_H
#define KERNELS_ROW_READ_H

#include "graph/base/types.h"
#include "kernels/math.h"

// value[k] = (scale * subscales[k / 16]) * quants[k] - least * minima[k / 16], the last product
// only where the type has minima; else those are not set.
typedef struct RowBlock {
    float scale, least;
    int8_t quants[256];
    int8_t subscales[16], minima[16];
    bool has_minima;
} RowBlock;

// Codes to values: of IQ4_NL and IQ4_XS, and of MXFP4 (twice E2M1, OCP MX 1.0).
extern const int8_t iq4_values[16], mxfp4_values[16];

// The dtype is of kind QUANT and row_can_read.
void row_read_block(DType dtype, const void *block, RowBlock *out);

#endif
