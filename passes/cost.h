// The cost model: what a kernel row should take for a node, from bytes, operations and the machine
// profile (machine.def). Layouts are chosen by it; --explain, the JSON and the page show it.
#ifndef PASSES_COST_H
#define PASSES_COST_H

#include "kernels/work.h"
#include "passes/passes.h"

typedef struct Machine {
    double bytes_per_ns; // GB/s
    double operations_per_ns[WORK_COUNT];
    double barrier_ns;
} Machine;

// By the target of a kernel row.
extern const Machine machine_table[TARGET_COUNT];

// One run of a kernel on one thread. `ns` is the longer of moving the bytes and doing the
// operations; a barrier before the node comes on top.
typedef struct Cost {
    int64_t read_bytes, written_bytes;
    double operations; // of hostile sizes too: no overflow
    WorkKind work;
    double ns;
} Cost;

// Positions that each token's attention sees, if window and model do not make it fewer.
enum { COST_DEPTH = 512 };

// Largest T of the graph; of the plan before phases exist.
int64_t cost_tokens(const Graph *graph);
// A node run by a row at T = tokens, with one row asked for (R = 1) and one sequence.
Cost cost_node(const Node *node, const KernelRow *row, int64_t tokens);
// A node of trait DOTS at T = tokens as if operand `index` were its only weight and had that
// layout, and the activations the type `input`.
Cost cost_dots(const Node *node, int32_t index, DType input, Layout layout, const KernelRow *row,
               int64_t tokens);

// The cost of one token, summed over phases: a token of a prefill counts as much as one of decode.
typedef struct TokenCost {
    double bytes, operations, ns;
} TokenCost;

void token_cost_add(TokenCost *sum, const Cost *cost, int64_t tokens);

// The layouts that weights may have.
#define COST_WEIGHT_LAYOUTS                                                                        \
    (LAYOUT_SET(plain) | LAYOUT_SET(n16k4) | LAYOUT_SET(n32k1) | LAYOUT_SET(n32k2) |               \
     LAYOUT_SET(n16k1))

// Whether a weight of the dtype may have the layout.
bool cost_layout_fits(Layout layout, DType dtype);
// Adds the profile's lines to --explain, once a compile.
void cost_explain_machine(PassContext *context);

#endif
