// The scalar bodies of matmul: they define the bits that the others reproduce, whatever the type
// and the layout.
#include "kernels/matmul.h"

#include <assert.h>
#include <string.h>

#include "kernels/math.h"
#include "kernels/pack.h"
#include "kernels/row_read.h"

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

void matmul_expand_any(const MatmulPanel *panel, int64_t begin, int64_t count, void *out)
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

// Word `word` of token c of block `block`.
static int32_t word_at(const MatmulTile *tile, int64_t block, int words, int word, int c)
{
    const int32_t *all = tile->tokens;
    return all[(block * words + word) * tile->spacing + c];
}

// The exact sums of one block of weights with one token's quants: of quants times subscales, and,
// where the type has minima, of those times the token's sums.
typedef struct BlockDot {
    int32_t dot, least;
} BlockDot;

static BlockDot block_dot(const MatmulTile *tile, const RowBlock *weights, int64_t b, int c)
{
    bool wide = dtype_table[tile->dtype].block_elements == Q8K_ELEMENTS;
    int words = wide ? Q8K_WORDS : Q8_WORDS, first = words - (wide ? 64 : 8);
    BlockDot sums = {0, 0};
    for (int k = 0; k < dtype_table[tile->dtype].block_elements; k++) {
        uint32_t quad = (uint32_t)word_at(tile, b, words, first + k / 4, c);
        int quant = (int8_t)(quad >> k % 4 * 8 & 255);
        sums.dot += weights->subscales[k / 16] * (weights->quants[k] * quant);
        sums.least += weights->has_minima ? weights->minima[k / 16] * quant : 0;
    }
    return sums;
}

static void each_panel(const MatmulTile *tile, MatmulTileBody *run)
{
    MatmulTile one = *tile;
    for (int64_t i = 0; i <= tile->more; i++, matmul_next_panel(&one))
        run(&one);
}

// Any packed type: the file's block is unpacked and read as row_read.h says.
static void block_panel(const MatmulTile *tile)
{
    bool wide = dtype_table[tile->dtype].block_elements == Q8K_ELEMENTS;
    uint8_t bytes[256];
    RowBlock weights;
    for (int r = 0; r < MATMUL_ROWS; r++) {
        for (int c = 0; c < tile->columns; c++)
            tile->out[c * tile->stride + r] = 0;
        for (int64_t b = 0; b < tile->length; b++) {
            pack_read_block(tile->dtype, tile->panel, b, r, bytes);
            row_read_block(tile->dtype, bytes, &weights);
            for (int c = 0; c < tile->columns; c++) {
                float *out = &tile->out[c * tile->stride + r];
                BlockDot sums = block_dot(tile, &weights, b, c);
                int32_t scale_bits = word_at(tile, b, wide ? Q8K_WORDS : Q8_WORDS, wide ? 0 : 1, c);
                float scale = f32_from_bits((uint32_t)scale_bits);
                *out = fmaf(weights.scale * scale, (float)sums.dot, *out);
                if (weights.has_minima)
                    *out = fmaf(-weights.least * scale, (float)sums.least, *out);
            }
        }
    }
}

static void block(const MatmulTile *tile)
{
    each_panel(tile, block_panel);
}

// As the instruction does, which rounds to nearest even and heeds no control register: denormals
// are zero, of the inputs and of every sum, so that a CPU that follows it gives equal bits.
static float normal(float value)
{
    return fabsf(value) < 0x1p-126f ? copysignf(0, value) : value;
}

static float add_product(uint32_t x_bits, uint32_t weight_bits, float sum)
{
    float x = normal(f32_from_bits(x_bits)), weight = normal(f32_from_bits(weight_bits));
    return normal(fmaf(x, weight, sum));
}

static void pairs_panel(const MatmulTile *tile)
{
    const uint32_t *weights = tile->panel, *x = tile->tokens;
    const int64_t rows = layout_table[LAYOUT_n32k2].panel_rows;
    for (int32_t c = 0; c < tile->columns; c++)
        for (int64_t r = 0; r < rows; r++) {
            float *out = &tile->out[c * tile->stride + r], sum = tile->resume ? *out : 0.0f;
            for (int64_t pair = 0; pair < tile->length; pair++) {
                uint32_t a = x[pair * tile->spacing + c], b = weights[pair * rows + r];
                sum = add_product(a & 0xffff0000u, b & 0xffff0000u, sum);
                sum = add_product(a << 16, b << 16, sum);
            }
            *out = sum;
        }
}

static void pairs(const MatmulTile *tile)
{
    each_panel(tile, pairs_panel);
}

static const MatmulBody body = {
    .chain = chain,
    .expand_chain = {[0 ... DTYPE_COUNT - 1] = matmul_expand_any},
    .pairs = pairs,
    .block = {[0 ... DTYPE_COUNT - 1] = block},
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
