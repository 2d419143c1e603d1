// Everything that can change bits is decided here, once, before phases exist: the type of each
// matmul's activations. Quantised weights get activations quantised in blocks of their own size (32
// along the row, 256 for K-quants), as an explicit op that all readers of the value share. Weights
// of bf16 get theirs rounded to bf16 where the target multiplies pairs of it; f16 and f32 never
// lose anything. --act=f32 and -O0 keep f32. The KV type was fixed when states were made (--kv).
//
// The choice goes by type, and for bf16 by what the target is made for, never by cost, which would
// differ between targets whose results must be equal to the bit. --explain shows the modelled cost
// of the alternatives; layouts are not chosen yet, so each is taken in its fastest.
//
// Rejected: one scale per row for activations (relative error .067 against .011 with outlier
// channels).
#include "passes/numerics.h"

#include "passes/cost.h"

// The type that suits a weight, f32 for one that must stay exact. Its blocks are as long as those
// of a quantised weight, so that rows of them are always whole; a pair may not be.
static DType suited(const Value *weight)
{
    const DTypeInfo *info = &dtype_table[weight->dtype];
    if (weight->dtype == DTYPE_bf16 && weight->shape.dims[1].constant % 2 == 0)
        return DTYPE_bf16x2;
    if (info->kind != DTYPE_KIND_QUANT)
        return DTYPE_f32;
    return info->block_elements == 256 ? DTYPE_q8k : DTYPE_q8;
}

static KernelQuery dots_query(Op op, Target target, DType input, DType stored, uint32_t layouts)
{
    return (KernelQuery){.op = op,
                         .target = target,
                         .inputs = 1u << input,
                         .stored = 1u << stored,
                         .layouts = layouts};
}

// Rounding what meets weights of bf16 is not worth its loss where only the reference would run.
static const KernelRow *dots_row(const KernelQuery *query)
{
    const KernelRow *row = kernel_find(query);
    bool lossy = row && row->order == ORDER_pairs;
    return lossy && row->target == TARGET_ref ? NULL : row;
}

