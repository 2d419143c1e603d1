// Algebra that holds to the bit. The one rule that matters for speed pulls gather_rows up: in the
// last layer, everything after attention is then computed for the rows that are asked for only.
#include "passes/rules.h"

#include <string.h>

bool pass_simplify(PassContext *context)
{
    rules_run(context);
    return true;
}

// A row-wise node whose operands can all be gathered or are read whole: matrices of f32 or ids with
// the rows of the result, weights, vectors and constants.
static bool can_gather_operands(const Node *node)
{
    const Value *result = node->results[0];
    for (int32_t i = 0; i < node->operand_count; i++) {
        const Value *value = node->operands[i].value;
        if (value->kind == VALUE_WEIGHT || value->kind == VALUE_CONSTANT || value->shape.rank == 0)
            continue;
        if (value->kind != VALUE_RESULT || value->shape.rank != 2 ||
            (value->dtype != DTYPE_f32 && value->dtype != DTYPE_i32) ||
            !dim_equal(value->shape.dims[0], result->shape.dims[0]))
            return false;
    }
    return true;
}

static bool only_gathered_by(const Value *value, const Value *row)
{
    for (const Use *use = value->uses; use; use = use->next)
        if (!use->user || use->user->op != OP_gather_rows || use->user->operands[1].value != row)
            return false;
    return true;
}

// f(x, …)[row] = f(x[row], …) for row-wise f: fewer rows go through f.
bool rule_gather_early(PassContext *context, Node *root)
{
    Value *gathered = root->operands[0].value, *row = root->operands[1].value;
    Node *node = value_producer(gathered);
    if (!node || !(op_table[node->op].traits & OP_ROWWISE) || node->result_count != 1)
        return false;
    if (dim_equal(gathered->shape.dims[0], row->shape.dims[0]))
        return false; // rows asked for already
    if (!can_gather_operands(node))
        return rule_miss(context, RULE_gather_early, root, "an operand cannot be gathered");
    if (!only_gathered_by(gathered, row))
        return rule_miss(context, RULE_gather_early, root, "the ungathered value is used too");
    Value *operands[OPERANDS_MAX];
    for (int32_t i = 0; i < node->operand_count; i++) {
        Value *value = node->operands[i].value;
        operands[i] = value;
        if (value->kind == VALUE_RESULT && value->shape.rank == 2)
            operands[i] = graph_insert(root->graph, node, OP_gather_rows, 2,
                                       (Value *[]){value, row}, NULL, root)
                              ->results[0];
    }
    Node *moved = graph_insert(root->graph, node, node->op, node->operand_count, operands,
                               &node->attributes, node);
    while (gathered->uses)
        value_replace_uses(gathered->uses->user->results[0], moved->results[0]),
            graph_remove(gathered->uses->user);
    graph_remove(node);
    return true;
}

// x[a:b][c:d] = x[a+c:a+d]: one copy instead of two.
bool rule_slice_of_slice(PassContext *context, Node *root)
{
    (void)context;
    Node *inner = value_produced_by(root->operands[0].value, OP_slice);
    if (!inner || inner->attributes.slice.axis != root->attributes.slice.axis)
        return false;
    Attributes attributes = root->attributes;
    attributes.slice.begin += inner->attributes.slice.begin;
    attributes.slice.end += inner->attributes.slice.begin;
    Node *node = graph_insert(root->graph, root, OP_slice, 1, (Value *[]){inner->operands[0].value},
                              &attributes, root);
    value_replace_uses(root->results[0], node->results[0]);
    graph_remove(root);
    return true;
}

static bool replace_by_operand(Node *root, Value *value)
{
    value_replace_uses(root->results[0], value);
    graph_remove(root);
    return true;
}

// x[0:n] = x.
bool rule_slice_all(PassContext *context, Node *root)
{
    (void)context;
    Value *x = root->operands[0].value;
    return shape_equal(&x->shape, &root->results[0]->shape) && replace_by_operand(root, x);
}

// -(-x) = x.
bool rule_neg_neg(PassContext *context, Node *root)
{
    (void)context;
    Node *inner = value_produced_by(root->operands[0].value, OP_neg);
    return inner && replace_by_operand(root, inner->operands[0].value);
}

static bool is_one(const Value *value)
{
    return value->kind == VALUE_CONSTANT && value->constant == 1.0f;
}

// x * 1 = x, 1 * x = x.
bool rule_mul_one(PassContext *context, Node *root)
{
    (void)context;
    for (int32_t i = 0; i < 2; i++)
        if (is_one(root->operands[i].value))
            return replace_by_operand(root, root->operands[1 - i].value);
    return false;
}

// x / 1 = x.
bool rule_div_one(PassContext *context, Node *root)
{
    (void)context;
    return is_one(root->operands[1].value) && replace_by_operand(root, root->operands[0].value);
}
