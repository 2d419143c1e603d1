// AVX-512 bodies of matmul for blocks of 256; see matmul_block32_avx512.c.
#if defined(__x86_64__)

#include <assert.h>

#include "kernels/matmul_block_avx512.h"

#define COLUMNS_MOST 8
#include "kernels/matmul_tile.h"

// A packed block's lines are used in three interleaved streams, which leaves the hardware's
// prefetcher behind: 10 GB/s from memory, 18 with software prefetch, 29 (of 32) when the block is
// first copied in order. `block` is Q6_BYTES long.
enum { Q6_BYTES = 3328 };

static inline void q6_copy(const uint8_t *panel, int64_t b, uint8_t *block)
{
    const uint8_t *from = panel + b / 2 * 6720 + 64 + (b & 1) * Q6_BYTES;
    for (int i = 0; i < Q6_BYTES; i += 64)
        _mm512_store_si512(block + i, _mm512_loadu_si512(from + i));
}

// The four lines of quants that share high line `h`: quads h, h+16, h+32, h+48, of groups h/4 + 4
// part.
ALWAYS_INLINE void q6_lines(const uint8_t *block, int h, __m512i lines[4])
{
    const __m512i low_bits = _mm512_set1_epi8(15), high_bits = _mm512_set1_epi8(0x30);
    const uint8_t *low = block + 256;
    __m512i first = _mm512_loadu_si512(low + h * 64);
    __m512i second = _mm512_loadu_si512(low + (h + 16) * 64);
    __m512i high = _mm512_loadu_si512(low + (h + 32) * 64);
    __m512i bits[4] = {_mm512_slli_epi16(high, 4), _mm512_slli_epi16(high, 2), high,
                       _mm512_srli_epi16(high, 2)};
    lines[0] = first;
    lines[1] = second;
    lines[2] = _mm512_srli_epi16(first, 4);
    lines[3] = _mm512_srli_epi16(second, 4);
    UNROLL for (int part = 0; part < 4; part++) lines[part] = _mm512_or_si512(
        _mm512_and_si512(lines[part], low_bits), _mm512_and_si512(bits[part], high_bits));
}

// One token from packed bytes. For more, expanding a panel first is faster: a line costs as much as
// two dots.
ALWAYS_INLINE void vector_q6_tile(const MatmulTile *tile, const int spacing)
{
    const int32_t *words = tile->tokens;
    _Alignas(64) uint8_t block[Q6_BYTES];
    __m512 sum = _mm512_setzero_ps();
    for (int64_t b = 0; b < tile->length; b++, words += Q8K_WORDS * spacing) {
        const uint8_t *pair = (const uint8_t *)tile->panel + b / 2 * 6720;
        q6_copy(tile->panel, b, block);
        __m512i dot = _mm512_setzero_si512();
        UNROLL for (int i = 0; i < 4; i++)
        {
            __m512i parts[4], lines[4];
            UNROLL for (int part = 0; part < 4; part++) parts[part] =
                _mm512_slli_epi32(_mm512_set1_epi32(words[(5 + 4 * part + i) * spacing]), 5);
            UNROLL for (int q = 0; q < 4; q++)
            {
                q6_lines(block, 4 * i + q, lines);
                UNROLL for (int part = 0; part < 4; part++) parts[part] = _mm512_dpbusd_epi32(
                    parts[part], lines[part],
                    _mm512_set1_epi32(words[(21 + 16 * part + 4 * i + q) * spacing]));
            }
            UNROLL for (int part = 0; part < 4; part++) dot = _mm512_add_epi32(
                dot,
                _mm512_mullo_epi32(parts[part], load_int8(block + (4 * part + i) * MATMUL_ROWS)));
        }
        __m512 scale = _mm512_mul_ps(load_scales(pair + (b & 1) * 32), set_word_f32(words[0]));
        sum = _mm512_fmadd_ps(scale, _mm512_cvtepi32_ps(dot), sum);
    }
    _mm512_storeu_ps(tile->out, sum);
}

void vector_q6_k_avx512(const MatmulTile *tile)
{
    assert(tile->columns == 1);
    if (tile->spacing == 1)
        vector_q6_tile(tile, 1);
    else
        vector_q6_tile(tile, MATMUL_TOKENS);
}

ALWAYS_INLINE void block256_tile(const MatmulTile *tile, int first, const int columns,
                                 const int spacing, const int bias_shift)
{
    const uint8_t *block = tile->panel;
    const int32_t *words = (const int32_t *)tile->tokens + first;
    __m512 sums[MATMUL_TOKENS];
    UNROLL for (int c = 0; c < columns; c++) sums[c] = _mm512_setzero_ps();
    for (int64_t b = 0; b < tile->length; b++, words += Q8K_WORDS * spacing) {
        const int32_t *quads = words + 21 * spacing;
        __m512i dots[MATMUL_TOKENS];
        UNROLL for (int c = 0; c < columns; c++) dots[c] = _mm512_setzero_si512();
        for (int group = 0; group < 16; group++, quads += 4 * spacing) {
            __m512i parts[MATMUL_TOKENS];
            UNROLL for (int c = 0; c < columns; c++) parts[c] = _mm512_slli_epi32(
                _mm512_set1_epi32(words[(5 + group) * spacing + c]), (unsigned)bias_shift);
            UNROLL for (int q = 0; q < 4; q++)
            {
                __m512i line = _mm512_loadu_si512(block + (group * 4 + q) * 64);
                ADD_LINE(parts, line, quads + q * spacing);
            }
            __m512i subscale = _mm512_loadu_si512(block + (64 + group) * 64);
            UNROLL for (int c = 0; c < columns; c++) dots[c] =
                _mm512_add_epi32(dots[c], _mm512_mullo_epi32(parts[c], subscale));
        }
        __m512 scale = _mm512_loadu_ps(block + 80 * 64);
        ADD_BLOCK(words);
        block += MATMUL_Q6_BLOCK;
    }
    STORE_SUMS();
}

TILE_BODY(expanded_q6_k_avx512, block256_tile, 5)

void expand_block_q6_k_avx512(const MatmulPanel *panel, int64_t begin, int64_t count, void *out)
{
    (void)begin;
    _Alignas(64) uint8_t block[Q6_BYTES];
    uint8_t *wide = out;
    for (int64_t b = 0; b < count / 256; b++, wide += MATMUL_Q6_BLOCK) {
        const uint8_t *pair = panel->data + b / 2 * 6720;
        q6_copy(panel->data, b, block);
        for (int h = 0; h < 16; h++) {
            __m512i lines[4];
            q6_lines(block, h, lines);
            UNROLL for (int part = 0; part < 4; part++)
                _mm512_storeu_si512(wide + (h + 16 * part) * 64, lines[part]);
        }
        for (int group = 0; group < 16; group++)
            _mm512_storeu_si512(wide + (64 + group) * 64, load_int8(block + group * MATMUL_ROWS));
        _mm512_storeu_ps(wide + 80 * 64, load_scales(pair + (b & 1) * 32));
    }
}

#endif
