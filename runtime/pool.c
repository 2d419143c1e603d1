// Threads, the gate they wait at, and the barrier.
//
// A gate is a counter that only grows: waiters hold the value they have seen. `sleepers` is raised
// before a waiter looks at the counter for the last time (the futex call does), and read after the
// counter was raised, both sequentially consistent: either the opener sees the sleeper or the
// sleeper sees the new value.
//
// Threads tell the CPU that they run on. Who waits for one on its own CPU sleeps at once: it would
// spin in that thread's time. So it is when another program keeps a core busy and the system puts
// two threads on one of the others. Rejected: sched_yield, which gives the core to that program.
#define _GNU_SOURCE // the CPU of a thread
#include "runtime/pool.h"

#include <assert.h>
#include <errno.h>
#include <fenv.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { SPIN_NS = 50000, PAUSES_A_LOOK = 64, LINE = 64 };

typedef struct Gate {
    _Alignas(LINE) atomic_uint value;
    atomic_int sleepers;
} Gate;

typedef struct Seat {
    _Alignas(LINE) atomic_int cpu; // on which the thread came to the barrier
} Seat;

struct Pool {
    Gate start, generation;
    _Alignas(LINE) atomic_int arrived; // at the barrier of this generation
    _Alignas(LINE) PoolJob *job;       // NULL: the threads end
    void *context;
    int32_t threads, started; // started: threads that exist besides the caller
    int64_t spin_ns;
    pthread_t *handles;
    Seat *seats; // one for each thread
};

typedef struct Start {
    Pool *pool;
    int32_t thread;
} Start;

static void cpu_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static bool shares_cpu(const Pool *pool, int32_t thread)
{
    int cpu = sched_getcpu();
    for (int32_t i = 0; i < pool->threads; i++)
        if (i != thread && atomic_load_explicit(&pool->seats[i].cpu, memory_order_relaxed) == cpu)
            return true;
    return false;
}

static bool gate_spin(const Pool *pool, Gate *gate, unsigned seen, int32_t thread)
{
    int64_t end = 0;
    do {
        for (int i = 0; i < PAUSES_A_LOOK; i++) {
            if (atomic_load_explicit(&gate->value, memory_order_acquire) != seen)
                return true;
            cpu_pause();
        }
        if (end == 0)
            end = now_ns() + pool->spin_ns;
    } while (now_ns() < end && !shares_cpu(pool, thread));
    return false;
}

static void gate_wait(const Pool *pool, Gate *gate, unsigned seen, int32_t thread)
{
    if (gate_spin(pool, gate, seen, thread))
        return;
    atomic_fetch_add(&gate->sleepers, 1);
    while (atomic_load(&gate->value) == seen)
        syscall(SYS_futex, &gate->value, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
    atomic_fetch_sub(&gate->sleepers, 1);
}

static void gate_open(Gate *gate)
{
    atomic_fetch_add(&gate->value, 1);
    if (atomic_load(&gate->sleepers) > 0)
        syscall(SYS_futex, &gate->value, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

void pool_barrier(Pool *pool, int32_t thread)
{
    if (pool->threads == 1)
        return;
    unsigned seen = atomic_load_explicit(&pool->generation.value, memory_order_relaxed);
    atomic_store_explicit(&pool->seats[thread].cpu, sched_getcpu(), memory_order_relaxed);
    if (atomic_fetch_add(&pool->arrived, 1) + 1 < pool->threads) {
        gate_wait(pool, &pool->generation, seen, thread);
        return;
    }
    atomic_store_explicit(&pool->arrived, 0, memory_order_relaxed);
    gate_open(&pool->generation);
}

static void *thread_main(void *argument)
{
    Start start = *(Start *)argument;
    free(argument);
    Pool *pool = start.pool;
    fesetenv(FE_DFL_ENV);
    for (unsigned seen = 0;; seen++) {
        gate_wait(pool, &pool->start, seen, start.thread);
        if (!pool->job)
            return NULL;
        pool->job(pool->context, start.thread, pool->threads);
        pool_barrier(pool, start.thread);
    }
}

void pool_run(Pool *pool, PoolJob *job, void *context)
{
    fenv_t callers;
    fegetenv(&callers);
    fesetenv(FE_DFL_ENV);
    pool->job = job;
    pool->context = context;
    if (pool->threads > 1)
        gate_open(&pool->start);
    job(context, 0, pool->threads);
    pool_barrier(pool, 0);
    fesetenv(&callers);
}

int32_t pool_threads(const Pool *pool)
{
    return pool->threads;
}

static bool start_threads(Pool *pool, Diag *diag)
{
    for (int32_t thread = 1; thread < pool->threads; thread++) {
        Start *start = malloc(sizeof *start);
        int error = ENOMEM;
        if (start) {
            *start = (Start){pool, thread};
            error = pthread_create(&pool->handles[thread - 1], NULL, thread_main, start);
        }
        if (error) {
            free(start);
            return diag_fail(diag, (Where){0}, "cannot start thread %d of %d: %s", thread + 1,
                             pool->threads, strerror(error));
        }
        pool->started++;
    }
    return true;
}

static void free_pool(Pool *pool)
{
    free(pool->handles);
    free(pool->seats);
    free(pool);
}

static Pool *new_pool(int32_t threads)
{
    Pool *pool = aligned_alloc(LINE, sizeof *pool);
    if (!pool)
        return NULL;
    memset(pool, 0, sizeof *pool);
    pool->handles = calloc((size_t)threads, sizeof *pool->handles);
    pool->seats = aligned_alloc(LINE, (size_t)threads * sizeof *pool->seats);
    if (!pool->handles || !pool->seats) {
        free_pool(pool);
        return NULL;
    }
    for (int32_t i = 0; i < threads; i++)
        atomic_init(&pool->seats[i].cpu, -1);
    return pool;
}

Pool *pool_open(int32_t threads, Diag *diag)
{
    int32_t cpus = pool_default_threads();
    if (threads == 0)
        threads = cpus;
    if (threads < 0 || threads > POOL_THREADS_MAX) {
        diag_fail(diag, (Where){0}, "%d threads: give 1 to %d", threads, POOL_THREADS_MAX);
        return NULL;
    }
    Pool *pool = new_pool(threads);
    if (!pool) {
        diag_fail(diag, (Where){0}, "out of memory for %d threads", threads);
        return NULL;
    }
    pool->threads = threads;
    pool->spin_ns = threads <= cpus ? SPIN_NS : 0;
    if (!start_threads(pool, diag)) {
        pool_close(pool);
        return NULL;
    }
    return pool;
}

void pool_close(Pool *pool)
{
    if (!pool)
        return;
    pool->job = NULL;
    gate_open(&pool->start);
    for (int32_t i = 0; i < pool->started; i++)
        pthread_join(pool->handles[i], NULL);
    free_pool(pool);
}
