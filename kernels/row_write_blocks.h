// Writers of one block of a quantised type each, and what they share. A block goes in finite.
#ifndef KERNELS_ROW_WRITE_BLOCKS_H
#define KERNELS_ROW_WRITE_BLOCKS_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/math.h"

// Writes one block; false where a scale or a minimum of it is no finite number of f16.
typedef bool BlockWriter(const float *block, uint8_t *out);

BlockWriter row_write_q4_0, row_write_q4_1, row_write_q5_0, row_write_q5_1, row_write_q8_0,
    row_write_mxfp4; // blocks32
BlockWriter row_write_q2_k, row_write_q3_k, row_write_q4_k, row_write_q5_k, row_write_q6_k; // k
BlockWriter row_write_iq4_nl, row_write_iq4_xs;                                             // iq4

// Groups whose largest magnitude is below this are zero.
#define ROW_WRITE_TINY 1e-15f

static inline bool put_half(uint8_t *out, float value)
{
    uint16_t half = f32_to_f16(value);
    memcpy(out, &half, sizeof half);
    return (half & 0x7c00u) != 0x7c00u;
}

// Scale and minimum, one after the other.
static inline bool put_halves(uint8_t *out, float scale, float minimum)
{
    bool good = put_half(out, scale);
    return put_half(out + 2, minimum) && good;
}

static inline float get_half(const uint8_t *bytes)
{
    uint16_t half;
    memcpy(&half, bytes, sizeof half);
    return f16_to_f32(half);
}

// The nearest integer, ties to even, of |value| < 2^22. Beyond that, as in ggml, whatever the low
// bits of the sum say.
static inline int32_t nearest_int(float value)
{
    return (int32_t)(f32_bits(value + 12582912.0f) & 0x7fffffu) - 0x400000;
}

static inline int32_t clamp_int(int32_t value, int32_t least, int32_t most)
{
    return value < least ? least : value > most ? most : value;
}

// The element of largest magnitude, the first of equals; 0 where all are.
static inline float largest_of(const float *x, int32_t count)
{
    float most = 0;
    for (int32_t i = 0; i < count; i++)
        if (fabsf(x[i]) > fabsf(most))
            most = x[i];
    return most;
}

#endif
