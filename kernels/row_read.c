// What the blocks of model files mean. A block of a quantised type is integers and two factors
// (RowBlock), and one function makes floats of them; the formats are ggml's (ggml-common.h), and
// its dequantize_row_* round in the same order, so that the values are theirs to the bit. Rows of a
// file need not be aligned: multi-byte numbers go through memcpy.
#include <assert.h>
#include <string.h>

#include "kernels/kernel.h"
#include "kernels/row_read.h"

const int8_t iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                               1,    13,   25,  38,  53,  69,  89,  113};
const int8_t mxfp4_values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

static uint16_t load_u16(const uint8_t *bytes)
{
    uint16_t value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

static float load_f16(const uint8_t *bytes)
{
    return f16_to_f32(load_u16(bytes));
}

// Of 32 nibbles in 16 bytes: the low ones are k = 0 … 15, the high ones the rest.
static int nibble(const uint8_t *bytes, int k)
{
    return bytes[k % 16] >> k / 16 * 4 & 15;
}

// A block of 32 has factors only.
static void whole_block(RowBlock *out, float scale, float least)
{
    out->scale = scale;
    out->least = least;
    for (int group = 0; group < 2; group++)
        out->subscales[group] = out->minima[group] = 1;
}

static void q8_0_block(const uint8_t *block, RowBlock *out)
{
    whole_block(out, load_f16(block), 0);
    for (int k = 0; k < 32; k++)
        out->quants[k] = (int8_t)block[2 + k];
}

static void q4_0_block(const uint8_t *block, RowBlock *out)
{
    whole_block(out, load_f16(block), 0);
    for (int k = 0; k < 32; k++)
        out->quants[k] = (int8_t)(nibble(block + 2, k) - 8);
}

static void q4_1_block(const uint8_t *block, RowBlock *out)
{
    whole_block(out, load_f16(block), -load_f16(block + 2));
    for (int k = 0; k < 32; k++)
        out->quants[k] = (int8_t)nibble(block + 4, k);
}

static void q5_0_block(const uint8_t *block, RowBlock *out)
{
    whole_block(out, load_f16(block), 0);
    for (int k = 0; k < 32; k++) {
        int high = block[2 + k / 8] >> k % 8 & 1;
        out->quants[k] = (int8_t)((nibble(block + 6, k) | high << 4) - 16);
    }
}

static void q5_1_block(const uint8_t *block, RowBlock *out)
{
    whole_block(out, load_f16(block), -load_f16(block + 2));
    for (int k = 0; k < 32; k++) {
        int high = block[4 + k / 8] >> k % 8 & 1;
        out->quants[k] = (int8_t)(nibble(block + 8, k) | high << 4);
    }
}

static void iq4_nl_block(const uint8_t *block, RowBlock *out)
{
    whole_block(out, load_f16(block), 0);
    for (int k = 0; k < 32; k++)
        out->quants[k] = iq4_values[nibble(block + 2, k)];
}

// The scale is 2^(e - 127), and half of it serves codes that are twice their values.
static void mxfp4_block(const uint8_t *block, RowBlock *out)
{
    uint32_t exponent = block[0];
    uint32_t half = exponent < 2 ? 0x00200000u << exponent : (exponent - 1) << 23;
    whole_block(out, f32_from_bits(half), 0);
    for (int k = 0; k < 32; k++)
        out->quants[k] = mxfp4_values[nibble(block + 1, k)];
}

// Four bit pairs a byte, 32 bytes a half of the block.
static int bit_pair(const uint8_t *bytes, int k)
{
    return bytes[k / 128 * 32 + k % 32] >> k / 32 % 4 * 2 & 3;
}

// Two nibbles a byte, 32 bytes a quarter of the block.
static int k_nibble(const uint8_t *bytes, int k)
{
    return bytes[k / 64 * 32 + k % 32] >> k / 32 % 2 * 4 & 15;
}

// Subscale and minimum of each group of 16 in nibbles, bit pairs [64], f16 factors.
static void q2_k_block(const uint8_t *block, RowBlock *out)
{
    out->scale = load_f16(block + 80);
    out->least = load_f16(block + 82);
    for (int group = 0; group < 16; group++) {
        out->subscales[group] = (int8_t)(block[group] & 15);
        out->minima[group] = (int8_t)(block[group] >> 4);
    }
    for (int k = 0; k < 256; k++)
        out->quants[k] = (int8_t)bit_pair(block + 16, k);
}

// Third bits [32] (0 takes 4 off), bit pairs [64], 16 subscales of 6 bits in 12 bytes, f16 factor.
static void q3_k_block(const uint8_t *block, RowBlock *out)
{
    const uint8_t *subscales = block + 96;
    out->scale = load_f16(block + 108);
    out->least = 0;
    for (int group = 0; group < 16; group++) {
        int low = subscales[group % 8] >> group / 8 * 4 & 15;
        int high = subscales[8 + group % 4] >> group / 4 * 2 & 3;
        out->subscales[group] = (int8_t)((low | high << 4) - 32);
    }
    for (int k = 0; k < 256; k++) {
        int third = block[k % 32] >> k / 32 & 1;
        out->quants[k] = (int8_t)(bit_pair(block + 32, k) + 4 * third - 4);
    }
}

// f16 factors, then subscales and minima of 8 groups of 32, 6 bits each in 12 bytes.
static void q45_k_factors(const uint8_t *block, RowBlock *out)
{
    const uint8_t *low = block + 4, *high = low + 8;
    out->scale = load_f16(block);
    out->least = load_f16(block + 2);
    for (int group = 0; group < 8; group++) {
        int i = group % 4;
        int scale = group < 4 ? low[i] & 63 : (high[i] & 15) | low[i] >> 6 << 4;
        int least = group < 4 ? low[i + 4] & 63 : high[i] >> 4 | low[i + 4] >> 6 << 4;
        for (int half = 0; half < 2; half++) {
            out->subscales[2 * group + half] = (int8_t)scale;
            out->minima[2 * group + half] = (int8_t)least;
        }
    }
}

static void q4_k_block(const uint8_t *block, RowBlock *out)
{
    q45_k_factors(block, out);
    for (int k = 0; k < 256; k++)
        out->quants[k] = (int8_t)k_nibble(block + 16, k);
}

static void q5_k_block(const uint8_t *block, RowBlock *out)
{
    q45_k_factors(block, out);
    for (int k = 0; k < 256; k++) {
        int high = block[16 + k % 32] >> k / 32 & 1;
        out->quants[k] = (int8_t)(k_nibble(block + 48, k) | high << 4);
    }
}

// Low nibbles [128], upper bit pairs [64], subscales [16], f16 factor. In each half, 64 bytes of
// nibbles hold k = 0 … 63 and then 64 … 127.
static void q6_k_block(const uint8_t *block, RowBlock *out)
{
    out->scale = load_f16(block + 208);
    out->least = 0;
    memcpy(out->subscales, block + 192, 16);
    for (int k = 0; k < 256; k++) {
        int low = block[k / 128 * 64 + k % 64] >> k / 64 % 2 * 4 & 15;
        out->quants[k] = (int8_t)((low | bit_pair(block + 128, k) << 4) - 32);
    }
}

// f16 factor, upper bit pairs of 8 subscales, their nibbles [4], nibbles [8 groups][16].
static void iq4_xs_block(const uint8_t *block, RowBlock *out)
{
    out->scale = load_f16(block);
    out->least = 0;
    for (int group = 0; group < 8; group++) {
        int low = block[4 + group / 2] >> group % 2 * 4 & 15;
        int high = load_u16(block + 2) >> 2 * group & 3;
        int8_t subscale = (int8_t)((low | high << 4) - 32);
        out->subscales[2 * group] = out->subscales[2 * group + 1] = subscale;
        for (int k = 0; k < 32; k++)
            out->quants[group * 32 + k] = iq4_values[nibble(block + 8 + group * 16, k)];
    }
}

static const struct {
    void (*read)(const uint8_t *block, RowBlock *out);
    bool has_minima;
} readers[DTYPE_COUNT] = {
    [DTYPE_q8_0] = {q8_0_block, false},     [DTYPE_q4_0] = {q4_0_block, false},
    [DTYPE_q4_1] = {q4_1_block, true},      [DTYPE_q5_0] = {q5_0_block, false},
    [DTYPE_q5_1] = {q5_1_block, true},      [DTYPE_iq4_nl] = {iq4_nl_block, false},
    [DTYPE_mxfp4] = {mxfp4_block, false},   [DTYPE_q2_k] = {q2_k_block, true},
    [DTYPE_q3_k] = {q3_k_block, false},     [DTYPE_q4_k] = {q4_k_block, true},
    [DTYPE_q5_k] = {q5_k_block, true},      [DTYPE_q6_k] = {q6_k_block, false},
    [DTYPE_iq4_xs] = {iq4_xs_block, false},
};

void row_read_block(DType dtype, const void *block, RowBlock *out)
{
    out->has_minima = readers[dtype].has_minima;
    readers[dtype].read(block, out);
}

static float read_float(DType dtype, const uint8_t *element)
{
    float value;
    double wide;
    switch (dtype) {
    case DTYPE_f32: memcpy(&value, element, sizeof value); return value;
    case DTYPE_f16: return load_f16(element);
    case DTYPE_bf16: return f32_from_bits((uint32_t)load_u16(element) << 16);
    default:
        assert(dtype == DTYPE_f64);
        memcpy(&wide, element, sizeof wide);
        return (float)wide;
    }
}

static void quants_to_f32(const RowBlock *block, int64_t count, float *out)
{
    for (int64_t k = 0; k < count; k++) {
        float scale = block->scale * (float)block->subscales[k / 16];
        out[k] = scale * (float)block->quants[k];
    }
    for (int64_t k = 0; block->has_minima && k < count; k++)
        out[k] -= block->least * (float)block->minima[k / 16];
}

bool row_can_read(DType dtype)
{
    return readers[dtype].read || dtype_table[dtype].kind == DTYPE_KIND_FLOAT;
}

void row_to_f32(DType dtype, const void *row, int64_t columns, float *out)
{
    const DTypeInfo *info = &dtype_table[dtype];
    const uint8_t *bytes = row;
    assert(row_can_read(dtype) && columns % info->block_elements == 0);
    if (dtype == DTYPE_f32)
        memcpy(out, row, (size_t)columns * sizeof *out);
    else if (!readers[dtype].read)
        for (int64_t k = 0; k < columns; k++)
            out[k] = read_float(dtype, bytes + k * info->block_bytes);
    else
        for (int64_t k = 0; k < columns; k += info->block_elements, bytes += info->block_bytes) {
            RowBlock block;
            row_read_block(dtype, bytes, &block);
            quants_to_f32(&block, info->block_elements, out + k);
        }
}
