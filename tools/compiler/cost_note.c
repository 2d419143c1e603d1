// The graph names kernels and does not know them; what they should cost is looked up here.
#include "tools/compiler/cost_note.h"

#include "passes/cost.h"

void cost_note(const Node *node, Text *out)
{
    const KernelRow *row = node->kernel ? kernel_from_name(node->kernel) : NULL;
    if (!row || row->op != node->op)
        return; // text may name a kernel of another CPU
    int64_t tokens = cost_tokens(node->graph);
    Cost cost = cost_node(node, row, tokens);
    text_print(out,
               ", \"cost\": {\"tokens\": %lld, \"read\": %lld, \"written\": %lld, "
               "\"operations\": %.0f, \"work\": \"%s\", \"ns\": %.1f",
               (long long)tokens, (long long)cost.read_bytes, (long long)cost.written_bytes,
               cost.operations, work_names[cost.work], cost.ns);
    if (node->barrier_before)
        text_print(out, ", \"barrier_ns\": %.1f", machine_table[row->target].barrier_ns);
    text_print(out, "}");
}
