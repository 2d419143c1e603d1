// Packed blocks of 32 to unsigned bytes, AVX2.
#ifndef KERNELS_MATMUL_BLOCK32_AVX2_H
#define KERNELS_MATMUL_BLOCK32_AVX2_H

#include "kernels/matmul_block_avx2.h"
#include "kernels/matmul_tile.h"
#include "kernels/row_read.h"

// Values of iq4_nl's codes, each 128-bit lane.
static inline __m256i load_codes(void)
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)iq4_values));
}

// The nibbles of quads q and q + 4 of eight rows as stored, with their fifth bits; q = 0 … 3.
ALWAYS_INLINE void decode_quads(Block32 form, const uint8_t *lines, int q, __m256i quads[2])
{
    const __m256i nibble = _mm256_set1_epi8(15), fifth = _mm256_set1_epi8(16);
    __m256i both = load_line(lines + q * 64);
    quads[0] = _mm256_and_si256(both, nibble);
    quads[1] = _mm256_and_si256(_mm256_srli_epi16(both, 4), nibble);
    if (form.lines == 5) {
        __m256i bits = load_line(lines + 4 * 64);
        __m256i low = _mm256_slli_epi16(bits, 4 - q), high = _mm256_srli_epi16(bits, q);
        quads[0] = _mm256_or_si256(quads[0], _mm256_and_si256(low, fifth));
        quads[1] = _mm256_or_si256(quads[1], _mm256_and_si256(high, fifth));
    }
}

// Eight rows of a block as eight registers of quants with their bias, quads in order.
ALWAYS_INLINE void decode_block(Block32 form, const uint8_t *lines, __m256i quads[8])
{
    if (form.lines == 8) {
        UNROLL for (int q = 0; q < 8; q++) quads[q] = load_line(lines + q * 64);
        return;
    }
    UNROLL for (int q = 0; q < 4; q++)
    {
        __m256i two[2];
        decode_quads(form, lines, q, two);
        UNROLL for (int i = 0; i < 2; i++) quads[q + 4 * i] =
            form.dtype == DTYPE_iq4_nl ? _mm256_xor_si256(_mm256_shuffle_epi8(load_codes(), two[i]),
                                                          _mm256_set1_epi8(-128))
                                       : two[i];
    }
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
