// What build.c and edit.c share: making nodes, linking uses, comparing nodes by content.
#ifndef GRAPH_NODE_H
#define GRAPH_NODE_H

#include "graph/graph.h"
#include "graph/table.h"

struct NodeTable {
    Table nodes;  // pure nodes by content as graph_add made them; later edits leave stale entries
    Table leaves; // every leaf
    Table files;  // of locations, one copy of each name
};

// Links a use to the end of its value's list, or takes it out.
void use_link(Use *use, Value *value);
void use_unlink(Use *use);

// A node with results of these types, before `before` (NULL: at the end).
Node *node_create(Graph *graph, Node *before, Op op, int32_t operand_count, Value *const *operands,
                  const Attributes *attributes, const DType *dtypes, const Shape *shapes);
// Puts a node that is in no list before another (NULL: to the end).
void node_link(Node *node, Node *before);

// The op's own attribute words, the rest zero; NULL gives the defaults.
Attributes attributes_of(Op op, const Attributes *attributes);

// What makes two nodes equal. Of ops that commute, operands 0 and 1 stand in a canonical order if
// `commute` is set.
typedef struct NodeKey {
    uint64_t words[2 + OPERANDS_MAX];
    Attributes attributes;
} NodeKey;

NodeKey node_key(Op op, int32_t operand_count, Value *const *operands, const Attributes *attributes,
                 bool commute);
NodeKey node_key_of(const Node *node, bool commute);
uint64_t node_key_hash(const NodeKey *key);
bool node_key_equal(const NodeKey *a, const NodeKey *b);
// No effect, and no state among the operands.
bool node_is_pure(Op op, int32_t operand_count, Value *const *operands);

void leaf_table_add(Graph *graph, Value *leaf);

#endif
