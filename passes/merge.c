// Sibling matmuls that read one value become one (q‖k‖v, gate‖up): the activation is read once, and
// one long stream of weights replaces several short ones. Weights of equal type become one weight
// by a concat Recipe; others stay operands of their own, each range with its own type. Weights
// whose activations numerics would type differently are not merged: the kernel reads one
// activation.
#include "passes/numerics.h"

#include <string.h>

// Why a matmul stays alone, NULL if it may be merged.
static const char *alone(const Node *matmul)
{
    if (matmul->operand_count != 2)
        return "it has several weights";
    if (matmul->attributes.matmul.epilogue != EPILOGUE_none)
        return "it has an epilogue";
    if (matmul->operands[1].value->kind != VALUE_WEIGHT)
        return "its weight is computed";
    return value_use_count(matmul->operands[1].value) == 1 ? NULL : "its weight has a second use";
}

static bool mergeable(const Node *node)
{
    return node->op == OP_matmul && !alone(node);
}

static const char *weight_name(const Node *node)
{
    return node->operands[1].value->weight->name;
}

// Bytes at the beginning of all names that are the same.
static size_t common_prefix(int32_t count, Node *const *nodes)
{
    const char *first = weight_name(nodes[0]);
    size_t same = 0;
    for (;; same++)
        for (int32_t i = 0; i < count; i++)
            if (!first[same] || weight_name(nodes[i])[same] != first[same])
                return same;
}

// Bytes at the end of all names that are the same and not part of the prefix.
static size_t common_suffix(int32_t count, Node *const *nodes, size_t prefix)
{
    const char *first = weight_name(nodes[0]);
    for (size_t same = 0;; same++)
        for (int32_t i = 0; i < count; i++) {
            const char *name = weight_name(nodes[i]);
            size_t length = strlen(name);
            if (length <= prefix + same ||
                name[length - 1 - same] != first[strlen(first) - 1 - same])
                return same;
        }
}

// "blk.0.attn_q.weight", "blk.0.attn_k.weight" -> "blk.0.attn_q+k.weight".
static const char *joined_name(Arena *arena, int32_t count, Node *const *nodes)
{
    size_t prefix = common_prefix(count, nodes), suffix = common_suffix(count, nodes, prefix);
    const char *first = weight_name(nodes[0]);
    const char *joined = arena_format(arena, "%.*s", (int)prefix, first);
    for (int32_t i = 0; i < count; i++) {
        const char *name = weight_name(nodes[i]);
        int middle = (int)(strlen(name) - prefix - suffix);
        joined = arena_format(arena, "%s%s%.*s", joined, i ? "+" : "", middle, name + prefix);
    }
    return arena_format(arena, "%s%s", joined, first + strlen(first) - suffix);
}

// One weight for a run of nodes whose weights have one type.
static Value *joined_weight(Graph *graph, int32_t count, Node *const *nodes)
{
    Arena *arena = graph->module->arena;
    if (count == 1)
        return nodes[0]->operands[1].value;
    const Recipe **recipes = ARENA_ARRAY(arena, const Recipe *, count);
    for (int32_t i = 0; i < count; i++)
        recipes[i] = nodes[i]->operands[1].value->weight->recipe;
    const Recipe *recipe = recipe_concat(arena, count, recipes);
    Shape shape = {.rank = 2, .dims = {dim_constant(recipe->rows), dim_constant(recipe->columns)}};
    Weight *weight = module_add_weight(graph->module, joined_name(arena, count, nodes),
                                       nodes[0]->operands[1].value->dtype, shape, recipe);
    return graph_weight(graph, weight);
}

