// An attention tile in 16 lanes, included once by attention_avx2.c and attention_avx512.c after the
// lanes of their target, with TILE_ROWS and TILE_LANES: how many rows by how many times 16 keys (or
// dimensions) of accumulators fit the registers.
//
// Scores: lanes are keys, one chain over dimensions. Outputs: lanes are dimensions, one chain over
// keys; rows whose visible ranges differ run together over the keys that all of them see and alone
// over the rest, through memory, which is exact. Rows are taken 8, 4, 2 or 1 at a time.
#include "kernels/attention.h"
#include "kernels/lanes.h"
#include "kernels/quantise.h"

#define INLINE static inline __attribute__((always_inline))
// Enough for the streams of keys and values to stay ahead of one core's arithmetic.
enum { PREFETCH_BYTES = 4096 };

INLINE Lanes load_state(const char *group, int64_t element, bool f16)
{
    if (f16)
        return lanes_load_f16((const uint16_t *)group + element);
    return lanes_load((const float *)group + element);
}

INLINE Lanes load_state_some(const char *group, int64_t element, bool f16, int64_t count)
{
    if (count >= 16)
        return load_state(group, element, f16);
    if (f16)
        return lanes_load_f16_some((const uint16_t *)group + element, count);
    return lanes_load_some((const float *)group + element, count);
}

INLINE void prefetch(const char *group, int64_t element, bool f16)
{
    int64_t bytes = element * (f16 ? 2 : 4) + PREFETCH_BYTES;
    _mm_prefetch((const char *)((uintptr_t)group + (uintptr_t)bytes), _MM_HINT_T0);
}

// Scores of rows first_row … first_row+rows-1 against a group of 32 keys.
INLINE void score_rows(int rows, bool f16, const AttentionTile *tile, int32_t first_row,
                       int32_t group)
{
    const float *queries = tile->queries + first_row;
    const char *keys = tile->keys[group];
    int64_t head_size = tile->head_size;
    float *scores = tile->scores + first_row * ATTENTION_BLOCK + group * KEY_GROUP;
    for (int64_t at = 0; at < KEY_GROUP; at += 16 * TILE_LANES) {
        Lanes sums[TILE_ROWS][TILE_LANES];
#pragma GCC unroll 8
        for (int row = 0; row < rows; row++)
#pragma GCC unroll 2
            for (int part = 0; part < TILE_LANES; part++)
                sums[row][part] = lanes_set(0);
        for (int64_t i = 0; i < head_size; i++) {
            Lanes key[TILE_LANES];
            prefetch(keys, i * KEY_GROUP + at, f16);
#pragma GCC unroll 2
            for (int part = 0; part < TILE_LANES; part++)
                key[part] = load_state(keys, i * KEY_GROUP + at + 16 * part, f16);
#pragma GCC unroll 8
            for (int row = 0; row < rows; row++) {
                Lanes query = lanes_set(queries[i * ATTENTION_ROWS + row]);
#pragma GCC unroll 2
                for (int part = 0; part < TILE_LANES; part++)
                    sums[row][part] = lanes_fma(query, key[part], sums[row][part]);
            }
        }
#pragma GCC unroll 8
        for (int row = 0; row < rows; row++)
#pragma GCC unroll 2
            for (int part = 0; part < TILE_LANES; part++)
                lanes_store(scores + row * ATTENTION_BLOCK + at + 16 * part, sums[row][part]);
    }
}

