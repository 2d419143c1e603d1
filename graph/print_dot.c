// Printing DOT, for Graphviz: a cluster for each graph, a box for each node, an edge for each
// result that is read. Weights, states, inputs and constants are lines in the boxes of their
// readers: as nodes of their own they hide the flow behind edges that cross it.
#include "graph/formats.h"

static void print_operands(Text *label, const Node *node)
{
    for (int32_t i = 0; i < node->operand_count; i++) {
        const Value *value = node->operands[i].value;
        if (value->kind == VALUE_RESULT)
            continue;
        text_print(label, "\n%s", op_table[node->op].written >> i & 1 ? "rw " : "");
        value_print(label, value);
    }
}

static void print_label(Text *out, const Node *node)
{
    Text label = {0};
    text_print(&label, "%s", op_table[node->op].name);
    for (int32_t i = 0; i < node->result_count; i++) {
        const Value *result = node->results[i];
        text_print(&label, "\n%%%d : ", result->number);
        type_print(&label, result->dtype, &result->shape, result->layout);
    }
    if (node->kernel)
        text_print(&label, "\n!%s", node->kernel);
    print_operands(&label, node);
    quote_utf8(out, label.bytes);
    text_free(&label);
}

// Nodes are named by their places in the graph: producers stand above and have theirs in `mark`.
static void print_edges(Text *out, int32_t graph, const Node *node, int32_t index)
{
    for (int32_t i = 0; i < node->operand_count; i++) {
        const Value *value = node->operands[i].value;
        if (value->kind != VALUE_RESULT)
            continue;
        text_print(out, "    g%dn%d -> g%dn%d", graph, value->producer.node->mark, graph, index);
        text_print(out, value->producer.index ? " [label=\"%%%d\"];\n" : ";\n", value->number);
    }
}

static void print_outputs(Text *out, int32_t index, const Graph *graph)
{
    for (int32_t i = 0; i < graph->outputs.count; i++) {
        const GraphOutput *output = graph->outputs.items[i];
        const Value *value = output->use.value;
        text_print(out, "    g%do%d [shape=plaintext, label=", index, i);
        quote_utf8(out, output->name);
        text_print(out, "];\n");
        if (value->kind == VALUE_RESULT)
            text_print(out, "    g%dn%d -> g%do%d;\n", index, value->producer.node->mark, index, i);
    }
}

static void print_graph(Text *out, int32_t index, Graph *graph)
{
    Text title = {0};
    text_print(&title, graph->bound_t ? "@%s T<=%lld" : "@%s", graph->name,
               (long long)graph->bound_t);
    text_print(out, "  subgraph cluster_%d {\n    label=", index);
    quote_utf8(out, title.bytes);
    text_print(out, ";\n");
    text_free(&title);
    graph_number(graph);
    int32_t count = 0;
    for (Node *node = graph->first; node; node = node->next) {
        node->mark = count++;
        text_print(out, "    g%dn%d [label=", index, node->mark);
        print_label(out, node);
        text_print(out, "];\n");
        print_edges(out, index, node, node->mark);
    }
    print_outputs(out, index, graph);
    text_print(out, "  }\n");
}

void module_print_dot(const Module *module, Text *out)
{
    text_print(out, "digraph ");
    quote_utf8(out, module->name);
    text_print(out, " {\n  node [shape=box, fontname=\"monospace\", fontsize=10];\n");
    for (int32_t i = 0; i < module->graphs.count; i++)
        print_graph(out, i, module->graphs.items[i]);
    text_print(out, "}\n");
}
