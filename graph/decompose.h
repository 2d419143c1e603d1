// Decompositions: composite and fused ops as primitives. They say what an op means in the graph's
// own words; tests hold each against the op's reference kernel.
#ifndef GRAPH_DECOMPOSE_H
#define GRAPH_DECOMPOSE_H

#include "graph/graph.h"

// Replaces a node by primitives that stand before it. False, and nothing done, when its op has no
// decomposition (or the node's `post` quantises, which has none).
bool graph_decompose(Node *node);

#endif
