// The spans of rows.h in 16 lanes, included once by rows_avx2.c and rows_avx512.c after the lanes
// of their target. TARGET(name) is the name with the target's suffix.
#include "kernels/lanes.h"
#include "kernels/rows.h"

// Lanes beyond the end add 0 or 0 * 0 to a sum that is never -0: no bit changes.
static float sum(const float *x, int64_t columns)
{
    Lanes sum = lanes_set(0);
    for (int64_t i = 0; i < columns; i += 16)
        sum = lanes_add(sum, load_at(x, i, columns));
    return lanes_sum(sum);
}

static float sum_squares(const float *x, int64_t columns)
{
    Lanes sum = lanes_set(0);
    for (int64_t i = 0; i < columns; i += 16) {
        Lanes a = load_at(x, i, columns);
        sum = lanes_fma(a, a, sum);
    }
    return lanes_sum(sum);
}

static float sum_squares_about(const float *x, float about, int64_t columns)
{
    Lanes sum = lanes_set(0);
    for (int64_t i = 0; i < columns; i += 16) {
        Lanes a = lanes_sub(load_at(x, i, columns), lanes_set(about));
        a = lanes_select_range(a, 0, columns - i, lanes_set(0));
        sum = lanes_fma(a, a, sum);
    }
    return lanes_sum(sum);
}

static void scale(const float *x, float factor, const float *weight, float *out, int64_t columns)
{
    Lanes factors = lanes_set(factor);
    for (int64_t i = 0; i < columns; i += 16) {
        Lanes scaled = lanes_mul(load_at(x, i, columns), factors);
        store_at(out, i, columns, lanes_mul(scaled, load_at(weight, i, columns)));
    }
}

static void centre(const float *x, float mean, float factor, const float *weight, const float *bias,
                   float *out, int64_t columns)
{
    for (int64_t i = 0; i < columns; i += 16) {
        Lanes centred = lanes_sub(load_at(x, i, columns), lanes_set(mean));
        Lanes scaled = lanes_mul(centred, lanes_set(factor)), w = load_at(weight, i, columns);
        store_at(out, i, columns,
                 bias ? lanes_fma(scaled, w, load_at(bias, i, columns)) : lanes_mul(scaled, w));
    }
}

static void add(const float *x, const float *y, int64_t y_step, float *out, int64_t columns)
{
    for (int64_t i = 0; i < columns; i += 16) {
        Lanes b = y_step ? load_at(y, i, columns) : lanes_set(*y);
        store_at(out, i, columns, lanes_add(load_at(x, i, columns), b));
    }
}

#define UNARY(op)                                                                                  \
    static void op##_span(const float *x, float *out, int64_t columns)                             \
    {                                                                                              \
        for (int64_t i = 0; i < columns; i += 16)                                                  \
            store_at(out, i, columns, lanes_##op(load_at(x, i, columns)));                         \
    }
#define GATED(op, activate)                                                                        \
    static void op##_span(const float *gate, const float *up, float *out, int64_t columns)         \
    {                                                                                              \
        for (int64_t i = 0; i < columns; i += 16) {                                                \
            Lanes activated = lanes_##activate(load_at(gate, i, columns));                         \
            store_at(out, i, columns, lanes_mul(activated, load_at(up, i, columns)));              \
        }                                                                                          \
    }
UNARY(silu)
UNARY(exp)
UNARY(tanh)
UNARY(gelu)
UNARY(gelu_tanh)
GATED(swiglu, silu)
GATED(geglu, gelu_tanh)

static inline QuantiseFactors factors_of(const float *x, int64_t columns)
{
    Lanes most = lanes_set(0);
    for (int64_t i = 0; i < columns; i += 16)
        most = lanes_max_magnitude(most, lanes_load(x + i));
    return quantise_factors(lanes_most_bits(most));
}

// Returns the sum of the 16 quants.
static inline int32_t quantise16(const float *x, float inverse, int8_t *quants)
{
    if (inverse == 0) {
        memset(quants, 0, 16);
        return 0;
    }
    return lanes_store_int8(quants, lanes_mul(lanes_load(x), lanes_set(inverse)));
}

void TARGET(quantise_q8)(const float *x, int64_t columns, void *tile, int64_t block, int32_t column,
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

void TARGET(quantise_q8k)(const float *x, int64_t columns, void *tile, int64_t block,
                          int32_t column, int32_t tile_tokens)
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

void TARGET(quantise_bf16x2)(const float *x, int64_t columns, void *tile, int64_t block,
                             int32_t column, int32_t tile_tokens)
{
    for (int64_t i = 0; i < columns; i += 16) {
        uint16_t rounded[16];
        lanes_store_bf16(rounded, load_at(x, i, columns));
        bf16x2_write_pairs(tile, block + i / PAIR_ELEMENTS, column, tile_tokens, rounded,
                           columns - i < 16 ? columns - i : 16);
    }
}

const RowsBody TARGET(rows_body) = {
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
    .quantise = {[DTYPE_q8] = TARGET(quantise_q8),
                 [DTYPE_q8k] = TARGET(quantise_q8k),
                 [DTYPE_bf16x2] = TARGET(quantise_bf16x2)},
};
