// What verify.c and verify_places.c share.
#ifndef GRAPH_VERIFY_H
#define GRAPH_VERIFY_H

#include "graph/graph.h"
#include "graph/table.h"

typedef struct Verifier {
    const Module *module;
    Graph *graph; // NULL while the module itself is checked
    int32_t graph_index;
    Diag *diag;
    Arena scratch;
    Table claims; // names taken
} Verifier;

// Records the failure with the graph and node (may be NULL) it is about; returns false.
bool verify_fail(Verifier *verifier, const Node *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// Places of weights and states within their regions.
bool verify_module_places(Verifier *verifier);
// Places of the graph's results; the nodes' marks are their positions.
bool verify_places(Verifier *verifier);

#endif
