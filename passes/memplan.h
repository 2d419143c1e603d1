// What memplan knows of a graph before places are given, for schedule to compare orders.
#ifndef PASSES_MEMPLAN_H
#define PASSES_MEMPLAN_H

#include "graph/graph.h"

// Bytes that a value takes in region act at the graph's largest T.
int64_t memplan_value_bytes(const Graph *graph, const Value *value);
// Whether every thread runs the node for itself, to a result in region own: one row that any thread
// can make. Threads would only wait for the one that makes it; who reads it need not wait.
bool memplan_is_own(const Node *node);
// The most bytes of the arena that are alive in one epoch, in the order and with the barriers that
// the graph has. Numbers the graph; marks become epochs.
int64_t memplan_alive_bytes(Graph *graph, Arena *arena);

#endif
