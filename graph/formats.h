// The module for other programs: JSON (schema in graph/README.md) and DOT. Both are written and
// never read back; the text is the one form that is.
#ifndef GRAPH_FORMATS_H
#define GRAPH_FORMATS_H

#include "graph/graph.h"

// Prints members of a node that its caller knows and the graph does not, each begun with ", ".
typedef void JsonNote(const Node *node, Text *out);
// One JSON object of schema graphc.module/1, with a newline at the end; `note` (NULL: none) adds to
// every node. Numbers the graphs.
void module_print_json(const Module *module, JsonNote *note, Text *out);
// One digraph, a cluster for each graph. Numbers the graphs.
void module_print_dot(const Module *module, Text *out);
// A string literal of JSON and of DOT; bytes that are not UTF-8 become U+FFFD.
void quote_utf8(Text *out, const char *string);

#endif
