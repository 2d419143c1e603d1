// AVX2 bodies of matmul for blocks of 32.
//
// Integers go through vpmaddubsw (unsigned times signed bytes, pairs added to int16, saturating).
// Quants of eight bits as u8 would saturate (2 * 255 * 127): there |w| multiplies the token's quant
// with the sign of w, at most 2 * 128 * 127 = 32512. Of nibbles 8 pairs, of at most 2 * 15 * 127,
// fit an int16, of five bits 4, of at most 2 * 31 * 127. A token's quad is broadcast once for both
// halves of a panel.
#if defined(__x86_64__)

#include "kernels/matmul_block32_avx2.h"

#define COLUMNS_MOST 4

// Quads q and q + 4 of a block; `fresh`: the first of a sum.
ALWAYS_INLINE void add_two_quads(const uint8_t *lines, const int32_t *words, int q,
                                 const int columns, const int spacing, const Block32 form,
                                 const bool fresh, __m256i sums[2][COLUMNS_MOST])
{
    __m256i quads[2][2];
    UNROLL for (int h = 0; h < 2; h++) decode_quads(form, lines + h * 32, q, quads[h]);
    UNROLL for (int i = 0; i < 2; i++) UNROLL for (int c = 0; c < columns; c++)
    {
        __m256i quad = _mm256_set1_epi32(words[(2 + q + 4 * i) * spacing + c]);
        UNROLL for (int h = 0; h < 2; h++)
        {
            __m256i magnitude = _mm256_abs_epi8(quads[h][i]);
            __m256i products = multiply_quad(form, quads[h][i], magnitude, quad);
            sums[h][c] = fresh && i == 0 ? products : add_products(form, sums[h][c], products);
        }
    }
}

// Exact dots of one block of 16 rows, with `columns` tokens.
ALWAYS_INLINE void block_dots(const uint8_t *lines, const int32_t *words, const int columns,
                              const int spacing, const Block32 form, __m256i dots[2][COLUMNS_MOST])
{
    const __m256i ones = _mm256_set1_epi16(1);
    const int sum_quads = form.lines == 5 ? 2 : 4; // pairs of quads that an int16 bears
    __m256i sums[2][COLUMNS_MOST];
    UNROLL for (int q = 0; q < 4; q++)
    {
        add_two_quads(lines, words, q, columns, spacing, form, q % sum_quads == 0, sums);
        if (is_signed(form) || q % sum_quads != sum_quads - 1)
            continue;
        UNROLL for (int h = 0; h < 2; h++) UNROLL for (int c = 0; c < columns; c++)
        {
            __m256i part = _mm256_madd_epi16(sums[h][c], ones);
            dots[h][c] = q < sum_quads ? part : _mm256_add_epi32(dots[h][c], part);
        }
    }
    UNROLL for (int h = 0; h < 2; h++) UNROLL for (int c = 0; c < columns; c++) dots[h][c] =
        is_signed(form) ? sums[h][c] : add_bias(form, dots[h][c], words[c]);
}

ALWAYS_INLINE void block32_tile(const MatmulTile *tile, int first, const int columns,
                                const int spacing, const Block32 form)
{
    const int32_t *words = (const int32_t *)tile->tokens + first;
    float *out = tile->out + first * tile->stride;
    __m256 sums[2][COLUMNS_MOST];
    UNROLL for (int h = 0; h < 2; h++) UNROLL for (int c = 0; c < columns; c++) sums[h][c] =
        _mm256_setzero_ps();
    for (int64_t b = 0; b < tile->length; b++, words += Q8_WORDS * spacing) {
        const uint8_t *factors = block32_factors(form, tile->panel, b);
        __m256i dots[2][COLUMNS_MOST];
        block_dots(block32_lines(form, tile->panel, b), words, columns, spacing, form, dots);
        UNROLL for (int h = 0; h < 2; h++)
        {
            add_block(load_scales(factors + h * 16), words + spacing, columns, dots[h], sums[h]);
            if (form.factors == 2)
                add_least(load_scales(factors + 64 + h * 16), words, spacing, columns, sums[h]);
        }
    }
    UNROLL for (int h = 0; h < 2; h++) UNROLL for (int c = 0; c < columns; c++)
        _mm256_storeu_ps(out + c * tile->stride + h * 8, sums[h][c]);
}

#define BLOCK32(type, lines, factors, bias)                                                        \
    TILE_BODY(block_##type##_avx2, block32_tile, (Block32){DTYPE_##type, lines, factors, bias})
BLOCK32_FORMS(BLOCK32)

#endif
