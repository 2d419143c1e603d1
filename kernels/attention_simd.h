// An attention tile in lanes, included once by attention_avx2.c and attention_avx512.c after the
// lanes of their target, with PASS_ROWS, how many rows a pass takes at most, and PASS_VECTORS, how
// many registers may hold their sums. The fewer rows, the more registers of keys or dimensions
// beside each other: what is loaded and converted serves all rows of a pass, and there are chains
// enough to hide the latency of an fma. On avx2 8 rows by one register need 9 loads for 8 fma, 4
// rows by two need 6 and are a seventh faster.
//
// Scores: lanes are keys, one chain over dimensions. Outputs: lanes are dimensions, one chain over
// keys; rows whose visible ranges differ run together over the keys that all of them see and alone
// over the rest, through memory, which is exact.
//
// A group of 32 keys or values stays in the first-level cache while all passes go over it;
// meanwhile each load asks for as many bytes of the group that comes next. Asking at a fixed
// distance ahead left the passes that met a line first waiting for memory and the others not using
// it.
#include "kernels/attention.h"
#include "kernels/lanes.h"
#include "kernels/quantise.h"

#define INLINE static inline __attribute__((always_inline))

enum { PARTS_MOST = KEY_GROUP / VECTOR_LANES };
// Registers of lanes in a pass of so many rows.
#define PARTS(rows) (PASS_VECTORS / (rows) < PARTS_MOST ? PASS_VECTORS / (rows) : PARTS_MOST)

INLINE Vector load_state(const char *group, int64_t element, bool f16)
{
    if (f16)
        return vector_load_f16((const uint16_t *)group + element);
    return vector_load((const float *)group + element);
}

INLINE Vector load_state_some(const char *group, int64_t element, bool f16, int64_t count)
{
    if (count >= VECTOR_LANES)
        return load_state(group, element, f16);
    if (f16)
        return vector_load_f16_some((const uint16_t *)group + element, count);
    return vector_load_some((const float *)group + element, count);
}

INLINE int passes_of(const AttentionTile *tile)
{
    return tile->rows > PASS_ROWS ? 2 : 1;
}

// What is asked for while a group is read: every pass over it asks for its share of the next.
// `index` counts groups of keys, then of values; `bytes` lie before the place where a pass begins.
INLINE const char *next_place(const AttentionTile *tile, int32_t index, int32_t first_row,
                              int64_t group_bytes, int64_t bytes)
{
    return tile->next[index] + ((first_row ? group_bytes : 0) + bytes) / passes_of(tile);
}

// Scores of rows first_row … first_row+rows-1 against a group of 32 keys.
INLINE void score_rows(int rows, bool f16, const AttentionTile *tile, int32_t first_row,
                       int32_t group)
{
    const int parts = PARTS(rows);
    const float *queries = tile->queries + first_row;
    const char *keys = tile->keys[group];
    float *scores = tile->scores + first_row * ATTENTION_BLOCK + group * KEY_GROUP;
    const int64_t bytes = f16 ? 2 : 4, step = VECTOR_LANES * parts * bytes / passes_of(tile);
    const char *next = next_place(tile, group, first_row, KEY_GROUP * tile->head_size * bytes, 0);
    for (int64_t at = 0; at < KEY_GROUP; at += VECTOR_LANES * parts) {
        Vector sums[PASS_ROWS][PARTS_MOST];
#pragma GCC unroll 8
        for (int row = 0; row < rows; row++)
#pragma GCC unroll 4
            for (int part = 0; part < parts; part++)
                sums[row][part] = vector_set(0);
        for (int64_t i = 0; i < tile->head_size; i++) {
            Vector key[PARTS_MOST];
            _mm_prefetch(next, _MM_HINT_T0);
            next += step;
#pragma GCC unroll 4
            for (int part = 0; part < parts; part++)
                key[part] = load_state(keys, i * KEY_GROUP + at + VECTOR_LANES * part, f16);
#pragma GCC unroll 8
            for (int row = 0; row < rows; row++) {
                Vector query = vector_set(queries[i * ATTENTION_ROWS + row]);
#pragma GCC unroll 4
                for (int part = 0; part < parts; part++)
                    sums[row][part] = vector_fma(query, key[part], sums[row][part]);
            }
        }
#pragma GCC unroll 8
        for (int row = 0; row < rows; row++)
#pragma GCC unroll 4
            for (int part = 0; part < parts; part++)
                vector_store(scores + row * ATTENTION_BLOCK + at + VECTOR_LANES * part,
                             sums[row][part]);
    }
}

