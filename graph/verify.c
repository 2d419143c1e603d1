// The verifier: what a module of a level promises, checked after every pass and on every text.
//
// Levels add up: structure, names, types and layouts that fit are checked always; bounds of T from
// specialised on, layouts chosen from laid_out on, kernels from selected on, places
// (verify_places.c) at planned. Messages name graph, node and value as the text numbers them.
#include "graph/verify.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "graph/base/hash.h"
#include "graph/table.h"

bool verify_fail(Verifier *verifier, const Node *node, const char *format, ...)
{
    char reason[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    Text place = {0};
    if (verifier->graph)
        text_print(&place, "graph @%s", verifier->graph->name);
    if (node) {
        text_print(&place, ", ");
        for (int32_t i = 0; i < node->result_count; i++)
            text_print(&place, "%s%%%d", i ? ", " : "", node->results[i]->number);
        text_print(&place, "%s%s", node->result_count ? " = " : "", op_table[node->op].name);
        if (node->locations.count)
            text_print(&place, " (%s:%d)", node->locations.items[0].file,
                       node->locations.items[0].line);
    }
    if (place.length)
        text_print(&place, ": ");
    diag_fail(verifier->diag, (Where){0}, "%s%s", place.bytes ? place.bytes : "", reason);
    text_free(&place);
    return false;
}

// --- names

typedef struct Claim {
    uint64_t scope;
    const char *name;
    const void *owner;
} Claim;

enum { SCOPE_LEAVES, SCOPE_GRAPHS, SCOPE_OUTPUTS };

static const Claim *find_claim(const Verifier *verifier, uint64_t scope, const char *name)
{
    uint32_t probe = 0;
    uint64_t hash = hash64(name, strlen(name), scope);
    for (Claim *claim; (claim = table_next(&verifier->claims, hash, &probe));)
        if (claim->scope == scope && strcmp(claim->name, name) == 0)
            return claim;
    return NULL;
}

static bool claim_name(Verifier *verifier, uint64_t scope, const char *name, const void *owner)
{
    if (find_claim(verifier, scope, name))
        return verify_fail(verifier, NULL, "the name '%s' is taken twice", name);
    Claim *claim = ARENA_NEW(&verifier->scratch, Claim);
    *claim = (Claim){scope, name, owner};
    table_add(&verifier->scratch, &verifier->claims, hash64(name, strlen(name), scope), claim);
    return true;
}

// --- weights and states

static bool layout_is_one_of(Layout layout, uint32_t layouts)
{
    return layouts >> layout & 1;
}

static const uint32_t weight_layouts = LAYOUT_SET(plain) | LAYOUT_SET(n16k4) | LAYOUT_SET(n32k1) |
                                       LAYOUT_SET(n32k2) | LAYOUT_SET(n16k1);

static bool check_weight(Verifier *verifier, const Weight *weight)
{
    const Shape *shape = &weight->shape;
    int64_t rows = shape->rank == 2 ? shape->dims[0].constant : 1;
    if (!claim_name(verifier, SCOPE_LEAVES, weight->name, weight))
        return false;
    if (weight->recipe->rows != rows ||
        weight->recipe->columns != shape->dims[shape->rank - 1].constant)
        return verify_fail(verifier, NULL, "weight %s: its recipe makes [%lld,%lld]", weight->name,
                           (long long)weight->recipe->rows, (long long)weight->recipe->columns);
    if (!layout_is_one_of(weight->layout, weight_layouts) ||
        !layout_holds(weight->layout, weight->dtype) ||
        (shape->rank == 1 && weight->layout != LAYOUT_plain))
        return verify_fail(verifier, NULL, "weight %s: a %s %s has no layout %s", weight->name,
                           dtype_table[weight->dtype].name, shape->rank == 1 ? "vector" : "matrix",
                           layout_table[weight->layout].name);
    return true;
}

static bool check_state(Verifier *verifier, const State *state)
{
    Layout laid_out = state->role == STATE_KEYS ? LAYOUT_k32 : LAYOUT_v1;
    bool needs_layout = verifier->module->level >= LEVEL_LAID_OUT;
    if (!claim_name(verifier, SCOPE_LEAVES, state->name, state))
        return false;
    if (state->layout != laid_out && (needs_layout || state->layout != LAYOUT_plain))
        return verify_fail(verifier, NULL, "state %s: expected layout %s, found %s", state->name,
                           layout_table[laid_out].name, layout_table[state->layout].name);
    if (!layout_holds(state->layout, state->dtype))
        return verify_fail(verifier, NULL, "state %s: layout %s does not hold %s", state->name,
                           layout_table[state->layout].name, dtype_table[state->dtype].name);
    if (state->layout != LAYOUT_plain && verifier->module->options.page_tokens % 32)
        return verify_fail(verifier, NULL,
                           "state %s: layout %s needs pages of a multiple of 32 tokens, not %lld",
                           state->name, layout_table[state->layout].name,
                           (long long)verifier->module->options.page_tokens);
    return true;
}

static bool check_leaf(Verifier *verifier, const Value *leaf)
{
    bool mirrors = true;
    const void *owner = NULL;
    const char *name = NULL;
    if (leaf->kind == VALUE_WEIGHT) {
        const Weight *weight = leaf->weight;
        owner = weight;
        name = weight->name;
        mirrors = leaf->dtype == weight->dtype && leaf->layout == weight->layout &&
                  shape_equal(&leaf->shape, &weight->shape);
    } else if (leaf->kind == VALUE_STATE) {
        const State *state = leaf->state;
        owner = state;
        name = state->name;
        mirrors = leaf->dtype == state->dtype && leaf->layout == state->layout;
    }
    if (!mirrors)
        return verify_fail(verifier, NULL, "the value of %s has another type than %s itself", name,
                           name);
    const Claim *claim = owner ? find_claim(verifier, SCOPE_LEAVES, name) : NULL;
    if (owner && leaf->uses && (!claim || claim->owner != owner))
        return verify_fail(verifier, NULL, "%s is read but not in the module", name);
    return true;
}

// --- structure

static bool check_node_links(Verifier *verifier, const Node *node)
{
    const Graph *graph = verifier->graph;
    const OpInfo *info = &op_table[node->op];
    const Node *after = node->previous ? node->previous->next : graph->first;
    const Node *before = node->next ? node->next->previous : graph->last;
    if (node->graph != graph || after != node || before != node)
        return verify_fail(verifier, node, "the node is not linked into the graph's order");
    if (node->operand_count < info->least_operands || node->operand_count > info->most_operands ||
        node->result_count != info->results)
        return verify_fail(verifier, node, "%d operands and %d results do not fit the op",
                           node->operand_count, node->result_count);
    for (int32_t i = 0; i < node->result_count; i++)
        if (node->results[i]->producer.node != node || node->results[i]->producer.index != i)
            return verify_fail(verifier, node, "%%%d does not know its producer",
                               node->results[i]->number);
    return true;
}

// Numbers the nodes in `mark`.
static bool check_order(Verifier *verifier)
{
    int32_t count = 0;
    for (Node *node = verifier->graph->first; node; node = node->next) {
        if (!check_node_links(verifier, node))
            return false;
        node->mark = count++;
    }
    if (count != verifier->graph->node_count)
        return verify_fail(verifier, NULL, "%d nodes, node_count says %d", count,
                           verifier->graph->node_count);
    return true;
}

// The use stands in its value's list, as seen from here.
static bool is_linked(const Use *use)
{
    const Use *head = use->value->uses;
    if (!head || !use->previous)
        return false;
    bool back = use == head || use->previous->next == use;
    return back && (use->next ? use->next->previous : head->previous) == use;
}

static bool check_operands(Verifier *verifier, const Node *node)
{
    for (int32_t i = 0; i < node->operand_count; i++) {
        const Use *use = &node->operands[i];
        if (!use->value || use->user != node || !is_linked(use))
            return verify_fail(verifier, node, "operand %d is not in the use list of its value",
                               i + 1);
        const Node *producer = value_producer(use->value);
        if (producer && producer->graph != verifier->graph)
            return verify_fail(verifier, node, "operand %d is of a node that is not in the graph",
                               i + 1);
        if (producer && producer->mark >= node->mark)
            return verify_fail(verifier, node, "operand %d, %%%d, is produced later", i + 1,
                               use->value->number);
    }
    return true;
}

static bool check_outputs(Verifier *verifier)
{
    const Graph *graph = verifier->graph;
    for (int32_t i = 0; i < graph->outputs.count; i++) {
        const GraphOutput *output = graph->outputs.items[i];
        const Use *use = &output->use;
        if (!use->value || use->user || !is_linked(use))
            return verify_fail(verifier, NULL, "output '%s' is not in the use list of its value",
                               output->name);
        const Node *producer = value_producer(use->value);
        if (use->value->kind == VALUE_STATE || (producer && producer->graph != graph))
            return verify_fail(verifier, NULL, "output '%s' is no value of the graph",
                               output->name);
        // Outputs of different graphs may share a name: each graph is a scope.
        if (!claim_name(verifier, SCOPE_OUTPUTS + (uint64_t)verifier->graph_index, output->name,
                        output))
            return false;
    }
    return true;
}

// How many uses the value's list has, at most `most` + 1; -1 if one of them is of another value.
static int64_t count_uses(const Value *value, int64_t most)
{
    int64_t count = 0;
    for (const Use *use = value->uses; use && count <= most; use = use->next, count++)
        if (use->value != value)
            return -1;
    return count;
}

// The lists hold every reading once: each reading is linked (above), and there are no more.
static bool check_use_counts(Verifier *verifier)
{
    const Graph *graph = verifier->graph;
    int64_t readings = graph->outputs.count, listed = 0;
    for (const Node *node = graph->first; node; node = node->next)
        readings += node->operand_count;
    for (int32_t i = 0; i < graph->leaves.count; i++) {
        int64_t count = count_uses(graph->leaves.items[i], readings);
        if (count < 0)
            return verify_fail(verifier, NULL, "a leaf's use list holds uses of another value");
        listed += count;
    }
    for (const Node *node = graph->first; node; node = node->next)
        for (int32_t i = 0; i < node->result_count; i++) {
            int64_t count = count_uses(node->results[i], readings);
            if (count < 0)
                return verify_fail(verifier, node,
                                   "the use list of %%%d holds uses of another value",
                                   node->results[i]->number);
            listed += count;
        }
    if (listed != readings)
        return verify_fail(verifier, NULL,
                           "the use lists hold %lld uses, operands and outputs are "
                           "%lld",
                           (long long)listed, (long long)readings);
    return true;
}

// --- types, layouts, kernels

static bool check_types(Verifier *verifier, const Node *node)
{
    Value *operands[OPERANDS_MAX];
    DType dtypes[RESULTS_MAX];
    Shape shapes[RESULTS_MAX];
    Diag diag = {0};
    for (int32_t i = 0; i < node->operand_count; i++) {
        operands[i] = node->operands[i].value;
        if (op_table[node->op].written >> i & 1 && operands[i]->kind != VALUE_STATE)
            return verify_fail(verifier, node, "operand %d is written but no state", i + 1);
    }
    if (!op_infer(node->op, node->operand_count, operands, &node->attributes, dtypes, shapes,
                  (SourceLocation){0}, &diag))
        return verify_fail(verifier, node, "%s", diag.message + strlen("error: "));
    for (int32_t i = 0; i < node->result_count; i++) {
        const Value *result = node->results[i];
        if (result->dtype == dtypes[i] && shape_equal(&result->shape, &shapes[i]))
            continue;
        Text text = {0};
        type_print(&text, result->dtype, &result->shape, LAYOUT_plain);
        text_print(&text, ", inference gives ");
        type_print(&text, dtypes[i], &shapes[i], LAYOUT_plain);
        verify_fail(verifier, node, "%%%d is %s", result->number, text.bytes);
        text_free(&text);
        return false;
    }
    return true;
}

static bool check_result_layouts(Verifier *verifier, const Node *node)
{
    for (int32_t i = 0; i < node->result_count; i++) {
        const Value *result = node->results[i];
        bool tiled = result->layout == LAYOUT_t1 || result->layout == LAYOUT_t8;
        bool is_activation = dtype_table[result->dtype].kind == DTYPE_KIND_ACT;
        bool needs_tiles = is_activation && verifier->module->level >= LEVEL_LAID_OUT;
        if ((needs_tiles && !tiled) || (tiled && !is_activation) ||
            (!tiled && result->layout != LAYOUT_plain))
            return verify_fail(verifier, node, "%%%d: expected layout %s, found %s", result->number,
                               is_activation ? "t1 or t8" : "plain",
                               layout_table[result->layout].name);
    }
    return true;
}

static bool check_node(Verifier *verifier, const Node *node)
{
    if (!check_operands(verifier, node) || !check_types(verifier, node) ||
        !check_result_layouts(verifier, node))
        return false;
    if (verifier->module->level >= LEVEL_SELECTED && !node->kernel)
        return verify_fail(verifier, node, "no kernel is selected");
    return true;
}

static bool check_graph(Verifier *verifier)
{
    Graph *graph = verifier->graph;
    graph_number(graph);
    for (int32_t i = 0; i < graph->leaves.count; i++)
        if (!check_leaf(verifier, graph->leaves.items[i]))
            return false;
    if (!check_order(verifier))
        return false;
    for (const Node *node = graph->first; node; node = node->next)
        if (!check_node(verifier, node))
            return false;
    if (!check_outputs(verifier) || !check_use_counts(verifier))
        return false;
    return verifier->module->level < LEVEL_PLANNED || verify_places(verifier);
}

// --- the module

static bool check_bounds(Verifier *verifier)
{
    const Module *module = verifier->module;
    int64_t last = 0;
    if (!module->graphs.count)
        return verify_fail(verifier, NULL, "a specialised module has at least one graph");
    for (int32_t i = 0; i < module->graphs.count; i++) {
        const Graph *graph = module->graphs.items[i];
        if (graph->bound_t <= last || graph->bound_t > BATCH_MAX)
            return verify_fail(verifier, NULL,
                               "graph @%s: T<=%lld, expected bounds that ascend from "
                               "1 to at most %d",
                               graph->name, (long long)graph->bound_t, BATCH_MAX);
        last = graph->bound_t;
    }
    return true;
}

static bool check_module(Verifier *verifier)
{
    const Module *module = verifier->module;
    for (int32_t i = 0; i < module->weights.count; i++)
        if (!check_weight(verifier, module->weights.items[i]))
            return false;
    for (int32_t i = 0; i < module->states.count; i++)
        if (!check_state(verifier, module->states.items[i]))
            return false;
    for (int32_t i = 0; i < module->graphs.count; i++)
        if (!claim_name(verifier, SCOPE_GRAPHS, module->graphs.items[i]->name,
                        module->graphs.items[i]))
            return false;
    if (module->level >= LEVEL_SPECIALISED && !check_bounds(verifier))
        return false;
    if (module->level >= LEVEL_PLANNED && !verify_module_places(verifier))
        return false;
    for (int32_t i = 0; i < module->graphs.count; i++) {
        verifier->graph = module->graphs.items[i];
        verifier->graph_index = i;
        if (!check_graph(verifier))
            return false;
    }
    return true;
}

bool module_verify(const Module *module, Diag *diag)
{
    Verifier verifier = {.module = module, .diag = diag};
    bool right = check_module(&verifier);
    arena_free(&verifier.scratch);
    return right;
}