static void merge_siblings(PassContext *context, int32_t count, Node *const *nodes)
{
    Graph *graph = nodes[0]->graph;
    Value *operands[OPERANDS_MAX] = {nodes[0]->operands[0].value};
    int32_t operand_count = 1;
    for (int32_t i = 0, run; i < count; i += run) {
        DType dtype = nodes[i]->operands[1].value->dtype;
        for (run = 1; i + run < count && nodes[i + run]->operands[1].value->dtype == dtype;)
            run++;
        operands[operand_count++] = joined_weight(graph, run, nodes + i);
    }
    Node *merged = graph_insert(graph, nodes[0], OP_matmul, operand_count, operands,
                                &nodes[0]->attributes, nodes[0]);
    Attributes slice = op_default_attributes(OP_slice);
    slice.slice.axis = 1;
    for (int32_t i = 0; i < count; i++) {
        slice.slice.begin = slice.slice.end;
        slice.slice.end += (int32_t)nodes[i]->results[0]->shape.dims[1].constant;
        node_add_locations(merged, nodes[i]);
        Node *part = graph_insert(graph, nodes[0], OP_slice, 1, merged->results, &slice, nodes[i]);
        value_replace_uses(nodes[i]->results[0], part->results[0]);
    }
    pass_explain(context, "siblings", merged, "merged %d matmuls", count);
    context->matches++;
    for (int32_t i = 0; i < count; i++)
        graph_remove(nodes[i]);
}

static DType activation_of(const PassContext *context, const Node *node)
{
    return numerics_activation(context->module, context->target, OP_matmul,
                               node->operands[1].value);
}

// Why `other` cannot join `node` and the `count` matmuls of its group so far, printed to `why`;
// false, and nothing, if it can.
static bool keeps_apart(const PassContext *context, const Node *node, const Node *other,
                        int32_t count, Text *why)
{
    DType act = activation_of(context, node);
    DType a = node->operands[1].value->dtype;
    if (alone(other)) {
        text_print(why, "%s", alone(other));
        return true;
    }
    DType b = other->operands[1].value->dtype;
    KernelQuery query = {.op = OP_matmul,
                         .target = context->target,
                         .inputs = 1u << act,
                         .stored = 1u << a | 1u << b};
    if (activation_of(context, other) != act)
        text_print(why, "activations differ for %s and %s", dtype_table[a].name,
                   dtype_table[b].name);
    else if (!kernel_find(&query))
        no_kernel_print(why, &query);
    else if (count == OPERANDS_MAX - 1)
        text_print(why, "%d matmuls are merged already", count);
    return why->length > 0;
}

// The mergeable matmuls that read node's input, in program order (marks count it), node first.
static int32_t find_siblings(PassContext *context, Node *node, Node *siblings[OPERANDS_MAX - 1])
{
    int32_t count = 0;
    Text why = {0};
    siblings[count++] = node;
    for (Use *use = node->operands[0].value->uses; use; use = use->next) {
        Node *other = use->user;
        if (!other || other->op != OP_matmul || other->mark <= node->mark ||
            &other->operands[0] != use)
            continue;
        why.length = 0;
        if (keeps_apart(context, node, other, count, &why)) {
            pass_explain(context, "siblings", other, "missed: %s", why.bytes);
            continue;
        }
        int32_t at = count++;
        for (; at > 1 && siblings[at - 1]->mark > other->mark; at--)
            siblings[at] = siblings[at - 1];
        siblings[at] = other;
    }
    text_free(&why);
    return count;
}

static void merge_graph(PassContext *context, Graph *graph)
{
    int32_t order = 0;
    for (Node *node = graph->first; node; node = node->next)
        node->mark = ++order;
    for (Node *node = graph->first, *next; node; node = next) {
        next = node->next;
        if (!mergeable(node))
            continue;
        Node *siblings[OPERANDS_MAX - 1];
        int32_t count = find_siblings(context, node, siblings);
        if (count < 2)
            continue;
        for (int32_t i = 1; i < count; i++)
            next = next == siblings[i] ? next->next : next; // in program order, all of them go
        merge_siblings(context, count, siblings);
    }
}

bool pass_merge(PassContext *context)
{
    Module *module = context->module;
    for (int32_t i = 0; i < module->graphs.count; i++)
        merge_graph(context, module->graphs.items[i]);
    module_sweep(module);
    return true;
}