// Keys begin … end-1 lie in one group.
INLINE void weigh_chunk(int rows, int parts, bool f16, const AttentionTile *tile, int32_t first_row,
                        int32_t begin, int32_t end, int64_t column, int64_t count)
{
    int64_t d = tile->head_size, width = tile->width;
    const float *weights = tile->scores + first_row * ATTENTION_BLOCK;
    float *out = tile->partial + first_row * width + column;
    const char *values = tile->values[begin / KEY_GROUP];
    int64_t element = begin % KEY_GROUP * d + column, bytes = f16 ? 2 : 4;
    int64_t step = VECTOR_LANES * parts * bytes / passes_of(tile);
    const char *next = next_place(tile, ATTENTION_GROUPS + begin / KEY_GROUP, first_row,
                                  KEY_GROUP * d * bytes, column * KEY_GROUP * bytes);
    Vector sums[PASS_ROWS][PARTS_MOST];
#pragma GCC unroll 8
    for (int row = 0; row < rows; row++)
#pragma GCC unroll 4
        for (int part = 0; part < parts; part++)
            sums[row][part] = vector_load(out + row * width + VECTOR_LANES * part);
    for (int32_t key = begin; key < end; key++, element += d) {
        Vector value[PARTS_MOST];
        _mm_prefetch(next, _MM_HINT_T0);
        next += step;
#pragma GCC unroll 4
        for (int part = 0; part < parts; part++)
            value[part] = load_state_some(values, element + VECTOR_LANES * part, f16, count);
#pragma GCC unroll 8
        for (int row = 0; row < rows; row++) {
            Vector weight = vector_set(weights[row * ATTENTION_BLOCK + key]);
#pragma GCC unroll 4
            for (int part = 0; part < parts; part++)
                sums[row][part] = vector_fma(weight, value[part], sums[row][part]);
        }
    }
#pragma GCC unroll 8
    for (int row = 0; row < rows; row++)
#pragma GCC unroll 4
        for (int part = 0; part < parts; part++)
            vector_store(out + row * width + VECTOR_LANES * part, sums[row][part]);
}

// Adds weight * value of keys begin … end-1 of one group, which all of the rows see, to their
// partials.
INLINE void weigh_rows(int rows, bool f16, const AttentionTile *tile, int32_t first_row,
                       int32_t begin, int32_t end)
{
    enum { WHOLE = VECTOR_LANES };
    const int parts = PARTS(rows);
    int64_t column = 0, d = tile->head_size;
    for (; column + WHOLE * parts <= d; column += WHOLE * parts)
        weigh_chunk(rows, parts, f16, tile, first_row, begin, end, column, WHOLE);
    for (; column + WHOLE <= d; column += WHOLE)
        weigh_chunk(rows, 1, f16, tile, first_row, begin, end, column, WHOLE);
    if (column < d)
        weigh_chunk(rows, 1, f16, tile, first_row, begin, end, column, d - column);
}

// Adds the products of each row's pairs of integers and the lines of a block of q8_0, in lanes that
// begin at column `at` of the lines. From `next` on each line asks for `step` bytes.
INLINE void dot_block(int rows, const int16_t *quants, int64_t stride, const char *block,
                      int64_t at, const char *next, int64_t step,
                      IntVector sums[PASS_ROWS][PARTS_MOST])
{
    const int parts = PARTS(rows);
    const char *lines = block + STATE_SCALES_BYTES + 2 * at;
    for (int line = 0; line < STATE_LINES; line++, lines += STATE_LINE_BYTES) {
        IntVector pairs[PARTS_MOST];
        _mm_prefetch(next, _MM_HINT_T0);
        next += step;
#pragma GCC unroll 4
        for (int part = 0; part < parts; part++)
            pairs[part] = int_vector_load_pairs(lines + 2 * VECTOR_LANES * part);
#pragma GCC unroll 8
        for (int row = 0; row < rows; row++) {
            IntVector pair = int_vector_set_pair(quants + row * stride + 2 * line);
#pragma GCC unroll 4
            for (int part = 0; part < parts; part++)
                sums[row][part] = int_vector_dot(pair, pairs[part], sums[row][part]);
        }
    }
}

INLINE void zero_dots(int rows, IntVector sums[PASS_ROWS][PARTS_MOST])
{
#pragma GCC unroll 8
    for (int row = 0; row < rows; row++)
#pragma GCC unroll 4
        for (int part = 0; part < PARTS(rows); part++)
            sums[row][part] = int_vector_zero();
}

