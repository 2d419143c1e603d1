// Weight-only data movement becomes Recipes: rows of a weight are a weight. Nothing is computed
// here and no byte is read; whoever makes the packed bytes follows the recipe.
#include "passes/rules.h"

bool pass_fold(PassContext *context)
{
    rules_run(context);
    return true;
}

static bool replace_by_weight(PassContext *context, Node *root, const char *name,
                              const Weight *like, const Recipe *recipe)
{
    value_replace_uses(root->results[0], rule_weight(context, root->graph, name, like->dtype,
                                                     root->results[0]->shape, recipe));
    graph_remove(root);
    return true;
}

// rows begin … end-1 of a weight = a weight with the recipe slice(weight).
bool rule_slice_weight(PassContext *context, Node *root)
{
    Value *value = root->operands[0].value;
    if (value->kind != VALUE_WEIGHT || root->attributes.slice.axis != 0)
        return false;
    Arena *arena = context->module->arena;
    int32_t begin = root->attributes.slice.begin, end = root->attributes.slice.end;
    const char *name = arena_format(arena, "%s[%d:%d]", value->weight->name, begin, end);
    return replace_by_weight(context, root, name, value->weight,
                             recipe_slice(arena, value->weight->recipe, begin, end));
}

// weights below one another = a weight with the recipe concat(weights).
bool rule_concat_weights(PassContext *context, Node *root)
{
    if (root->attributes.concat.axis != 0)
        return false;
    const Recipe *recipes[OPERANDS_MAX];
    Arena *arena = context->module->arena;
    const char *name = "";
    for (int32_t i = 0; i < root->operand_count; i++) {
        const Value *value = root->operands[i].value;
        if (value->kind != VALUE_WEIGHT)
            return false; // a slice or concat of weights, which becomes one in this sweep
        recipes[i] = value->weight->recipe;
        name = arena_format(arena, "%s%s%s", name, i ? "+" : "", value->weight->name);
    }
    return replace_by_weight(context, root, name, root->operands[0].value->weight,
                             recipe_concat(arena, root->operand_count, recipes));
}
