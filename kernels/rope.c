// Loops of rope_table, rope, kv_store and rope_qk_store, and their scalar bodies.
//
// The table is computed once a step, in double, by every target with the same code: libm's pow, cos
// and sin decide its bits. q, k and v lie in a row of qkv one after another, each head by head.
#include "kernels/rope.h"

#include <assert.h>

#include "kernels/math.h"
#include "kernels/pages.h"
#include "kernels/rows.h"

static void rotate_scalar(const float *x, const float *table, int64_t dims, RopeStyle style,
                          float *out)
{
    int64_t half = dims / 2, pair_step = style == STYLE_norm ? 2 : 1;
    int64_t other = style == STYLE_norm ? 1 : half;
    for (int64_t i = 0; i < half; i++) {
        int64_t at = i * pair_step;
        rotate_pair(x[at], x[at + other], table[i], table[half + i], &out[at], &out[at + other]);
    }
}

static void store_f16_scalar(const float *x, int64_t count, uint16_t *out, int64_t step)
{
    for (int64_t i = 0; i < count; i++)
        out[i * step] = f32_to_f16(x[i]);
}

const RopeBody rope_body_ref = {rotate_scalar, store_f16_scalar, quantise_q8_ref};

void rope_table_ref(const KernelCall *call, void *scratch, int64_t first, int64_t last)
{
    (void)scratch;
    int32_t dims = call->attributes->rope_table.dims;
    double theta = call->attributes->rope_table.theta, scale = call->attributes->rope_table.scale;
    double magnitude = call->attributes->rope_table.magnitude;
    const int32_t *positions = call->operands[0].data;
    const float *factors = call->operand_count > 1 ? call->operands[1].data : NULL;
    for (int64_t row = first; row < last; row++) {
        float *out = operand_row(call->results, row);
        for (int32_t i = 0; i < dims / 2; i++) {
            double angle = positions[row] * scale * pow(theta, -2.0 * i / dims);
            if (factors)
                angle /= factors[i];
            out[i] = (float)(cos(angle) * magnitude);
            out[dims / 2 + i] = (float)(sin(angle) * magnitude);
        }
    }
}

// One whole head: what lies beyond the table's dimensions is copied.
static void rope_head(const RopeBody *body, const float *x, const float *table, int64_t dims,
                      RopeStyle style, int64_t head_size, float *out)
{
    body->rotate(x, table, dims, style, out);
    if (out != x)
        memcpy(out + dims, x + dims, (size_t)(head_size - dims) * sizeof *x);
}

static void rope_run(const RopeBody *body, const KernelCall *call, int64_t first, int64_t last)
{
    const KernelOperand *x = &call->operands[0], *table = &call->operands[1];
    int64_t head_size = call->attributes->rope.head_dim;
    RopeStyle style = (RopeStyle)call->attributes->rope.style;
    for (int64_t row = first; row < last; row++)
        for (int64_t at = 0; at < x->columns; at += head_size)
            rope_head(body, operand_row(x, row) + at, operand_row(table, row), table->columns,
                      style, head_size, operand_row(call->results, row) + at);
}

// The step inputs that say where a token lies.
typedef struct Places {
    const int32_t *positions, *sequences, *table;
} Places;

// A head as blocks of a group, quantised as activations are; zeros pad the last.
static void store_q8_0(const RopeBody *body, const float *x, int64_t head_size, Layout layout,
                       int32_t key, char *block)
{
    for (int64_t i = 0; i < head_size; i += STATE_BLOCK, block += STATE_BLOCK_BYTES) {
        int64_t rest = head_size - i < STATE_BLOCK ? head_size - i : STATE_BLOCK;
        float elements[STATE_BLOCK] = {0};
        uint32_t words[Q8_WORDS];
        int8_t quants[STATE_BLOCK];
        memcpy(elements, x + i, (size_t)rest * sizeof *x);
        body->quantise_q8(elements, STATE_BLOCK, words, 0, 0, 1);
        memcpy(quants, words + 2, sizeof quants);
        ((uint16_t *)block)[key] = f32_to_f16(f32_from_bits(words[1]));
        for (int64_t j = 0; j < STATE_BLOCK; j++)
            *state_quant(layout, block, key, j) = quants[j];
    }
}

