// Where the time of runs goes: what an Exec's watcher adds up, step by step and thread by thread.
#ifndef RUNTIME_PROFILE_H
#define RUNTIME_PROFILE_H

#include "runtime/roofline.h"

// A step of the plan over all runs. A run's time is that of the thread that took longest over its
// share; waiting is not in it.
typedef struct ProfileStep {
    int64_t calls, ns, least_ns, most_ns;
    RooflineWork work;
    double moved_bytes; // all that it read and wrote, activations too
} ProfileStep;

// Together they are the wall clock of the runs.
typedef struct ProfileThread {
    int64_t busy_ns;
    int64_t barrier_ns; // waiting at barriers between steps
    int64_t idle_ns;    // before its first step and after its last
} ProfileThread;

typedef struct Profile {
    const Plan *plan;
    ProfileStep *steps;     // of the plan
    ProfileThread *threads; // POOL_THREADS_MAX
    int32_t thread_count;   // that took part
    int64_t runs, tokens, wall_ns;
    bool paused; // runs are not counted
} Profile;

// False with a message when memory runs out. Close after a failure too.
bool profile_open(Profile *profile, const Plan *plan, Diag *diag);
void profile_close(Profile *profile);
// An ExecWatch; the context is a Profile.
void profile_watch(void *context, const Exec *exec);

#endif