DType numerics_activation(const Module *module, Target target, Op op, const Value *weight)
{
    DType act = suited(weight);
    bool may = module->options.act_auto && module->options.opt > 0;
    KernelQuery query = dots_query(op, target, act, weight->dtype, 0);
    return may && dots_row(&query) ? act : DTYPE_f32;
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

// The cheapest layout of one weight, whatever the others; false if no kernel reads it so.
static bool add_weight_cost(const PassContext *context, const Node *node, int32_t index,
                            DType input, TokenCost *sum)
{
    DType stored = node->operands[index].value->dtype;
    const int64_t batch = context->module->options.batch, phases[] = {1, batch};
    TokenCost best = {0};
    bool found = false;
    for (int layout = 0; layout < LAYOUT_COUNT; layout++) {
        KernelQuery query = dots_query(node->op, context->target, input, stored, 1u << layout);
        const KernelRow *row = dots_row(&query);
        if (!row || !cost_layout_fits((Layout)layout, stored))
            continue;
        TokenCost one = {0};
        for (int i = 0; i < (batch > 1 ? 2 : 1); i++) {
            Cost cost = cost_dots(node, index, input, (Layout)layout, row, phases[i]);
            token_cost_add(&one, &cost, phases[i]);
        }
        if (!found || one.ns < best.ns)
            best = one;
        found = true;
    }
    sum->bytes += best.bytes;
    sum->operations += best.operations;
    sum->ns += best.ns;
    return found;
}

static bool matmul_cost(const PassContext *context, const Node *node, DType input, TokenCost *cost)
{
    *cost = (TokenCost){0};
    for (int32_t i = 1; i < node->operand_count; i++) {
        if (node_is_dotted(node, i) && !add_weight_cost(context, node, i, input, cost))
            return false;
    }
    return true;
}

// Why a matmul whose weights suit another type keeps f32.
static void print_refusal(const PassContext *context, const Node *node, DType act, Text *out)
{
    const ModuleOptions *options = &context->module->options;
    if (!options->act_auto || options->opt == 0) {
        text_print(out, "%s keeps f32", options->act_auto ? "-O0" : "--act=f32");
        return;
    }
    for (int32_t i = 1; i < node->operand_count; i++) {
        if (!node_is_dotted(node, i))
            continue;
        const Value *weight = node->operands[i].value;
        KernelQuery query = dots_query(node->op, context->target, act, weight->dtype, 0);
        if (suited(weight) != act) {
            text_print(out, "another weight of the matmul is %s", dtype_table[weight->dtype].name);
            return;
        }
        if (!dots_row(&query)) {
            no_kernel_print(out, &query);
            return;
        }
    }
}

// One alternative of a matmul: its cost, where there is a kernel, and why it won or lost.
static void explain_alternative(PassContext *context, const Node *node, DType alternative,
                                DType chosen, DType quantised)
{
    const Value *weight = node->operands[1].value;
    Text line = {0};
    TokenCost cost, other;
    text_print(&line, "%s: %s for weights of %s: ",
               weight->kind == VALUE_WEIGHT ? weight->weight->name : "computed weights",
               dtype_table[alternative].name, dtype_table[weight->dtype].name);
    if (matmul_cost(context, node, alternative, &cost))
        text_print(&line,
                   "%.0f bytes, %.0f operations, %.1f ns a token of each phase: ", cost.bytes,
                   cost.operations, cost.ns);
    else if (alternative == DTYPE_f32)
        text_print(&line, "no kernel on target %s: ", target_names[context->target]);
    if (alternative == chosen && chosen == DTYPE_f32)
        text_print(&line,
                   quantised == DTYPE_f32 ? "chosen: the weights are not quantised" : "chosen");
    else if (alternative == DTYPE_bf16x2 && alternative == chosen)
        text_print(&line, "chosen: the target multiplies pairs of bf16");
    else if (alternative == chosen)
        text_print(&line, "chosen: the weights are quantised in blocks of %d",
                   dtype_table[chosen].block_elements);
    else if (alternative != DTYPE_f32)
        print_refusal(context, node, alternative, &line);
    else if (matmul_cost(context, node, chosen, &other) && cost.ns > other.ns)
        text_print(&line, "exact, but slower: %.1f ns > %.1f ns", cost.ns, other.ns);
    else
        text_print(&line, "exact, but --act=auto goes by the type of the weights");
    pass_explain(context, "activation", node, "%s", line.bytes);
    text_free(&line);
}

static void explain_matmul(PassContext *context, const Node *node, DType chosen)
{
    DType quantised = chosen;
    for (int32_t i = 1; quantised == DTYPE_f32 && i < node->operand_count; i++)
        if (node_is_dotted(node, i))
            quantised = suited(node->operands[i].value);
    explain_alternative(context, node, DTYPE_f32, chosen, quantised);
    if (quantised != DTYPE_f32)
        explain_alternative(context, node, quantised, chosen, quantised);
}

static void decide_matmul(PassContext *context, Node *node)
{
    DType act = DTYPE_COUNT;
    Value *x = node->operands[0].value;
    for (int32_t i = 1; i < node->operand_count; i++) {
        if (!node_is_dotted(node, i))
            continue;
        const Value *weight = node->operands[i].value;
        DType wanted = numerics_activation(context->module, context->target, node->op, weight);
        if (act != DTYPE_COUNT && act != wanted)
            wanted = DTYPE_f32; // merge keeps such weights apart; a script may still join them
        act = wanted;
    }
    if (context->explain)
        explain_matmul(context, node, act);
    if (act == DTYPE_f32)
        return;
    node_set_operand(node, 0, quantised(node, x, act));
    context->matches++;
}

bool pass_numerics(PassContext *context)
{
    Module *module = context->module;
    cost_explain_machine(context);
    for (int32_t i = 0; i < module->graphs.count; i++)
        for (Node *node = module->graphs.items[i]->first; node; node = node->next)
            if (op_table[node->op].traits & OP_DOTS && node->operands[0].value->dtype == DTYPE_f32)
                decide_matmul(context, node);
    return true;
}
