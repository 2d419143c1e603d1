// What the AVX-512 bodies of both kinds of blocks share: loads, and steps over the columns of a
// tile in the templates of matmul_tile.h, which name their variables `sums`, `dots`, `scale`,
// `columns`.
#ifndef KERNELS_MATMUL_BLOCK_AVX512_H
#define KERNELS_MATMUL_BLOCK_AVX512_H

#include "kernels/math_avx512.h"
#include "kernels/matmul_blocks.h"

static inline __m512i load_int8(const uint8_t *bytes)
{
    return _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)bytes));
}

static inline __m512 load_scales(const uint8_t *halves)
{
    return lanes_load_f16((const uint16_t *)(const void *)halves);
}

static inline __m512 set_word_f32(int32_t word)
{
    return _mm512_castsi512_ps(_mm512_set1_epi32(word));
}

// sums += scale * (the tokens' scales) * dots
#define ADD_BLOCK(scales)                                                                          \
    UNROLL for (int c = 0; c < columns; c++) sums[c] = _mm512_fmadd_ps(                            \
        _mm512_mul_ps(scale, set_word_f32((scales)[c])), _mm512_cvtepi32_ps(dots[c]), sums[c])
#define ADD_LINE(into, line, quad)                                                                 \
    UNROLL for (int c = 0; c < columns; c++) into[c] =                                             \
        _mm512_dpbusd_epi32(into[c], line, _mm512_set1_epi32((quad)[c]))
#define STORE_SUMS()                                                                               \
    UNROLL for (int c = 0; c < columns; c++)                                                       \
        _mm512_storeu_ps(tile->out + (first + c) * tile->stride, sums[c])

#endif
