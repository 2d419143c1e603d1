// The module for other programs: JSON (schema in graph/README.md) and DOT. Both are written and
// never read back; the text is the one form that is.
#ifndef GRAPH_FORMATS_H
#define GRAPH_FORMATS_H

#include "graph/graph.h"

// One JSON object of schema graphc.module/1, with a newline at the end. Numbers the graphs.
void module_print_json(const Module *module, Text *out);
// One digraph, a cluster for each graph. Numbers the graphs.
void module_print_dot(const Module *module, Text *out);
// A string literal of JSON and of DOT; bytes that are not UTF-8 become U+FFFD.
void quote_utf8(Text *out, const char *string);

#endif