INLINE void weigh_chunk(int rows, int parts, bool f16, const AttentionTile *tile, int32_t first_row,
                        int32_t begin, int32_t end, int64_t column, int64_t count)
{
    int64_t d = tile->head_size;
    const float *weights = tile->scores + first_row * ATTENTION_BLOCK;
    float *out = tile->partial + first_row * d + column;
    Lanes sums[TILE_ROWS][TILE_LANES];
#pragma GCC unroll 8
    for (int row = 0; row < rows; row++)
#pragma GCC unroll 2
        for (int part = 0; part < parts; part++)
            sums[row][part] = count >= 16 ? lanes_load(out + row * d + 16 * part)
                                          : lanes_load_some(out + row * d, count);
    for (int32_t key = begin; key < end;) {
        const char *values = tile->values[key / KEY_GROUP];
        int32_t group_end = (key / KEY_GROUP + 1) * KEY_GROUP;
        group_end = group_end < end ? group_end : end;
        for (; key < group_end; key++) {
            int64_t element = key % KEY_GROUP * d + column;
            Lanes value[TILE_LANES];
            prefetch(values, element, f16);
#pragma GCC unroll 2
            for (int part = 0; part < parts; part++)
                value[part] = load_state_some(values, element + 16 * part, f16, count);
#pragma GCC unroll 8
            for (int row = 0; row < rows; row++) {
                Lanes weight = lanes_set(weights[row * ATTENTION_BLOCK + key]);
#pragma GCC unroll 2
                for (int part = 0; part < parts; part++)
                    sums[row][part] = lanes_fma(weight, value[part], sums[row][part]);
            }
        }
    }
#pragma GCC unroll 8
    for (int row = 0; row < rows; row++)
#pragma GCC unroll 2
        for (int part = 0; part < parts; part++) {
            if (count >= 16)
                lanes_store(out + row * d + 16 * part, sums[row][part]);
            else
                lanes_store_some(out + row * d, sums[row][part], count);
        }
}

// Adds weight * value of keys begin … end-1, which all of the rows see, to their partials.
INLINE void weigh_rows(int rows, bool f16, const AttentionTile *tile, int32_t first_row,
                       int32_t begin, int32_t end)
{
    int64_t column = 0, d = tile->head_size;
    for (; column + 16 * TILE_LANES <= d; column += 16 * TILE_LANES)
        weigh_chunk(rows, TILE_LANES, f16, tile, first_row, begin, end, column, 16);
    for (; column + 16 <= d; column += 16)
        weigh_chunk(rows, 1, f16, tile, first_row, begin, end, column, 16);
    if (column < d)
        weigh_chunk(rows, 1, f16, tile, first_row, begin, end, column, d - column);
}

// Adds the products of each row's pairs of integers and the lines of a block of q8_0, in lanes that
// begin at column `at` of the lines.
INLINE void dot_block(int rows, const int16_t *quants, int64_t stride, const char *block,
                      int64_t at, IntLanes sums[TILE_ROWS][TILE_LANES])
{
    const char *lines = block + STATE_SCALES_BYTES + 2 * at;
    for (int line = 0; line < STATE_LINES; line++, lines += STATE_LINE_BYTES) {
        IntLanes pairs[TILE_LANES];
        _mm_prefetch((const char *)((uintptr_t)lines + PREFETCH_BYTES), _MM_HINT_T0);
#pragma GCC unroll 2
        for (int part = 0; part < TILE_LANES; part++)
            pairs[part] = int_lanes_load_pairs(lines + 32 * part);
#pragma GCC unroll 8
        for (int row = 0; row < rows; row++) {
            IntLanes pair = int_lanes_set_pair(quants + row * stride + 2 * line);
#pragma GCC unroll 2
            for (int part = 0; part < TILE_LANES; part++)
                sums[row][part] = int_lanes_dot(pair, pairs[part], sums[row][part]);
        }
    }
}

INLINE void zero_dots(int rows, IntLanes sums[TILE_ROWS][TILE_LANES])
{
#pragma GCC unroll 8
    for (int row = 0; row < rows; row++)
#pragma GCC unroll 2
        for (int part = 0; part < TILE_LANES; part++)
            sums[row][part] = int_lanes_zero();
}

// score_rows of q8_0.
INLINE void score_quants(int rows, const AttentionTile *tile, int32_t first_row, int32_t group)
{
    int64_t width = state_columns(DTYPE_q8_0, 1, tile->head_size);
    const int16_t *quants = tile->quants + first_row * width;
    float *scores = tile->scores + first_row * ATTENTION_BLOCK + group * KEY_GROUP;
    for (int64_t at = 0; at < KEY_GROUP; at += 16 * TILE_LANES) {
        Lanes sums[TILE_ROWS][TILE_LANES];
#pragma GCC unroll 8
        for (int row = 0; row < rows; row++)
#pragma GCC unroll 2
            for (int part = 0; part < TILE_LANES; part++)
                sums[row][part] = lanes_set(0);
        const char *block = tile->keys[group];
        for (int64_t i = 0; i < width; i += STATE_BLOCK, block += STATE_BLOCK_BYTES) {
            IntLanes dots[TILE_ROWS][TILE_LANES];
            zero_dots(rows, dots);
            dot_block(rows, quants + i, width, block, at, dots);
#pragma GCC unroll 2
            for (int part = 0; part < TILE_LANES; part++) {
                Lanes scale = lanes_load_f16((const uint16_t *)block + at + 16 * part);
#pragma GCC unroll 8
                for (int row = 0; row < rows; row++)
                    sums[row][part] =
                        lanes_fma(int_lanes_to_f32(dots[row][part]), scale, sums[row][part]);
            }
        }
#pragma GCC unroll 8
        for (int row = 0; row < rows; row++) {
            Lanes scale = lanes_set(tile->quant_scales[first_row + row]);
#pragma GCC unroll 2
            for (int part = 0; part < TILE_LANES; part++)
                lanes_store(scores + row * ATTENTION_BLOCK + at + 16 * part,
                            lanes_mul(sums[row][part], scale));
        }
    }
}

