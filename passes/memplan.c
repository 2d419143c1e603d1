// Memory: every value gets its place. Activations of a graph share one arena; lifetimes are counted
// in epochs, since steps of one epoch may run at the same time: bytes are reused only from a value
// dead in an earlier epoch. A result takes its operand's place where the op allows it and the
// operand dies there. Values that each thread makes for itself (region own) share the arena's
// offsets with those of all: a thread's copy has the arena's size, which is small where there are
// any. Rejected: an arena of their own, a second peak and bound everywhere to save some kilobytes.
//
// Offsets come from place.c.
#include "passes/memplan.h"

#include "passes/passes.h"
#include "passes/place.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

typedef struct Planner {
    Graph *graph;
    Arena *arena;
    Vector(Block *) blocks; // one or more values in one place
    Block **block_of_value; // by value number; NULL: an output, which has its place in region io
    bool *is_output;        // by value number
} Planner;

static int64_t align(int64_t bytes)
{
    return (bytes + PLACE_ALIGNMENT - 1) / PLACE_ALIGNMENT * PLACE_ALIGNMENT;
}

static int64_t value_bytes(const Graph *graph, const Value *value)
{
    const int64_t largest[SYMBOL_COUNT] = {graph->bound_t, graph->bound_t, 1, 1};
    return layout_bytes(value->dtype, value->layout, shape_rows(&value->shape, largest),
                        shape_columns(&value->shape, largest));
}

int64_t memplan_value_bytes(const Graph *graph, const Value *value)
{
    return align(value_bytes(graph, value));
}

static bool is_output(const Value *value)
{
    for (const Use *use = value->uses; use; use = use->next)
        if (!use->user)
            return true;
    return false;
}

bool memplan_is_own(const Node *node)
{
    const int64_t one[SYMBOL_COUNT] = {1, 1, 1, 1};
    if (node->graph->bound_t != 1 || op_table[node->op].written ||
        kernel_from_name(node->kernel)->split != SPLIT_TOKENS)
        return false;
    for (int32_t i = 0; i < node->result_count; i++)
        if (is_output(node->results[i]) || shape_rows(&node->results[i]->shape, one) != 1)
            return false;
    return true;
}

static int32_t last_epoch(const Value *value)
{
    int32_t last = value->producer.node->mark;
    for (const Use *use = value->uses; use; use = use->next)
        if (use->user && use->user->mark > last)
            last = use->user->mark;
    return last;
}

static bool row_local(const Node *node)
{
    return (op_table[node->op].traits & OP_ROWWISE) &&
           kernel_from_name(node->kernel)->split == SPLIT_TOKENS;
}

// Whether nothing reads operand 0 after the node or beside it: every other reader ran in an earlier
// epoch, or earlier on the same thread.
static bool dies_at(const Value *value, const Node *node)
{
    for (const Use *use = value->uses; use; use = use->next) {
        if (use == &node->operands[0])
            continue;
        if (!use->user || use->user == node || use->user->mark > node->mark)
            return false;
        if (use->user->mark == node->mark &&
            !(row_local(use->user) && use->user->results[0]->number < node->results[0]->number))
            return false;
    }
    return true;
}

static bool can_replace_operand(const Planner *planner, const Node *node)
{
    const Value *operand = node->operands[0].value, *result = node->results[0];
    return op_table[node->op].traits & OP_INPLACE && row_local(node) &&
           operand->kind == VALUE_RESULT && !planner->is_output[operand->number] &&
           memplan_is_own(node) == memplan_is_own(operand->producer.node) &&
           operand->dtype == result->dtype && operand->layout == result->layout &&
           shape_equal(&operand->shape, &result->shape) && dies_at(operand, node);
}

static void add_value(Planner *planner, const Value *value)
{
    const Node *node = value->producer.node;
    if (value == node->results[0] && can_replace_operand(planner, node)) {
        Block *block = planner->block_of_value[node->operands[0].value->number];
        planner->block_of_value[value->number] = block;
        if (block->last_epoch < last_epoch(value))
            block->last_epoch = last_epoch(value);
        return;
    }
    Block *block = ARENA_NEW(planner->arena, Block);
    block->bytes = memplan_value_bytes(planner->graph, value);
    block->first_epoch = node->mark;
    block->last_epoch = last_epoch(value);
    planner->block_of_value[value->number] = block;
    vector_push(planner->arena, &planner->blocks, block);
}

static bool place_outputs(Graph *graph, Diag *diag)
{
    for (int32_t i = 0; i < graph->outputs.count; i++) {
        GraphOutput *output = graph->outputs.items[i];
        Value *value = output->use.value;
        if (value->kind != VALUE_RESULT || value->place.region == REGION_IO)
            return diag_fail(diag, (Where){0},
                             "output \"%s\" of graph @%s must be a computed value that no other "
                             "output names",
                             output->name, graph->name);
        output->io_index = INPUT_COUNT + i;
        value->place = (Place){REGION_IO, output->io_index, value_bytes(graph, value)};
    }
    return true;
}

