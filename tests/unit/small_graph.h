// What the tests of the graph share: a module of one graph, made anew for each test, and short ways
// to add leaves and nodes to it.
//
// All of it is static inline, so that a test uses what it needs. set_up and tear_down are the
// fixture.
#ifndef TESTS_UNIT_SMALL_GRAPH_H
#define TESTS_UNIT_SMALL_GRAPH_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "graph/graph.h"

enum { HEADS = 4, KV_HEADS = 2, HEAD_DIM = 32, WIDTH = HEADS * HEAD_DIM };

static Arena arena;
static Module *module;
static Graph *graph;
static Diag diag;
static const SourceLocation here = {"m.lua", 7};

static inline void set_up(void)
{
    memset(&diag, 0, sizeof diag);
    module = module_new(&arena, "m",
                        (ModuleOptions){.target = "ref", .kv = DTYPE_f16, .page_tokens = 64});
    graph = module_add_graph(module, "step");
}

static inline void tear_down(void)
{
    arena_free(&arena);
}

#define COUNT(...) ((int32_t)(sizeof((Value *[]){__VA_ARGS__}) / sizeof(Value *)))
#define ADD(op, attributes, ...)                                                                   \
    must_add(OP_##op, attributes, COUNT(__VA_ARGS__), (Value *[]){__VA_ARGS__})
#define WITH(...) (&(Attributes){__VA_ARGS__})

static inline Node *must_add(Op op, const Attributes *attributes, int32_t count, Value **operands)
{
    Node *node = graph_add(graph, op, count, operands, attributes, here, &diag);
    ck_assert_msg(node, "%s", diag.message);
    return node;
}

static inline Value *matrix(const char *name, DType dtype, int64_t rows, int64_t columns)
{
    Shape shape = {2, {dim_constant(rows), dim_constant(columns)}};
    return graph_weight(graph,
                        module_add_weight(module, name, dtype, shape,
                                          recipe_tensor(&arena, name, dtype, rows, columns)));
}

static inline Value *vector(const char *name, DType dtype, int64_t columns)
{
    Shape shape = {1, {dim_constant(columns)}};
    return graph_weight(graph, module_add_weight(module, name, dtype, shape,
                                                 recipe_tensor(&arena, name, dtype, 1, columns)));
}

static inline Value *input(StepInput which)
{
    return graph_input(graph, which);
}

// f32[T,columns], another value for every name.
static inline Value *rows(const char *name, int64_t columns)
{
    return ADD(embed, NULL, matrix(name, DTYPE_f16, 8, columns), input(INPUT_TOKEN))->results[0];
}

static inline Value *picked_rows(const char *name, int64_t columns)
{
    return ADD(gather_rows, NULL, rows(name, columns), input(INPUT_ROW))->results[0];
}

static inline Value *state(const char *name, StateRole role, int32_t heads, int32_t head_dim)
{
    return graph_state(graph, module_add_state(module, name, role, heads, head_dim));
}

static inline Value *silu(Value *x)
{
    return ADD(silu, NULL, x)->results[0];
}

static inline void check_verified(void)
{
    ck_assert_msg(module_verify(module, &diag), "%s", diag.message);
}

#endif