static float quantise(const float *x, int64_t count, int16_t *out)
{
    Lanes most = lanes_set(0);
    for (int64_t i = 0; i < count; i += 16)
        most = lanes_max_magnitude(most, lanes_load(x + i));
    QuantiseFactors factors = quantise_factors_16(lanes_most_bits(most));
    if (factors.inverse == 0)
        memset(out, 0, (size_t)count * sizeof *out);
    else
        for (int64_t i = 0; i < count; i += 16)
            lanes_store_int16(out + i, lanes_mul(lanes_load(x + i), lanes_set(factors.inverse)));
    return factors.scale;
}

// A row's weights times the scales of the values in one block of dimensions, as integers; 0 for
// keys that it does not see.
static float quantise_weights(const AttentionTile *tile, int32_t row, int64_t block, int16_t *out)
{
    const float *scores = tile->scores + row * ATTENTION_BLOCK;
    float weights[ATTENTION_BLOCK];
    int32_t begin = tile->begin[row], end = tile->end[row];
    for (int32_t at = 0; at < ATTENTION_BLOCK; at += 16) {
        Lanes product = lanes_set(0);
        if (at < end && at + 16 > begin) {
            const char *scales = tile->values[at / KEY_GROUP] + block * STATE_BLOCK_BYTES;
            product = lanes_mul(lanes_load(scores + at),
                                lanes_load_f16((const uint16_t *)scales + at % KEY_GROUP));
            if (at < begin || at + 16 > end)
                product = lanes_select_range(product, begin - at, end - at, lanes_set(0));
        }
        lanes_store(weights + at, product);
    }
    return quantise(weights, ATTENTION_BLOCK, out);
}

// The partials of rows first_row … in one block of dimensions, from the rows' quantised weights.
INLINE void weigh_quants(int rows, const AttentionTile *tile, int32_t first_row, int64_t block,
                         const int16_t *weights, const float *scales)
{
    int64_t d = tile->head_size;
    float *out = tile->partial + first_row * d;
    for (int64_t at = 0; at < STATE_BLOCK; at += 16 * TILE_LANES) {
        IntLanes dots[TILE_ROWS][TILE_LANES];
        zero_dots(rows, dots);
        for (int32_t group = 0; group < ATTENTION_GROUPS; group++)
            if (tile->values[group])
                dot_block(rows, weights + group * KEY_GROUP, ATTENTION_BLOCK,
                          tile->values[group] + block * STATE_BLOCK_BYTES, at, dots);
#pragma GCC unroll 8
        for (int row = 0; row < rows; row++)
#pragma GCC unroll 2
            for (int part = 0; part < TILE_LANES; part++) {
                int64_t column = block * STATE_BLOCK + at + 16 * part;
                Lanes sums = lanes_mul(int_lanes_to_f32(dots[row][part]), lanes_set(scales[row]));
                if (column < d)
                    store_at(out + row * d, column, d, sums);
            }
    }
}

typedef void ScoreRows(const AttentionTile *tile, int32_t first_row, int32_t group);
typedef void WeighRows(const AttentionTile *tile, int32_t first_row, int32_t begin, int32_t end);
typedef void WeighQuants(const AttentionTile *tile, int32_t first_row, int64_t block,
                         const int16_t *weights, const float *scales);

