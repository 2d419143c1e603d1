// Writing rows as ggml's reference quantisers do, to the bit: f16 and bf16 round to nearest even;
// quantised types block by block (row_write_blocks32.c, row_write_k.c, row_write_iq4.c), without
// weights of importance. Every sum is taken in ggml's order and nothing is contracted, since equal
// bytes are what these are tested for.
//
// What a type cannot hold is refused, never written as infinity: ggml writes such a block and finds
// out when it validates the file.
#include "kernels/row_write.h"

#include <assert.h>
#include <string.h>

#include "kernels/row_write_blocks.h"

static BlockWriter *const block_writers[DTYPE_COUNT] = {
    [DTYPE_q4_0] = row_write_q4_0,     [DTYPE_q4_1] = row_write_q4_1,
    [DTYPE_q5_0] = row_write_q5_0,     [DTYPE_q5_1] = row_write_q5_1,
    [DTYPE_q8_0] = row_write_q8_0,     [DTYPE_mxfp4] = row_write_mxfp4,
    [DTYPE_q2_k] = row_write_q2_k,     [DTYPE_q3_k] = row_write_q3_k,
    [DTYPE_q4_k] = row_write_q4_k,     [DTYPE_q5_k] = row_write_q5_k,
    [DTYPE_q6_k] = row_write_q6_k,     [DTYPE_iq4_nl] = row_write_iq4_nl,
    [DTYPE_iq4_xs] = row_write_iq4_xs,
};

bool row_can_write(DType dtype)
{
    return dtype == DTYPE_f32 || dtype == DTYPE_f16 || dtype == DTYPE_bf16 || block_writers[dtype];
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

// The first element that is not finite, else the first of largest magnitude.
static int64_t find_worst(const float *block, int64_t count)
{
    int64_t worst = 0;
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(block[i]))
            return i;
        if (fabsf(block[i]) > fabsf(block[worst]))
            worst = i;
    }
    return worst;
}

static int64_t write_blocks(DType dtype, const float *row, int64_t columns, uint8_t *out)
{
    int64_t elements = dtype_table[dtype].block_elements;
    for (int64_t i = 0; i < columns; i += elements, out += dtype_table[dtype].block_bytes) {
        int64_t worst = find_worst(row + i, elements);
        if (!isfinite(row[i + worst]) || !block_writers[dtype](row + i, out))
            return i + worst;
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
    default: return write_blocks(dtype, row, columns, out);
    }
}
