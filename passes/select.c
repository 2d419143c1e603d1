// One kernel row per node, from the catalogue, for the target. No kernel is an error that names op,
// types and target; nothing is replaced silently.
#include "passes/passes.h"

static bool fail_no_kernel(PassContext *context, const Node *node, const KernelQuery *query)
{
    Text missing = {0};
    no_kernel_print(&missing, query);
    Where where = {0};
    if (node->locations.count)
        where = (Where){node->locations.items[0].file, node->locations.items[0].line, 0};
    diag_fail(context->diag, where, "%s; try another weight type or --act=f32", missing.bytes);
    text_free(&missing);
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
