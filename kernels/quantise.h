// Rounded activations: the types q8, q8k and bf16x2, how a block's scale is chosen and where its
// words go. The layout is in README.md. A target brings only the search for the largest magnitude
// and the rounding of 16 elements; what decides bits is here, once.
//
// The largest magnitude is found as an integer: the order of non-negative floats, with NaN above
// infinity, so that every target meets the same element.
#ifndef KERNELS_QUANTISE_H
#define KERNELS_QUANTISE_H

#include "kernels/math.h"

// Words (4 bytes) and elements of one block of one token.
enum { Q8_WORDS = 10, Q8K_WORDS = 73 };
// Words of a block of q8k: its scale, pairs of sums, quants.
enum { Q8K_SUMS = 1, Q8K_QUANTS = 9 };
enum { Q8_ELEMENTS = 32, Q8K_ELEMENTS = 256, PAIR_ELEMENTS = 2 };

// Quantises `columns` (a multiple of the block) of one token and writes blocks block, block+1, … of
// token `column` of a tile of `tile_tokens` (1 or 8). scale = max|x| / 127, quants = x * (127 /
// max|x|) to nearest even. A block without an element of at least 1e-36 is all zero; one with an
// infinity or a NaN gets that as its scale and zero quants, so that products with it are NaN.
// A pair of bf16x2 has no scale: each element is rounded by itself.
typedef void QuantiseSpan(const float *x, int64_t columns, void *tile, int64_t block,
                          int32_t column, int32_t tile_tokens);

QuantiseSpan quantise_q8_ref, quantise_q8k_ref, quantise_bf16x2_ref;
QuantiseSpan quantise_q8_avx2, quantise_q8k_avx2, quantise_bf16x2_avx2;
QuantiseSpan quantise_q8_avx512, quantise_q8k_avx512, quantise_bf16x2_avx512;

typedef struct QuantiseFactors {
    float scale, inverse; // inverse 0: every quant is 0
} QuantiseFactors;

// Quants of -steps … steps. Below `least` the inverse could be infinite.
static inline QuantiseFactors quantise_factors_of(uint32_t most_bits, float steps, float least)
{
    float most = f32_from_bits(most_bits);
    if (most < least)
        return (QuantiseFactors){0, 0};
    if (most_bits >= 0x7f800000u)
        return (QuantiseFactors){most, 0};
    return (QuantiseFactors){most / steps, steps / most};
}

static inline QuantiseFactors quantise_factors(uint32_t most_bits)
{
    return quantise_factors_of(most_bits, 127.0f, 1e-36f);
}

// To int16, for what meets 8-bit states (attention.h).
static inline QuantiseFactors quantise_factors_16(uint32_t most_bits)
{
    return quantise_factors_of(most_bits, 32767.0f, 1e-33f);
}

// `sum` is that of the 32 quants.
static inline void q8_write_block(void *tile, int64_t block, int32_t column, int32_t tile_tokens,
                                  float scale, int32_t sum, const int8_t *quants)
{
    uint32_t words[Q8_WORDS] = {(uint32_t)-sum, f32_bits(scale)};
    memcpy(words + 2, quants, Q8_ELEMENTS);
    uint32_t *out = (uint32_t *)tile + block * Q8_WORDS * tile_tokens + column;
    for (int word = 0; word < Q8_WORDS; word++)
        out[word * tile_tokens] = words[word];
}

// `sums` are those of 16 quants each.
static inline void q8k_write_block(void *tile, int64_t block, int32_t column, int32_t tile_tokens,
                                   float scale, const int32_t *sums, const int8_t *quants)
{
    uint32_t words[Q8K_WORDS] = {f32_bits(scale)};
    for (int pair = 0; pair < 8; pair++)
        words[Q8K_SUMS + pair] = (uint16_t)sums[2 * pair] | (uint32_t)sums[2 * pair + 1] << 16;
    memcpy(words + Q8K_QUANTS, quants, Q8K_ELEMENTS);
    uint32_t *out = (uint32_t *)tile + block * Q8K_WORDS * tile_tokens + column;
    for (int word = 0; word < Q8K_WORDS; word++)
        out[word * tile_tokens] = words[word];
}

// `columns` elements, as blocks from `block` on.
static inline void bf16x2_write_pairs(void *tile, int64_t block, int32_t column,
                                      int32_t tile_tokens, const uint16_t *elements,
                                      int64_t columns)
{
    uint32_t *out = (uint32_t *)tile + block * tile_tokens + column;
    for (int64_t i = 0; i < columns; i += PAIR_ELEMENTS, out += tile_tokens)
        memcpy(out, elements + i, sizeof *out);
}

#endif