// Marks become epochs.
static void number_epochs(Graph *graph)
{
    int32_t epoch = 0;
    for (Node *node = graph->first; node; node = node->next)
        node->mark = epoch += node->barrier_before;
}

static Planner find_blocks(Graph *graph, Arena *arena)
{
    Planner planner = {.graph = graph, .arena = arena};
    int32_t numbers = graph->node_count * RESULTS_MAX + 1;
    number_epochs(graph);
    graph_number(graph);
    planner.block_of_value = ARENA_ARRAY(arena, Block *, numbers);
    planner.is_output = ARENA_ARRAY(arena, bool, numbers);
    for (int32_t i = 0; i < graph->outputs.count; i++) {
        const Value *value = graph->outputs.items[i]->use.value;
        if (value->kind == VALUE_RESULT)
            planner.is_output[value->number] = true;
    }
    for (Node *node = graph->first; node; node = node->next)
        for (int32_t i = 0; i < node->result_count; i++)
            if (!planner.is_output[node->results[i]->number])
                add_value(&planner, node->results[i]);
    return planner;
}

int64_t memplan_alive_bytes(Graph *graph, Arena *arena)
{
    Planner planner = find_blocks(graph, arena);
    return place_bound(planner.blocks.count, planner.blocks.items, arena);
}

// Values of one block after the first took over their operand's place.
static void give_places(const Planner *planner)
{
    for (Node *node = planner->graph->first; node; node = node->next)
        for (int32_t i = 0; i < node->result_count; i++) {
            Value *value = node->results[i];
            const Block *block = planner->block_of_value[value->number];
            if (!block)
                continue;
            Region region = memplan_is_own(node) ? REGION_OWN : REGION_ACT;
            value->place = (Place){region, block->offset, value_bytes(planner->graph, value)};
            Value *operand = node->operand_count ? node->operands[0].value : NULL;
            if (operand && operand->kind == VALUE_RESULT &&
                planner->block_of_value[operand->number] == block)
                value->alias_of = operand;
        }
}

static double ratio(int64_t bytes, int64_t bound)
{
    return bound ? (double)bytes / (double)bound : 1.0;
}

static void explain_placement(PassContext *context, const Graph *graph, const Placement *placement)
{
    if (!context->explain)
        return;
    text_print(context->explain, "memplan peak: @%s %lld bytes, lower bound %lld, ratio %.3f\n",
               graph->name, (long long)placement->peak, (long long)placement->bound,
               ratio(placement->peak, placement->bound));
    if (placement->searched)
        text_print(context->explain,
                   "memplan search: @%s the quick placement has ratio %.3f; %d more were tried\n",
                   graph->name, ratio(placement->quick_peak, placement->bound),
                   placement->searched);
}

static bool plan_graph(PassContext *context, Graph *graph)
{
    Planner planner = find_blocks(graph, context->scratch);
    if (!place_outputs(graph, context->diag))
        return false;
    Placement placement = place_blocks(planner.blocks.count, planner.blocks.items, planner.arena);
    graph->act_bytes = placement.peak;
    graph->act_lower_bound = placement.bound;
    give_places(&planner);
    explain_placement(context, graph, &placement);
    return true;
}

static void place_weight(Module *module, Weight *weight)
{
    int64_t rows = weight->shape.rank == 2 ? weight->shape.dims[0].constant : 1;
    int64_t columns = weight->shape.dims[weight->shape.rank - 1].constant;
    int64_t bytes = layout_bytes(weight->dtype, weight->layout, rows, columns);
    weight->place = (Place){REGION_W, module->w_bytes, bytes};
    module->w_bytes += align(bytes);
    module->weights.items[module->weights.count++] = weight;
}

// Weights in the order in which a token reads them; they stand so in the text and in the plan too.
static void place_weights(Module *module)
{
    module->w_bytes = 0;
    module->weights.count = 0;
    for (int32_t i = 0; i < module->graphs.count; i++)
        for (Node *node = module->graphs.items[i]->first; node; node = node->next)
            for (int32_t j = 0; j < node->operand_count; j++) {
                const Value *value = node->operands[j].value;
                if (value->kind == VALUE_WEIGHT && value->weight->place.region != REGION_W)
                    place_weight(module, value->weight);
            }
}

static void place_states(Module *module)
{
    int64_t offset = 0;
    for (int32_t i = 0; i < module->states.count; i++) {
        State *state = module->states.items[i];
        int64_t bytes = layout_bytes(state->dtype, state->layout, module->options.page_tokens,
                                     state_columns(state->dtype, state->kv_heads, state->head_dim));
        state->place = (Place){REGION_KV, offset, bytes};
        offset += align(bytes);
    }
    module->page_bytes = offset;
}

bool pass_memplan(PassContext *context)
{
    Module *module = context->module;
    for (int32_t i = 0; i < module->graphs.count; i++)
        if (!plan_graph(context, module->graphs.items[i]))
            return false;
    place_weights(module);
    place_states(module);
    return true;
}
