// AVX-512 bodies of matmul for blocks of 256: vpdpbusd over a group, vpmulld by its subscale.
#if defined(__x86_64__)

#include <assert.h>

#include "kernels/math_avx512.h"
#include "kernels/matmul_blocks.h"
#include "kernels/matmul_tile.h"
#include "kernels/quantise.h"

#define COLUMNS_MOST 8
#define SPAN_QUADS(dtype) ((dtype) == DTYPE_q6_k ? 4 : 8)
#define PREFETCH_BYTES 0
#define TARGET(name) name##_avx512

typedef __m512i Line;

ALWAYS_INLINE Line line_set(int32_t word)
{
    return _mm512_set1_epi32(word);
}

ALWAYS_INLINE Line line_load(const uint8_t *line)
{
    return _mm512_loadu_si512(line);
}

ALWAYS_INLINE void line_store(uint8_t *line, Line a)
{
    _mm512_storeu_si512(line, a);
}

ALWAYS_INLINE Line line_and(Line a, Line b)
{
    return _mm512_and_si512(a, b);
}

ALWAYS_INLINE Line line_or(Line a, Line b)
{
    return _mm512_or_si512(a, b);
}

ALWAYS_INLINE Line line_left(Line a, const int bits)
{
    return _mm512_slli_epi32(a, (unsigned)bits);
}

ALWAYS_INLINE Line line_right(Line a, const int bits)
{
    return _mm512_srli_epi32(a, (unsigned)bits);
}

ALWAYS_INLINE Line line_dot(Line sum, Line quads, int32_t quad)
{
    return _mm512_dpbusd_epi32(sum, quads, _mm512_set1_epi32(quad));
}

ALWAYS_INLINE Line line_scale(Line sum, Line dots, Line subscales)
{
    return _mm512_add_epi32(sum, _mm512_mullo_epi32(dots, subscales));
}

ALWAYS_INLINE Line line_pairs(Line sum, Line pairs, int32_t pair)
{
    return _mm512_dpwssd_epi32(sum, pairs, _mm512_set1_epi32(pair));
}

ALWAYS_INLINE Line line_byte_pair(Line words, const int i, const int j)
{
    Line low = _mm512_srai_epi32(_mm512_slli_epi32(words, (unsigned)(24 - 8 * i)), 24);
    Line high = _mm512_srai_epi32(_mm512_slli_epi32(words, (unsigned)(24 - 8 * j)), 24);
    return _mm512_mask_blend_epi16(0xaaaaaaaa, low, _mm512_slli_epi32(high, 16));
}

ALWAYS_INLINE Line line_subscales(Line words, const int i)
{
    return _mm512_srai_epi32(_mm512_slli_epi32(words, (unsigned)(24 - 8 * i)), 24);
}

ALWAYS_INLINE Line line_less_32(Line a, Line b)
{
    return _mm512_sub_epi32(a, _mm512_slli_epi32(b, 5));
}

ALWAYS_INLINE Lanes line_floats(Line a)
{
    return _mm512_cvtepi32_ps(a);
}

ALWAYS_INLINE Lanes line_low16(Line a)
{
    return _mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_slli_epi32(a, 16), 16));
}

#include "kernels/matmul_block256_simd.h"

#endif
