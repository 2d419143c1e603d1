// Layouts: of weights, chosen jointly over all phases; of activations, by the phase's bound on T;
// of states, fixed by their role. A weight takes the layout for which the catalogue's kernels of
// all its readers reach the highest targets; row-major wins ties, since it costs no packing.
// Vectors become f32.
#include "passes/passes.h"

#include <assert.h>

// How good a layout is for one reader: the rank of the best kernel's target, -1 if there is none.
static int32_t reader_rank(const PassContext *context, const Node *node, DType dtype, Layout layout)
{
    KernelQuery query = node_query(node, context->target);
    query.stored = 1u << dtype;
    query.layouts = 1u << layout;
    const KernelRow *row = kernel_find(&query);
    return row ? (int32_t)row->target : -1;
}

// The sum over all readers in all graphs, -1 if one of them has no kernel.
static int32_t layout_rank(const PassContext *context, const Weight *weight, Layout layout)
{
    const Module *module = context->module;
    int32_t rank = 0;
    for (int32_t i = 0; i < module->graphs.count; i++) {
        const Value *value = graph_weight(module->graphs.items[i], (Weight *)weight);
        for (const Use *use = value->uses; use; use = use->next) {
            int32_t one = use->user ? reader_rank(context, use->user, weight->dtype, layout) : 0;
            if (one < 0)
                return -1;
            rank += one;
        }
    }
    return rank;
}

static void choose_weight_layout(PassContext *context, Weight *weight)
{
    int32_t best_rank = -1;
    for (int layout = 0; layout < LAYOUT_COUNT; layout++) {
        bool weights = layout == LAYOUT_plain || layout == LAYOUT_n16k4 || layout == LAYOUT_n32k1 ||
                       layout == LAYOUT_n32k2 || layout == LAYOUT_n16k1;
        if (!weights || !layout_holds((Layout)layout, weight->dtype))
            continue;
        int32_t rank = layout_rank(context, weight, (Layout)layout);
        if (context->explain)
            text_print(context->explain, "layout weight: %s: %s as %s: rank %d\n", weight->name,
                       dtype_table[weight->dtype].name, layout_table[layout].name, rank);
        if (rank > best_rank) {
            best_rank = rank;
            weight->layout = (Layout)layout;
        }
    }
}

static void lay_out_weights(PassContext *context)
{
    Module *module = context->module;
    for (int32_t i = 0; i < module->weights.count; i++) {
        Weight *weight = module->weights.items[i];
        if (weight->shape.rank == 1)
            weight->dtype = DTYPE_f32;
        else
            choose_weight_layout(context, weight);
    }
}

static void lay_out_states(Module *module)
{
    for (int32_t i = 0; i < module->states.count; i++) {
        State *state = module->states.items[i];
        state->layout = state->role == STATE_KEYS ? LAYOUT_k32 : LAYOUT_v1;
    }
}

static void lay_out_results(Graph *graph)
{
    const int64_t largest[SYMBOL_COUNT] = {graph->bound_t, graph->bound_t, 1, 1};
    for (Node *node = graph->first; node; node = node->next)
        for (int32_t i = 0; i < node->result_count; i++) {
            Value *value = node->results[i];
            if (dtype_table[value->dtype].kind == DTYPE_KIND_ACT)
                value->layout = shape_rows(&value->shape, largest) == 1 ? LAYOUT_t1 : LAYOUT_t8;
        }
}

bool pass_layout(PassContext *context)
{
    Module *module = context->module;
    lay_out_weights(context);
    lay_out_states(module);
    module_refresh_leaves(module);
    for (int32_t i = 0; i < module->graphs.count; i++)
        lay_out_results(module->graphs.items[i]);
    return true;
}
