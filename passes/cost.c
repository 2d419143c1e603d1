// Time is the longer of bytes / bandwidth and operations / peak, both for the target of the row
// that runs: a reference row is costed with the reference's figures on every target. Every byte is
// taken to come from memory: what the caches keep is the same for all alternatives of a choice.
// Bytes and operations of a call are counted in kernels/work.c.
//
// Rejected: measuring when something is compiled (plans would differ from run to run), and figures
// per kernel row (a table to keep for every kernel, for choices that differ by factors).
#include "passes/cost.h"

#include <assert.h>

const Machine machine_table[TARGET_COUNT] = {
#define MACHINE(target, bytes, f32, int8, bf16, barrier)                                           \
    [TARGET_##                                                                                     \
        target] = {bytes, {[WORK_f32] = f32, [WORK_int8] = int8, [WORK_bf16] = bf16}, barrier},
#include "passes/machine.def"
#undef MACHINE
};

int64_t cost_tokens(const Graph *graph)
{
    return graph->bound_t ? graph->bound_t : graph->module->options.batch;
}

bool cost_layout_fits(Layout layout, DType dtype)
{
    return COST_WEIGHT_LAYOUTS >> layout & 1u && layout_holds(layout, dtype);
}

// The sizes of a step for one node.
typedef struct Sizes {
    int64_t symbols[SYMBOL_COUNT];
    int64_t depth; // positions seen
} Sizes;

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static Sizes sizes_of(const Node *node, int64_t tokens)
{
    const Module *module = node->graph->module;
    int64_t depth = COST_DEPTH, page = module->options.page_tokens;
    if (module->context_length)
        depth = least(depth, module->context_length);
    int64_t pages = (depth + page - 1) / page;
    if (node->op == OP_attention && node->attributes.attention.window)
        depth = least(depth, node->attributes.attention.window);
    return (Sizes){{[SYMBOL_T] = tokens, [SYMBOL_R] = 1, [SYMBOL_B] = 1, [SYMBOL_P] = pages},
                   depth};
}

static KernelOperand operand_of(const Value *value, const Sizes *sizes)
{
    if (value->kind == VALUE_STATE)
        return (KernelOperand){.columns = state_columns(value->state->dtype, value->state->kv_heads,
                                                        value->state->head_dim),
                               .dtype = value->state->dtype,
                               .layout = LAYOUT_v1};
    return (KernelOperand){.rows = shape_rows(&value->shape, sizes->symbols),
                           .columns = shape_columns(&value->shape, sizes->symbols),
                           .dtype = value->dtype,
                           .layout = value->layout};
}

static Cost cost_of_call(const KernelRow *row, const KernelCall *call, int64_t depth)
{
    const Machine *machine = &machine_table[row->target];
    WorkDepth seen = {(double)call->operands[0].rows * (double)depth, (double)depth};
    Work work = work_of_call(row, call, seen);
    double moving = (work.read_bytes + work.written_bytes) / machine->bytes_per_ns;
    double working = work.operations / machine->operations_per_ns[work.kind];
    return (Cost){.read_bytes = (int64_t)work.read_bytes,
                  .written_bytes = (int64_t)work.written_bytes,
                  .operations = work.operations,
                  .work = work.kind,
                  .ns = moving > working ? moving : working};
}

Cost cost_node(const Node *node, const KernelRow *row, int64_t tokens)
{
    assert(row->op == node->op);
    Sizes sizes = sizes_of(node, tokens);
    KernelOperand operands[OPERANDS_MAX], results[RESULTS_MAX];
    for (int32_t i = 0; i < node->operand_count; i++)
        operands[i] = operand_of(node->operands[i].value, &sizes);
    for (int32_t i = 0; i < node->result_count; i++)
        results[i] = operand_of(node->results[i], &sizes);
    KernelCall call = {.results = results,
                       .operands = operands,
                       .result_count = node->result_count,
                       .operand_count = node->operand_count,
                       .attributes = &node->attributes};
    return cost_of_call(row, &call, sizes.depth);
}

Cost cost_dots(const Node *node, int32_t index, DType input, Layout layout, const KernelRow *row,
               int64_t tokens)
{
    assert(node_is_dotted(node, index) && row->op == node->op);
    Sizes sizes = sizes_of(node, tokens);
    KernelOperand operands[OPERANDS_MAX], result = {.dtype = DTYPE_f32};
    for (int32_t i = 0; i < node->operand_count; i++)
        operands[i] = operand_of(node->operands[i].value, &sizes);
    operands[0].dtype = input;
    operands[0].layout = LAYOUT_plain;
    operands[1] = operand_of(node->operands[index].value, &sizes);
    operands[1].layout = layout;
    result.rows = operands[0].rows;
    bool experts = node->op == OP_matmul_experts;
    result.columns =
        experts ? operands[1].rows / node->attributes.matmul_experts.experts * operands[2].columns
                : operands[1].rows;
    KernelCall call = {.results = &result,
                       .operands = operands,
                       .result_count = 1,
                       .operand_count = experts ? node->operand_count : 2,
                       .attributes = &node->attributes};
    return cost_of_call(row, &call, sizes.depth);
}

void token_cost_add(TokenCost *sum, const Cost *cost, int64_t tokens)
{
    sum->bytes += (double)(cost->read_bytes + cost->written_bytes) / (double)tokens;
    sum->operations += cost->operations / (double)tokens;
    sum->ns += cost->ns / (double)tokens;
}

void cost_explain_machine(PassContext *context)
{
    bool told = context->pass != PASS_numerics && context->options->statistics[PASS_numerics].ran;
    for (int target = 0; context->explain && !told && target <= (int)context->target; target++) {
        const Machine *machine = &machine_table[target];
        text_print(context->explain,
                   "%s machine: %s: reads %g GB/s, f32 %g GFLOP/s, int8 %g GOP/s, bf16 %g "
                   "GFLOP/s, one thread; barrier %g ns\n",
                   pass_table[context->pass].name, target_names[target], machine->bytes_per_ns,
                   machine->operations_per_ns[WORK_f32], machine->operations_per_ns[WORK_int8],
                   machine->operations_per_ns[WORK_bf16], machine->barrier_ns);
    }
}
