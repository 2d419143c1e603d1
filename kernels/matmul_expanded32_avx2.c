// AVX2 bodies of matmul for many tokens and blocks of 32 with fifth bits, which take long to
// decode: panels are expanded once for a block of tokens, to eight lines of bytes a block, scales,
// and least values. Rejected: the same for the other types (Q8_0 as |w| and w, or as two planes of
// nibbles): not faster than matmul_block32_avx2.c, which stops at the number of instructions too.
#if defined(__x86_64__)

#include "kernels/matmul_block32_avx2.h"

#define COLUMNS_MOST 4

ALWAYS_INLINE void expand_panel(const MatmulPanel *panel, int64_t begin, int64_t count, void *out,
                                const Block32 form)
{
    __m256i *block = out;
    for (int64_t b = begin / 32; b < (begin + count) / 32; b++, block += 2 * MATMUL_LINES32)
        for (int half = 0; half < 2; half++) {
            const uint8_t *packed = block32_factors(form, panel->data, b) + half * 16;
            float *factors = (float *)(void *)(block + 16 + half);
            __m256i quads[8];
            decode_block(form, block32_lines(form, panel->data, b) + half * 32, quads);
            UNROLL for (int q = 0; q < 8; q++) _mm256_store_si256(block + 2 * q + half, quads[q]);
            _mm256_store_ps(factors, load_scales(packed));
            if (form.factors == 2)
                _mm256_store_ps(factors + 16, load_scales(packed + 64));
        }
}

// dots += the products of four quads of both halves.
ALWAYS_INLINE void add_quads(const __m256i *lines, const int32_t *words, const int columns,
                             const int spacing, const Block32 form, const int first,
                             __m256i dots[2][COLUMNS_MOST])
{
    __m256i sums[2][COLUMNS_MOST];
    UNROLL for (int q = first; q < first + 4; q++) UNROLL for (int c = 0; c < columns; c++)
    {
        __m256i quad = _mm256_set1_epi32(words[(2 + q) * spacing + c]);
        UNROLL for (int h = 0; h < 2; h++)
        {
            __m256i weight = _mm256_load_si256(lines + 2 * q + h);
            __m256i products = multiply_quad(form, weight, weight, quad);
            sums[h][c] = q == first ? products : add_products(form, sums[h][c], products);
        }
    }
    UNROLL for (int h = 0; h < 2; h++) UNROLL for (int c = 0; c < columns; c++) dots[h][c] =
        _mm256_add_epi32(dots[h][c], _mm256_madd_epi16(sums[h][c], _mm256_set1_epi16(1)));
}

ALWAYS_INLINE void expanded_tile(const MatmulTile *tile, int first, const int columns,
                                 const int spacing, const Block32 form)
{
    const __m256i *lines = tile->panel;
    const int32_t *words = (const int32_t *)tile->tokens + first;
    float *out = tile->out + first * tile->stride;
    __m256 sums[2][COLUMNS_MOST];
    UNROLL for (int h = 0; h < 2; h++) UNROLL for (int c = 0; c < columns; c++) sums[h][c] =
        tile->resume ? _mm256_loadu_ps(out + c * tile->stride + h * 8) : _mm256_setzero_ps();
    for (int64_t b = 0; b < tile->length; b++, words += Q8_WORDS * spacing) {
        const float *factors = (const float *)(const void *)(lines + 16);
        __m256i dots[2][COLUMNS_MOST];
        UNROLL for (int c = 0; c < columns; c++) dots[0][c] = dots[1][c] =
            add_bias(form, _mm256_setzero_si256(), words[c]);
        add_quads(lines, words, columns, spacing, form, 0, dots);
        add_quads(lines, words, columns, spacing, form, 4, dots);
        UNROLL for (int h = 0; h < 2; h++)
        {
            add_block(_mm256_load_ps(factors + h * 8), words + spacing, columns, dots[h], sums[h]);
            if (form.factors == 2)
                add_least(_mm256_load_ps(factors + 16 + h * 8), words, spacing, columns, sums[h]);
        }
        lines += 2 * MATMUL_LINES32;
    }
    UNROLL for (int h = 0; h < 2; h++) UNROLL for (int c = 0; c < columns; c++)
        _mm256_storeu_ps(out + c * tile->stride + h * 8, sums[h][c]);
}

#define BLOCK32(type, lines, factors, bias)                                                        \
    void expand_block_##type##_avx2(const MatmulPanel *panel, int64_t begin, int64_t count,        \
                                    void *out)                                                     \
    {                                                                                              \
        expand_panel(panel, begin, count, out, (Block32){DTYPE_##type, lines, factors, bias});     \
    }                                                                                              \
    TILE_BODY(expanded_##type##_avx2, expanded_tile, (Block32){DTYPE_##type, lines, factors, bias})
BLOCK32_FIFTHS(BLOCK32)

#endif
