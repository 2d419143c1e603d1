// The roofline of a run: what its steps move and compute, and what the machine can do right now.
//
// Bytes are those of weights, keys and values: activations stay in caches. Bandwidth is that of the
// weights themselves, read by all threads, so that weights which fit in a cache are held against
// the cache. Peaks are those of the plan's target.
#ifndef RUNTIME_ROOFLINE_H
#define RUNTIME_ROOFLINE_H

#include "kernels/probe.h"
#include "runtime/exec.h"
#include "runtime/pool.h"

typedef struct RooflineWork {
    double bytes, operations[WORK_COUNT];
} RooflineWork;

// Bytes and operations a second, all threads together.
typedef struct RooflineLimits {
    double bandwidth, peak[WORK_COUNT];
} RooflineLimits;

typedef struct Roofline {
    Pool *pool;
    const Probe *probe;
    const char *memory; // what is read: the weights
    int64_t bytes;
    int64_t rounds[WORK_COUNT];
} Roofline;

// Adds what a step of the last run did, and returns it.
Work roofline_add_step(RooflineWork *work, const ExecStep *step);
void roofline_add_run(RooflineWork *work, const Exec *exec);

// Threads of its own, as many as the exec has, which must outlive it. Close after a failure too.
bool roofline_open(Roofline *roofline, const Plan *plan, const Exec *exec, Diag *diag);
void roofline_close(Roofline *roofline);
// Some 0.1 s of reading and computing.
RooflineLimits roofline_probe(const Roofline *roofline);
// The least seconds that the work can take: reading and computing may overlap, integers and floats
// do not.
double roofline_floor(const RooflineWork *work, const RooflineLimits *limits);

#endif
