// The scalar definition of an attention tile, one row at a time.
#include "kernels/attention.h"

#include "kernels/quantise.h"

static float state_at(const char *const *groups, DType dtype, int64_t group, int64_t element)
{
    if (dtype == DTYPE_f16)
        return f16_to_f32(((const uint16_t *)groups[group])[element]);
    return ((const float *)groups[group])[element];
}

static int32_t quant_at(const char *block, Layout layout, int32_t key, int64_t dimension)
{
    return *state_quant(layout, (char *)(uintptr_t)block, key, dimension);
}

static float score_of_quants(const AttentionTile *tile, int32_t row, int32_t key)
{
    const char *block = tile->keys[key / KEY_GROUP];
    float score = 0;
    for (int64_t at = 0; at < tile->width; at += STATE_BLOCK, block += STATE_BLOCK_BYTES) {
        int32_t dot = 0;
        for (int64_t i = 0; i < STATE_BLOCK; i++)
            dot += tile->quants[row * tile->width + at + i] *
                   quant_at(block, LAYOUT_k32, key % KEY_GROUP, i);
        score = fmaf((float)dot, state_scale(block, key % KEY_GROUP), score);
    }
    return score * tile->quant_scales[row];
}

static float score_of(const AttentionTile *tile, int32_t row, int32_t key)
{
    if (tile->keys_type == DTYPE_q8_0)
        return score_of_quants(tile, row, key);
    float score = 0;
    for (int64_t i = 0; i < tile->head_size; i++)
        score = fmaf(
            tile->queries[i * ATTENTION_ROWS + row],
            state_at(tile->keys, tile->keys_type, key / KEY_GROUP, i * KEY_GROUP + key % KEY_GROUP),
            score);
    return score;
}

static float output_of(const AttentionTile *tile, int32_t row, int64_t column)
{
    float output = 0;
    for (int32_t key = tile->begin[row]; key < tile->end[row]; key++)
        output = fmaf(tile->scores[key],
                      state_at(tile->values, tile->values_type, key / KEY_GROUP,
                               key % KEY_GROUP * tile->head_size + column),
                      output);
    return output;
}

static float quantise(const float *x, int64_t count, int16_t *out)
{
    uint32_t most = 0;
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits = f32_bits(x[i]) & 0x7fffffffu;
        most = bits > most ? bits : most;
    }
    QuantiseFactors factors = quantise_factors_16(most);
    for (int64_t i = 0; i < count; i++)
        out[i] = factors.inverse == 0 ? 0 : (int16_t)lrintf(x[i] * factors.inverse);
    return factors.scale;
}

// Up to 32 columns of a row's partial: weights times the scales of the values, quantised.
static void weigh_block(const AttentionTile *tile, int32_t row, int64_t block)
{
    float weights[ATTENTION_BLOCK] = {0};
    int16_t quants[ATTENTION_BLOCK];
    int64_t column = block * STATE_BLOCK, rest = tile->head_size - column;
    const char *blocks[ATTENTION_GROUPS];
    for (int32_t i = 0; i < ATTENTION_GROUPS; i++)
        blocks[i] = tile->values[i] ? tile->values[i] + block * STATE_BLOCK_BYTES : NULL;
    for (int32_t key = tile->begin[row]; key < tile->end[row]; key++)
        weights[key] = tile->scores[key] * state_scale(blocks[key / KEY_GROUP], key % KEY_GROUP);
    float scale = quantise(weights, ATTENTION_BLOCK, quants);
    for (int64_t i = 0; i < (rest < STATE_BLOCK ? rest : STATE_BLOCK); i++) {
        int32_t dot = 0;
        for (int32_t key = tile->begin[row]; key < tile->end[row]; key++)
            dot += quants[key] * quant_at(blocks[key / KEY_GROUP], LAYOUT_v1, key % KEY_GROUP, i);
        tile->partial[column + i] = (float)dot * scale;
    }
}

static void weigh_row(const AttentionTile *tile, int32_t row)
{
    if (tile->values_type == DTYPE_q8_0)
        for (int64_t block = 0; block * STATE_BLOCK < tile->head_size; block++)
            weigh_block(tile, row, block);
    else
        for (int64_t i = 0; i < tile->head_size; i++)
            tile->partial[i] = output_of(tile, row, i);
}

static void merge(AttentionSums into, AttentionSums later, int64_t head_size)
{
    bool is_first = *into.sum == 0;
    float most = is_first || *later.maximum > *into.maximum ? *later.maximum : *into.maximum;
    float before = is_first ? 0 : exp_f32(*into.maximum - most);
    float now = exp_f32(*later.maximum - most);
    for (int64_t i = 0; i < head_size; i++) {
        float part = later.output[i];
        into.output[i] = is_first ? part : fmaf(part, now, into.output[i] * before);
    }
    *into.sum = is_first ? *later.sum : fmaf(*later.sum, now, *into.sum * before);
    *into.maximum = most;
}

static void block_row(const AttentionTile *tile, int32_t row)
{
    float maximum = -INFINITY, lanes[16] = {0}, *scores = tile->scores;
    for (int32_t key = tile->begin[row]; key < tile->end[row]; key++) {
        scores[key] = score_of(tile, row, key);
        if (tile->softcap > 0)
            scores[key] = tile->softcap * tanh_f32(scores[key]);
        maximum = scores[key] > maximum ? scores[key] : maximum;
    }
    for (int32_t key = tile->begin[row]; key < tile->end[row]; key++) {
        scores[key] = exp_f32(scores[key] - maximum);
        lanes[key % 16] += scores[key];
    }
    weigh_row(tile, row);
    float sum = lanes_tree_sum(lanes);
    merge(attention_row(tile->sums, row, tile->head_size),
          (AttentionSums){tile->partial, &maximum, &sum}, tile->head_size);
}

static void block(const AttentionTile *tile)
{
    for (int32_t row = 0; row < tile->rows; row++)
        if (tile->begin[row] < tile->end[row])
            block_row(tile, row);
}

static void finish(const float *output, float sum, float *out, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        out[i] = output[i] / sum;
}

const AttentionBody attention_body_ref = {block, merge, finish, quantise, &rows_body_ref};
