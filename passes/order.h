// Orders of a graph that need the fewest barriers: schedule's algorithm, on its own.
#ifndef PASSES_ORDER_H
#define PASSES_ORDER_H

#include "graph/graph.h"

// Whether every thread's part of `reader` needs only what the same thread's part of `writer` made.
typedef bool OrderStaysOnThread(const Node *writer, const Node *reader);

// When a node goes to an epoch that is not its last chance.
typedef enum OrderWhen {
    ORDER_WHEN_FREEING, // as soon as it frees the bytes that it makes
    ORDER_WHEN_READY,   // as soon as it can
    ORDER_WHEN_DUE,     // never
    ORDER_WHEN_COUNT
} OrderWhen;

// All nodes of the graph in a new order, in memory of the arena. Operands stand before readers;
// accesses to a state and effects keep the order in which they were. Deterministic. Numbers the
// graph and uses the nodes' marks.
Node **order_nodes(Graph *graph, OrderStaysOnThread *stays, OrderWhen when, Arena *arena);

#endif
