// The bodies for blocks of 32 and of 256, by type and target; the tables of matmul_avx2.c and
// matmul_avx512.c name them.
#ifndef KERNELS_MATMUL_BLOCKS_H
#define KERNELS_MATMUL_BLOCKS_H

#include "kernels/matmul.h"

#define MATMUL_BLOCKS(target)                                                                      \
    MatmulTileBody block_q8_0_##target, block_q4_0_##target;                                       \
    MatmulTileBody packed_q4_k_##target, packed_q5_k_##target, packed_q6_k_##target;               \
    MatmulTileBody wide_q4_k_##target, wide_q5_k_##target, wide_q6_k_##target;                     \
    MatmulExpand widen_q4_k_##target, widen_q5_k_##target, widen_q6_k_##target;                    \
    MatmulExpand floats_q4_k_##target, floats_q5_k_##target, floats_q6_k_##target;

MATMUL_BLOCKS(avx2)
MATMUL_BLOCKS(avx512)
#undef MATMUL_BLOCKS

#endif
