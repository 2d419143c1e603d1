// The scalar definition of every span of rows.h: the bits that the other targets reproduce.
#include "kernels/rows.h"

static float sum(const float *x, int64_t columns)
{
    float lanes[16] = {0};
    for (int64_t i = 0; i < columns; i++)
        lanes[i % 16] += x[i];
    return lanes_tree_sum(lanes);
}

static float sum_squares(const float *x, int64_t columns)
{
    float lanes[16] = {0};
    for (int64_t i = 0; i < columns; i++)
        lanes[i % 16] = fmaf(x[i], x[i], lanes[i % 16]);
    return lanes_tree_sum(lanes);
}

static float sum_squares_about(const float *x, float about, int64_t columns)
{
    float lanes[16] = {0};
    for (int64_t i = 0; i < columns; i++)
        lanes[i % 16] = fmaf(x[i] - about, x[i] - about, lanes[i % 16]);
    return lanes_tree_sum(lanes);
}

static void scale(const float *x, float factor, const float *weight, float *out, int64_t columns)
{
    for (int64_t i = 0; i < columns; i++)
        out[i] = x[i] * factor * weight[i];
}

static void centre(const float *x, float mean, float factor, const float *weight, const float *bias,
                   float *out, int64_t columns)
{
    for (int64_t i = 0; i < columns; i++) {
        float scaled = (x[i] - mean) * factor;
        out[i] = bias ? fmaf(scaled, weight[i], bias[i]) : scaled * weight[i];
    }
}

static void add(const float *x, const float *y, int64_t y_step, float *out, int64_t columns)
{
    for (int64_t i = 0; i < columns; i++)
        out[i] = x[i] + y[i * y_step];
}

#define UNARY(op)                                                                                  \
    static void op##_span(const float *x, float *out, int64_t columns)                             \
    {                                                                                              \
        for (int64_t i = 0; i < columns; i++)                                                      \
            out[i] = op##_f32(x[i]);                                                               \
    }
#define GATED(op, activate)                                                                        \
    static void op##_span(const float *gate, const float *up, float *out, int64_t columns)         \
    {                                                                                              \
        for (int64_t i = 0; i < columns; i++)                                                      \
            out[i] = activate##_f32(gate[i]) * up[i];                                              \
    }
UNARY(silu)
UNARY(exp)
UNARY(tanh)
UNARY(gelu)
UNARY(gelu_tanh)
GATED(swiglu, silu)
GATED(geglu, gelu_tanh)

static QuantiseFactors factors_of(const float *x, int64_t columns)
{
    uint32_t most = 0;
    for (int64_t i = 0; i < columns; i++) {
        uint32_t bits = f32_bits(x[i]) & 0x7fffffffu;
        most = bits > most ? bits : most;
    }
    return quantise_factors(most);
}

// Returns the sum of the 16 quants.
static int32_t quantise16(const float *x, float inverse, int8_t *quants)
{
    int32_t sum = 0;
    for (int i = 0; i < 16; i++) {
        quants[i] = inverse == 0 ? 0 : (int8_t)lrintf(x[i] * inverse);
        sum += quants[i];
    }
    return sum;
}

void quantise_q8_ref(const float *x, int64_t columns, void *tile, int64_t block, int32_t column,
                     int32_t tile_tokens)
{
    for (int64_t i = 0; i < columns; i += Q8_ELEMENTS, block++) {
        QuantiseFactors factors = factors_of(x + i, Q8_ELEMENTS);
        int8_t quants[Q8_ELEMENTS];
        int32_t sum = quantise16(x + i, factors.inverse, quants);
        sum += quantise16(x + i + 16, factors.inverse, quants + 16);
        q8_write_block(tile, block, column, tile_tokens, factors.scale, sum, quants);
    }
}

void quantise_q8k_ref(const float *x, int64_t columns, void *tile, int64_t block, int32_t column,
                      int32_t tile_tokens)
{
    for (int64_t i = 0; i < columns; i += Q8K_ELEMENTS, block++) {
        QuantiseFactors factors = factors_of(x + i, Q8K_ELEMENTS);
        int8_t quants[Q8K_ELEMENTS];
        int32_t sums[16];
        for (int group = 0; group < 16; group++)
            sums[group] = quantise16(x + i + 16 * group, factors.inverse, quants + 16 * group);
        q8k_write_block(tile, block, column, tile_tokens, factors.scale, sums, quants);
    }
}

void quantise_bf16x2_ref(const float *x, int64_t columns, void *tile, int64_t block, int32_t column,
                         int32_t tile_tokens)
{
    for (int64_t i = 0; i < columns; i += PAIR_ELEMENTS, block++) {
        uint16_t pair[PAIR_ELEMENTS] = {f32_to_bf16(x[i]), f32_to_bf16(x[i + 1])};
        bf16x2_write_pairs(tile, block, column, tile_tokens, pair, PAIR_ELEMENTS);
    }
}

const RowsBody rows_body_ref = {
    .sum = sum,
    .sum_squares = sum_squares,
    .sum_squares_about = sum_squares_about,
    .scale = scale,
    .centre = centre,
    .add = add,
    .silu = silu_span,
    .exp = exp_span,
    .tanh = tanh_span,
    .gelu = gelu_span,
    .gelu_tanh = gelu_tanh_span,
    .swiglu = swiglu_span,
    .geglu = geglu_span,
    .quantise = {[DTYPE_q8] = quantise_q8_ref,
                 [DTYPE_q8k] = quantise_q8k_ref,
                 [DTYPE_bf16x2] = quantise_bf16x2_ref},
};
