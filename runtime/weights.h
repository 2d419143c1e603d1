// Region w made from the model's files: recipes say which rows, kernels/pack how they lie. Used
// when weights are written to a file, and when a plan without them is opened.
#ifndef RUNTIME_WEIGHTS_H
#define RUNTIME_WEIGHTS_H

#include "runtime/new_file.h"
#include "runtime/plan.h"
#include "runtime/pool.h"

// The files of a plan, mapped, and its recipes as trees.
typedef struct Weights Weights;

// Fails when a file is missing or is not the one that the plan was made from (size, time of
// change).
Weights *weights_open(const Plan *plan, Diag *diag);
void weights_close(Weights *weights);
// Makes every panel that begins in [begin, end) of region w, on all threads of the pool; `out` is
// the memory of `begin`. What lies between weights is left as it is. Bytes written: at most those
// up to `end` and weights_panel_most() more. False when memory runs out.
bool weights_make(const Weights *weights, Pool *pool, int64_t begin, int64_t end, void *out,
                  Diag *diag);
// Bytes of the largest panel.
int64_t weights_panel_most(const Weights *weights);
// Opens the plan's files, makes all of region w on all CPUs and writes it from `offset` of the file
// on (weights_write.c); `hash` is that of its bytes.
bool weights_write(const Plan *plan, const NewFile *file, uint64_t offset, Hash128 *hash,
                   PlanProgress *progress, void *context, Diag *diag);

#endif
