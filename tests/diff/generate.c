// Random modules. Two pools of values, [T,width] and [R,width], grow by patterns drawn from a
// table; each takes values of a pool and puts results back. Patterns are drawn so that every rule
// has sites, near misses included; what a rule makes of them is not this file's concern.
#include "tests/diff/generate.h"

#include <stdio.h>
#include <stdlib.h>

uint64_t chance_bits(Chance *chance)
{
    uint64_t z = chance->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

int32_t chance_between(Chance *chance, int32_t least, int32_t most)
{
    return least + (int32_t)(chance_bits(chance) % (uint64_t)(most - least + 1));
}

bool chance_in(Chance *chance, int32_t percent)
{
    return chance_between(chance, 0, 99) < percent;
}

typedef Vector(Value *) Pool;

typedef struct Generator {
    Chance chance;
    Arena *arena;
    Module *module;
    Graph *graph;
    bool folded;
    int32_t width, names, folded_names, line;
    Pool pools[2]; // [T,width], [R,width]
    Pool *pool;    // the one in use
} Generator;

#define ADD(g, op, attributes, ...)                                                                \
    add(g, OP_##op, attributes, (int32_t)(sizeof((Value *[]){__VA_ARGS__}) / sizeof(Value *)),     \
        (Value *[]){__VA_ARGS__})
#define WITH(...) (&(Attributes){__VA_ARGS__})

static Node *add_node(Generator *g, Op op, const Attributes *attributes, int32_t count,
                      Value *const *operands)
{
    Diag diag = {0};
    SourceLocation location = {"random.lua", ++g->line};
    Node *node = graph_add(g->graph, op, count, operands, attributes, location, &diag);
    if (!node) {
        fprintf(stderr, "the generator is wrong: %s\n", diag.message);
        abort();
    }
    return node;
}

static Value *add(Generator *g, Op op, const Attributes *attributes, int32_t count,
                  Value *const *operands)
{
    Node *node = add_node(g, op, attributes, count, operands);
    return node->result_count ? node->results[0] : NULL;
}

static bool in(Generator *g, int32_t percent)
{
    return chance_in(&g->chance, percent);
}

static int32_t between(Generator *g, int32_t least, int32_t most)
{
    return chance_between(&g->chance, least, most);
}

// --- leaves

static const char *new_name(Generator *g, const char *kind)
{
    return arena_format(g->arena, "%s.%d", kind, ++g->names);
}

// Apart from the others: tensors have the same names folded or not.
static const char *folded_name(Generator *g)
{
    return arena_format(g->arena, "folded.%d", ++g->folded_names);
}

static DType any_type(Generator *g, int64_t columns)
{
    static const DType types[] = {DTYPE_f16,  DTYPE_bf16, DTYPE_f32,  DTYPE_q8_0,   DTYPE_q4_0,
                                  DTYPE_q4_1, DTYPE_q5_0, DTYPE_q5_1, DTYPE_iq4_nl, DTYPE_mxfp4};
    static const DType wide[] = {DTYPE_q2_k, DTYPE_q3_k, DTYPE_q4_k,
                                 DTYPE_q5_k, DTYPE_q6_k, DTYPE_iq4_xs};
    if (columns % 256 == 0 && in(g, 80))
        return wide[between(g, 0, 5)];
    return types[between(g, 0, columns % 32 == 0 ? 9 : 2)];
}

static Value *recipe_weight(Generator *g, const char *name, DType dtype, const Recipe *recipe)
{
    Shape shape = {2, {dim_constant(recipe->rows), dim_constant(recipe->columns)}};
    return graph_weight(g->graph, module_add_weight(g->module, name, dtype, shape, recipe));
}

static Value *matrix(Generator *g, DType dtype, int64_t rows, int64_t columns)
{
    const char *name = new_name(g, "w");
    return recipe_weight(g, name, dtype, recipe_tensor(g->arena, name, dtype, rows, columns));
}

static Value *typed_vector(Generator *g, DType dtype, int64_t columns)
{
    const char *name = new_name(g, "v");
    Shape shape = {1, {dim_constant(columns)}};
    return graph_weight(g->graph,
                        module_add_weight(g->module, name, dtype, shape,
                                          recipe_tensor(g->arena, name, dtype, 1, columns)));
}

static Value *vector(Generator *g, int64_t columns)
{
    static const DType types[] = {DTYPE_f32, DTYPE_f16, DTYPE_bf16};
    return typed_vector(g, types[between(g, 0, 2)], columns);
}

static Value *input(Generator *g, StepInput which)
{
    return graph_input(g->graph, which);
}

// --- rows of weights, by ops or by recipes

static Value *weight_rows(Generator *g, Value *weight, int32_t begin, int32_t end)
{
    if (!g->folded)
        return ADD(g, slice, WITH(.slice = {.axis = 0, .begin = begin, .end = end}), weight);
    return recipe_weight(g, folded_name(g), weight->dtype,
                         recipe_slice(g->arena, weight->weight->recipe, begin, end));
}

static Value *weights_joined(Generator *g, int32_t count, Value *const *weights)
{
    if (!g->folded)
        return add(g, OP_concat, WITH(.concat = {.axis = 0}), count, weights);
    const Recipe *recipes[OPERANDS_MAX];
    for (int32_t i = 0; i < count; i++)
        recipes[i] = weights[i]->weight->recipe;
    return recipe_weight(g, folded_name(g), weights[0]->dtype,
                         recipe_concat(g->arena, count, recipes));
}

// A matrix of `rows` rows (an even number), sometimes cut from a larger one or joined of two.
static Value *any_matrix(Generator *g, DType dtype, int32_t rows, int64_t columns)
{
    if (in(g, 80))
        return matrix(g, dtype, rows, columns);
    if (in(g, 50)) {
        Value *larger = matrix(g, dtype, rows + 8, columns);
        if (in(g, 30))
            larger = weight_rows(g, larger, 2, rows + 6);
        return weight_rows(g, larger, 1, rows + 1);
    }
    Value *parts[] = {matrix(g, dtype, rows / 2, columns), matrix(g, dtype, rows / 2, columns)};
    if (in(g, 30))
        parts[1] = weight_rows(g, parts[1], 0, rows / 2);
    return weights_joined(g, 2, parts);
}

// --- pools

static Value *any(Generator *g)
{
    return g->pool->items[between(g, 0, g->pool->count - 1)];
}

// Mostly the newest: long chains.
static Value *recent(Generator *g)
{
    int32_t last = g->pool->count - 1, back = last < 2 ? last : 2;
    return in(g, 75) ? g->pool->items[last - between(g, 0, back)] : any(g);
}

static void put(Generator *g, Value *value)
{
    vector_push(g->arena, g->pool, value);
}

static Value *norm(Generator *g, Value *x)
{
    static const float eps[] = {1e-5f, 1e-6f, 0.01f};
    return ADD(g, rms_norm, WITH(.rms_norm = {.eps = eps[between(g, 0, 2)]}), x,
               vector(g, x->shape.dims[1].constant));
}

static Value *columns(Generator *g, Value *x, int32_t begin, int32_t end)
{
    return ADD(g, slice, WITH(.slice = {.axis = 1, .begin = begin, .end = end}), x);
}

static Value *product(Generator *g, Value *x, DType dtype, int32_t rows)
{
    return ADD(g, matmul, NULL, x, any_matrix(g, dtype, rows, x->shape.dims[1].constant));
}

// --- patterns

static void pattern_norm_of_sum(Generator *g)
{
    Value *x = recent(g), *y = any(g);
    Value *sum = in(g, 85) ? ADD(g, add, NULL, x, y)
                           : ADD(g, add, NULL, x, typed_vector(g, DTYPE_f32, g->width));
    Value *normed = norm(g, sum);
    if (in(g, 60))
        put(g, sum);
    put(g, normed);
}

static void pattern_unary(Generator *g)
{
    static const Op ops[] = {OP_neg, OP_silu, OP_softmax, OP_tanh, OP_gelu, OP_gelu_tanh, OP_exp};
    Value *x = recent(g);
    Op op = ops[between(g, 0, 6)];
    if (op == OP_exp) // of something small
        x = ADD(g, softmax, NULL, x);
    put(g, add(g, op, NULL, 1, &x));
}

static void pattern_layer_norm(Generator *g)
{
    const Attributes *attributes = WITH(.layer_norm = {.eps = 1e-5f});
    Value *x = recent(g), *w = vector(g, g->width);
    Value *normed = in(g, 50) ? ADD(g, layer_norm, attributes, x, w, vector(g, g->width))
                              : ADD(g, layer_norm, attributes, x, w);
    put(g, in(g, 50) ? normed : norm(g, product(g, normed, any_type(g, g->width), g->width)));
}

static void pattern_heads_norm(Generator *g)
{
    Value *x = in(g, 50) ? recent(g) : ADD(g, add, NULL, recent(g), any(g));
    int32_t size = g->width / (in(g, 50) ? 4 : 2);
    Value *normed = ADD(g, rms_norm, WITH(.rms_norm = {.eps = 1e-5f}), x, vector(g, size));
    put(g, in(g, 50) ? normed : norm(g, product(g, normed, any_type(g, g->width), g->width)));
}

static void pattern_neg_neg(Generator *g)
{
    Value *x = recent(g);
    x = ADD(g, neg, NULL, ADD(g, neg, NULL, x));
    put(g, in(g, 20) ? ADD(g, neg, NULL, x) : x);
}

static void pattern_root(Generator *g)
{
    Value *x = recent(g);
    put(g, ADD(g, sqrt, NULL, ADD(g, mul, NULL, x, x)));
}

static void pattern_reciprocal(Generator *g)
{
    Value *x = ADD(g, exp, NULL, ADD(g, softmax, NULL, recent(g)));
    put(g, ADD(g, reciprocal, NULL, x));
}

static Value *other_operand(Generator *g, Value *x)
{
    switch (between(g, 0, 4)) {
    case 0: return typed_vector(g, DTYPE_f32, g->width);
    case 1: return ADD(g, reduce_max, NULL, x);
    case 2: return ADD(g, reduce_sum, NULL, x);
    case 3: return graph_constant(g->graph, (float)between(g, -3, 3) * 0.75f);
    default: return any(g);
    }
}

static void pattern_binary(Generator *g)
{
    static const Op ops[] = {OP_add, OP_sub, OP_mul};
    Value *x = recent(g), *operands[] = {x, other_operand(g, x)};
    put(g, add(g, ops[between(g, 0, 2)], NULL, 2, operands));
}

static void pattern_one(Generator *g)
{
    Value *x = recent(g), *one = graph_constant(g->graph, in(g, 85) ? 1.0f : 0.5f);
    put(g, in(g, 50) ? ADD(g, mul, NULL, x, one) : ADD(g, div, NULL, x, one));
}

static void pattern_share(Generator *g)
{
    Value *x = ADD(g, exp, NULL, ADD(g, softmax, NULL, recent(g)));
    put(g, ADD(g, div, NULL, x, ADD(g, reduce_sum, NULL, x)));
}

// Two expressions that become equal once simplify took away what does nothing.
static void pattern_twice(Generator *g)
{
    Value *x = recent(g), *y = any(g), *again = ADD(g, neg, NULL, ADD(g, neg, NULL, x));
    Value *first = ADD(g, add, NULL, x, y);
    Value *second = in(g, 50) ? ADD(g, add, NULL, y, again) : ADD(g, add, NULL, again, y);
    put(g, ADD(g, mul, NULL, ADD(g, silu, NULL, first), ADD(g, silu, NULL, second)));
}

static void pattern_columns(Generator *g)
{
    Value *x = recent(g);
    int32_t half = g->width / 2;
    if (in(g, 30)) {
        put(g, columns(g, x, 0, g->width));
        return;
    }
    Value *low = columns(g, x, 0, half), *high = columns(g, x, half, g->width);
    if (in(g, 60)) {
        Value *outer = columns(g, x, 3, g->width - 1);
        low = columns(g, outer, 2, half + 2);
    }
    put(g, ADD(g, concat, WITH(.concat = {.axis = 1}), high, low));
}

static void pattern_matmuls(Generator *g)
{
    Value *operands[OPERANDS_MAX] = {in(g, 60) ? norm(g, recent(g)) : recent(g)};
    int32_t count = between(g, 1, 3);
    for (int32_t i = 1; i <= count; i++)
        operands[i] = any_matrix(g, any_type(g, g->width), g->width, g->width);
    Value *wide = add(g, OP_matmul, NULL, count + 1, operands);
    int32_t begin = between(g, 0, count - 1) * g->width;
    put(g, norm(g, count == 1 ? wide : columns(g, wide, begin, begin + g->width)));
}

static void pattern_feed_forward(Generator *g)
{
    static const int32_t sizes[] = {32, 64, 64, 40, 256};
    Value *x = recent(g), *h = norm(g, x);
    int32_t size = sizes[between(g, 0, g->width == 256 ? 4 : 3)];
    DType dtype = any_type(g, g->width);
    // One weight that holds both, or two.
    Value *both = in(g, 30) ? product(g, h, dtype, 2 * size) : NULL;
    Value *gate = both ? columns(g, both, 0, size) : product(g, h, dtype, size);
    Value *up = both ? columns(g, both, size, 2 * size)
                     : product(g, h, in(g, 85) ? dtype : any_type(g, g->width), size);
    Value *act = in(g, 50) ? ADD(g, swiglu, NULL, gate, up) : ADD(g, geglu, NULL, gate, up);
    if (in(g, 10))
        act = ADD(g, add, NULL, act, up);
    Value *down = product(g, act, any_type(g, size), g->width);
    put(g, ADD(g, add, NULL, x, down));
}

// Experts' rows do not always fill panels.
static void pattern_experts(Generator *g)
{
    static const int32_t sizes[] = {32, 64, 40, 24};
    Value *x = recent(g), *h = norm(g, x);
    int32_t experts = 2 * between(g, 1, 3), size = sizes[between(g, 0, 3)];
    Attributes choice = {.route = {.k = between(g, 1, 2), .normalise = in(g, 50)}};
    Attributes own = {.matmul_experts = {.experts = experts}};
    Value *logits = product(g, h, any_type(g, g->width), experts);
    const Node *route = add_node(g, OP_route, &choice, 1, &logits);
    Value *ids = route->results[0];
    DType dtype = any_type(g, g->width);
    Value *gate = ADD(g, matmul_experts, &own, h, matrix(g, dtype, experts * size, g->width), ids);
    Value *up = ADD(g, matmul_experts, &own, h, matrix(g, dtype, experts * size, g->width), ids);
    Value *down = matrix(g, any_type(g, size), experts * g->width, size);
    Value *parts = ADD(g, matmul_experts, &own, ADD(g, swiglu, NULL, gate, up), down, ids);
    put(g, ADD(g, add, NULL, x, ADD(g, combine, NULL, parts, route->results[1])));
}

// --- attention

typedef struct Heads {
    int32_t query, kv, dim;
    Value *table;
    Attributes rope;
    Value *keys, *values;
} Heads;

static Value *new_state(Generator *g, StateRole role, const Heads *heads)
{
    return graph_state(g->graph,
                       module_add_state(g->module, new_name(g, "s"), role, heads->kv, heads->dim));
}

static Heads any_heads(Generator *g)
{
    Heads heads = {.kv = between(g, 1, 2), .dim = in(g, 50) ? 16 : 32};
    heads.query = heads.kv * between(g, 1, 4);
    int32_t dims = in(g, 80) ? heads.dim : heads.dim / 2;
    Attributes table = {.rope_table = {.dims = dims,
                                       .theta = in(g, 50) ? 1e4f : 5e5f,
                                       .scale = in(g, 70) ? 1 : 0.5f,
                                       .magnitude = in(g, 70) ? 1 : 1.25f}};
    heads.table = in(g, 80) ? ADD(g, rope_table, &table, input(g, INPUT_POS))
                            : ADD(g, rope_table, &table, input(g, INPUT_POS), vector(g, dims / 2));
    heads.rope.rope.head_dim = heads.dim;
    heads.rope.rope.style = in(g, 50) ? STYLE_norm : STYLE_neox;
    heads.keys = new_state(g, STATE_KEYS, &heads);
    heads.values = new_state(g, STATE_VALUES, &heads);
    return heads;
}

static void store(Generator *g, Value *x, Value *state)
{
    ADD(g, kv_store, NULL, x, input(g, INPUT_POS), input(g, INPUT_SEQ), input(g, INPUT_TABLE),
        state);
}

static Value *attend(Generator *g, const Heads *heads, Value *q, DType post)
{
    Attributes attributes = {
        .attention = {.heads = heads->query,
                      .scale = 0.25f,
                      .window = in(g, 25) ? between(g, 1, in(g, 70) ? 4 : PAGE_TOKENS + 2) : 0,
                      .post = (int32_t)post,
                      .softcap = in(g, 20) ? 0.75f : 0}};
    return ADD(g, attention, &attributes, q, input(g, INPUT_POS), input(g, INPUT_SEQ),
               input(g, INPUT_TABLE), heads->keys, heads->values);
}

// q, k and v of one width after another: three matmuls, or one that is cut.
static void project(Generator *g, const Heads *heads, Value *h, Value *parts[3])
{
    const int32_t sizes[] = {heads->query * heads->dim, heads->kv * heads->dim,
                             heads->kv * heads->dim};
    DType dtype = any_type(g, g->width);
    Value *wide = in(g, 30) ? product(g, h, dtype, sizes[0] + sizes[1] + sizes[2]) : NULL;
    for (int32_t i = 0, begin = 0; i < 3; begin += sizes[i++])
        parts[i] = wide ? columns(g, wide, begin, begin + sizes[i])
                        : product(g, h, in(g, 90) ? dtype : any_type(g, g->width), sizes[i]);
}

static void pattern_attention(Generator *g)
{
    Heads heads = any_heads(g);
    Value *x = recent(g), *h = norm(g, x), *parts[3];
    project(g, &heads, h, parts);
    Value *q = ADD(g, rope, &heads.rope, parts[0], heads.table);
    Value *k = in(g, 92) ? ADD(g, rope, &heads.rope, parts[1], heads.table) : parts[1];
    bool values_first = in(g, 8);
    if (values_first)
        store(g, parts[2], heads.values);
    store(g, k, heads.keys);
    if (!values_first)
        store(g, parts[2], heads.values);
    Value *out = attend(g, &heads, q, DTYPE_f32);
    if (in(g, 15)) { // what was stored is read, written over, and read again
        store(g, ADD(g, neg, NULL, parts[2]), heads.values);
        out = ADD(g, sub, NULL, out, attend(g, &heads, q, DTYPE_f32));
    }
    out = product(g, out, any_type(g, heads.query * heads.dim), g->width);
    put(g, ADD(g, add, NULL, x, out));
}

static void pattern_unread_state(Generator *g)
{
    Heads heads = any_heads(g);
    store(g, product(g, recent(g), any_type(g, g->width), heads.kv * heads.dim), heads.keys);
}

static void pattern_unread_value(Generator *g)
{
    ADD(g, silu, NULL, norm(g, recent(g)));
}

// --- at level numeric: what numerics and fuse make, from the start

// An activation type for width columns, and a weight type that meets it.
static DType any_activation(Generator *g, int64_t size, DType *stored)
{
    if (in(g, 25)) {
        *stored = DTYPE_bf16;
        return DTYPE_bf16x2;
    }
    if (size % 256 == 0 && in(g, 60)) {
        *stored = in(g, 33) ? DTYPE_q4_k : in(g, 50) ? DTYPE_q5_k : DTYPE_q6_k;
        return DTYPE_q8k;
    }
    static const DType types[] = {DTYPE_q8_0, DTYPE_q4_0, DTYPE_q4_1,
                                  DTYPE_q5_0, DTYPE_q5_1, DTYPE_iq4_nl};
    *stored = types[between(g, 0, sizeof types / sizeof *types - 1)];
    return DTYPE_q8;
}

static Value *quantised(Generator *g, Value *x, DType act)
{
    return ADD(g, quantise, WITH(.quantise = {.type = (int32_t)act}), x);
}

static void fused_matmul(Generator *g)
{
    DType stored, act = any_activation(g, g->width, &stored);
    put(g, norm(g, ADD(g, matmul, NULL, quantised(g, recent(g), act),
                       matrix(g, stored, g->width, g->width))));
}

static void fused_norm(Generator *g)
{
    DType stored, act = any_activation(g, g->width, &stored);
    Attributes attributes = {.add_rms_norm = {.eps = 1e-5f, .post = (int32_t)act}};
    Value *operands[] = {recent(g), any(g), vector(g, g->width)};
    Node *node = add_node(g, OP_add_rms_norm, &attributes, 3, operands);
    put(g, node->results[0]);
    put(g, norm(g, ADD(g, matmul, NULL, node->results[1], matrix(g, stored, g->width, g->width))));
}

static void fused_gates(Generator *g)
{
    DType stored, down, act = any_activation(g, g->width, &stored);
    int32_t size = in(g, 50) ? 64 : 32;
    DType post = any_activation(g, size, &down);
    Epilogue epilogue = in(g, 60) ? EPILOGUE_swiglu : EPILOGUE_geglu;
    Attributes attributes = {.matmul = {.epilogue = (int32_t)epilogue, .post = (int32_t)post}};
    Value *h = ADD(g, matmul, &attributes, quantised(g, recent(g), act),
                   matrix(g, stored, 2 * size, g->width));
    put(g, norm(g, ADD(g, matmul, NULL, h, matrix(g, down, g->width, size))));
}

static void fused_experts(Generator *g)
{
    DType stored, act = any_activation(g, g->width, &stored);
    Attributes choice = {.route = {.k = between(g, 1, 2)}};
    Value *h = quantised(g, recent(g), act);
    Value *logits = ADD(g, matmul, NULL, h, matrix(g, stored, 3, g->width));
    const Node *route = add_node(g, OP_route, &choice, 1, &logits);
    Value *parts = ADD(g, matmul_experts, WITH(.matmul_experts = {.experts = 3}), h,
                       matrix(g, stored, 3 * g->width, g->width), route->results[0]);
    put(g, norm(g, ADD(g, combine, NULL, parts, route->results[1])));
}

static void fused_attention(Generator *g)
{
    Heads heads = any_heads(g);
    heads.query = 2 * heads.kv; // a block of 32 within one kv head
    int32_t size = (heads.query + 2 * heads.kv) * heads.dim;
    Value *qkv = product(g, norm(g, recent(g)), any_type(g, g->width), size);
    Attributes attributes = {.rope_qk_store = {.heads = heads.query,
                                               .kv_heads = heads.kv,
                                               .style = heads.rope.rope.style}};
    Value *q = ADD(g, rope_qk_store, &attributes, qkv, heads.table, input(g, INPUT_POS),
                   input(g, INPUT_SEQ), input(g, INPUT_TABLE), heads.keys, heads.values);
    Value *out = attend(g, &heads, q, DTYPE_q8);
    put(g, norm(g, ADD(g, matmul, NULL, out,
                       matrix(g, DTYPE_q8_0, g->width, heads.query * heads.dim))));
}

// --- the whole

typedef struct Pattern {
    void (*make)(Generator *g);
    int32_t share;    // of all draws
    bool only_tokens; // reads pos and seq
    bool only_fused;  // not at level built
} Pattern;

static const Pattern patterns[] = {
    {pattern_norm_of_sum, 8, false, false},
    {pattern_unary, 9, false, false},
    {pattern_layer_norm, 4, false, false},
    {pattern_heads_norm, 4, false, false},
    {pattern_neg_neg, 4, false, false},
    {pattern_root, 2, false, false},
    {pattern_reciprocal, 2, false, false},
    {pattern_binary, 8, false, false},
    {pattern_one, 10, false, false},
    {pattern_share, 2, false, false},
    {pattern_twice, 3, false, false},
    {pattern_columns, 6, false, false},
    {pattern_matmuls, 6, false, false},
    {pattern_feed_forward, 14, false, false},
    {pattern_experts, 8, false, false},
    {pattern_attention, 14, true, false},
    {pattern_unread_state, 1, true, false},
    {pattern_unread_value, 1, false, false},
    // at level numeric only
    {fused_matmul, 8, false, true},
    {fused_norm, 8, false, true},
    {fused_gates, 8, false, true},
    {fused_attention, 8, true, true},
    {fused_experts, 8, false, true},
};
enum { PATTERNS = sizeof patterns / sizeof *patterns };

static void draw_pattern(Generator *g)
{
    for (;;) {
        const Pattern *pattern = &patterns[between(g, 0, PATTERNS - 1)];
        bool fits = !(pattern->only_tokens && g->pool == &g->pools[1]) &&
                    !(pattern->only_fused && g->module->level == LEVEL_BUILT);
        if (!fits || between(g, 1, 14) > pattern->share)
            continue;
        pattern->make(g);
        return;
    }
}

// From tokens to rows: of a value that nothing else reads, for gather_early, or of any.
static void gather(Generator *g)
{
    Value *x = recent(g);
    if (in(g, 75))
        x = in(g, 50) ? norm(g, ADD(g, silu, NULL, x)) : product(g, x, DTYPE_f16, g->width);
    g->pool = &g->pools[1];
    put(g, ADD(g, gather_rows, NULL, x, input(g, INPUT_ROW)));
}

// Outputs must stay different values whatever simplify finds equal: each reads a weight of its own.
static void add_outputs(Generator *g)
{
    int32_t count = between(g, 1, 3);
    for (int32_t i = 0; i < count; i++) {
        if (i && in(g, 50))
            g->pool = &g->pools[0];
        Value *x = i ? recent(g) : norm(g, recent(g));
        Value *value = in(g, 50) ? product(g, x, any_type(g, g->width), VOCABULARY) : norm(g, x);
        const char *name = i ? arena_format(g->arena, "tap.%d", i) : "logits";
        graph_add_output(g->graph, name, value);
        if (value->shape.dims[1].constant == g->width && in(g, 40)) {
            put(g, value);
            pattern_unary(g);
        }
    }
}

static ModuleOptions any_options(Generator *g)
{
    static const char *const targets[] = {"ref", "avx2", "avx512", "avx512bf16"};
    static const int32_t batches[] = {1, 8, 32};
    static const DType states[] = {DTYPE_f32, DTYPE_f16, DTYPE_q8_0};
    return (ModuleOptions){.target = targets[between(g, 0, 3)],
                           .opt = in(g, 70) ? 2 : between(g, 0, 1),
                           .kv = states[between(g, 0, 2)],
                           .act_auto = in(g, 70),
                           .batch = batches[between(g, 0, 2)],
                           .page_tokens = PAGE_TOKENS};
}

Module *generate_module(uint64_t seed, int32_t most_patterns, bool folded, Arena *arena)
{
    Generator g = {.chance = {seed}, .arena = arena};
    ModuleOptions options = any_options(&g);
    g.module = module_new(arena, "random", options);
    g.module->context_length = (int64_t)PAGES * options.page_tokens;
    g.module->vocabulary_size = VOCABULARY;
    g.module->level = in(&g, 16) ? LEVEL_NUMERIC : LEVEL_BUILT;
    g.folded = folded || g.module->level > LEVEL_BUILT; // fold runs at level built
    g.graph = module_add_graph(g.module, "step");
    g.width = in(&g, 12) ? 256 : in(&g, 50) ? 32 : 64;
    g.pool = &g.pools[0];
    for (int32_t i = between(&g, 1, 2); i > 0; i--)
        put(&g, ADD(&g, embed, NULL, any_matrix(&g, any_type(&g, g.width), VOCABULARY, g.width),
                    input(&g, INPUT_TOKEN)));
    // Wide graphs take long and add the types of blocks of 256 only.
    for (int32_t i = between(&g, 1, g.width == 256 ? 3 : most_patterns); i > 0; i--)
        draw_pattern(&g);
    if (in(&g, 70)) {
        gather(&g);
        for (int32_t i = between(&g, 0, 3); i > 0; i--)
            draw_pattern(&g);
    }
    add_outputs(&g);
    return g.module;
}

bool moves_weights(const Module *module)
{
    for (const Node *node = module->graphs.items[0]->first; node; node = node->next)
        if ((node->op == OP_slice && node->attributes.slice.axis == 0) ||
            (node->op == OP_concat && node->attributes.concat.axis == 0))
            return true;
    return false;
}
