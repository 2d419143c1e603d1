// The bodies for blocks of 32 and of 256, by type and target; the tables of matmul_avx2.c and
// matmul_avx512.c name them.
#ifndef KERNELS_MATMUL_BLOCKS_H
#define KERNELS_MATMUL_BLOCKS_H

#include "kernels/matmul.h"

// BLOCK32(type, lines a block, factors, bias): what packed blocks of 32 hold (README.md), as
// constants for templates. 4 lines are nibbles, 5 have fifth bits too, 8 are bytes; value = factor
// * (quant - bias), plus the second factor. The codes of iq4_nl stand for quants with the bias.
#define BLOCK32_FIFTHS(BLOCK32) BLOCK32(q5_0, 5, 1, 16) BLOCK32(q5_1, 5, 2, 0)
#define BLOCK32_FORMS(BLOCK32)                                                                     \
    BLOCK32(q8_0, 8, 1, 128)                                                                       \
    BLOCK32(q4_0, 4, 1, 8)                                                                         \
    BLOCK32(q4_1, 4, 2, 0)                                                                         \
    BLOCK32_FIFTHS(BLOCK32)                                                                        \
    BLOCK32(iq4_nl, 4, 1, 128)

typedef struct Block32 {
    DType dtype;
    int lines, factors, bias;
} Block32;

#define BLOCK32_BODIES(type, lines, factors, bias)                                                 \
    MatmulTileBody block_##type##_avx2, block_##type##_avx512;
#define BLOCK32_EXPANDED(type, lines, factors, bias)                                               \
    MatmulTileBody expanded_##type##_avx2;                                                         \
    MatmulExpand expand_block_##type##_avx2;
BLOCK32_FORMS(BLOCK32_BODIES)
BLOCK32_FIFTHS(BLOCK32_EXPANDED)
#undef BLOCK32_BODIES
#undef BLOCK32_EXPANDED

#define MATMUL_BLOCKS(target)                                                                      \
    MatmulTileBody packed_q4_k_##target, packed_q5_k_##target, packed_q6_k_##target;               \
    MatmulTileBody wide_q4_k_##target, wide_q5_k_##target, wide_q6_k_##target;                     \
    MatmulExpand widen_q4_k_##target, widen_q5_k_##target, widen_q6_k_##target;                    \
    MatmulExpand floats_q4_k_##target, floats_q5_k_##target, floats_q6_k_##target;

MATMUL_BLOCKS(avx2)
MATMUL_BLOCKS(avx512)
#undef MATMUL_BLOCKS

// The bias, not 0, is a power of two.
static inline unsigned block32_bias_shift(Block32 form)
{
    return form.bias == 128 ? 7 : form.bias == 16 ? 4 : 3;
}

// The first of the factors of block b's 16 rows, and its lines.
static inline const uint8_t *block32_factors(Block32 form, const void *panel, int64_t b)
{
    return (const uint8_t *)panel + b / 2 * (form.factors + 2 * form.lines) * 64 + (b & 1) * 32;
}

static inline const uint8_t *block32_lines(Block32 form, const void *panel, int64_t b)
{
    const uint8_t *pair = (const uint8_t *)panel + b / 2 * (form.factors + 2 * form.lines) * 64;
    return pair + (form.factors + (b & 1) * form.lines) * 64;
}

#endif
