// AVX2 bodies of matmul for blocks of 32: tiles of more than two columns take the halves of a panel
// one after the other.
//
// Integers go through vpmaddubsw (unsigned times signed bytes, pairs added to int16, saturating).
// Q8_0 as u8 would saturate (2 * 255 * 127): there |w| multiplies the token's quant with the sign
// of w, at most 2 * 128 * 127 = 32512. Nibbles: 8 pairs of at most 2 * 15 * 127 fit an int16.
#if defined(__x86_64__)

#include "kernels/matmul_block_avx2.h"

#define COLUMNS_MOST 4
#include "kernels/matmul_tile.h"

// Columns of one pass over the two halves of a panel, each half with its own sums.
enum { BOTH_HALVES = 2 };

// Exact dots of one block of eight rows, with `columns` tokens.
ALWAYS_INLINE void dots_q8_0(const uint8_t *lines, const int32_t *words, const int columns,
                             const int spacing, __m256i *dots)
{
    const __m256i ones = _mm256_set1_epi16(1), bias = _mm256_set1_epi8(-128);
    UNROLL for (int c = 0; c < columns; c++) dots[c] = _mm256_setzero_si256();
    ROLLED for (int q = 0; q < 8; q++)
    {
        __m256i weight = _mm256_xor_si256(load_line(lines + q * 64), bias);
        __m256i magnitude = _mm256_abs_epi8(weight);
        UNROLL for (int c = 0; c < columns; c++)
        {
            __m256i quad = _mm256_set1_epi32(words[(2 + q) * spacing + c]);
            __m256i pairs = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(quad, weight));
            dots[c] = _mm256_add_epi32(dots[c], _mm256_madd_epi16(pairs, ones));
        }
    }
}

ALWAYS_INLINE void dots_q4_0(const uint8_t *lines, const int32_t *words, const int columns,
                             const int spacing, __m256i *dots)
{
    const __m256i ones = _mm256_set1_epi16(1), nibble = _mm256_set1_epi8(15);
    UNROLL for (int c = 0; c < columns; c++) dots[c] = _mm256_setzero_si256();
    ROLLED for (int q = 0; q < 4; q++)
    {
        __m256i both = load_line(lines + q * 64);
        __m256i low = _mm256_and_si256(both, nibble);
        __m256i high = _mm256_and_si256(_mm256_srli_epi16(both, 4), nibble);
        UNROLL for (int c = 0; c < columns; c++)
        {
            __m256i quad = _mm256_set1_epi32(words[(2 + q) * spacing + c]);
            __m256i upper = _mm256_set1_epi32(words[(6 + q) * spacing + c]);
            dots[c] = _mm256_add_epi16(dots[c], _mm256_maddubs_epi16(low, quad));
            dots[c] = _mm256_add_epi16(dots[c], _mm256_maddubs_epi16(high, upper));
        }
    }
    UNROLL for (int c = 0; c < columns; c++) dots[c] = _mm256_add_epi32(
        _mm256_slli_epi32(_mm256_set1_epi32(words[c]), 3), _mm256_madd_epi16(dots[c], ones));
}

// Rows half * 8 … of `halves` halves.
ALWAYS_INLINE void block32_half(const MatmulTile *tile, int first, const int columns,
                                const int spacing, const DType dtype, int half, const int halves)
{
    const int bytes = dtype == DTYPE_q8_0 ? 512 : 256;
    const uint8_t *pair = tile->panel;
    const int32_t *words = (const int32_t *)tile->tokens + first;
    __m256 sums[2][COLUMNS_MOST];
    UNROLL for (int h = 0; h < halves; h++) UNROLL for (int c = 0; c < columns; c++) sums[h][c] =
        _mm256_setzero_ps();
    for (int64_t b = 0; b < tile->length; b++, words += Q8_WORDS * spacing) {
        UNROLL for (int h = 0; h < halves; h++)
        {
            const uint8_t *lines = pair + 64 + (b & 1) * bytes + (half + h) * 32;
            __m256i dots[COLUMNS_MOST];
            if (dtype == DTYPE_q8_0)
                dots_q8_0(lines, words, columns, spacing, dots);
            else
                dots_q4_0(lines, words, columns, spacing, dots);
            __m256 scale = load_scales(pair + (b & 1) * 32 + (half + h) * 16);
            UNROLL for (int c = 0; c < columns; c++) sums[h][c] =
                _mm256_fmadd_ps(_mm256_mul_ps(scale, set_word_f32(words[spacing + c])),
                                _mm256_cvtepi32_ps(dots[c]), sums[h][c]);
        }
        pair += (b & 1) * (64 + 2 * bytes);
    }
    UNROLL for (int h = 0; h < halves; h++) UNROLL for (int c = 0; c < columns; c++)
        _mm256_storeu_ps(tile->out + (first + c) * tile->stride + (half + h) * 8, sums[h][c]);
}

ALWAYS_INLINE void block32_tile(const MatmulTile *tile, int first, const int columns,
                                const int spacing, const DType dtype)
{
    if (columns <= BOTH_HALVES) {
        block32_half(tile, first, columns, spacing, dtype, 0, 2);
        return;
    }
    for (int half = 0; half < 2; half++)
        block32_half(tile, first, columns, spacing, dtype, half, 1);
}

TILE_BODY(block_q8_0_avx2, block32_tile, DTYPE_q8_0)
TILE_BODY(block_q4_0_avx2, block32_tile, DTYPE_q4_0)

#endif
