// Everything that can change bits is decided here, once, before phases exist: the type of each
// matmul's activations. Quantised weights get activations quantised in blocks of their own size (32
// along the row, 256 for K-quants), as an explicit op that all readers of the value share.
// --act=f32 and -O0 keep f32. The KV type was fixed when states were made (--kv).
//
// Rejected: one scale per row for activations (relative error .067 against .011 with outlier
// channels).
#include "passes/numerics.h"

static bool catalogue_has(Target target, DType input, DType stored)
{
    KernelQuery query = {.op = OP_matmul,
                         .target = target,
                         .inputs = 1u << input,
                         .stored = 1u << stored,
                         .layouts = LAYOUT_SET(n16k4)};
    return kernel_find(&query) != NULL;
}

DType numerics_activation(const Module *module, Target target, DType dtype, int64_t columns)
{
    if (!module->options.act_auto || module->options.opt == 0 ||
        dtype_table[dtype].kind != DTYPE_KIND_QUANT)
        return DTYPE_f32;
    DType act = dtype_table[dtype].block_elements == 256 ? DTYPE_q8k : DTYPE_q8;
    bool whole = columns % dtype_table[act].block_elements == 0;
    return whole && catalogue_has(target, act, dtype) ? act : DTYPE_f32;
}

// The quantise node of a value, made if there is none yet; it stands before `before`.
static Value *quantised(Node *before, Value *value, DType type)
{
    Node *producer = value_producer(value);
    // Right after the producer, so that every reader stands behind it.
    Node *place = producer ? producer->next : before->graph->first;
    for (const Use *use = value->uses; use; use = use->next)
        if (use->user && use->user->op == OP_quantise &&
            use->user->attributes.quantise.type == (int32_t)type) {
            node_add_locations(use->user, before);
            if (use->user != place)
                graph_move(use->user, place);
            return use->user->results[0];
        }
    Attributes attributes = op_default_attributes(OP_quantise);
    attributes.quantise.type = (int32_t)type;
    return graph_insert(before->graph, place, OP_quantise, 1, &value, &attributes, before)
        ->results[0];
}

static void decide_matmul(PassContext *context, Node *node)
{
    DType act = DTYPE_COUNT;
    Value *x = node->operands[0].value;
    for (int32_t i = 1; i < node->operand_count; i++) {
        const Value *weight = node->operands[i].value;
        DType wanted = numerics_activation(context->module, context->target, weight->dtype,
                                           weight->shape.dims[1].constant);
        if (act != DTYPE_COUNT && act != wanted)
            wanted = DTYPE_f32; // merge keeps such weights apart; a script may still join them
        act = wanted;
    }
    pass_explain(context, "activation", node, "%s for weights of %s", dtype_table[act].name,
                 dtype_table[node->operands[1].value->dtype].name);
    if (act == DTYPE_f32)
        return;
    node_set_operand(node, 0, quantised(node, x, act));
    context->matches++;
}

bool pass_numerics(PassContext *context)
{
    Module *module = context->module;
    for (int32_t i = 0; i < module->graphs.count; i++)
        for (Node *node = module->graphs.items[i]->first; node; node = node->next)
            if (node->op == OP_matmul && node->operands[0].value->dtype == DTYPE_f32)
                decide_matmul(context, node);
    return true;
}
