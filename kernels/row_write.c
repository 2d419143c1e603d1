// Writing rows as ggml's reference quantisers do, to the bit: f16 and bf16 round to nearest even;
// a block of q8_0 has scale max|x| / 127 and quants x * (1 / scale), with the scale not yet rounded
// to f16, rounded half away from zero.
//
// Rejected: dividing by the scale (other bits than ggml in rare ties).
#include "kernels/row_write.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "kernels/math.h"

enum { Q8_0_ELEMENTS = 32, Q8_0_BYTES = 34 };

bool row_can_write(DType dtype)
{
    return dtype == DTYPE_f32 || dtype == DTYPE_f16 || dtype == DTYPE_bf16 || dtype == DTYPE_q8_0;
}

static uint16_t f32_to_bf16(float value)
{
    uint32_t bits = f32_bits(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(bits >> 16 | 0x40u); // a NaN stays one
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

// Numbers of 16 bits; `infinity` is what a finite one must not become.
static int64_t write_halves(uint16_t (*convert)(float), uint16_t infinity, const float *row,
                            int64_t columns, uint8_t *out)
{
    for (int64_t i = 0; i < columns; i++) {
        uint16_t half = convert(row[i]);
        if ((half & 0x7fffu) == infinity && isfinite(row[i]))
            return i;
        memcpy(out + 2 * i, &half, 2);
    }
    return columns;
}

// The element that decides the scale, or the first that is not finite.
static int64_t largest(const float *block)
{
    int64_t best = 0;
    for (int64_t i = 0; i < Q8_0_ELEMENTS; i++) {
        if (!isfinite(block[i]))
            return i;
        if (fabsf(block[i]) > fabsf(block[best]))
            best = i;
    }
    return best;
}

static bool write_q8_0_block(const float *block, int64_t decides, uint8_t *out)
{
    float scale = fabsf(block[decides]) / 127.0f, inverse = scale != 0.0f ? 1.0f / scale : 0.0f;
    uint16_t half = f32_to_f16(scale);
    if (!isfinite(block[decides]) || (half & 0x7fffu) == 0x7c00)
        return false;
    memcpy(out, &half, 2);
    // The inverse of a scale below 2^-128 is infinite; as f16 the scale is 0, whatever the quants.
    for (int i = 0; i < Q8_0_ELEMENTS; i++)
        out[2 + i] = isfinite(inverse) ? (uint8_t)(int8_t)roundf(block[i] * inverse) : 0;
    return true;
}

static int64_t write_q8_0(const float *row, int64_t columns, uint8_t *out)
{
    for (int64_t i = 0; i < columns; i += Q8_0_ELEMENTS, out += Q8_0_BYTES) {
        int64_t decides = largest(row + i);
        if (!write_q8_0_block(row + i, decides, out))
            return i + decides;
    }
    return columns;
}

int64_t row_from_f32(DType dtype, const float *row, int64_t columns, void *out)
{
    assert(row_can_write(dtype) && columns % dtype_table[dtype].block_elements == 0);
    switch (dtype) {
    case DTYPE_f32: memcpy(out, row, (size_t)columns * sizeof *row); return columns;
    case DTYPE_f16: return write_halves(f32_to_f16, 0x7c00, row, columns, out);
    case DTYPE_bf16: return write_halves(f32_to_bf16, 0x7f80, row, columns, out);
    default: return write_q8_0(row, columns, out);
    }
}
