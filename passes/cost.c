// Time is the longer of bytes / bandwidth and operations / peak, both for the target of the row
// that runs: a reference row is costed with the reference's figures on every target. Every byte is
// taken to come from memory: what the caches keep is the same for all alternatives of a choice.
// Packed weights cost their padding, and padded rows no operations.
//
// Rejected: measuring when something is compiled (plans would differ from run to run), and figures
// per kernel row (a table to keep for every kernel, for choices that differ by factors).
#include "passes/cost.h"

#include <assert.h>

const char *const work_names[WORK_COUNT] = {"f32", "int8"};

const Machine machine_table[TARGET_COUNT] = {
#define MACHINE(target, bytes, f32, int8, barrier)                                                 \
    [TARGET_##target] = {bytes, {[WORK_f32] = f32, [WORK_int8] = int8}, barrier},
#include "passes/machine.def"
#undef MACHINE
};

// DOTS: for an element of a row of weights and a token that meets it.
enum { DOT_OPERATIONS = 2 };
enum { EXP_OPERATIONS = 20, SILU_OPERATIONS = EXP_OPERATIONS + 3 };
enum { TANH_OPERATIONS = 28, GELU_OPERATIONS = TANH_OPERATIONS + 8 };

// Operations an element (of operand 0 if the step computed it, else of the result) of ops that take
// more than one; those that only move take none. Of trait DOTS: for an element of a row of weights
// and a token that meets it; of attention: for an element of a key and of a value, a query head and
// a token.
static const int32_t op_operations[OP_COUNT] = {
    [OP_exp] = EXP_OPERATIONS,
    [OP_silu] = SILU_OPERATIONS,
    [OP_tanh] = TANH_OPERATIONS,
    [OP_gelu] = GELU_OPERATIONS,
    [OP_gelu_tanh] = GELU_OPERATIONS,
    [OP_rms_norm] = 4,
    [OP_layer_norm] = 7,
    [OP_softmax] = EXP_OPERATIONS + 4,
    [OP_route] = EXP_OPERATIONS + 4,
    [OP_combine] = 2,
    [OP_swiglu] = SILU_OPERATIONS + 1,
    [OP_geglu] = GELU_OPERATIONS + 1,
    [OP_rope_table] = EXP_OPERATIONS,
    [OP_rope] = 3,
    [OP_attention] = 4,
    [OP_quantise] = 4,
    [OP_add_rms_norm] = 5,
    [OP_rope_qk_store] = 3,
};

static int32_t operations_of(Op op)
{
    if (op_table[op].traits & OP_MOVES)
        return 0;
    return op_operations[op] ? op_operations[op] : 1;
}

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

static int64_t value_rows(const Value *value, const Sizes *sizes)
{
    return shape_rows(&value->shape, sizes->symbols);
}

static int64_t value_columns(const Value *value, const Sizes *sizes)
{
    return shape_columns(&value->shape, sizes->symbols);
}

static int64_t value_bytes(const Value *value, const Sizes *sizes)
{
    return layout_bytes(value->dtype, value->layout, value_rows(value, sizes),
                        value_columns(value, sizes));
}

static int64_t state_bytes(const State *state, int64_t positions)
{
    return positions * dtype_row_bytes(state->dtype, state_columns(state->dtype, state->kv_heads,
                                                                   state->head_dim));
}

// Rows of a weight that a step reads: of experts, as many as slots can name.
static int64_t dotted_rows(const Node *node, const Value *weight, const Sizes *sizes)
{
    int64_t rows = value_rows(weight, sizes);
    if (node->op != OP_matmul_experts)
        return rows;
    const Value *ids = node->operands[2].value;
    int64_t experts = node->attributes.matmul_experts.experts;
    return rows / experts * least(experts, value_rows(ids, sizes) * value_columns(ids, sizes));
}

// And those that one token meets.
static int64_t dotted_rows_of_token(const Node *node, const Value *weight, const Sizes *sizes)
{
    int64_t rows = value_rows(weight, sizes);
    if (node->op != OP_matmul_experts)
        return rows;
    return rows / node->attributes.matmul_experts.experts *
           value_columns(node->operands[2].value, sizes);
}

// What the node's rows read of an operand.
static int64_t operand_bytes(const Node *node, int32_t index, const Sizes *sizes)
{
    const Value *value = node->operands[index].value;
    if (node_is_dotted(node, index))
        return layout_bytes(value->dtype, value->layout, dotted_rows(node, value, sizes),
                            value_columns(value, sizes));
    if (value->kind == VALUE_STATE)
        return state_bytes(value->state, sizes->depth);
    if (node->op == OP_embed && value->kind == VALUE_WEIGHT)
        return value_rows(node->results[0], sizes) *
               layout_panel_bytes(value->dtype, value->layout, value_columns(value, sizes)) /
               layout_table[value->layout].panel_rows;
    if (op_table[node->op].traits & OP_MOVES && value->kind != VALUE_INPUT)
        // Only what is copied; the operands of a concat are copied whole.
        return least(value_bytes(value, sizes), value_bytes(node->results[0], sizes));
    return value_bytes(value, sizes);
}

static void count_bytes(Cost *cost, const Node *node, const Sizes *sizes)
{
    for (int32_t i = 0; i < node->operand_count; i++) {
        const Value *value = node->operands[i].value;
        if (op_table[node->op].written >> i & 1u)
            cost->written_bytes += state_bytes(value->state, sizes->symbols[SYMBOL_T]);
        else
            cost->read_bytes += operand_bytes(node, i, sizes);
    }
    for (int32_t i = 0; i < node->result_count; i++)
        cost->written_bytes += value_bytes(node->results[i], sizes);
}

static double attention_operations(const Node *node, const Sizes *sizes)
{
    int64_t heads = node->attributes.attention.heads;
    int64_t columns = value_columns(node->operands[0].value, sizes);
    return (double)(value_rows(node->operands[0].value, sizes) * sizes->depth) *
           (double)(columns * op_operations[OP_attention] + heads * EXP_OPERATIONS);
}

static double dot_operations(const Node *node, int32_t index, const Sizes *sizes)
{
    const Value *weight = node->operands[index].value;
    return (double)value_rows(node->operands[0].value, sizes) *
           (double)(dotted_rows_of_token(node, weight, sizes) * value_columns(weight, sizes)) *
           DOT_OPERATIONS;
}

static double count_operations(const Node *node, const Sizes *sizes)
{
    const Value *counted = node->operands[0].value;
    double operations = 0;
    if (node->op == OP_attention)
        return attention_operations(node, sizes);
    if (op_table[node->op].traits & OP_DOTS) {
        for (int32_t i = 1; i < node->operand_count; i++)
            operations += node_is_dotted(node, i) ? dot_operations(node, i, sizes) : 0;
        return operations;
    }
    if (counted->kind != VALUE_RESULT && node->result_count)
        counted = node->results[0];
    return (double)(value_rows(counted, sizes) * value_columns(counted, sizes)) *
           operations_of(node->op);
}

static Cost timed(Cost cost, const KernelRow *row)
{
    const Machine *machine = &machine_table[row->target];
    bool dots = row->order == ORDER_block32 || row->order == ORDER_block256;
    cost.work = dots ? WORK_int8 : WORK_f32;
    double moving = (double)(cost.read_bytes + cost.written_bytes) / machine->bytes_per_ns;
    double working = cost.operations / machine->operations_per_ns[cost.work];
    cost.ns = moving > working ? moving : working;
    return cost;
}

Cost cost_node(const Node *node, const KernelRow *row, int64_t tokens)
{
    assert(row->op == node->op);
    Sizes sizes = sizes_of(node, tokens);
    Cost cost = {.operations = count_operations(node, &sizes)};
    count_bytes(&cost, node, &sizes);
    return timed(cost, row);
}

Cost cost_dots(const Node *node, int32_t index, DType input, Layout layout, const KernelRow *row,
               int64_t tokens)
{
    assert(node_is_dotted(node, index) && row->op == node->op);
    Sizes sizes = sizes_of(node, tokens);
    const Value *x = node->operands[0].value, *weight = node->operands[index].value;
    int64_t rows = value_rows(x, &sizes), k = value_columns(weight, &sizes);
    int64_t outputs = dotted_rows_of_token(node, weight, &sizes);
    Cost cost = {.read_bytes =
                     rows * dtype_row_bytes(input, value_columns(x, &sizes)) +
                     layout_bytes(weight->dtype, layout, dotted_rows(node, weight, &sizes), k),
                 .written_bytes = rows * dtype_row_bytes(DTYPE_f32, outputs),
                 .operations = dot_operations(node, index, &sizes)};
    return timed(cost, row);
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
                   "%s machine: %s: reads %g GB/s, f32 %g GFLOP/s, int8 %g GOP/s, one thread; "
                   "barrier %g ns\n",
                   pass_table[context->pass].name, target_names[target], machine->bytes_per_ns,
                   machine->operations_per_ns[WORK_f32], machine->operations_per_ns[WORK_int8],
                   machine->barrier_ns);
    }
}
