// The passes of attention_simd.h: some rows of a tile against a group of 32 keys or values, in
// lanes. The target says PASS_ROWS, how many rows a pass takes at most, and PASS_VECTORS, how many
// registers may hold their sums. The fewer rows, the more registers of keys or dimensions beside
// each other: what is loaded and converted serves all rows of a pass, and there are chains enough
// to hide the latency of an fma. On avx2 8 rows by one register need 9 loads for 8 fma, 4 rows by
// two need 6 and are a seventh faster.
//
// Scores: lanes are keys, one chain over dimensions. Outputs: lanes are dimensions, one chain over
// keys.
//
// A group stays in the first-level cache while all passes go over it; meanwhile they ask for the
// group that comes next, evenly. Before, every load asked 4 KiB ahead and each pass went over a
// whole block. Tried at T = 1, on a busy machine: asking for the group after the next (f16: 4 to 10
// % slower at 7 or 8 query heads a kv head, 13 % faster at one; q8_0: about equal); summing values
// over 64 or 128 keys before sums go back to memory (mostly slower, no clear gain).
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

INLINE int log_passes(const AttentionTile *tile)
{
    return tile->rows > PASS_ROWS;
}

// What is asked for while a group is read: every pass over it asks for its share of the next.
// `index` counts groups of keys, then of values; `bytes` lie before the place where a pass begins.
INLINE const char *next_place(const AttentionTile *tile, int32_t index, int32_t first_row,
                              int64_t group_bytes, int64_t bytes)
{
    return tile->next[index] + (((first_row ? group_bytes : 0) + bytes) >> log_passes(tile));
}

// Scores of rows first_row … first_row+rows-1 against a group of 32 keys.
INLINE void score_rows(int rows, bool f16, const AttentionTile *tile, int32_t first_row,
                       int32_t group)
{
    const int parts = PARTS(rows);
    const float *queries = tile->queries + first_row;
    const char *keys = tile->keys[group];
    float *scores = tile->scores + first_row * ATTENTION_BLOCK + group * KEY_GROUP;
    const int64_t bytes = f16 ? 2 : 4, step = (VECTOR_LANES * parts * bytes) >> log_passes(tile);
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
    int64_t step = (VECTOR_LANES * parts * bytes) >> log_passes(tile);
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
    const int64_t step = (2 * VECTOR_LANES * parts) >> log_passes(tile);
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
