// One kernel row per node, from the catalogue, for the target. No kernel is an error that names op,
// types and target; nothing is replaced silently.
#include "passes/passes.h"

static void append_set(Text *text, uint32_t set)
{
    const char *separator = "";
    for (int dtype = 0; dtype < DTYPE_COUNT; dtype++)
        if (set >> dtype & 1u) {
            text_print(text, "%s%s", separator, dtype_table[dtype].name);
            separator = "+";
        }
}

static bool fail_no_kernel(PassContext *context, const Node *node, const KernelQuery *query)
{
    Text types = {0};
    append_set(&types, query->inputs);
    if (query->stored) {
        text_print(&types, " with stored ");
        append_set(&types, query->stored);
    }
    Where where = {0};
    if (node->locations.count)
        where = (Where){node->locations.items[0].file, node->locations.items[0].line, 0};
    diag_fail(context->diag, where,
              "no kernel for %s of %s on target %s; try another weight type or --act=f32",
              op_table[node->op].name, types.length ? types.bytes : "these types",
              target_names[context->target]);
    text_free(&types);
    return false;
}

bool pass_select(PassContext *context)
{
    Module *module = context->module;
    for (int32_t i = 0; i < module->graphs.count; i++)
        for (Node *node = module->graphs.items[i]->first; node; node = node->next) {
            KernelQuery query = node_query(node, context->target);
            const KernelRow *row = kernel_find(&query);
            if (!row)
                return fail_no_kernel(context, node, &query);
            node->kernel = row->name;
        }
    return true;
}
