// Every byte is taken to be moved once. Packed weights cost their padding, and padded rows no
// operations. A multiplication and an addition are two operations.
#include "kernels/work.h"

#include <assert.h>

const char *const work_names[WORK_COUNT] = {"f32", "int8", "bf16"};

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
    [OP_matmul] = 2,
    [OP_rms_norm] = 4,
    [OP_layer_norm] = 7,
    [OP_softmax] = EXP_OPERATIONS + 4,
    [OP_route] = EXP_OPERATIONS + 4,
    [OP_matmul_experts] = 2,
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

static double operations_of(Op op)
{
    if (op_table[op].traits & OP_MOVES)
        return 0;
    return op_operations[op] ? op_operations[op] : 1;
}

static double elements(const KernelOperand *operand)
{
    return (double)operand->rows * (double)operand->columns;
}

static double bytes_of(const KernelOperand *operand)
{
    return (double)layout_bytes(operand->dtype, operand->layout, operand->rows, operand->columns);
}

static double least(double a, double b)
{
    return a < b ? a : b;
}

static bool is_state(const KernelOperand *operand)
{
    return operand->layout == LAYOUT_k32 || operand->layout == LAYOUT_v1;
}

// Whether the operand is a matrix that operand 0 is multiplied by.
static bool is_dotted(Op op, const KernelCall *call, int32_t index)
{
    return op_table[op].traits & OP_DOTS && index > 0 && call->operands[index].dtype != DTYPE_i32;
}

static double state_bytes(const KernelOperand *state, double positions)
{
    return positions * (double)dtype_row_bytes(state->dtype, state->columns);
}

// The share of a weight's rows that a call reads: of experts, as many as slots can name.
static double share_read(Op op, const KernelCall *call)
{
    double experts = op == OP_matmul_experts ? call->attributes->matmul_experts.experts : 1;
    return op == OP_matmul_experts ? least(experts, elements(&call->operands[2])) / experts : 1;
}

// And that which one token meets.
static double share_met(Op op, const KernelCall *call)
{
    if (op != OP_matmul_experts)
        return 1;
    return (double)call->operands[2].columns / call->attributes->matmul_experts.experts;
}

static double operand_bytes(Op op, const KernelCall *call, int32_t index, WorkDepth depth)
{
    const KernelOperand *operand = &call->operands[index];
    if (is_dotted(op, call, index))
        return bytes_of(operand) * share_read(op, call);
    if (is_state(operand))
        return state_bytes(operand, depth.held);
    if (op == OP_embed && index == 0)
        return (double)call->results[0].rows *
               (double)layout_panel_bytes(operand->dtype, operand->layout, operand->columns) /
               layout_table[operand->layout].panel_rows;
    if (op_table[op].traits & OP_MOVES)
        // Only what is copied; the operands of a concat are copied whole.
        return least(bytes_of(operand), bytes_of(&call->results[0]));
    return bytes_of(operand);
}

static void count_bytes(Work *work, Op op, const KernelCall *call, WorkDepth depth)
{
    // States are written row by row of operand 0.
    for (int32_t i = 0; i < call->operand_count; i++) {
        if (op_table[op].written >> i & 1u) {
            work->written_bytes += state_bytes(&call->operands[i], (double)call->operands[0].rows);
            continue;
        }
        double bytes = operand_bytes(op, call, i, depth);
        work->read_bytes += bytes;
        if (is_dotted(op, call, i) || is_state(&call->operands[i]))
            work->stored_bytes += bytes;
    }
    for (int32_t i = 0; i < call->result_count; i++)
        work->written_bytes += bytes_of(&call->results[i]);
}

static double count_operations(Op op, const KernelCall *call, WorkDepth depth)
{
    const KernelOperand *counted = &call->operands[0];
    double operations = 0;
    if (op == OP_attention)
        return depth.seen * ((double)counted->columns * operations_of(op) +
                             (double)call->attributes->attention.heads * EXP_OPERATIONS);
    if (op_table[op].traits & OP_DOTS) {
        for (int32_t i = 1; i < call->operand_count; i++)
            if (is_dotted(op, call, i))
                operations += elements(&call->operands[i]) * (double)counted->rows *
                              share_met(op, call) * operations_of(op);
        return operations;
    }
    if (op == OP_embed || counted->dtype == DTYPE_i32)
        counted = &call->results[0];
    return elements(counted) * operations_of(op);
}

static WorkKind kind_of(Order order)
{
    if (order == ORDER_block32 || order == ORDER_block256)
        return WORK_int8;
    return order == ORDER_pairs ? WORK_bf16 : WORK_f32;
}

Work work_of_call(const KernelRow *row, const KernelCall *call, WorkDepth depth)
{
    Work work = {.kind = kind_of(row->order), .operations = count_operations(row->op, call, depth)};
    count_bytes(&work, row->op, call, depth);
    return work;
}

WorkDepth work_depth(const KernelRow *row, const KernelCall *call)
{
    WorkDepth depth = {0};
    if (row->op != OP_attention)
        return depth;
    const int32_t *pos = call->operands[1].data, *seq = call->operands[2].data;
    int32_t window = call->attributes->attention.window;
    int64_t tokens = call->operands[0].rows, first = 0;
    for (int64_t t = 0; t < tokens; t++) {
        int64_t end = pos[t] + 1;
        depth.seen += (double)(window && end > window ? window : end);
        // A sequence's tokens stand together, positions ascending.
        if (t + 1 < tokens && seq[t + 1] == seq[t])
            continue;
        int64_t begin = window && pos[first] + 1 > window ? pos[first] + 1 - window : 0;
        depth.held += (double)(end - begin);
        first = t + 1;
    }
    return depth;
}

bool work_divides(const KernelRow *row, const KernelCall *call)
{
    bool transposes = call->operands[0].dtype == DTYPE_f32 && call->operands[0].rows > 1;
    return row->split == SPLIT_ROWS && !transposes;
}