static void store_head(const RopeBody *body, const KernelCall *call, const Places *places,
                       const KernelOperand *state, int64_t token, int64_t kv_head, const float *x,
                       int64_t head_size)
{
    bool keys = state->layout == LAYOUT_k32;
    int32_t position = places->positions[token], key = position % KEY_GROUP;
    char *group = state_group(state, &call->pages, places->table, places->sequences[token],
                              position, kv_head, head_size);
    int64_t step = keys ? KEY_GROUP : 1, first = keys ? key : key * head_size;
    if (state->dtype == DTYPE_q8_0) {
        store_q8_0(body, x, head_size, state->layout, key, group);
        return;
    }
    if (state->dtype == DTYPE_f16) {
        body->store_f16(x, head_size, (uint16_t *)group + first, step);
        return;
    }
    assert(state->dtype == DTYPE_f32);
    float *out = (float *)group + first;
    for (int64_t i = 0; i < head_size; i++)
        out[i * step] = x[i];
}

int64_t kv_store_tiles(const KernelCall *call)
{
    return call->operands[0].rows;
}

static void kv_store_run(const RopeBody *body, const KernelCall *call, int64_t first, int64_t last)
{
    const KernelOperand *operands = call->operands;
    Places places = {operands[1].data, operands[2].data, operands[3].data};
    int64_t head_size = operands[0].columns / call->pages.kv_heads;
    for (int64_t token = first; token < last; token++)
        for (int64_t head = 0; head < call->pages.kv_heads; head++)
            store_head(body, call, &places, &operands[4], token, head,
                       operand_row(&operands[0], token) + head * head_size, head_size);
}

static int64_t qkv_head_size(const KernelCall *call)
{
    const Attributes *attributes = call->attributes;
    return call->operands[0].columns /
           (attributes->rope_qk_store.heads + 2 * attributes->rope_qk_store.kv_heads);
}

int64_t rope_qk_store_tiles(const KernelCall *call)
{
    return call->attributes->rope_qk_store.kv_heads * group_blocks(call->operands[0].rows);
}

// One rotated key.
int64_t rope_qk_store_scratch(const KernelCall *call)
{
    return qkv_head_size(call) * (int64_t)sizeof(float);
}

// A token's heads that share kv head `kv_head`.
static void rope_group(const RopeBody *body, const KernelCall *call, int64_t token, int64_t kv_head,
                       float *key)
{
    const KernelOperand *operands = call->operands, *table = &operands[1];
    Places places = {operands[2].data, operands[3].data, operands[4].data};
    int64_t heads = call->attributes->rope_qk_store.heads;
    int64_t kv_heads = call->attributes->rope_qk_store.kv_heads, group = heads / kv_heads;
    RopeStyle style = (RopeStyle)call->attributes->rope_qk_store.style;
    int64_t d = qkv_head_size(call);
    const float *row = operand_row(&operands[0], token), *angles = operand_row(table, token);
    for (int64_t head = kv_head * group; head < (kv_head + 1) * group; head++)
        rope_head(body, row + head * d, angles, table->columns, style, d,
                  operand_row(call->results, token) + head * d);
    rope_head(body, row + (heads + kv_head) * d, angles, table->columns, style, d, key);
    store_head(body, call, &places, &operands[5], token, kv_head, key, d);
    store_head(body, call, &places, &operands[6], token, kv_head,
               row + (heads + kv_heads + kv_head) * d, d);
}

static void rope_qk_store_run(const RopeBody *body, const KernelCall *call, void *scratch,
                              int64_t first, int64_t last)
{
    for (int64_t index = first; index < last; index++) {
        GroupTile tile = group_tile(index, call->operands[0].rows);
        for (int64_t token = tile.first; token < tile.last; token++)
            rope_group(body, call, token, tile.kv_head, scratch);
    }
}

#define ROPE_KERNELS(target)                                                                       \
    void rope_##target(const KernelCall *call, void *scratch, int64_t first, int64_t last)         \
    {                                                                                              \
        (void)scratch;                                                                             \
        rope_run(&rope_body_##target, call, first, last);                                          \
    }                                                                                              \
    void kv_store_##target(const KernelCall *call, void *scratch, int64_t first, int64_t last)     \
    {                                                                                              \
        (void)scratch;                                                                             \
        kv_store_run(&rope_body_##target, call, first, last);                                      \
    }                                                                                              \
    void rope_qk_store_##target(const KernelCall *call, void *scratch, int64_t first,              \
                                int64_t last)                                                      \
    {                                                                                              \
        rope_qk_store_run(&rope_body_##target, call, scratch, first, last);                        \
    }

ROPE_KERNELS(ref)
#if defined(__x86_64__)
ROPE_KERNELS(avx2)
ROPE_KERNELS(avx512)
#endif
