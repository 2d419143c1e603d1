// An Exec is a Plan bound to memory and threads. Everything is allocated at open; a step allocates
// nothing and decides nothing: it runs the steps of the first phase that is large enough.
#ifndef RUNTIME_EXEC_H
#define RUNTIME_EXEC_H

#include "kernels/kernel.h"
#include "runtime/plan.h"

typedef struct Exec Exec;
// Called at the end of each run by the thread that asked for it.
typedef void ExecWatch(void *context, const Exec *exec);

typedef struct ExecOptions {
    int32_t threads;   // 0: as many as this process may use
    int64_t context;   // tokens a sequence can hold; 0: the model's
    int32_t sequences; // 0: 1
    int64_t rows_max;  // most rows of results in a step; 0: one a sequence
    ExecWatch *watch;  // NULL: nobody; else each run keeps the times of its steps
    void *watch_context;
} ExecOptions;

// Bytes that a run holds, as far as it has touched them (kv is touched as sequences grow).
typedef struct ExecMemory {
    int64_t weights, kv, act, scratch, io;
} ExecMemory;

// A step of the last run, bound to a thread's data.
typedef struct ExecStep {
    const KernelRow *row;
    const KernelCall *call;
    int64_t first, last; // tiles of the thread
    int64_t tail, tiles; // tiles tail … tiles-1 go, in chunks, to whoever comes first
    int64_t chunk;
    const KernelParts *parts; // not NULL: first … last-1 are tiles of its run, and then a barrier
                              // and the thread's share of `tiles` follow, which are merged
    bool barrier;             // before it
    uint32_t step;            // of the plan
} ExecStep;

// The last run as thread 0 went through it: the steps that had tiles. Times are in ns.
typedef struct ExecRun {
    const PlanPhase *phase;
    int64_t t, r, b;
    const ExecStep *steps;
    uint32_t step_count;
    int64_t begin, end; // 0 unless someone watches
} ExecRun;

// When a thread came to a step, could begin it (after its barrier) and was done with its share, and
// how long it waited within, where parts are merged.
typedef struct ExecSpan {
    int64_t came, began, done, waited;
} ExecSpan;

// The plan must have phases and outlive the Exec. NULL with a message when memory or a weight file
// is missing.
Exec *exec_open(const Plan *plan, const ExecOptions *options, Diag *diag);
void exec_close(Exec *exec);

// What was chosen for the options that were 0; rows_max is at most the plan's batch.
const ExecOptions *exec_options(const Exec *exec);
int32_t exec_pages_per_sequence(const Exec *exec);

// The step's inputs, to be filled before exec_run. Whoever fills them keeps the ranges: tokens
// below the vocabulary size, sequences below b, rows below t, positions on pages that the table
// names.
int32_t *exec_input(Exec *exec, StepInput input);
// Runs a step of t tokens (1 … batch) of b sequences (1 … sequences) that asks for r rows (0 …
// rows_max).
void exec_run(Exec *exec, int64_t t, int64_t r, int64_t b);
// The rows of an output, one after another; valid until the next run.
const float *exec_output(const Exec *exec, int32_t index);
// Index of a named output, -1 if the plan has none.
int32_t exec_find_output(const Exec *exec, const char *name);

ExecMemory exec_memory(const Exec *exec);
// Region w as it is mapped or was made.
const void *exec_weights(const Exec *exec);
// Valid until the next run.
const ExecRun *exec_last_run(const Exec *exec);
// One for each of its steps; for those who watch.
const ExecSpan *exec_spans(const Exec *exec, int32_t thread);

#endif
