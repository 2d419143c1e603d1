// What the parts of --bench share: the tests that are asked for (bench_tests.c), what the machine
// can do meanwhile (bench_limits.c), the runs and their report (bench.c).
#ifndef TOOLS_RUN_BENCH_H
#define TOOLS_RUN_BENCH_H

#include "kernels/probe.h"
#include "runtime/exec.h"
#include "runtime/pool.h"

enum { BENCH_TESTS_MAX = 64, BENCH_NAME_MAX = 48 };

// One test of the list: pp512, tg32@2048x8.
typedef struct BenchTest {
    char name[BENCH_NAME_MAX]; // as it was written
    bool prompt;               // pp: all tokens in one go; tg: a token a step
    int64_t tokens;            // of each sequence
    int64_t depth;             // tokens before them
    int32_t sequences;
} BenchTest;

// False with a message that names the wrong word and shows the grammar.
bool bench_parse(const char *list, BenchTest tests[BENCH_TESTS_MAX], int32_t *count, Diag *diag);

// What comes from memory and what is computed.
typedef struct BenchWork {
    double bytes, operations[WORK_COUNT];
} BenchWork;

// Adds the last run of the exec.
void bench_add_work(BenchWork *work, const Exec *exec);

// Bytes and operations a second, all threads together.
typedef struct BenchLimits {
    double bandwidth, peak[WORK_COUNT];
} BenchLimits;

typedef struct BenchProbe {
    Pool *pool;
    const Probe *probe;
    const char *memory; // what is read: the weights
    int64_t bytes;
    int64_t rounds[WORK_COUNT];
} BenchProbe;

// Threads of its own, as many as the exec has. Close after a failure too.
bool bench_probe_open(BenchProbe *probe, const Plan *plan, const Exec *exec, Diag *diag);
void bench_probe_close(BenchProbe *probe);
BenchLimits bench_probe(const BenchProbe *probe);
// The least seconds that the work can take: reading and computing may overlap, integers and floats
// do not.
double bench_floor(const BenchWork *work, const BenchLimits *limits);

#endif
