// The scalar definition of an attention tile, one row at a time.
#include "kernels/attention.h"

static float state_at(const char *const *groups, bool f16, int64_t group, int64_t element)
{
    if (f16)
        return f16_to_f32(((const uint16_t *)groups[group])[element]);
    return ((const float *)groups[group])[element];
}

static float score_of(const AttentionTile *tile, int32_t row, int32_t key)
{
    float score = 0;
    for (int64_t i = 0; i < tile->head_size; i++)
        score = fmaf(
            tile->queries[i * ATTENTION_ROWS + row],
            state_at(tile->keys, tile->keys_f16, key / KEY_GROUP, i * KEY_GROUP + key % KEY_GROUP),
            score);
    return score;
}

static float output_of(const AttentionTile *tile, int32_t row, int64_t column)
{
    float output = 0;
    for (int32_t key = tile->begin[row]; key < tile->end[row]; key++)
        output = fmaf(tile->scores[key],
                      state_at(tile->values, tile->values_f16, key / KEY_GROUP,
                               key % KEY_GROUP * tile->head_size + column),
                      output);
    return output;
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
    float sum = lanes_tree_sum(lanes), *output = tile->output + row * tile->head_size;
    bool is_first = tile->sum[row] == 0;
    float most = is_first || maximum > tile->maximum[row] ? maximum : tile->maximum[row];
    float before = is_first ? 0 : exp_f32(tile->maximum[row] - most);
    float now = exp_f32(maximum - most);
    for (int64_t i = 0; i < tile->head_size; i++) {
        float part = output_of(tile, row, i);
        output[i] = is_first ? part : fmaf(part, now, output[i] * before);
    }
    tile->sum[row] = is_first ? sum : fmaf(sum, now, tile->sum[row] * before);
    tile->maximum[row] = most;
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

const AttentionBody attention_body_ref = {block, finish, &rows_body_ref};
