// A walk over the nodes in program order; each calls the reference row of its op over all tiles.
// Weights are made from their recipes on first use, as the runtime would make them.
#include "passes/eval.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/recipe_rows.h"
#include "passes/passes.h"

enum { EVAL_ALIGNMENT = 64 };

struct Evaluator {
    const Module *module;
    EvalTensor *tensor;
    void *context;
    EvalWatch *watch; // may be NULL
    void *watch_context;
    Arena memory;           // weights and the kv store
    void **weights;         // by index in module->weights, twice: as laid out, and packed for dots
    int64_t *state_offsets; // by index in module->states
    int64_t page_bytes, pages_per_sequence;
    uint8_t *kv;
    Arena step;     // values of the step
    void **results; // by value number
};

static void *aligned(Arena *arena, int64_t bytes)
{
    uintptr_t address = (uintptr_t)arena_alloc(arena, (size_t)bytes + EVAL_ALIGNMENT);
    return (void *)((address + EVAL_ALIGNMENT - 1) / EVAL_ALIGNMENT * EVAL_ALIGNMENT);
}

static Layout effective_layout(const Value *value)
{
    if (value->kind == VALUE_STATE)
        return value->state->role == STATE_KEYS ? LAYOUT_k32 : LAYOUT_v1;
    if (dtype_table[value->dtype].kind == DTYPE_KIND_ACT && value->layout == LAYOUT_plain)
        return LAYOUT_t8;
    return value->layout;
}

static int64_t state_bytes(const Module *module, const State *state)
{
    return layout_bytes(state->dtype, state->role == STATE_KEYS ? LAYOUT_k32 : LAYOUT_v1,
                        module->options.page_tokens,
                        state_columns(state->dtype, state->kv_heads, state->head_dim));
}

Evaluator *eval_new(const Module *module, int64_t sequences, int64_t pages, EvalTensor *tensor,
                    void *context)
{
    Evaluator *evaluator = calloc(1, sizeof *evaluator);
    assert(evaluator);
    evaluator->module = module;
    evaluator->tensor = tensor;
    evaluator->context = context;
    evaluator->pages_per_sequence = pages;
    Arena *memory = &evaluator->memory;
    evaluator->weights = ARENA_ARRAY(memory, void *, 2 * module->weights.count + 1);
    evaluator->state_offsets = ARENA_ARRAY(memory, int64_t, module->states.count + 1);
    for (int32_t i = 0; i < module->states.count; i++) {
        evaluator->state_offsets[i] = evaluator->page_bytes;
        evaluator->page_bytes += state_bytes(module, module->states.items[i]);
    }
    int64_t kv_bytes = evaluator->page_bytes * sequences * pages;
    evaluator->kv = aligned(memory, kv_bytes);
    memset(evaluator->kv, 0xff, (size_t)kv_bytes);
    return evaluator;
}

void eval_free(Evaluator *evaluator)
{
    arena_free(&evaluator->memory);
    arena_free(&evaluator->step);
    free(evaluator);
}

static void *make_weight(Evaluator *evaluator, const Value *value, Layout layout)
{
    const Recipe *recipe = value->weight->recipe;
    DType dtype = value->shape.rank == 1 ? DTYPE_f32 : value->dtype;
    int64_t panel_rows = layout_table[layout].panel_rows;
    int64_t panel_bytes = layout_panel_bytes(dtype, layout, recipe->columns);
    uint8_t *bytes =
        aligned(&evaluator->memory, layout_bytes(dtype, layout, recipe->rows, recipe->columns));
    int64_t made_bytes = recipe_row_scratch(recipe->columns);
    int64_t row_bytes = made_bytes + recipe->columns * (int64_t)sizeof(float);
    uint8_t *scratch = aligned(&evaluator->memory, panel_rows * row_bytes);
    for (int64_t row = 0; row < recipe->rows; row += panel_rows) {
        const void *rows[32] = {0};
        for (int64_t i = 0; i < panel_rows && row + i < recipe->rows; i++) {
            uint8_t *room = scratch + i * row_bytes;
            RecipeRow made =
                recipe_read_row(recipe, row + i, evaluator->tensor, evaluator->context, room);
            rows[i] = made.bytes;
            if (made.dtype == dtype)
                continue;
            rows[i] = room + made_bytes;
            row_to_f32(made.dtype, made.bytes, recipe->columns,
                       (float *)(void *)(room + made_bytes));
        }
        uint8_t *panel = bytes + row / panel_rows * panel_bytes;
        if (layout == LAYOUT_plain)
            memcpy(panel, rows[0], (size_t)panel_bytes);
        else
            pack_panel(dtype, layout, rows, recipe->columns, panel);
    }
    return bytes;
}

static void *weight_bytes(Evaluator *evaluator, const Value *value, Layout layout)
{
    const Module *module = evaluator->module;
    int32_t index = 0;
    while (module->weights.items[index] != value->weight)
        index++;
    void **slot = &evaluator->weights[2 * index + (layout != value->layout)];
    if (!*slot)
        *slot = make_weight(evaluator, value, layout);
    return *slot;
}

// Before layouts are chosen a weight that meets rounded activations is read packed: that is the
// form in which their product is defined.
static Layout weight_layout(const Node *node, const Value *value)
{
    DType input = node->operands[0].value->dtype;
    bool matrix = value->shape.rank == 2 && op_table[node->op].traits & OP_DOTS;
    if (!matrix || dtype_table[input].kind != DTYPE_KIND_ACT)
        return value->layout;
    return input == DTYPE_bf16x2 ? LAYOUT_n32k2 : LAYOUT_n16k4;
}