#define PASS(rows, type, f16)                                                                      \
    static void score_##type##_##rows(const AttentionTile *tile, int32_t first_row, int32_t group) \
    {                                                                                              \
        score_rows(rows, f16, tile, first_row, group);                                             \
    }                                                                                              \
    static void weigh_##type##_##rows(const AttentionTile *tile, int32_t first_row, int32_t begin, \
                                      int32_t end)                                                 \
    {                                                                                              \
        weigh_rows(rows, f16, tile, first_row, begin, end);                                        \
    }
#define QUANT_PASS(rows)                                                                           \
    static void score_q8_0_##rows(const AttentionTile *tile, int32_t first_row, int32_t group)     \
    {                                                                                              \
        score_quants(rows, tile, first_row, group);                                                \
    }                                                                                              \
    static void weigh_q8_0_##rows(const AttentionTile *tile, int32_t first_row, int64_t block,     \
                                  const int16_t *weights, const float *scales)                     \
    {                                                                                              \
        weigh_quants(rows, tile, first_row, block, weights, scales);                               \
    }
#define PASSES(rows) PASS(rows, f32, false) PASS(rows, f16, true) QUANT_PASS(rows)
PASSES(1)
PASSES(2)
PASSES(4)
#if TILE_ROWS == 8
PASSES(8)
#define WITH_8(name) name##_8
#else
#define WITH_8(name) NULL
#endif

// By type and logarithm of the rows in a pass.
#define BY_ROWS(name)                                                                              \
    {                                                                                              \
        name##_1, name##_2, name##_4, WITH_8(name)                                                 \
    }
static ScoreRows *const score_passes[DTYPE_COUNT][4] = {
    [DTYPE_f32] = BY_ROWS(score_f32),
    [DTYPE_f16] = BY_ROWS(score_f16),
    [DTYPE_q8_0] = BY_ROWS(score_q8_0),
};
static WeighRows *const weigh_passes[DTYPE_COUNT][4] = {
    [DTYPE_f32] = BY_ROWS(weigh_f32),
    [DTYPE_f16] = BY_ROWS(weigh_f16),
};
static WeighQuants *const weigh_quant_passes[4] = BY_ROWS(weigh_q8_0);

// The smallest pass that takes all of `rows`, or the largest there is. Its rows beyond the last
// compute with zero queries; nobody looks at them.
static int pass_for(int32_t rows)
{
    int pass = 0;
    while (1 << pass < rows && 1 << pass < TILE_ROWS)
        pass++;
    return pass;
}

static void cap_scores(const AttentionTile *tile, int32_t row)
{
    float *scores = tile->scores + row * ATTENTION_BLOCK;
    for (int32_t at = tile->begin[row] / 16 * 16; at < tile->end[row]; at += 16)
        lanes_store(scores + at,
                    lanes_mul(lanes_set(tile->softcap), lanes_tanh(lanes_load(scores + at))));
}

// Scores to weights exp(score - maximum), in the lanes of the row's visible keys; returns their
// sum.
static float weigh_scores(const AttentionTile *tile, int32_t row, float *maximum)
{
    float *scores = tile->scores + row * ATTENTION_BLOCK;
    int32_t begin = tile->begin[row], end = tile->end[row], first = begin / 16 * 16;
    Lanes most = lanes_set(-INFINITY), sums = lanes_set(0);
    for (int32_t at = first; at < end; at += 16) {
        Lanes seen =
            lanes_select_range(lanes_load(scores + at), begin - at, end - at, lanes_set(-INFINITY));
        most = lanes_max(seen, most);
    }
    *maximum = lanes_most(most);
    for (int32_t at = first; at < end; at += 16) {
        Lanes weights = lanes_exp(lanes_sub(lanes_load(scores + at), lanes_set(*maximum)));
        weights = lanes_select_range(weights, begin - at, end - at, lanes_set(0));
        sums = lanes_add(sums, weights);
        lanes_store(scores + at, weights);
    }
    return lanes_sum(sums);
}

