// Attention and rope_qk_store over a store of one sequence: one token far from the beginning, where
// keys and values stream through, and a chunk at the beginning.
#include <math.h>
#include <stdio.h>

#include "tests/bench/bench.h"
#include "tests/kernels/store.h"

enum { HEAD_SIZE = 64, GROUP = 8, PAGE_TOKENS = 256 };

typedef struct Sizes {
    int32_t tokens, depth, kv_heads;
} Sizes;

// Heads make up for depth: neither store fits in the caches.
static const Sizes sizes_table[] = {{1, 2048, 64}, {1, 8192, 16}, {512, 0, 4}};
enum { SIZES = sizeof sizes_table / sizeof *sizes_table };

typedef struct Scene {
    Sizes sizes;
    Store store;
    KernelOperand pos, seq; // of the tokens
} Scene;

static KernelOperand floats_new(int64_t rows, int64_t columns)
{
    KernelOperand operand = operand_new(DTYPE_f32, LAYOUT_plain, rows, columns);
    operand_fill(&operand, 11, FILL_random);
    return operand;
}

static KernelOperand positions_new(int32_t begin, int32_t count)
{
    KernelOperand pos = operand_new(DTYPE_i32, LAYOUT_plain, 1, count);
    for (int32_t i = 0; i < count; i++)
        ((int32_t *)pos.data)[i] = begin + i;
    return pos;
}

static KernelOperand zeros_new(int32_t count)
{
    KernelOperand seq = operand_new(DTYPE_i32, LAYOUT_plain, 1, count);
    operand_fill_integers(&seq, 0, 0, 0);
    return seq;
}

static void store_positions(Store *store, KernelOperand *state, int32_t count)
{
    const KernelRow *row = reference_of(OP_kv_store);
    Random random = {1};
    Case test = {{floats_new(count, state->columns), positions_new(0, count), zeros_new(count),
                  store->table, *state},
                 .operand_count = 5,
                 .pages = store->pages};
    case_run(row, &test, &random);
    test.operand_count = 3;
    case_free(&test);
}

static Scene scene_new(Sizes sizes, DType stored)
{
    Random random = {5};
    int32_t count = sizes.depth + sizes.tokens;
    Scene scene = {.sizes = sizes};
    scene.store = store_new(
        (StoreShape){stored, stored, sizes.kv_heads, HEAD_SIZE, PAGE_TOKENS, 1, count}, &random);
    for (int32_t position = 0; position < count; position++)
        store_touch(&scene.store, 0, position);
    store_positions(&scene.store, &scene.store.keys, count);
    store_positions(&scene.store, &scene.store.values, count);
    scene.pos = positions_new(sizes.depth, sizes.tokens);
    scene.seq = zeros_new(sizes.tokens);
    return scene;
}

static void scene_free(Scene *scene)
{
    store_free(&scene->store);
    operand_free(&scene->pos);
    operand_free(&scene->seq);
}

static void run_attention(const KernelRow *row, const char *name, const Scene *scene)
{
    int64_t heads = (int64_t)scene->sizes.kv_heads * GROUP, tokens = scene->sizes.tokens;
    const Store *store = &scene->store;
    KernelOperand operands[] = {floats_new(tokens, heads * HEAD_SIZE),
                                scene->pos,
                                scene->seq,
                                store->table,
                                store->keys,
                                store->values};
    KernelOperand result = operand_new(DTYPE_f32, LAYOUT_plain, tokens, heads * HEAD_SIZE);
    Attributes attributes = op_default_attributes(OP_attention);
    attributes.attention.heads = (int32_t)heads;
    attributes.attention.scale = 1 / sqrtf(HEAD_SIZE);
    KernelCall call = {&result, operands, 1, 6, &attributes, store->pages, NULL};
    bench_run(name, row, &call, tokens == 1 ? store->keys.data : NULL, store_bytes(store));
    operand_free(&operands[0]);
    operand_free(&result);
}

static void run_rope(const KernelRow *row, const char *name, const Scene *scene)
{
    int64_t kv_heads = scene->sizes.kv_heads, tokens = scene->sizes.tokens;
    const Store *store = &scene->store;
    KernelOperand operands[7] = {floats_new(tokens, (GROUP + 2) * kv_heads * HEAD_SIZE),
                                 floats_new(tokens, HEAD_SIZE),
                                 scene->pos,
                                 scene->seq,
                                 store->table,
                                 store->keys,
                                 store->values};
    KernelOperand q = floats_new(tokens, GROUP * kv_heads * HEAD_SIZE);
    Attributes attributes = {.rope_qk_store = {.heads = (int32_t)(GROUP * kv_heads),
                                               .kv_heads = (int32_t)kv_heads,
                                               .style = STYLE_neox}};
    bench_run(name, row, &(KernelCall){&q, operands, 1, 7, &attributes, store->pages, NULL}, NULL,
              0);
    operand_free(&operands[0]);
    operand_free(&operands[1]);
    operand_free(&q);
}

static void run_stored(const KernelRow *row, DType stored, Sizes sizes)
{
    char name[128];
    snprintf(name, sizeof name, "%s/%s/T%d@%d", row->name, dtype_table[stored].name, sizes.tokens,
             sizes.depth);
    if (!bench_wanted(row, name))
        return;
    Scene scene = scene_new(sizes, stored);
    (row->op == OP_attention ? run_attention : run_rope)(row, name, &scene);
    scene_free(&scene);
}

void bench_attention(void)
{
    for (int32_t i = 0; i < kernel_count; i++)
        for (DType stored = 0; stored < DTYPE_COUNT; stored++)
            for (int j = 0; j < SIZES; j++)
                if ((kernel_table[i].op == OP_attention ||
                     kernel_table[i].op == OP_rope_qk_store) &&
                    kernel_table[i].stored >> stored & 1)
                    run_stored(&kernel_table[i], stored, sizes_table[j]);
}
