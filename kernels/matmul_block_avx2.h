// What the AVX2 bodies of both kinds of blocks share. A line's 16 rows are two registers.
#ifndef KERNELS_MATMUL_BLOCK_AVX2_H
#define KERNELS_MATMUL_BLOCK_AVX2_H

#include "kernels/math_avx2.h"
#include "kernels/matmul_blocks.h"

static inline __m256i load_line(const uint8_t *line)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)line);
}

// Keeps sums in a chain: GCC would add up trees of products, which do not fit the registers, if it
// saw through a sum.
static inline __attribute__((always_inline)) __m256i opaque(__m256i sum)
{
    __asm__("" : "+x"(sum));
    return sum;
}

#endif
