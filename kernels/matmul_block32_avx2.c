// AVX2 bodies of matmul for blocks of 32: tiles of more than two columns take the halves of a panel
// one after the other.
//
// Integers go through vpmaddubsw (unsigned times signed bytes, pairs added to int16, saturating).
// Quants of eight bits as u8 would saturate (2 * 255 * 127): there |w| multiplies the token's quant
// with the sign of w, at most 2 * 128 * 127 = 32512. Of nibbles 8 pairs, of at most 2 * 15 * 127,
// fit an int16, of five bits 4, of at most 2 * 31 * 127.
#if defined(__x86_64__)

#include "kernels/matmul_block32_avx2.h"

#define COLUMNS_MOST 4

// Columns of one pass over the two halves of a panel, each half with its own sums.
enum { BOTH_HALVES = 2 };

ALWAYS_INLINE bool is_wide(Block32 form)
{
    return form.bias == 128;
}

// dots += weight * quad, through int32 at once.
ALWAYS_INLINE void add_signed(__m256i weight, const int32_t *quad, const int columns, __m256i *dots)
{
    __m256i magnitude = _mm256_abs_epi8(weight);
    UNROLL for (int c = 0; c < columns; c++)
    {
        __m256i token = _mm256_sign_epi8(_mm256_set1_epi32(quad[c]), weight);
        __m256i pairs = _mm256_maddubs_epi16(magnitude, token);
        dots[c] = _mm256_add_epi32(dots[c], _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    }
}

// Exact dots of one block of eight rows, with `columns` tokens.
ALWAYS_INLINE void dots_wide(Block32 form, const uint8_t *lines, const int32_t *words,
                             const int columns, const int spacing, __m256i *dots)
{
    const __m256i bias = _mm256_set1_epi8(-128);
    UNROLL for (int c = 0; c < columns; c++) dots[c] = _mm256_setzero_si256();
    if (form.lines == 8) {
        ROLLED for (int q = 0; q < 8; q++)
            add_signed(_mm256_xor_si256(load_line(lines + q * 64), bias), words + (2 + q) * spacing,
                       columns, dots);
        return;
    }
    ROLLED for (int q = 0; q < 4; q++)
    {
        __m256i codes[2];
        decode_quads(form, lines, q, codes);
        UNROLL for (int i = 0; i < 2; i++)
            add_signed(_mm256_shuffle_epi8(load_codes(), codes[i]),
                       words + (2 + q + 4 * i) * spacing, columns, dots);
    }
}

ALWAYS_INLINE void dots_narrow(Block32 form, const uint8_t *lines, const int32_t *words,
                               const int columns, const int spacing, __m256i *dots)
{
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i uppers[COLUMNS_MOST];
    UNROLL for (int c = 0; c < columns; c++) dots[c] = uppers[c] = _mm256_setzero_si256();
    UNROLL for (int q = 0; q < 4; q++)
    {
        __m256i quads[2];
        decode_quads(form, lines, q, quads);
        UNROLL for (int c = 0; c < columns; c++)
        {
            __m256i *upper = form.lines == 5 ? &uppers[c] : &dots[c];
            __m256i low = _mm256_set1_epi32(words[(2 + q) * spacing + c]);
            __m256i high = _mm256_set1_epi32(words[(6 + q) * spacing + c]);
            dots[c] = _mm256_add_epi16(dots[c], _mm256_maddubs_epi16(quads[0], low));
            *upper = _mm256_add_epi16(*upper, _mm256_maddubs_epi16(quads[1], high));
        }
    }
    UNROLL for (int c = 0; c < columns; c++)
    {
        dots[c] = _mm256_madd_epi16(dots[c], ones);
        if (form.lines == 5)
            dots[c] = _mm256_add_epi32(dots[c], _mm256_madd_epi16(uppers[c], ones));
        if (form.bias)
            dots[c] = _mm256_add_epi32(dots[c], _mm256_slli_epi32(_mm256_set1_epi32(words[c]),
                                                                  (int)block32_bias_shift(form)));
    }
}

// Rows half * 8 … of `halves` halves.
ALWAYS_INLINE void block32_half(const MatmulTile *tile, int first, const int columns,
                                const int spacing, const Block32 form, int half, const int halves)
{
    const int32_t *words = (const int32_t *)tile->tokens + first;
    __m256 sums[2][COLUMNS_MOST];
    UNROLL for (int h = 0; h < halves; h++) UNROLL for (int c = 0; c < columns; c++) sums[h][c] =
        _mm256_setzero_ps();
    for (int64_t b = 0; b < tile->length; b++, words += Q8_WORDS * spacing) {
        UNROLL for (int h = 0; h < halves; h++)
        {
            const uint8_t *lines = block32_lines(form, tile->panel, b) + (half + h) * 32;
            const uint8_t *factors = block32_factors(form, tile->panel, b) + (half + h) * 16;
            __m256i dots[COLUMNS_MOST];
            if (is_wide(form))
                dots_wide(form, lines, words, columns, spacing, dots);
            else
                dots_narrow(form, lines, words, columns, spacing, dots);
            add_block(load_scales(factors), words + spacing, columns, dots, sums[h]);
            if (form.factors == 2)
                add_least(load_scales(factors + 64), words, spacing, columns, sums[h]);
        }
    }
    UNROLL for (int h = 0; h < halves; h++) UNROLL for (int c = 0; c < columns; c++)
        _mm256_storeu_ps(tile->out + (first + c) * tile->stride + (half + h) * 8, sums[h][c]);
}

ALWAYS_INLINE void block32_tile(const MatmulTile *tile, int first, const int columns,
                                const int spacing, const Block32 form)
{
    if (columns <= BOTH_HALVES) {
        block32_half(tile, first, columns, spacing, form, 0, 2);
        return;
    }
    for (int half = 0; half < 2; half++)
        block32_half(tile, first, columns, spacing, form, half, 1);
}

#define BLOCK32(type, lines, factors, bias)                                                        \
    TILE_BODY(block_##type##_avx2, block32_tile, (Block32){DTYPE_##type, lines, factors, bias})
BLOCK32_FORMS(BLOCK32)

#endif
