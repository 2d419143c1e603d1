// What the tests of the model language share: building a module from a script, finding its nodes.
//
// All of it is static inline, so that a test uses what it needs. set_up and tear_down are the
// fixture.
#ifndef TESTS_UNIT_SMALL_LUA_H
#define TESTS_UNIT_SMALL_LUA_H

#include <check.h>

#include "frontends/lua/lua_frontend.h"

#define ERRORS "tests/errors/"

static Arena arena;
static Diag diag;

static inline void set_up(void)
{
    arena = (Arena){0};
    diag = (Diag){0};
}

static inline void tear_down(void)
{
    arena_free(&arena);
}

static const ModuleOptions module_options = {
    .target = "ref", .kv = DTYPE_f32, .batch = 512, .page_tokens = 32};

static inline Module *build(const char *script, const ModelFile *file, const char *const *taps,
                            int tap_count, FileList *inputs)
{
    static const char *const registry[] = {ERRORS "registry"};
    LuaFrontendOptions options = {script, registry, 1, taps, tap_count};
    return lua_frontend_build(&options, file, module_options, &arena, inputs, &diag);
}

static inline const Node *find_node(const Module *module, Op op, int which)
{
    const Node *node = module->graphs.items[0]->first;
    for (; node; node = node->next)
        if (node->op == op && which-- == 0)
            break;
    ck_assert_msg(node != NULL, "no %s", op_table[op].name);
    return node;
}

static inline int count_nodes(const Module *module, Op op)
{
    int count = 0;
    for (const Node *node = module->graphs.items[0]->first; node; node = node->next)
        count += node->op == op;
    return count;
}

#endif
