// Layouts: of weights, chosen jointly over all phases; of activations, by the phase's bound on T;
// of states, fixed by their role. Vectors become f32.
//
// A weight takes the layout in which a token of each phase takes least time: over all its readers,
// the modelled time at the phase's largest T, divided by that T (cost.h), each by the kernel that
// the catalogue has for the layout. Row-major wins ties, since it costs no packing. A reader of
// several weights is costed for this one alone, so that the choices do not depend on their order.
#include "passes/cost.h"

#include <assert.h>

// What a layout costs all readers of a weight, or the reader for which there is no kernel.
typedef struct Alternative {
    TokenCost cost;
    const Node *without_kernel;
} Alternative;

static KernelQuery reader_query(const PassContext *context, const Node *node, DType dtype,
                                Layout layout)
{
    KernelQuery query = node_query(node, context->target);
    query.stored = 1u << dtype;
    query.layouts = 1u << layout;
    return query;
}

static Cost reader_cost(const Use *use, Layout layout, const KernelRow *row, int64_t tokens)
{
    Node *node = use->user;
    int32_t index = (int32_t)(use - node->operands);
    if (node_is_dotted(node, index))
        return cost_dots(node, index, node->operands[0].value->dtype, layout, row, tokens);
    Layout before = use->value->layout;
    use->value->layout = layout;
    Cost cost = cost_node(node, row, tokens);
    use->value->layout = before;
    return cost;
}

static Alternative weigh(const PassContext *context, Weight *weight, Layout layout)
{
    const Module *module = context->module;
    Alternative alternative = {0};
    for (int32_t i = 0; i < module->graphs.count; i++) {
        Graph *graph = module->graphs.items[i];
        int64_t tokens = cost_tokens(graph);
        for (const Use *use = graph_weight(graph, weight)->uses; use; use = use->next) {
            if (!use->user)
                continue;
            KernelQuery query = reader_query(context, use->user, weight->dtype, layout);
            const KernelRow *row = kernel_find(&query);
            if (!row) {
                alternative.without_kernel = use->user;
                return alternative;
            }
            Cost cost = reader_cost(use, layout, row, tokens);
            token_cost_add(&alternative.cost, &cost, tokens);
        }
    }
    return alternative;
}

static const Node *first_reader(const Module *module, Weight *weight)
{
    for (int32_t i = 0; i < module->graphs.count; i++)
        for (const Use *use = graph_weight(module->graphs.items[i], weight)->uses; use;
             use = use->next)
            if (use->user)
                return use->user;
    return NULL;
}

static void explain_alternative(PassContext *context, Weight *weight, Layout layout,
                                const Alternative *all)
{
    const Alternative *one = &all[layout], *best = &all[weight->layout];
    Text line = {0};
    text_print(&line, "%s: %s: ", weight->name, layout_table[layout].name);
    if (one->without_kernel) {
        KernelQuery query = reader_query(context, one->without_kernel, weight->dtype, layout);
        no_kernel_print(&line, &query);
        text_print(&line, " (%s)", node_place(one->without_kernel, context->scratch));
    } else {
        int64_t rows = weight->shape.dims[0].constant, columns = weight->shape.dims[1].constant;
        text_print(&line, "%lld bytes, %.0f operations, %.1f ns a token of each phase: ",
                   (long long)layout_bytes(weight->dtype, layout, rows, columns),
                   one->cost.operations, one->cost.ns);
        if (one == best)
            text_print(&line, "chosen");
        else if (one->cost.ns > best->cost.ns)
            text_print(&line, "slower: %.1f ns > %.1f ns", one->cost.ns, best->cost.ns);
        else
            text_print(&line, "as fast, but packed");
    }
    pass_explain(context, "weight", first_reader(context->module, weight), "%s", line.bytes);
    text_free(&line);
}

static void choose_weight_layout(PassContext *context, Weight *weight)
{
    Alternative all[LAYOUT_COUNT];
    const Alternative *best = NULL;
    for (int layout = 0; layout < LAYOUT_COUNT; layout++) {
        if (!cost_layout_fits((Layout)layout, weight->dtype))
            continue;
        all[layout] = weigh(context, weight, (Layout)layout);
        if (all[layout].without_kernel || (best && all[layout].cost.ns >= best->cost.ns))
            continue;
        best = &all[layout];
        weight->layout = (Layout)layout;
    }
    if (!context->explain)
        return;
    for (int layout = 0; layout < LAYOUT_COUNT; layout++)
        if (cost_layout_fits((Layout)layout, weight->dtype))
            explain_alternative(context, weight, (Layout)layout, all);
}

static void lay_out_weights(PassContext *context)
{
    Module *module = context->module;
    cost_explain_machine(context);
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
