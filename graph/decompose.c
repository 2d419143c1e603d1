// One small function an op, each opening with the algebra. The sums of primitives round differently
// from the composite's: tests compare within a bound.
#include "graph/decompose.h"

static Value *insert(Node *node, Op op, Value *a, Value *b)
{
    return graph_insert(node->graph, node, op, b ? 2 : 1, (Value *[]){a, b}, NULL, node)
        ->results[0];
}

static Value *constant(const Node *node, float value)
{
    return graph_constant(node->graph, value);
}

// x / sqrt(sum(x * x) / n + eps) * w
static Value *normalised(Node *node, Value *x, Value *w, float eps)
{
    float n = (float)x->shape.dims[x->shape.rank - 1].constant;
    Value *sum = insert(node, OP_reduce_sum, insert(node, OP_mul, x, x), NULL);
    Value *mean = insert(node, OP_div, sum, constant(node, n));
    Value *root = insert(node, OP_sqrt, insert(node, OP_add, mean, constant(node, eps)), NULL);
    return insert(node, OP_mul, insert(node, OP_div, x, root), w);
}

static void decompose_rms_norm(Node *node, Value *results[RESULTS_MAX])
{
    results[0] = normalised(node, node->operands[0].value, node->operands[1].value,
                            node->attributes.rms_norm.eps);
}

// s = x + y, then rms_norm(s, w)
static void decompose_add_rms_norm(Node *node, Value *results[RESULTS_MAX])
{
    results[0] = insert(node, OP_add, node->operands[0].value, node->operands[1].value);
    results[1] =
        normalised(node, results[0], node->operands[2].value, node->attributes.add_rms_norm.eps);
}

// c / sqrt(sum(c * c) / n + eps) * w + b with c = x - sum(x) / n
static void decompose_layer_norm(Node *node, Value *results[RESULTS_MAX])
{
    Value *x = node->operands[0].value;
    float n = (float)x->shape.dims[x->shape.rank - 1].constant;
    Value *sum = insert(node, OP_reduce_sum, x, NULL);
    Value *centred = insert(node, OP_sub, x, insert(node, OP_div, sum, constant(node, n)));
    results[0] =
        normalised(node, centred, node->operands[1].value, node->attributes.layer_norm.eps);
    if (node->operand_count > 2)
        results[0] = insert(node, OP_add, results[0], node->operands[2].value);
}

// x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))
static Value *gelu_tanh(Node *node, Value *x)
{
    Value *square = insert(node, OP_mul, x, x);
    Value *factor = insert(node, OP_add, insert(node, OP_mul, square, constant(node, 0.044715f)),
                           constant(node, 1));
    Value *inner =
        insert(node, OP_mul, insert(node, OP_mul, x, factor), constant(node, 0.797884561f));
    Value *twice = insert(node, OP_add, insert(node, OP_tanh, inner, NULL), constant(node, 1));
    return insert(node, OP_mul, insert(node, OP_mul, x, constant(node, 0.5f)), twice);
}

static void decompose_gelu_tanh(Node *node, Value *results[RESULTS_MAX])
{
    results[0] = gelu_tanh(node, node->operands[0].value);
}

// gelu_tanh(gate) * up
static void decompose_geglu(Node *node, Value *results[RESULTS_MAX])
{
    results[0] =
        insert(node, OP_mul, gelu_tanh(node, node->operands[0].value), node->operands[1].value);
}

// x / (1 + exp(-x))
static Value *silu(Node *node, Value *x)
{
    Value *power = insert(node, OP_exp, insert(node, OP_neg, x, NULL), NULL);
    return insert(node, OP_div, x, insert(node, OP_add, power, constant(node, 1)));
}

static void decompose_silu(Node *node, Value *results[RESULTS_MAX])
{
    results[0] = silu(node, node->operands[0].value);
}

// silu(gate) * up
static void decompose_swiglu(Node *node, Value *results[RESULTS_MAX])
{
    results[0] = insert(node, OP_mul, silu(node, node->operands[0].value), node->operands[1].value);
}

// e / sum(e) with e = exp(x - max(x))
static void decompose_softmax(Node *node, Value *results[RESULTS_MAX])
{
    Value *x = node->operands[0].value;
    Value *most = insert(node, OP_reduce_max, x, NULL);
    Value *power = insert(node, OP_exp, insert(node, OP_sub, x, most), NULL);
    results[0] = insert(node, OP_div, power, insert(node, OP_reduce_sum, power, NULL));
}

typedef void Decomposition(Node *node, Value *results[RESULTS_MAX]);

static Decomposition *const decompositions[OP_COUNT] = {
    [OP_rms_norm] = decompose_rms_norm,   [OP_add_rms_norm] = decompose_add_rms_norm,
    [OP_silu] = decompose_silu,           [OP_swiglu] = decompose_swiglu,
    [OP_softmax] = decompose_softmax,     [OP_layer_norm] = decompose_layer_norm,
    [OP_gelu_tanh] = decompose_gelu_tanh, [OP_geglu] = decompose_geglu,
};

// Primitives know rows, not the heads of a row.
static bool norms_heads(const Node *node)
{
    return node->op == OP_rms_norm &&
           !dim_equal(node->operands[1].value->shape.dims[0], node->results[0]->shape.dims[1]);
}

bool graph_decompose(Node *node)
{
    if (!decompositions[node->op] || norms_heads(node) ||
        op_post(node->op, &node->attributes) != DTYPE_f32)
        return false;
    Value *results[RESULTS_MAX];
    decompositions[node->op](node, results);
    for (int32_t i = 0; i < node->result_count; i++)
        value_replace_uses(node->results[i], results[i]);
    graph_remove(node);
    return true;
}
