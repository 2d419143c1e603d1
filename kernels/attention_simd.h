// An attention tile in lanes, included once by attention_avx2.c and attention_avx512.c after the
// lanes of their target and the size of a pass (attention_passes.h): scores become weights,
// partials are merged. Rows whose visible ranges differ run together over the keys that all of them
// see and alone over the rest, through memory, which is exact.
#include "kernels/attention_passes.h"

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

// Lanes begin … end-1 of 16 that start at `at`, `other` elsewhere; most of the time it is all.
INLINE Lanes select_seen(Lanes a, int32_t at, int32_t begin, int32_t end, float other)
{
    if (at >= begin && at + 16 <= end)
        return a;
    return lanes_select_range(a, begin - at, end - at, lanes_set(other));
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
            product = select_seen(product, at, begin, end, 0);
        }
        lanes_store(weights + at, product);
    }
    return quantise(weights, ATTENTION_BLOCK, out);
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

static void merge(AttentionSums into, AttentionSums later, int64_t d)
{
    if (*into.sum == 0) {
        memcpy(into.output, later.output, (size_t)d * sizeof *into.output);
        *into.sum = *later.sum;
        *into.maximum = *later.maximum;
        return;
    }
    float most = *later.maximum > *into.maximum ? *later.maximum : *into.maximum;
    float before = exp_f32(*into.maximum - most), now = exp_f32(*later.maximum - most);
    for (int64_t i = 0; i < d; i += 16) {
        Lanes scaled = lanes_mul(load_at(into.output, i, d), lanes_set(before));
        store_at(into.output, i, d, lanes_fma(load_at(later.output, i, d), lanes_set(now), scaled));
    }
    *into.sum = fmaf(*later.sum, now, *into.sum * before);
    *into.maximum = most;
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
            merge(attention_row(tile->sums, row, tile->head_size),
                  (AttentionSums){tile->partial + row * tile->width, &maximum[row], &sum[row]},
                  tile->head_size);
}

static void finish(const float *output, float sum, float *out, int64_t count)
{
    for (int64_t i = 0; i < count; i += 16)
        store_at(out, i, count, lanes_div(load_at(output, i, count), lanes_set(sum)));
}

const AttentionBody TARGET(attention_body) = {block, merge, finish, quantise, &TARGET(rows_body)};
