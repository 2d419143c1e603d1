// AVX2 bodies of matmul for blocks of 256. Six bits through vpmaddubsw: two pairs, 2 * 2 * 63 * 127
// = 32004, fit an int16.
#if defined(__x86_64__)

#include <assert.h>

#include "kernels/matmul_block_avx2.h"

#define COLUMNS_MOST 4
#include "kernels/matmul_tile.h"

// A packed block in order, as in matmul_avx512.c: its three interleaved streams need it.
enum { Q6_BYTES = 3328 };

static inline void q6_copy(const uint8_t *panel, int64_t b, uint8_t *block)
{
    const uint8_t *from = panel + b / 2 * 6720 + 64 + (b & 1) * Q6_BYTES;
    for (int i = 0; i < Q6_BYTES; i += 32)
        _mm256_store_si256((__m256i *)(void *)(block + i), load_line(from + i));
}

// The four lines of quants that share high line `h`: quads h, h+16, h+32, h+48, of groups h/4 + 4
// part.
ALWAYS_INLINE void q6_lines(const uint8_t *block, int half, int h, __m256i lines[4])
{
    const __m256i low_bits = _mm256_set1_epi8(15), high_bits = _mm256_set1_epi8(0x30);
    const uint8_t *low = block + 256 + half * 32;
    __m256i first = load_line(low + h * 64), second = load_line(low + (h + 16) * 64);
    __m256i high = load_line(low + (h + 32) * 64);
    __m256i bits[4] = {_mm256_slli_epi16(high, 4), _mm256_slli_epi16(high, 2), high,
                       _mm256_srli_epi16(high, 2)};
    lines[0] = first;
    lines[1] = second;
    lines[2] = _mm256_srli_epi16(first, 4);
    lines[3] = _mm256_srli_epi16(second, 4);
    UNROLL for (int part = 0; part < 4; part++) lines[part] = _mm256_or_si256(
        _mm256_and_si256(lines[part], low_bits), _mm256_and_si256(bits[part], high_bits));
}