// The rows of one pass: together over the keys that all see, alone before and after.
static void weigh_values(const AttentionTile *tile, int32_t first_row, int pass)
{
    WeighRows *const *passes = weigh_passes[tile->values_type];
    int32_t last_row = first_row + (1 << pass);
    last_row = last_row < tile->rows ? last_row : tile->rows;
    int32_t begin = 0, end = ATTENTION_BLOCK;
    for (int32_t row = first_row; row < last_row; row++) {
        begin = tile->begin[row] > begin ? tile->begin[row] : begin;
        end = tile->end[row] < end ? tile->end[row] : end;
    }
    if (begin >= end)
        begin = end = ATTENTION_BLOCK;
    for (int32_t row = first_row; row < last_row; row++) {
        int32_t row_end = tile->end[row] < begin ? tile->end[row] : begin;
        if (tile->begin[row] < row_end)
            passes[0](tile, row, tile->begin[row], row_end);
    }
    if (begin < end)
        passes[pass](tile, first_row, begin, end);
    for (int32_t row = first_row; row < last_row; row++)
        if (end < tile->end[row])
            passes[0](tile, row, end, tile->end[row]);
}

// All rows over all keys: weights of unseen ones are 0.
static void weigh_quant_values(const AttentionTile *tile)
{
    int16_t weights[ATTENTION_ROWS][ATTENTION_BLOCK];
    float scales[ATTENTION_ROWS] = {0};
    memset(weights + tile->rows, 0, (size_t)(ATTENTION_ROWS - tile->rows) * sizeof *weights);
    for (int64_t block = 0; block * STATE_BLOCK < tile->head_size; block++) {
        for (int32_t row = 0; row < tile->rows; row++)
            scales[row] = quantise_weights(tile, row, block, weights[row]);
        for (int32_t row = 0; row < tile->rows;) {
            int pass = pass_for(tile->rows - row);
            weigh_quant_passes[pass](tile, row, block, weights[row], scales + row);
            row += 1 << pass;
        }
    }
}

static void weigh_float_values(const AttentionTile *tile)
{
    memset(tile->partial, 0, (size_t)(ATTENTION_ROWS * tile->head_size) * sizeof(float));
    for (int32_t row = 0; row < tile->rows;) {
        int pass = pass_for(tile->rows - row);
        weigh_values(tile, row, pass);
        row += 1 << pass;
    }
}

static void merge_row(const AttentionTile *tile, int32_t row, float maximum, float sum)
{
    int64_t d = tile->head_size;
    float *output = tile->output + row * d;
    const float *partial = tile->partial + row * d;
    if (tile->sum[row] == 0) {
        memcpy(output, partial, (size_t)d * sizeof *output);
        tile->sum[row] = sum;
        tile->maximum[row] = maximum;
        return;
    }
    float most = maximum > tile->maximum[row] ? maximum : tile->maximum[row];
    float before = exp_f32(tile->maximum[row] - most), now = exp_f32(maximum - most);
    for (int64_t i = 0; i < d; i += 16) {
        Lanes scaled = lanes_mul(load_at(output, i, d), lanes_set(before));
        store_at(output, i, d, lanes_fma(load_at(partial, i, d), lanes_set(now), scaled));
    }
    tile->sum[row] = fmaf(sum, now, tile->sum[row] * before);
    tile->maximum[row] = most;
}

static void block(const AttentionTile *tile)
{
    float maximum[ATTENTION_ROWS], sum[ATTENTION_ROWS];
    for (int32_t row = 0; row < tile->rows;) {
        int pass = pass_for(tile->rows - row);
        for (int32_t i = 0; i < ATTENTION_GROUPS; i++)
            if (tile->keys[i])
                score_passes[tile->keys_type][pass](tile, row, i);
        row += 1 << pass;
    }
    for (int32_t row = 0; row < tile->rows; row++)
        if (tile->begin[row] < tile->end[row]) {
            if (tile->softcap > 0)
                cap_scores(tile, row);
            sum[row] = weigh_scores(tile, row, &maximum[row]);
        }
    if (tile->values_type == DTYPE_q8_0)
        weigh_quant_values(tile);
    else
        weigh_float_values(tile);
    for (int32_t row = 0; row < tile->rows; row++)
        if (tile->begin[row] < tile->end[row])
            merge_row(tile, row, maximum[row], sum[row]);
}

static void finish(const float *output, float sum, float *out, int64_t count)
{
    for (int64_t i = 0; i < count; i += 16)
        store_at(out, i, count, lanes_div(load_at(output, i, count), lanes_set(sum)));
}

const AttentionBody TARGET(attention_body) = {block, finish, quantise, &TARGET(rows_body)};