// score_rows of q8_0. Blocks go through memory: sums and dots would not fit the registers.
INLINE void score_quants(int rows, const AttentionTile *tile, int32_t first_row, int32_t group)
{
    const int parts = PARTS(rows);
    int64_t width = tile->width;
    const int16_t *quants = tile->quants + first_row * width;
    const char *block = tile->keys[group];
    const int64_t step = 2 * VECTOR_LANES * parts / passes_of(tile);
    const int64_t group_bytes = width / STATE_BLOCK * STATE_BLOCK_BYTES;
    for (int64_t i = 0; i < width; i += STATE_BLOCK, block += STATE_BLOCK_BYTES)
        for (int64_t at = 0; at < KEY_GROUP; at += VECTOR_LANES * parts) {
            float *scores = tile->scores + first_row * ATTENTION_BLOCK + group * KEY_GROUP + at;
            const char *next =
                next_place(tile, group, first_row, group_bytes,
                           block - tile->keys[group] + STATE_SCALES_BYTES + at * KEY_GROUP);
            IntVector dots[PASS_ROWS][PARTS_MOST];
            zero_dots(rows, dots);
            dot_block(rows, quants + i, width, block, at, next, step, dots);
#pragma GCC unroll 4
            for (int part = 0; part < parts; part++) {
                Vector scale = vector_load_f16((const uint16_t *)block + at + VECTOR_LANES * part);
#pragma GCC unroll 8
                for (int row = 0; row < rows; row++) {
                    float *score = scores + row * ATTENTION_BLOCK + VECTOR_LANES * part;
                    Vector before = i ? vector_load(score) : vector_set(0);
                    Vector sum = vector_fma(int_vector_to_f32(dots[row][part]), scale, before);
                    Vector last = vector_set(tile->quant_scales[first_row + row]);
                    vector_store(score, i + STATE_BLOCK < width ? sum : vector_mul(sum, last));
                }
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

// The partials of rows first_row … in one block of dimensions, from their quantised weights.
INLINE void weigh_quants(int rows, const AttentionTile *tile, int32_t first_row, int64_t block,
                         const int16_t *weights, const float *scales)
{
    const int parts = PARTS(rows);
    float *out = tile->partial + first_row * tile->width + block * STATE_BLOCK;
    for (int64_t at = 0; at < STATE_BLOCK; at += VECTOR_LANES * parts) {
        IntVector dots[PASS_ROWS][PARTS_MOST];
        zero_dots(rows, dots);
        for (int32_t group = 0; group < ATTENTION_GROUPS; group++)
            if (tile->values[group]) {
                int64_t offset = block * STATE_BLOCK_BYTES;
                const char *next = next_place(tile, ATTENTION_GROUPS + group, 0, 0,
                                              offset + STATE_SCALES_BYTES + at * KEY_GROUP);
                dot_block(rows, weights + group * KEY_GROUP, ATTENTION_BLOCK,
                          tile->values[group] + offset, at, next, 2 * VECTOR_LANES * parts, dots);
            }
#pragma GCC unroll 8
        for (int row = 0; row < rows; row++)
#pragma GCC unroll 4
            for (int part = 0; part < parts; part++)
                vector_store(
                    out + row * tile->width + at + VECTOR_LANES * part,
                    vector_mul(int_vector_to_f32(dots[row][part]), vector_set(scales[row])));
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
#if PASS_ROWS == 8
PASSES(8)
#define BY_ROWS(name)                                                                              \
    {                                                                                              \
        name##_1, name##_2, name##_4, name##_8                                                     \
    }
#else
#define BY_ROWS(name)                                                                              \
    {                                                                                              \
        name##_1, name##_2, name##_4                                                               \
    }
#endif

// By type and logarithm of the rows in a pass.
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
    while (1 << pass < rows && 1 << pass < PASS_ROWS)
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

// Lanes begin … end-1 of 16 that start at `at`, `other` elsewhere; most of the time it is all.
INLINE Lanes select_seen(Lanes a, int32_t at, int32_t begin, int32_t end, float other)
{
    if (at >= begin && at + 16 <= end)
        return a;
    return lanes_select_range(a, begin - at, end - at, lanes_set(other));
}

// Scores to weights exp(score - maximum), in the lanes of the row's visible keys; returns their
// sum.
static float weigh_scores(const AttentionTile *tile, int32_t row, float *maximum)
{
    float *scores = tile->scores + row * ATTENTION_BLOCK;
    int32_t begin = tile->begin[row], end = tile->end[row], first = begin / 16 * 16;
    Lanes most = lanes_set(-INFINITY), sums = lanes_set(0);
    for (int32_t at = first; at < end; at += 16)
        most = lanes_max(select_seen(lanes_load(scores + at), at, begin, end, -INFINITY), most);
    *maximum = lanes_most(most);
    for (int32_t at = first; at < end; at += 16) {
        Lanes weights = lanes_exp(lanes_sub(lanes_load(scores + at), lanes_set(*maximum)));
        weights = select_seen(weights, at, begin, end, 0);
        sums = lanes_add(sums, weights);
        lanes_store(scores + at, weights);
    }
    return lanes_sum(sums);
}

// Rows first_row … last_row-1 over keys begin … end-1, which all of them see.
static void weigh_seen(const AttentionTile *tile, int32_t first_row, int32_t last_row,
                       int32_t begin, int32_t end)
{
    WeighRows *const *passes = weigh_passes[tile->values_type];
    for (int32_t stop; begin < end; begin = stop) {
        stop = (begin / KEY_GROUP + 1) * KEY_GROUP;
        stop = stop < end ? stop : end;
        for (int32_t row = first_row; row < last_row; row += PASS_ROWS)
            passes[pass_for(last_row - row)](tile, row, begin, stop);
    }
}

// The rows together over the keys that all see, alone before and after.
static void weigh_values(const AttentionTile *tile)
{
    int32_t begin = 0, end = ATTENTION_BLOCK;
    memset(tile->partial, 0, (size_t)(ATTENTION_ROWS * tile->width) * sizeof(float));
    for (int32_t row = 0; row < tile->rows; row++) {
        begin = tile->begin[row] > begin ? tile->begin[row] : begin;
        end = tile->end[row] < end ? tile->end[row] : end;
    }
    if (begin >= end)
        begin = end = ATTENTION_BLOCK;
    for (int32_t row = 0; row < tile->rows; row++)
        weigh_seen(tile, row, row + 1, tile->begin[row],
                   tile->end[row] < begin ? tile->end[row] : begin);
    weigh_seen(tile, 0, tile->rows, begin, end);
    for (int32_t row = 0; row < tile->rows; row++)
        weigh_seen(tile, row, row + 1, end, tile->end[row]);
}

// The same of q8_0: all rows over all keys, since weights of unseen ones are 0.
static void weigh_quant_values(const AttentionTile *tile)
{
    int16_t weights[ATTENTION_ROWS][ATTENTION_BLOCK];
    float scales[ATTENTION_ROWS] = {0};
    memset(weights + tile->rows, 0, (size_t)(ATTENTION_ROWS - tile->rows) * sizeof *weights);
    for (int64_t block = 0; block * STATE_BLOCK < tile->head_size; block++) {
        for (int32_t row = 0; row < tile->rows; row++)
            scales[row] = quantise_weights(tile, row, block, weights[row]);
        for (int32_t row = 0; row < tile->rows; row += PASS_ROWS)
            weigh_quant_passes[pass_for(tile->rows - row)](tile, row, block, weights[row],
                                                           scales + row);
    }
}

// Where quantise_weights begins: scales of all values, which lie apart.
static void prefetch_scales(const AttentionTile *tile)
{
    for (int32_t i = 0; i < ATTENTION_GROUPS; i++)
        for (int64_t at = 0; tile->values[i] && at < tile->width; at += STATE_BLOCK)
            _mm_prefetch(tile->values[i] + at / STATE_BLOCK * STATE_BLOCK_BYTES, _MM_HINT_T0);
}

static void merge_row(const AttentionTile *tile, int32_t row, float maximum, float sum)
{
    int64_t d = tile->head_size;
    float *output = tile->output + row * d;
    const float *partial = tile->partial + row * tile->width;
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
    bool quants = tile->values_type == DTYPE_q8_0;
    for (int32_t i = 0; i < ATTENTION_GROUPS; i++)
        for (int32_t row = 0; tile->keys[i] && row < tile->rows; row += PASS_ROWS)
            score_passes[tile->keys_type][pass_for(tile->rows - row)](tile, row, i);
    if (quants)
        prefetch_scales(tile);
    for (int32_t row = 0; row < tile->rows; row++)
        if (tile->begin[row] < tile->end[row]) {
            if (tile->softcap > 0)
                cap_scores(tile, row);
            sum[row] = weigh_scores(tile, row, &maximum[row]);
        }
    (quants ? weigh_quant_values : weigh_values)(tile);
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