// sum + the dots of two quads.
ALWAYS_INLINE __m256i add_quads(__m256i sum, __m256i line, int32_t quad, __m256i next_line,
                                int32_t next_quad)
{
    __m256i pairs = _mm256_add_epi16(_mm256_maddubs_epi16(line, _mm256_set1_epi32(quad)),
                                     _mm256_maddubs_epi16(next_line, _mm256_set1_epi32(next_quad)));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

// The exact dot of eight rows of a packed block with one token.
ALWAYS_INLINE __m256i dot_q6_k(const uint8_t *block, int half, const int32_t *words,
                               const int spacing)
{
    __m256i dot = _mm256_setzero_si256();
    for (int i = 0; i < 4; i++) {
        __m256i parts[4], lines[4], next_lines[4];
        UNROLL for (int part = 0; part < 4; part++) parts[part] =
            _mm256_slli_epi32(_mm256_set1_epi32(words[(5 + 4 * part + i) * spacing]), 5);
        UNROLL for (int q = 0; q < 4; q += 2)
        {
            q6_lines(block, half, 4 * i + q, lines);
            q6_lines(block, half, 4 * i + q + 1, next_lines);
            UNROLL for (int part = 0; part < 4; part++)
            {
                const int32_t *quad = words + (21 + 16 * part + 4 * i + q) * spacing;
                parts[part] =
                    add_quads(parts[part], lines[part], quad[0], next_lines[part], quad[spacing]);
            }
        }
        UNROLL for (int part = 0; part < 4; part++)
        {
            __m256i subscale = load_int8(block + (4 * part + i) * MATMUL_ROWS + half * 8);
            dot = _mm256_add_epi32(dot, _mm256_mullo_epi32(parts[part], subscale));
        }
    }
    return dot;
}

// One token from packed bytes. For more, expanding a panel first is faster.
ALWAYS_INLINE void vector_q6_tile(const MatmulTile *tile, const int spacing)
{
    const int32_t *words = tile->tokens;
    _Alignas(64) uint8_t block[Q6_BYTES];
    __m256 sums[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    for (int64_t b = 0; b < tile->length; b++, words += Q8K_WORDS * spacing) {
        const uint8_t *pair = (const uint8_t *)tile->panel + b / 2 * 6720;
        q6_copy(tile->panel, b, block);
        UNROLL for (int half = 0; half < 2; half++)
        {
            __m256i dot = dot_q6_k(block, half, words, spacing);
            __m256 scale =
                _mm256_mul_ps(load_scales(pair + (b & 1) * 32 + half * 16), set_word_f32(words[0]));
            sums[half] = _mm256_fmadd_ps(scale, _mm256_cvtepi32_ps(dot), sums[half]);
        }
    }
    _mm256_storeu_ps(tile->out, sums[0]);
    _mm256_storeu_ps(tile->out + 8, sums[1]);
}

void vector_q6_k_avx2(const MatmulTile *tile)
{
    assert(tile->columns == 1);
    if (tile->spacing == 1)
        vector_q6_tile(tile, 1);
    else
        vector_q6_tile(tile, MATMUL_TOKENS);
}

// dots += subscale * (group's dot), for one group of an expanded block.
ALWAYS_INLINE void add_group(const uint8_t *lines, __m256i subscale, const int32_t *minus_sums,
                             const int32_t *quads, const int columns, const int spacing,
                             const int bias_shift, __m256i *dots)
{
    UNROLL for (int c = 0; c < columns; c++)
    {
        __m256i part = _mm256_slli_epi32(_mm256_set1_epi32(minus_sums[c]), bias_shift);
        UNROLL for (int q = 0; q < 4; q += 2) part =
            add_quads(part, load_line(lines + q * 64), quads[q * spacing + c],
                      load_line(lines + (q + 1) * 64), quads[(q + 1) * spacing + c]);
        dots[c] = _mm256_add_epi32(dots[c], _mm256_mullo_epi32(part, subscale));
    }
}

ALWAYS_INLINE void block256_half(const MatmulTile *tile, int first, const int columns,
                                 const int spacing, const int bias_shift, int half)
{
    const uint8_t *block = (const uint8_t *)tile->panel + half * 32;
    const int32_t *words = (const int32_t *)tile->tokens + first;
    __m256 sums[COLUMNS_MOST];
    UNROLL for (int c = 0; c < columns; c++) sums[c] = _mm256_setzero_ps();
    for (int64_t b = 0; b < tile->length; b++, words += Q8K_WORDS * spacing) {
        __m256i dots[COLUMNS_MOST];
        UNROLL for (int c = 0; c < columns; c++) dots[c] = _mm256_setzero_si256();
        for (int group = 0; group < 16; group++)
            add_group(block + group * 4 * 64, load_line(block + (64 + group) * 64),
                      words + (5 + group) * spacing, words + (21 + group * 4) * spacing, columns,
                      spacing, bias_shift, dots);
        __m256 scale = _mm256_loadu_ps((const float *)(const void *)(block + 80 * 64));
        UNROLL for (int c = 0; c < columns; c++) sums[c] = _mm256_fmadd_ps(
            _mm256_mul_ps(scale, set_word_f32(words[c])), _mm256_cvtepi32_ps(dots[c]), sums[c]);
        block += MATMUL_Q6_BLOCK;
    }
    UNROLL for (int c = 0; c < columns; c++)
        _mm256_storeu_ps(tile->out + (first + c) * tile->stride + half * 8, sums[c]);
}

ALWAYS_INLINE void block256_tile(const MatmulTile *tile, int first, const int columns,
                                 const int spacing, const int bias_shift)
{
    for (int half = 0; half < 2; half++)
        block256_half(tile, first, columns, spacing, bias_shift, half);
}

TILE_BODY(expanded_q6_k_avx2, block256_tile, 5)

void expand_block_q6_k_avx2(const MatmulPanel *panel, int64_t begin, int64_t count, void *out)
{
    (void)begin;
    _Alignas(64) uint8_t block[Q6_BYTES];
    uint8_t *wide = out;
    for (int64_t b = 0; b < count / 256; b++, wide += MATMUL_Q6_BLOCK) {
        const uint8_t *pair = panel->data + b / 2 * 6720;
        q6_copy(panel->data, b, block);
        for (int half = 0; half < 2; half++) {
            __m256i *to = (__m256i *)(void *)wide + half;
            for (int h = 0; h < 16; h++) {
                __m256i lines[4];
                q6_lines(block, half, h, lines);
                UNROLL for (int part = 0; part < 4; part++)
                    _mm256_storeu_si256(to + (h + 16 * part) * 2, lines[part]);
            }
            for (int group = 0; group < 16; group++)
                _mm256_storeu_si256(to + (64 + group) * 2,
                                    load_int8(block + group * MATMUL_ROWS + half * 8));
            _mm256_storeu_ps((float *)(to + 80 * 2), load_scales(pair + (b & 1) * 32 + half * 16));
        }
    }
}

#endif
