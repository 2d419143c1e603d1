// What the AVX2 bodies of blocks of 32 share, packed and expanded: decoding and sums.
#ifndef KERNELS_MATMUL_BLOCK32_AVX2_H
#define KERNELS_MATMUL_BLOCK32_AVX2_H

#include "kernels/matmul_block_avx2.h"
#include "kernels/matmul_tile.h"
#include "kernels/row_read.h"

ALWAYS_INLINE __m256 load_scales(const uint8_t *halves)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)halves));
}

ALWAYS_INLINE __m256 set_word_f32(int32_t word)
{
    return _mm256_castsi256_ps(_mm256_set1_epi32(word));
}

// Quants of eight bits, which vpmaddubsw takes as |w| and the sign of w on the token.
ALWAYS_INLINE bool is_signed(Block32 form)
{
    return form.bias == 128;
}

// Quads q and q + 4 of eight rows: as stored, with their fifth bits, or signed values; q = 0 … 3.
ALWAYS_INLINE void decode_quads(Block32 form, const uint8_t *lines, int q, __m256i quads[2])
{
    const __m256i nibble = _mm256_set1_epi8(15), fifth = _mm256_set1_epi8(16);
    if (form.lines == 8) {
        UNROLL for (int i = 0; i < 2; i++) quads[i] =
            _mm256_xor_si256(load_line(lines + (q + 4 * i) * 64), _mm256_set1_epi8(-128));
        return;
    }
    __m256i both = load_line(lines + q * 64);
    quads[0] = _mm256_and_si256(both, nibble);
    quads[1] = _mm256_and_si256(_mm256_srli_epi16(both, 4), nibble);
    if (form.lines == 5) {
        __m256i bits = load_line(lines + 4 * 64);
        __m256i low = _mm256_slli_epi16(bits, 4 - q), high = _mm256_srli_epi16(bits, q);
        quads[0] = _mm256_or_si256(quads[0], _mm256_and_si256(low, fifth));
        quads[1] = _mm256_or_si256(quads[1], _mm256_and_si256(high, fifth));
    }
    if (form.dtype == DTYPE_iq4_nl) {
        __m256i codes =
            _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)iq4_values));
        UNROLL for (int i = 0; i < 2; i++) quads[i] = _mm256_shuffle_epi8(codes, quads[i]);
    }
}

// Eight rows of a block as decode_quads gives them, quads in order.
ALWAYS_INLINE void decode_block(Block32 form, const uint8_t *lines, __m256i quads[8])
{
    UNROLL for (int q = 0; q < 4; q++)
    {
        __m256i two[2];
        decode_quads(form, lines, q, two);
        quads[q] = two[0];
        quads[q + 4] = two[1];
    }
}

// Products of a quad of eight rows: int16 that bear some additions, of signed values int32.
ALWAYS_INLINE __m256i multiply_quad(Block32 form, __m256i weight, __m256i magnitude, __m256i quad)
{
    if (!is_signed(form))
        return _mm256_maddubs_epi16(weight, quad);
    __m256i pairs = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(quad, weight));
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

ALWAYS_INLINE __m256i add_products(Block32 form, __m256i sum, __m256i products)
{
    return opaque(is_signed(form) ? _mm256_add_epi32(sum, products)
                                  : _mm256_add_epi16(sum, products));
}

ALWAYS_INLINE __m256i add_bias(Block32 form, __m256i dot, int32_t minus_sum)
{
    if (form.bias == 0)
        return dot;
    return _mm256_add_epi32(
        dot, _mm256_slli_epi32(_mm256_set1_epi32(minus_sum), (int)block32_bias_shift(form)));
}

// sums += scale * (the tokens' scales) * dots
ALWAYS_INLINE void add_block(__m256 scale, const int32_t *scales, const int columns,
                             const __m256i *dots, __m256 *sums)
{
    UNROLL for (int c = 0; c < columns; c++) sums[c] = _mm256_fmadd_ps(
        _mm256_mul_ps(scale, set_word_f32(scales[c])), _mm256_cvtepi32_ps(dots[c]), sums[c]);
}

// The part of the second factor: sums += least * (the tokens' scales) * (sums of their quants)
ALWAYS_INLINE void add_least(__m256 least, const int32_t *words, const int spacing,
                             const int columns, __m256 *sums)
{
    UNROLL for (int c = 0; c < columns; c++) sums[c] =
        _mm256_fmadd_ps(_mm256_mul_ps(least, set_word_f32(words[spacing + c])),
                        _mm256_set1_ps((float)-words[c]), sums[c]);
}

#endif
