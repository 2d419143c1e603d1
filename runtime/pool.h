// The threads of a run: one pool, of which the caller is thread 0.
//
// pool_run gives every thread the same job and returns when all have finished. Within a job threads
// meet at pool_barrier only. Who waits spins for about 50 µs, then sleeps on a futex: spinning for
// longer collapses when a core is shared, sleeping at once costs a wake-up at each of hundreds of
// barriers a token. With more threads than CPUs nobody spins, nor for a thread on the own CPU.
//
// All threads compute in the default floating-point environment (round to nearest, denormals kept);
// the caller's own is restored when pool_run returns. A pool serves one caller at a time.
#ifndef RUNTIME_POOL_H
#define RUNTIME_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "graph/base/diag.h"

typedef struct Pool Pool;
typedef void PoolJob(void *context, int32_t thread, int32_t threads);

enum { POOL_THREADS_MAX = 1024 };

// CPUs that this process may use: its affinity mask, cut by the CPU quota of its control group.
int32_t pool_default_threads(void);
// The CPUs that a quota in a period allows, rounded up; 0 when there is no quota. The text is that
// of cpu.max (control groups v2): "max 100000" or "150000 100000".
int32_t pool_quota_from_text(const char *text);

// `threads` 0: pool_default_threads(). NULL with a message when threads cannot be started.
Pool *pool_open(int32_t threads, Diag *diag);
void pool_close(Pool *pool);
int32_t pool_threads(const Pool *pool);
void pool_run(Pool *pool, PoolJob *job, void *context);
// Returns once every thread of the pool has called it; what threads wrote before is then visible to
// all.
void pool_barrier(Pool *pool, int32_t thread);

#endif
