// Loads that the AVX2 bodies of both kinds of blocks share. A line's 16 rows are two registers.
#ifndef KERNELS_MATMUL_BLOCK_AVX2_H
#define KERNELS_MATMUL_BLOCK_AVX2_H

#include "kernels/math_avx2.h"
#include "kernels/matmul_blocks.h"

static inline __m256i load_line(const uint8_t *line)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)line);
}

static inline __m256i load_int8(const uint8_t *bytes)
{
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)bytes));
}

static inline __m256 load_scales(const uint8_t *halves)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)halves));
}

static inline __m256 set_word_f32(int32_t word)
{
    return _mm256_castsi256_ps(_mm256_set1_epi32(word));
}

#endif
