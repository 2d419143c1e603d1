// The rules of a mixture of experts: route, matmul_experts, combine.
//
// Ids of experts are an op's result, never a step's input: they are within range because route made
// them. Inference follows them back to it, over one gather_rows at most, to compare how many
// experts there are.
#include "graph/infer.h"

static const Node *router_of(const Value *ids)
{
    const Node *node = value_producer(ids);
    if (node && node->op == OP_gather_rows)
        node = value_producer(node->operands[0].value);
    return node && node->op == OP_route ? node : NULL;
}

bool is_ids(const Value *value)
{
    return value->dtype == DTYPE_i32 && value->shape.rank == 2 && router_of(value);
}

bool infer_route(Inference *in)
{
    int32_t k = in->attributes->route.k, normalise = in->attributes->route.normalise;
    if (!want_rows(in, 0, "logits") || !want_positive(in, "k", k))
        return false;
    if (k > columns_of(in, 0))
        return infer_refuse(in, "k is %d, but logits has %lld columns", k,
                            (long long)columns_of(in, 0));
    if (normalise != 0 && normalise != 1)
        return infer_refuse(in, "normalise is %d, expected 0 or 1", normalise);
    Shape shape = {2, {rows_of(in, 0), dim_constant(k)}};
    return give(in, 0, DTYPE_i32, shape) && give(in, 1, DTYPE_f32, shape);
}

static bool want_ids(Inference *in, int i, int64_t experts)
{
    const Value *ids = in->operands[i];
    if (!is_ids(ids))
        return infer_refuse(in, "ids is %s, expected the ids of a route",
                            infer_type_text(in, 0, ids));
    int64_t routed = router_of(ids)->operands[0].value->shape.dims[1].constant;
    if (routed != experts)
        return infer_refuse(in, "experts is %lld, the route chooses from %lld", (long long)experts,
                            (long long)routed);
    return want_rows_equal(in, i, "ids", 0, "x");
}

// The results of slots whose experts have `rows` rows.
static bool give_experts(Inference *in, int64_t rows, int64_t slots)
{
    int64_t block = dtype_table[op_post(in->op, in->attributes)].block_elements;
    if (in->attributes->matmul_experts.epilogue == EPILOGUE_swiglu) {
        if (rows % (2 * SWIGLU_INTERLEAVE))
            return infer_refuse(in,
                                "epilogue=swiglu: %lld rows of an expert do not divide into pairs "
                                "of %d",
                                (long long)rows, SWIGLU_INTERLEAVE);
        rows /= 2;
    }
    if (rows % block)
        return infer_refuse(in, "post: %lld outputs of an expert do not divide into blocks of %lld",
                            (long long)rows, (long long)block);
    return give_post(in, 0, "post", (Shape){2, {rows_of(in, 0), dim_constant(slots * rows)}});
}

bool infer_matmul_experts(Inference *in)
{
    int32_t experts = in->attributes->matmul_experts.experts;
    if (!want_positive(in, "experts", experts) || !want_activations(in) ||
        !want_weight_matrix(in, 1, "w") || !want_ids(in, 2, experts))
        return false;
    int64_t rows = rows_of(in, 1).constant, slots = columns_of(in, 2), k = columns_of(in, 1);
    if (rows % experts)
        return infer_refuse(in, "w has %lld rows, which do not divide among %d experts",
                            (long long)rows, experts);
    if (columns_of(in, 0) != k && columns_of(in, 0) != slots * k)
        return infer_refuse(
            in, "inner sizes differ: x has %lld columns, expected %lld or %lld * %lld",
            (long long)columns_of(in, 0), (long long)k, (long long)slots, (long long)k);
    return give_experts(in, rows / experts, slots);
}

bool infer_combine(Inference *in)
{
    if (!want_rows(in, 0, "parts") || !want_rows(in, 1, "weights") ||
        !want_rows_equal(in, 1, "weights", 0, "parts"))
        return false;
    int64_t columns = columns_of(in, 0), slots = columns_of(in, 1);
    if (columns % slots)
        return infer_refuse(in, "parts has %lld columns, which do not divide among %lld slots",
                            (long long)columns, (long long)slots);
    return give_f32(in, rows_of(in, 0), columns / slots);
}
