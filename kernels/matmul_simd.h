// Bodies of matmul that are the same in any 16 lanes: float chains, and panels expanded to f32.
// Included by matmul_avx2.c and matmul_avx512.c after math_*.h, with
//   COLUMNS_MOST   columns whose chains fit the registers
//   COLUMNS_BOTH   the same if each has two, of 16 rows each
//   lanes_field    16 words at `line`: (float)((word >> shift & mask) - bias)
//   lanes_decode   eight lines of quants with their bias from the lines of a packed block of 32
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
    UNROLL_LONG for (int64_t k = 0; k < tile->length; k++)
    {
        Lanes weight = lanes_load(weights + k * MATMUL_ROWS);
        UNROLL for (int c = 0; c < columns; c++) sums[c] =
            lanes_fma(lanes_set(x[k * spacing + c]), weight, sums[c]);
    }
    UNROLL for (int c = 0; c < columns; c++) lanes_store(out + c * tile->stride, sums[c]);
}

static MatmulTileBody chain;
TILE_BODY(chain, chain_tile, true)

// 16 of the 32 rows of a packed panel, at k + odd; of bf16 k is even.
typedef Lanes LoadPacked(const uint8_t *panel, int64_t k, int odd, int half);

ALWAYS_INLINE Lanes packed_f16(const uint8_t *panel, int64_t k, int odd, int half)
{
    const uint16_t *weights = (const uint16_t *)(const void *)panel;
    return lanes_load_f16(weights + ((k + odd) * 2 + half) * MATMUL_ROWS);
}

ALWAYS_INLINE Lanes packed_bf16(const uint8_t *panel, int64_t k, int odd, int half)
{
    return lanes_bf16(panel + (k + half) * 64, odd);
}

ALWAYS_INLINE void packed_halves(const MatmulTile *tile, int first, const int columns,
                                 const int spacing, LoadPacked *const load, const int begin,
                                 const int end)
{
    Lanes sums[2][MATMUL_TOKENS];
    const float *x = (const float *)tile->tokens + first;
    float *out = tile->out + first * tile->stride;
    UNROLL for (int half = begin; half < end; half++) UNROLL for (int c = 0; c < columns; c++)
        sums[half][c] = lanes_set(0);
    for (int64_t k = 0; k < tile->length; k += 2) {
        UNROLL for (int odd = 0; odd < 2; odd++)
        {
            if (k + odd == tile->length)
                break;
            UNROLL for (int half = begin; half < end; half++)
            {
                Lanes weight = load(tile->panel, k, odd, half);
                UNROLL for (int c = 0; c < columns; c++) sums[half][c] =
                    lanes_fma(lanes_set(x[(k + odd) * spacing + c]), weight, sums[half][c]);
            }
        }
    }
    UNROLL for (int half = begin; half < end; half++) UNROLL for (int c = 0; c < columns; c++)
        lanes_store(out + c * tile->stride + half * MATMUL_ROWS, sums[half][c]);
}

// A few tokens straight from a packed panel. Its halves go together where their chains fit the
// registers: one chain of 16 rows waits for its own fma.
ALWAYS_INLINE void packed_tile(const MatmulTile *tile, int first, const int columns,
                               const int spacing, LoadPacked *const load)
{
    if (columns <= COLUMNS_BOTH) {
        packed_halves(tile, first, columns, spacing, load, 0, 2);
        return;
    }
    packed_halves(tile, first, columns, spacing, load, 0, 1);
    packed_halves(tile, first, columns, spacing, load, 1, 2);
}

static MatmulTileBody chain_f16, chain_bf16;
TILE_BODY(chain_f16, packed_tile, packed_f16)
TILE_BODY(chain_bf16, packed_tile, packed_bf16)

// Where k = begin of the panel lies.
static const uint8_t *panel_at(const MatmulPanel *panel, int64_t begin)
{
    return panel->data + layout_panel_bytes(panel->dtype, panel->layout, begin);
}

static void expand_f16(const MatmulPanel *panel, int64_t begin, int64_t count, void *out)
{
    const uint8_t *weights = panel_at(panel, begin);
    float *low = out, *high = low + count * MATMUL_ROWS;
    for (int64_t k = 0; k < count; k++) {
        lanes_store(low + k * MATMUL_ROWS, packed_f16(weights, k, 0, 0));
        lanes_store(high + k * MATMUL_ROWS, packed_f16(weights, k, 0, 1));
    }
}

static void expand_bf16(const MatmulPanel *panel, int64_t begin, int64_t count, void *out)
{
    const uint8_t *weights = panel_at(panel, begin);
    float *low = out, *high = low + count * MATMUL_ROWS;
    for (int64_t k = 0; k < count; k++) {
        int odd = (int)(k % 2);
        lanes_store(low + k * MATMUL_ROWS, packed_bf16(weights, k - odd, odd, 0));
        lanes_store(high + k * MATMUL_ROWS, packed_bf16(weights, k - odd, odd, 1));
    }
}

ALWAYS_INLINE void expand_block32(const MatmulPanel *panel, int64_t begin, int64_t count, void *out,
                                  const Block32 form)
{
    const uint8_t *packed = panel_at(panel, begin);
    float *to = out;
    _Alignas(64) uint8_t lines[8 * 64];
    for (int64_t b = 0; b < count / 32; b++, to += 32 * MATMUL_ROWS) {
        const uint8_t *factors = block32_factors(form, packed, b);
        Lanes scale = lanes_load_f16((const uint16_t *)(const void *)factors);
        Lanes least = lanes_load_f16((const uint16_t *)(const void *)(factors + 64));
        lanes_decode(form, block32_lines(form, packed, b), lines);
        for (int k = 0; k < 32; k++) {
            Lanes quant = lanes_field(lines + k / 4 * 64, k % 4 * 8, 255, form.bias);
            Lanes weight = lanes_mul(scale, quant);
            lanes_store(to + k * MATMUL_ROWS,
                        form.factors == 2 ? lanes_add(weight, least) : weight);
        }
    }
}

#define BLOCK32(type, lines, factors, bias)                                                        \
    static void expand_##type(const MatmulPanel *panel, int64_t begin, int64_t count, void *out)   \
    {                                                                                              \
        expand_block32(panel, begin, count, out, (Block32){DTYPE_##type, lines, factors, bias});   \
    }
BLOCK32_FORMS(BLOCK32)
#undef BLOCK32

#define EXPAND_BLOCK32(type, lines, factors, bias) [DTYPE_##type] = expand_##type,
#define EXPAND_CHAIN(target)                                                                       \
    {                                                                                              \
        [DTYPE_f16] = expand_f16, [DTYPE_bf16] = expand_bf16, [DTYPE_q4_k] = floats_q4_k_##target, \
        [DTYPE_q5_k] = floats_q5_k_##target, [DTYPE_q6_k] = floats_q6_k_##target,                  \
        BLOCK32_FORMS(EXPAND_BLOCK32)                                                              \
    }
