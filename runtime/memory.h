// The exact memory of a run, from the plan and the run's options alone. Opening an Exec allocates
// what is computed here, and a dry run prints it: there is no second computation.
#ifndef RUNTIME_MEMORY_H
#define RUNTIME_MEMORY_H

#include "kernels/kernel.h"
#include "runtime/exec.h"

// Bytes of each region of a run. Every region but mapped weights and the plan is memory of its own
// that begins at a multiple of 2 MiB and ends at one: `rounding` is what that adds to all of them.
typedef struct RunMemory {
    ExecOptions options; // settled: none is 0
    int32_t pages_per_sequence;
    bool weights_mapped; // from the plan or its weights file; else made at open
    int64_t weights, kv, act, io;
    int64_t thread_own;     // copy of the arena that each thread but the first has
    int64_t own;            // all of them
    int64_t thread_scratch; // of one thread
    int64_t shared_scratch; // of all threads together
    int64_t scratch;        // all of it
    int64_t plan; // the plan's other sections, mapped; 0 for a plan that was never written
    int64_t rounding;
    int64_t total;   // all of the above: resident once all weights were read and kv is full
    int64_t opening; // bytes of model files that are mapped as well while weights are made
} RunMemory;

// Settles the options that are 0 and computes what a run takes; allocates nothing. False with a
// message when the plan has no phases or the run is larger than can be.
bool memory_of_run(const Plan *plan, const ExecOptions *options, RunMemory *memory, Diag *diag);
// Bytes that are mapped for a region of so many.
int64_t memory_mapped_bytes(int64_t bytes);
// Bytes of an input's or output's buffer in this run.
int64_t memory_io_bytes(const Plan *plan, const RunMemory *memory, const Shape *shape);

// A step's call for `operands`, which follow each other as the plan's do; no data, no shapes.
void memory_bind_call(const Plan *plan, const PlanStep *step, int32_t pages_per_sequence,
                      const KernelOperand *operands, KernelCall *call);
// Rows and columns of an operand for values of the symbols. A state's rows are a page's tokens.
void memory_bind_shape(const Plan *plan, const PlanOperand *operand,
                       const int64_t symbols[SYMBOL_COUNT], KernelOperand *bound);

// One line a region, and as the members of a JSON object (without braces).
void memory_print(const RunMemory *memory, Text *out);
void memory_print_json(const RunMemory *memory, Text *out);

#endif
