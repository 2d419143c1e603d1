// Bodies of matmul that are the same in any 16 lanes: float chains, and panels expanded to f32.
// Included by matmul_avx2.c and matmul_avx512.c after math_*.h, with
//   COLUMNS_MOST   columns whose chains fit the registers
//   lanes_field    16 words at `line`: (float)((word >> shift & mask) - bias)
//   lanes_bf16     16 words at `line`: the bf16 in the low (0) or high (1) half

#include "kernels/matmul_tile.h"

ALWAYS_INLINE void chain_tile(const MatmulTile *tile, int first, const int columns,
                              const int spacing, const bool may_resume)
{
    Lanes sums[MATMUL_TOKENS];
    const float *weights = tile->panel, *x = (const float *)tile->tokens + first;
    float *out = tile->out + first * tile->stride;
    UNROLL for (int c = 0; c < columns; c++) sums[c] =
        may_resume && tile->resume ? lanes_load(out + c * tile->stride) : lanes_set(0);
    for (int64_t k = 0; k < tile->length; k++, weights += MATMUL_ROWS, x += spacing) {
        Lanes weight = lanes_load(weights);
        UNROLL for (int c = 0; c < columns; c++) sums[c] =
            lanes_fma(lanes_set(x[c]), weight, sums[c]);
    }
    UNROLL for (int c = 0; c < columns; c++) lanes_store(out + c * tile->stride, sums[c]);
}

static TILE_BODY(chain, chain_tile, true)

    // One token straight from a packed panel: 32 rows, since one chain of 16 waits for its own fma.
    static void vector_f16(const MatmulTile *tile)
{
    const uint16_t *weights = tile->panel;
    const float *x = tile->tokens;
    Lanes low = lanes_set(0), high = lanes_set(0);
    for (int64_t k = 0; k < tile->length; k++, weights += 2 * MATMUL_ROWS) {
        low = lanes_fma(lanes_set(x[k]), lanes_load_f16(weights), low);
        high = lanes_fma(lanes_set(x[k]), lanes_load_f16(weights + MATMUL_ROWS), high);
    }
    lanes_store(tile->out, low);
    lanes_store(tile->out + MATMUL_ROWS, high);
}

static void vector_bf16(const MatmulTile *tile)
{
    const uint8_t *weights = tile->panel;
    const float *x = tile->tokens;
    Lanes low = lanes_set(0), high = lanes_set(0);
    for (int64_t k = 0; k < tile->length; k += 2, weights += 128) {
        low = lanes_fma(lanes_set(x[k]), lanes_bf16(weights, 0), low);
        high = lanes_fma(lanes_set(x[k]), lanes_bf16(weights + 64, 0), high);
        if (k + 1 == tile->length)
            break;
        low = lanes_fma(lanes_set(x[k + 1]), lanes_bf16(weights, 1), low);
        high = lanes_fma(lanes_set(x[k + 1]), lanes_bf16(weights + 64, 1), high);
    }
    lanes_store(tile->out, low);
    lanes_store(tile->out + MATMUL_ROWS, high);
}

// Where k = begin of the panel lies.
static const uint8_t *panel_at(const MatmulPanel *panel, int64_t begin)
{
    return panel->data + layout_panel_bytes(panel->dtype, panel->layout, begin);
}

static void expand_f16(const MatmulPanel *panel, int64_t begin, int64_t count, void *out)
{
    const uint16_t *weights = (const uint16_t *)(const void *)panel_at(panel, begin);
    float *low = out, *high = low + count * MATMUL_ROWS;
    for (int64_t k = 0; k < count; k++, weights += 2 * MATMUL_ROWS) {
        lanes_store(low + k * MATMUL_ROWS, lanes_load_f16(weights));
        lanes_store(high + k * MATMUL_ROWS, lanes_load_f16(weights + MATMUL_ROWS));
    }
}

static void expand_bf16(const MatmulPanel *panel, int64_t begin, int64_t count, void *out)
{
    const uint8_t *weights = panel_at(panel, begin);
    float *low = out, *high = low + count * MATMUL_ROWS;
    for (int64_t k = 0; k < count; k++) {
        const uint8_t *lines = weights + k / 2 * 128;
        lanes_store(low + k * MATMUL_ROWS, lanes_bf16(lines, k % 2));
        lanes_store(high + k * MATMUL_ROWS, lanes_bf16(lines + 64, k % 2));
    }
}

ALWAYS_INLINE void store_weight(float *out, int64_t k, Lanes scale, Lanes quant)
{
    lanes_store(out + k * MATMUL_ROWS, lanes_mul(scale, quant));
}

static void expand_q8_0(const MatmulPanel *panel, int64_t begin, int64_t count, void *out)
{
    const uint8_t *pairs = panel_at(panel, begin);
    float *to = out;
    for (int64_t b = 0; b < count / 32; b++, to += 32 * MATMUL_ROWS) {
        const uint8_t *pair = pairs + b / 2 * 1088, *lines = pair + 64 + b % 2 * 512;
        Lanes scale = lanes_load_f16((const uint16_t *)(const void *)(pair + b % 2 * 32));
        for (int line = 0; line < 8; line++)
            for (int j = 0; j < 4; j++)
                store_weight(to, line * 4 + j, scale,
                             lanes_field(lines + line * 64, 8 * j, 255, 128));
    }
}

static void expand_q4_0(const MatmulPanel *panel, int64_t begin, int64_t count, void *out)
{
    const uint8_t *pairs = panel_at(panel, begin);
    float *to = out;
    for (int64_t b = 0; b < count / 32; b++, to += 32 * MATMUL_ROWS) {
        const uint8_t *pair = pairs + b / 2 * 576, *lines = pair + 64 + b % 2 * 256;
        Lanes scale = lanes_load_f16((const uint16_t *)(const void *)(pair + b % 2 * 32));
        for (int line = 0; line < 4; line++)
            for (int j = 0; j < 4; j++) {
                const uint8_t *both = lines + line * 64;
                store_weight(to, line * 4 + j, scale, lanes_field(both, 8 * j, 15, 8));
                store_weight(to, 16 + line * 4 + j, scale, lanes_field(both, 8 * j + 4, 15, 8));
            }
    }
}

#define EXPAND_CHAIN(target)                                                                       \
    {                                                                                              \
        [DTYPE_f16] = expand_f16, [DTYPE_bf16] = expand_bf16, [DTYPE_q8_0] = expand_q8_0,          \
        [DTYPE_q4_0] = expand_q4_0, [DTYPE_q4_k] = floats_q4_k_##target,                           \
        [DTYPE_q5_k] = floats_q5_k_##target, [DTYPE_q6_k] = floats_q6_k_##target                   \
    }
