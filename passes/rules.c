// Applies rules. Nodes are visited last first: rules look upwards, and what a rewrite inserts above
// is visited in the same sweep, so that one or two sweeps reach the fixed point whatever the depth.
#include "passes/rules.h"

#include <string.h>

#include "graph/base/hash.h"

const RuleInfo rule_table[RULE_COUNT] = {
#define RULE(pass, name, root, algebra) {#name, PASS_##pass, OP_##root, algebra, rule_##name},
#include "passes/rules.def"
#undef RULE
};

#ifdef GRAPHC_BROKEN_RULE
#define RULE_PASTE(name) RULE_##name
#define RULE_NAMED(name) RULE_PASTE(name)

// For the test of --verify alone: what the rule of that name puts in the place of its root reaches
// the root's first reader negated.
static bool run_rule(const RuleInfo *rule, PassContext *context, Node *root)
{
    bool broken = rule == &rule_table[RULE_NAMED(GRAPHC_BROKEN_RULE)] && root->result_count;
    const Use *use = broken ? root->results[0]->uses : NULL;
    Node *user = use ? use->user : NULL;
    int32_t slot = user ? (int32_t)(use - user->operands) : 0;
    if (!rule->run(context, root))
        return false;
    if (user && user->operands[slot].value->dtype == DTYPE_f32) {
        Node *damage = graph_insert(user->graph, user, OP_neg, 1,
                                    (Value *[]){user->operands[slot].value}, NULL, user);
        node_set_operand(user, slot, damage->results[0]);
    }
    return true;
}
#else
static bool run_rule(const RuleInfo *rule, PassContext *context, Node *root)
{
    return rule->run(context, root);
}
#endif

// Tries the pass's rules on a node; it may be gone afterwards if one fired.
static bool rewrite_node(PassContext *context, Node *node)
{
    PipelineOptions *options = context->options;
    if (options->limit_rewrites && options->rewrites >= options->rewrite_limit)
        return false;
    for (int i = 0; i < RULE_COUNT; i++) {
        const RuleInfo *rule = &rule_table[i];
        if (rule->pass != context->pass || rule->root != node->op)
            continue;
        const char *place = context->explain ? node_place(node, context->scratch) : NULL;
        if (!run_rule(rule, context, node))
            continue;
        context->matches++;
        options->rewrites++;
        if (context->explain)
            text_print(context->explain, "%s %s: %s: fired: rewrite %lld\n",
                       pass_table[rule->pass].name, rule->name, place,
                       (long long)options->rewrites);
        return true;
    }
    return false;
}

static bool sweep(PassContext *context, Graph *graph)
{
    bool changed = false;
    Node *below = NULL; // the node after the one in hand: it stays when that one is rewritten
    for (;;) {
        Node *node = below ? below->previous : graph->last;
        if (!node)
            return changed;
        if (rewrite_node(context, node))
            changed = true;
        else
            below = node;
    }
}

void rules_run(PassContext *context)
{
    Module *module = context->module;
    Text misses = {0};
    context->misses = context->explain ? &misses : NULL;
    for (int32_t i = 0; i < module->graphs.count; i++) {
        Graph *graph = module->graphs.items[i];
        do {
            misses.length = 0; // only those of the last sweep are final
            graph_sweep(graph);
        } while (sweep(context, graph));
        if (context->explain)
            text_append(context->explain, misses.bytes, misses.length);
    }
    text_free(&misses);
}

bool rule_miss(PassContext *context, RuleId rule, const Node *node, const char *reason)
{
    if (context->misses)
        text_print(context->misses, "%s %s: %s: missed: %s\n", pass_table[context->pass].name,
                   rule_table[rule].name, node_place(node, context->scratch), reason);
    return false;
}

static bool same_recipe(const Recipe *a, const Recipe *b)
{
    if (a->kind != b->kind || a->kind == RECIPE_TENSOR || a->begin != b->begin ||
        a->end != b->end || a->child_count != b->child_count)
        return false;
    for (int32_t i = 0; i < a->child_count; i++)
        if (a->children[i] != b->children[i])
            return false;
    return true;
}

Value *rule_weight(PassContext *context, Graph *graph, const char *name, DType dtype, Shape shape,
                   const Recipe *recipe)
{
    uint64_t hash = hash64(name, strlen(name), (uint64_t)dtype);
    uint32_t probe = 0;
    for (Weight *weight; (weight = table_next(&context->rule_weights, hash, &probe));)
        if (weight->dtype == dtype && strcmp(weight->name, name) == 0 &&
            same_recipe(weight->recipe, recipe))
            return graph_weight(graph, weight);
    Weight *made = module_add_weight(context->module, name, dtype, shape, recipe);
    table_add(context->scratch, &context->rule_weights, hash, made);
    return graph_weight(graph, made);
}
