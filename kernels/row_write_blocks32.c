// Blocks of 32 with one scale: q8_0 and mxfp4, and the types of 4 and 5 bits, which differ in
// whether they have a minimum. Quants come from a multiplication with the inverse of the scale
// before that is rounded to f16.
//
// Rejected: dividing by the scale (other bits than ggml in rare ties).
#include "kernels/row_read.h"
#include "kernels/row_write_blocks.h"

#include <float.h>

enum { ELEMENTS = 32, HALF = 16 };

// The inverse of a scale below 2^-128 is infinite. As f16 the scale is 0, so quants do not matter;
// they are what x86 makes of numbers that no integer holds.
static int32_t truncated(float value)
{
    return fabsf(value) < 1024 ? (int32_t)value : 0;
}

static float inverse_of(float scale)
{
    return scale != 0 ? 1.0f / scale : 0;
}

// Low nibbles: the first half of the block. A fifth bit goes to 32 bits of them, in order.
static void put_nibbles(const uint8_t *quants, uint8_t *out)
{
    for (int i = 0; i < HALF; i++)
        out[i] = (uint8_t)((quants[i] & 15) | quants[i + HALF] << 4);
}

static void put_fifth_bits(const uint8_t *quants, uint8_t *out)
{
    uint32_t bits = 0;
    for (int i = 0; i < ELEMENTS; i++)
        bits |= (uint32_t)(quants[i] >> 4 & 1) << i;
    memcpy(out, &bits, sizeof bits);
}

// value = scale * (quant - middle): the element of largest magnitude becomes quant 0.
static float quantise_signed(const float *x, int32_t middle, uint8_t *quants)
{
    float scale = largest_of(x, ELEMENTS) / (float)-middle, inverse = inverse_of(scale);
    for (int i = 0; i < ELEMENTS; i++)
        quants[i] = (uint8_t)clamp_int(truncated(x[i] * inverse + ((float)middle + 0.5f)), 0,
                                       2 * middle - 1);
    return scale;
}

// value = scale * quant + minimum.
static float quantise_above(const float *x, int32_t most, uint8_t *quants, float *minimum)
{
    float least = FLT_MAX, largest = -FLT_MAX;
    for (int i = 0; i < ELEMENTS; i++) {
        least = x[i] < least ? x[i] : least;
        largest = x[i] > largest ? x[i] : largest;
    }
    float scale = (largest - least) / (float)most, inverse = inverse_of(scale);
    for (int i = 0; i < ELEMENTS; i++)
        quants[i] = (uint8_t)clamp_int(truncated((x[i] - least) * inverse + 0.5f), 0, most);
    *minimum = least;
    return scale;
}

bool row_write_q4_0(const float *block, uint8_t *out)
{
    uint8_t quants[ELEMENTS];
    bool good = put_half(out, quantise_signed(block, 8, quants));
    put_nibbles(quants, out + 2);
    return good;
}

bool row_write_q5_0(const float *block, uint8_t *out)
{
    uint8_t quants[ELEMENTS];
    bool good = put_half(out, quantise_signed(block, 16, quants));
    put_fifth_bits(quants, out + 2);
    put_nibbles(quants, out + 6);
    return good;
}

bool row_write_q4_1(const float *block, uint8_t *out)
{
    uint8_t quants[ELEMENTS];
    float minimum, scale = quantise_above(block, 15, quants, &minimum);
    put_nibbles(quants, out + 4);
    return put_halves(out, scale, minimum);
}

bool row_write_q5_1(const float *block, uint8_t *out)
{
    uint8_t quants[ELEMENTS];
    float minimum, scale = quantise_above(block, 31, quants, &minimum);
    put_fifth_bits(quants, out + 4);
    put_nibbles(quants, out + 8);
    return put_halves(out, scale, minimum);
}

bool row_write_q8_0(const float *block, uint8_t *out)
{
    float scale = fabsf(largest_of(block, ELEMENTS)) / 127.0f, inverse = inverse_of(scale);
    for (int i = 0; i < ELEMENTS; i++)
        out[2 + i] = (uint8_t)truncated(roundf(block[i] * inverse));
    return put_half(out, scale);
}

// value = 2^(exponent - 128) * one of mxfp4_values: the nearest, the first of equals.
bool row_write_mxfp4(const float *block, uint8_t *out)
{
    uint8_t quants[ELEMENTS];
    float most = fabsf(largest_of(block, ELEMENTS));
    // Of blocks below 2^-125 the exponent wraps around, as ggml's does: every quant is then 0.
    uint8_t exponent = most > 0 ? (uint8_t)(int32_t)(floorf(log2f(most)) - 2 + 127) : 0;
    float scale = ldexpf(1.0f, exponent - 128);
    for (int i = 0; i < ELEMENTS; i++) {
        quants[i] = 0;
        for (uint8_t q = 1; q < 16; q++)
            if (fabsf((float)mxfp4_values[q] * scale - block[i]) <
                fabsf((float)mxfp4_values[quants[i]] * scale - block[i]))
                quants[i] = q;
    }
    out[0] = exponent;
    put_nibbles(quants, out + 1);
    return true;
}
