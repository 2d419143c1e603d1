// eval: runs a Graph on the scalar references, at any level, for tests and for checking passes.
// Before layouts are chosen values are row-major (activations t8, states k32 and v1); once a graph
// is planned its values live in one arena at their planned offsets, so that a planning mistake
// shows.
#ifndef PASSES_EVAL_H
#define PASSES_EVAL_H

#include "graph/graph.h"

// Row-major bytes of a file tensor (recipe->tensor, dtype, rows, columns), valid while the
// evaluator is.
typedef const void *EvalTensor(void *context, const Recipe *tensor);

typedef struct Evaluator Evaluator;

// For graphs of `module` with B sequences of at most P pages; the kv store starts filled with NaN.
Evaluator *eval_new(const Module *module, int64_t sequences, int64_t pages, EvalTensor *tensor,
                    void *context);
void eval_free(Evaluator *evaluator);

typedef struct EvalInputs {
    int64_t symbols[SYMBOL_COUNT];
    const int32_t *inputs[INPUT_COUNT];
} EvalInputs;

// Called after each node of a run, whose results can be read.
typedef void EvalWatch(void *context, const Node *node);
void eval_watch(Evaluator *evaluator, EvalWatch *watch, void *context);

// Runs one step. False with a message when an op has no reference kernel for its types. Results
// stay readable until the next run.
bool eval_run(Evaluator *evaluator, Graph *graph, const EvalInputs *inputs, Diag *diag);
// Bytes of a result of the graph that ran last.
const void *eval_result(const Evaluator *evaluator, const Value *value);
// The value an output reads, NULL if there is none of that name.
const Value *eval_output(const Graph *graph, const char *name);

#endif