static void *state_base(const Evaluator *evaluator, const State *state)
{
    int32_t index = 0;
    while (evaluator->module->states.items[index] != state)
        index++;
    return evaluator->kv + evaluator->state_offsets[index];
}

static KernelOperand bind_value(Evaluator *evaluator, const Node *node, const Value *value,
                                const EvalInputs *inputs)
{
    KernelOperand operand = {.rows = shape_rows(&value->shape, inputs->symbols),
                             .columns = shape_columns(&value->shape, inputs->symbols),
                             .dtype = value->dtype,
                             .layout = effective_layout(value)};
    switch (value->kind) {
    case VALUE_INPUT: operand.data = (void *)(uintptr_t)inputs->inputs[value->input]; break;
    case VALUE_CONSTANT: operand.data = (void *)(uintptr_t)&value->constant; break;
    case VALUE_RESULT: operand.data = evaluator->results[value->number]; break;
    case VALUE_WEIGHT:
        operand.layout = weight_layout(node, value);
        operand.data = weight_bytes(evaluator, value, operand.layout);
        if (value->shape.rank == 1)
            operand.dtype = DTYPE_f32;
        break;
    case VALUE_STATE:
        operand.data = state_base(evaluator, value->state);
        operand.rows = evaluator->module->options.page_tokens;
        operand.columns = (int64_t)value->state->kv_heads * value->state->head_dim;
        break;
    }
    return operand;
}

static bool run_node(Evaluator *evaluator, const Node *node, const EvalInputs *inputs, Diag *diag)
{
    KernelOperand operands[OPERANDS_MAX], results[RESULTS_MAX];
    for (int32_t i = 0; i < node->operand_count; i++)
        operands[i] = bind_value(evaluator, node, node->operands[i].value, inputs);
    for (int32_t i = 0; i < node->result_count; i++)
        results[i] = bind_value(evaluator, node, node->results[i], inputs);
    KernelCall call = {.results = results,
                       .operands = operands,
                       .result_count = node->result_count,
                       .operand_count = node->operand_count,
                       .attributes = &node->attributes,
                       .pages = {.page_bytes = evaluator->page_bytes,
                                 .page_tokens = (int32_t)evaluator->module->options.page_tokens,
                                 .pages_per_sequence = (int32_t)evaluator->pages_per_sequence}};
    for (int32_t i = 0; i < node->operand_count; i++)
        if (node->operands[i].value->kind == VALUE_STATE)
            call.pages.kv_heads = node->operands[i].value->state->kv_heads;
    KernelQuery query = node_query(node, TARGET_ref);
    query.layouts = 0;
    for (int32_t i = 0; i < node->operand_count; i++)
        if (node->operands[i].value->kind == VALUE_WEIGHT && operands[i].rows > 1)
            query.layouts |= 1u << operands[i].layout;
    const KernelRow *row = kernel_find(&query);
    if (!row)
        return diag_fail(diag, (Where){0}, "%s has no reference kernel for its types",
                         op_table[node->op].name);
    void *scratch = row->scratch ? aligned(&evaluator->step, row->scratch(&call)) : NULL;
    row->run(&call, scratch, 0, row->tiles(&call));
    return true;
}

// Memory for all results: planned places in one arena, or a buffer each.
static void place_results(Evaluator *evaluator, Graph *graph, const int64_t *symbols)
{
    graph_number(graph);
    evaluator->results = ARENA_ARRAY(&evaluator->step, void *, graph->node_count *RESULTS_MAX + 1);
    bool planned = evaluator->module->level == LEVEL_PLANNED;
    uint8_t *act = planned ? aligned(&evaluator->step, graph->act_bytes) : NULL;
    for (Node *node = graph->first; node; node = node->next)
        for (int32_t i = 0; i < node->result_count; i++) {
            const Value *value = node->results[i];
            int64_t bytes = layout_bytes(value->dtype, effective_layout(value),
                                         shape_rows(&value->shape, symbols),
                                         shape_columns(&value->shape, symbols));
            evaluator->results[value->number] = planned && region_in_arena(value->place.region)
                                                    ? act + value->place.offset
                                                    : aligned(&evaluator->step, bytes);
        }
}

bool eval_run(Evaluator *evaluator, Graph *graph, const EvalInputs *inputs, Diag *diag)
{
    arena_free(&evaluator->step);
    place_results(evaluator, graph, inputs->symbols);
    for (const Node *node = graph->first; node; node = node->next) {
        if (!run_node(evaluator, node, inputs, diag))
            return false;
        if (evaluator->watch)
            evaluator->watch(evaluator->watch_context, node);
    }
    return true;
}

void eval_watch(Evaluator *evaluator, EvalWatch *watch, void *context)
{
    evaluator->watch = watch;
    evaluator->watch_context = context;
}

const void *eval_result(const Evaluator *evaluator, const Value *value)
{
    return evaluator->results[value->number];
}

const Value *eval_output(const Graph *graph, const char *name)
{
    for (int32_t i = 0; i < graph->outputs.count; i++)
        if (strcmp(graph->outputs.items[i]->name, name) == 0)
            return graph->outputs.items[i]->use.value;
    return NULL;
}
