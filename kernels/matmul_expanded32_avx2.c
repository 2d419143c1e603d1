// AVX2 bodies of matmul for many tokens and blocks of 32: panels expanded once for a block of
// tokens, tiles of both halves and four columns.
//
// What bounds them is the number of instructions, so a token's quad is broadcast once for 16 rows
// and nothing is decoded in a tile: quants of eight bits become two planes, |w| and w (see
// matmul_block32_avx2.c for why), the others bytes. Rejected: eight bits as two planes of nibbles,
// whose dots need no vpmaddwd: as many instructions, and the bias besides.
#if defined(__x86_64__)

#include "kernels/matmul_block32_avx2.h"

#define COLUMNS_MOST 4

// Keeps sums in a chain: GCC would add up trees of products, which do not fit the registers.
#define CHAIN(sum) __asm__("" : "+x"(sum))

ALWAYS_INLINE bool is_signed(Block32 form)
{
    return form.bias == 128;
}

// A block: eight lines of 64 bytes for each plane, scales, least values.
ALWAYS_INLINE int lines_of(Block32 form)
{
    return is_signed(form) ? 16 : 8;
}

ALWAYS_INLINE void expand_half(const uint8_t *lines, const Block32 form, __m256i *out)
{
    __m256i quads[8];
    decode_block(form, lines, quads);
    UNROLL for (int q = 0; q < 8; q++)
    {
        if (is_signed(form)) {
            quads[q] = _mm256_xor_si256(quads[q], _mm256_set1_epi8(-128));
            _mm256_store_si256(out + 2 * (8 + q), _mm256_abs_epi8(quads[q]));
        }
        _mm256_store_si256(out + 2 * q, quads[q]);
    }
}

ALWAYS_INLINE void expand_panel(const MatmulPanel *panel, int64_t begin, int64_t count, void *out,
                                const Block32 form)
{
    __m256i *block = out;
    for (int64_t b = begin / 32; b < (begin + count) / 32; b++) {
        float *factors = (float *)(void *)(block + 2 * lines_of(form));
        for (int half = 0; half < 2; half++) {
            const uint8_t *packed = block32_factors(form, panel->data, b) + half * 16;
            expand_half(block32_lines(form, panel->data, b) + half * 32, form, block + half);
            _mm256_store_ps(factors + half * 8, load_scales(packed));
            if (form.factors == 2)
                _mm256_store_ps(factors + 16 + half * 8, load_scales(packed + 64));
        }
        block += 2 * (lines_of(form) + form.factors);
    }
}

// Products of a quad of eight rows: of bytes as int16, of |w| and w as int32.
ALWAYS_INLINE __m256i multiply_quad(const __m256i *lines, __m256i quad, const Block32 form)
{
    if (!is_signed(form))
        return _mm256_maddubs_epi16(_mm256_load_si256(lines), quad);
    quad = _mm256_sign_epi8(quad, _mm256_load_si256(lines));
    __m256i pairs = _mm256_maddubs_epi16(_mm256_load_si256(lines + 2 * 8), quad);
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

// Quads first … last-1 of both halves of a block, as int32.
ALWAYS_INLINE void add_quads(const __m256i *lines, const int32_t *words, const int columns,
                             const int spacing, const Block32 form, const int first, const int last,
                             __m256i dots[2][COLUMNS_MOST])
{
    UNROLL for (int q = first; q < last; q++) UNROLL for (int c = 0; c < columns; c++)
    {
        __m256i quad = _mm256_set1_epi32(words[(2 + q) * spacing + c]);
        UNROLL for (int h = 0; h < 2; h++)
        {
            __m256i products = multiply_quad(lines + 2 * q + h, quad, form);
            if (q == first)
                dots[h][c] = products;
            else if (is_signed(form))
                dots[h][c] = _mm256_add_epi32(dots[h][c], products);
            else
                dots[h][c] = _mm256_add_epi16(dots[h][c], products);
            CHAIN(dots[h][c]);
        }
    }
    if (is_signed(form))
        return;
    UNROLL for (int h = 0; h < 2; h++) UNROLL for (int c = 0; c < columns; c++) dots[h][c] =
        _mm256_madd_epi16(dots[h][c], _mm256_set1_epi16(1));
}

// The exact dots of a block.
ALWAYS_INLINE void expanded_dots(const __m256i *lines, const int32_t *words, const int columns,
                                 const int spacing, const Block32 form,
                                 __m256i dots[2][COLUMNS_MOST])
{
    __m256i others[2][COLUMNS_MOST];
    add_quads(lines, words, columns, spacing, form, 0, form.lines == 5 ? 4 : 8, dots);
    if (form.lines == 5)
        add_quads(lines, words, columns, spacing, form, 4, 8, others);
    UNROLL for (int c = 0; c < columns; c++)
    {
        __m256i bias = _mm256_setzero_si256();
        if (!is_signed(form) && form.bias)
            bias = _mm256_slli_epi32(_mm256_set1_epi32(words[c]), (int)block32_bias_shift(form));
        UNROLL for (int h = 0; h < 2; h++)
        {
            if (form.lines == 5)
                dots[h][c] = _mm256_add_epi32(dots[h][c], others[h][c]);
            if (!is_signed(form) && form.bias)
                dots[h][c] = _mm256_add_epi32(dots[h][c], bias);
        }
    }
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
        const float *factors = (const float *)(const void *)(lines + 2 * lines_of(form));
        __m256i dots[2][COLUMNS_MOST];
        expanded_dots(lines, words, columns, spacing, form, dots);
        UNROLL for (int h = 0; h < 2; h++)
        {
            add_block(_mm256_load_ps(factors + h * 8), words + spacing, columns, dots[h], sums[h]);
            if (form.factors == 2)
                add_least(_mm256_load_ps(factors + 16 + h * 8), words, spacing, columns, sums[h]);
        }
        lines += 2 * (lines_of(form) + form.factors);
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
BLOCK32_FORMS(BLOCK32)

#endif
