// The scalar bodies of matmul: they define the bits that the others reproduce. Packed panels are
// read by the definitions of README.md, floats by packed_row_to_f32.
#include "kernels/matmul.h"

#include <assert.h>
#include <string.h>

#include "kernels/math.h"

static void chain(const MatmulTile *tile)
{
    const float *weights = tile->panel, *x = tile->tokens;
    for (int32_t c = 0; c < tile->columns; c++)
        for (int r = 0; r < MATMUL_ROWS; r++) {
            float *out = &tile->out[c * tile->stride + r], sum = tile->resume ? *out : 0.0f;
            for (int64_t k = 0; k < tile->length; k++)
                sum = fmaf(x[k * tile->spacing + c], weights[k * MATMUL_ROWS + r], sum);
            *out = sum;
        }
}

// Any type in any layout.
static void expand_chain(const MatmulPanel *panel, int64_t begin, int64_t count, void *out)
{
    float row[MATMUL_PIECE], *weights = out;
    bool plain = panel->layout == LAYOUT_plain;
    int64_t panel_rows = plain ? MATMUL_ROWS : layout_table[panel->layout].panel_rows;
    for (int64_t r = 0; r < panel_rows; r++) {
        if (r >= panel->rows)
            memset(row, 0, sizeof row);
        else if (plain)
            row_to_f32(panel->dtype,
                       panel->data + r * dtype_row_bytes(panel->dtype, panel->k) +
                           dtype_row_bytes(panel->dtype, begin),
                       count, row);
        else
            packed_row_to_f32(panel->dtype, panel->layout,
                              panel->data + layout_panel_bytes(panel->dtype, panel->layout, begin),
                              r, count, row);
        float *to = weights + r / MATMUL_ROWS * count * MATMUL_ROWS + r % MATMUL_ROWS;
        for (int64_t k = 0; k < count; k++)
            to[k * MATMUL_ROWS] = row[k];
    }
}

static float scale_at(const uint8_t *pair, int64_t block, int r)
{
    uint16_t half;
    memcpy(&half, pair + (block % 2 * MATMUL_ROWS + r) * 2, sizeof half);
    return f16_to_f32(half);
}

// Word `word` of token c of block `block`.
static int32_t word_at(const MatmulTile *tile, int64_t block, int words, int word, int c)
{
    const int32_t *all = tile->tokens;
    return all[(block * words + word) * tile->spacing + c];
}

static int quant_at(const MatmulTile *tile, int64_t block, int words, int first, int k, int c)
{
    uint32_t quad = (uint32_t)word_at(tile, block, words, first + k / 4, c);
    return (int8_t)(quad >> k % 4 * 8 & 255);
}

static int weight_q8_0(const uint8_t *lines, int r, int k)
{
    return lines[k / 4 * 64 + r * 4 + k % 4] - 128;
}

static int weight_q4_0(const uint8_t *lines, int r, int k)
{
    return (lines[k % 16 / 4 * 64 + r * 4 + k % 4] >> k / 16 * 4 & 15) - 8;
}

static void block32(const MatmulTile *tile, int block_bytes,
                    int weight_at(const uint8_t *lines, int r, int k))
{
    for (int c = 0; c < tile->columns; c++)
        for (int r = 0; r < MATMUL_ROWS; r++) {
            float sum = 0.0f;
            for (int64_t b = 0; b < tile->length; b++) {
                const uint8_t *pair = (const uint8_t *)tile->panel + b / 2 * (64 + 2 * block_bytes);
                const uint8_t *lines = pair + 64 + b % 2 * block_bytes;
                int32_t dot = 0;
                for (int k = 0; k < Q8_ELEMENTS; k++)
                    dot += weight_at(lines, r, k) * quant_at(tile, b, Q8_WORDS, 2, k, c);
                float scale_x = f32_from_bits((uint32_t)word_at(tile, b, Q8_WORDS, 1, c));
                sum = fmaf(scale_at(pair, b, r) * scale_x, (float)dot, sum);
            }
            tile->out[c * tile->stride + r] = sum;
        }
}

static void block_q8_0(const MatmulTile *tile)
{
    block32(tile, 512, weight_q8_0);
}

static void block_q4_0(const MatmulTile *tile)
{
    block32(tile, 256, weight_q4_0);
}

static int32_t dot_q6_k(const MatmulTile *tile, const uint8_t *block, int64_t b, int r, int c)
{
    const uint8_t *low = block + 256, *high = low + 32 * 64;
    int32_t dot = 0;
    for (int k = 0; k < Q8K_ELEMENTS; k++) {
        int quad = k / 4, byte = r * 4 + k % 4;
        int quant = (low[quad % 32 * 64 + byte] >> quad / 32 * 4 & 15) |
                    (high[quad % 16 * 64 + byte] >> quad / 16 * 2 & 3) << 4;
        int subscale = (int8_t)block[k / 16 * MATMUL_ROWS + r];
        dot += subscale * ((quant - 32) * quant_at(tile, b, Q8K_WORDS, 21, k, c));
    }
    return dot;
}

static void block_q6_k(const MatmulTile *tile)
{
    enum { BLOCK_BYTES = 3328 };
    for (int c = 0; c < tile->columns; c++)
        for (int r = 0; r < MATMUL_ROWS; r++) {
            float sum = 0.0f;
            for (int64_t b = 0; b < tile->length; b++) {
                const uint8_t *pair = (const uint8_t *)tile->panel + b / 2 * (64 + 2 * BLOCK_BYTES);
                int32_t dot = dot_q6_k(tile, pair + 64 + b % 2 * BLOCK_BYTES, b, r, c);
                float scale_x = f32_from_bits((uint32_t)word_at(tile, b, Q8K_WORDS, 0, c));
                sum = fmaf(scale_at(pair, b, r) * scale_x, (float)dot, sum);
            }
            tile->out[c * tile->stride + r] = sum;
        }
}

static const MatmulBody body = {
    .chain = chain,
    .expand_chain = {[DTYPE_f32] = expand_chain,
                     [DTYPE_f16] = expand_chain,
                     [DTYPE_bf16] = expand_chain,
                     [DTYPE_q8_0] = expand_chain,
                     [DTYPE_q4_0] = expand_chain,
                     [DTYPE_q6_k] = expand_chain},
    .block = {[DTYPE_q8_0] = block_q8_0, [DTYPE_q4_0] = block_q4_0, [DTYPE_q6_k] = block_q6_k},
    .rows = &rows_body_ref,
};

void matmul_ref(const KernelCall *call, void *scratch, int64_t first, int64_t last)
{
    matmul_run(&body, call, scratch, first, last);
}

void matmul_experts_ref(const KernelCall *call, void *scratch, int64_t first, int64_t last)
{
    matmul_experts_run(&body, call, scratch, first, last);
}
