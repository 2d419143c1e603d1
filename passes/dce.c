// Removes what no output depends on: pure nodes nobody reads, writes to states that no op reads,
// and the weights and states that are left without a reader.
#include "passes/passes.h"

static bool state_is_read(const Value *state)
{
    for (const Use *use = state->uses; use; use = use->next) {
        uint32_t written = op_table[use->user->op].written;
        if (!(written >> (use - use->user->operands) & 1u))
            return true;
    }
    return false;
}

// A node whose only effect is on states that nobody reads.
static bool writes_for_nobody(const Node *node)
{
    if (!(op_table[node->op].traits & OP_EFFECT) || node->result_count)
        return false;
    for (int32_t i = 0; i < node->operand_count; i++)
        if (op_table[node->op].written >> i & 1u && state_is_read(node->operands[i].value))
            return false;
    return true;
}

static int32_t remove_writes(Graph *graph)
{
    int32_t removed = 0;
    for (Node *node = graph->last, *previous; node; node = previous) {
        previous = node->previous;
        if (writes_for_nobody(node)) {
            graph_remove(node);
            removed++;
        }
    }
    return removed;
}

bool pass_dce(PassContext *context)
{
    Module *module = context->module;
    for (int32_t i = 0; i < module->graphs.count; i++) {
        Graph *graph = module->graphs.items[i];
        // A write may have been the last reader of what read another state.
        for (int32_t removed = 1; removed;) {
            removed = graph_sweep(graph);
            removed += remove_writes(graph);
            context->matches += removed;
        }
    }
    module_sweep(module);
    return true;
}
