// AVX2 bodies of matmul for blocks of 256. Dots of quads gather in i16, as many as fit: 8 of 4 bits
// (8 * 2 * 15 * 127 = 30480), 4 of 5 (31496), 2 of 6 (32004). One vpmaddwd with the subscale in
// both halves then multiplies and adds their pairs.
#if defined(__x86_64__)

#include <assert.h>

#include "kernels/matmul_block_avx2.h"
#include "kernels/matmul_tile.h"
#include "kernels/quantise.h"

#define COLUMNS_MOST 4
#define SPAN_QUADS(dtype) ((dtype) == DTYPE_q4_k ? 8 : (dtype) == DTYPE_q5_k ? 4 : 2)
// One token reads memory 1.1 to 1.2 times as fast as without, four 1.2 times (Zen 3).
#define PREFETCH_BYTES 1536
#define TARGET(name) name##_avx2

typedef struct Line {
    __m256i low, high;
} Line;

ALWAYS_INLINE Line line_set(int32_t word)
{
    return (Line){_mm256_set1_epi32(word), _mm256_set1_epi32(word)};
}

ALWAYS_INLINE Line line_load(const uint8_t *line)
{
    return (Line){load_line(line), load_line(line + 32)};
}

ALWAYS_INLINE void line_store(uint8_t *line, Line a)
{
    _mm256_storeu_si256((__m256i *)(void *)line, a.low);
    _mm256_storeu_si256((__m256i *)(void *)(line + 32), a.high);
}

ALWAYS_INLINE Line line_and(Line a, Line b)
{
    return (Line){_mm256_and_si256(a.low, b.low), _mm256_and_si256(a.high, b.high)};
}

ALWAYS_INLINE Line line_or(Line a, Line b)
{
    return (Line){_mm256_or_si256(a.low, b.low), _mm256_or_si256(a.high, b.high)};
}

ALWAYS_INLINE Line line_left(Line a, const int bits)
{
    return (Line){_mm256_slli_epi32(a.low, bits), _mm256_slli_epi32(a.high, bits)};
}

ALWAYS_INLINE Line line_right(Line a, const int bits)
{
    return (Line){_mm256_srli_epi32(a.low, bits), _mm256_srli_epi32(a.high, bits)};
}

ALWAYS_INLINE Line line_dot(Line sum, Line quads, int32_t quad)
{
    __m256i token = _mm256_set1_epi32(quad);
    return (Line){opaque(_mm256_add_epi16(sum.low, _mm256_maddubs_epi16(quads.low, token))),
                  opaque(_mm256_add_epi16(sum.high, _mm256_maddubs_epi16(quads.high, token)))};
}

ALWAYS_INLINE Line line_scale(Line sum, Line dots, Line subscales)
{
    return (Line){_mm256_add_epi32(sum.low, _mm256_madd_epi16(dots.low, subscales.low)),
                  _mm256_add_epi32(sum.high, _mm256_madd_epi16(dots.high, subscales.high))};
}

ALWAYS_INLINE Line line_pairs(Line sum, Line pairs, int32_t pair)
{
    return line_scale(sum, pairs, line_set(pair));
}

ALWAYS_INLINE Line line_byte_pair(Line words, const int i, const int j)
{
    // Each byte twice; the shift keeps the upper.
    const __m256i word_at = _mm256_setr_epi32(0, 0x04040404, 0x08080808, 0x0c0c0c0c, 0, 0x04040404,
                                              0x08080808, 0x0c0c0c0c);
    __m256i from = _mm256_or_si256(word_at, _mm256_set1_epi32(i * 0x0101 | j * 0x01010000));
    return (Line){_mm256_srai_epi16(_mm256_shuffle_epi8(words.low, from), 8),
                  _mm256_srai_epi16(_mm256_shuffle_epi8(words.high, from), 8)};
}

ALWAYS_INLINE Line line_subscales(Line words, const int i)
{
    return line_byte_pair(words, i, i);
}

ALWAYS_INLINE Line line_less_32(Line a, Line b)
{
    return (Line){_mm256_sub_epi32(a.low, _mm256_slli_epi32(b.low, 5)),
                  _mm256_sub_epi32(a.high, _mm256_slli_epi32(b.high, 5))};
}

ALWAYS_INLINE Lanes line_floats(Line a)
{
    return LANES_BOTH(_mm256_cvtepi32_ps(a.low), _mm256_cvtepi32_ps(a.high));
}

ALWAYS_INLINE Lanes line_low16(Line a)
{
    Line left = line_left(a, 16);
    return LANES_BOTH(_mm256_cvtepi32_ps(_mm256_srai_epi32(left.low, 16)),
                      _mm256_cvtepi32_ps(_mm256_srai_epi32(left.high, 16)));
}

#include "kernels/matmul_block256_simd.h"

#endif
