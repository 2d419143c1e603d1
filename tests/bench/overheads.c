// What a token costs besides its kernels: dispatch of a step, the barrier, the sampler. Steps are
// one row of 16 numbers; their kernel's few ns are in the figure. Dispatch and sampler are CPU
// time, the barrier is wall time of two threads that do nothing else.
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/exec.h"
#include "runtime/pool.h"
#include "runtime/sample.h"
#include "tests/bench/bench.h"

enum { STEPS = 1000, SAMPLES = 201, BARRIERS = 100, DRAWS = 8, LOGITS = 32000 };

typedef struct StepsPlan {
    Plan plan;
    PlanPhase phase;
    PlanStep steps[STEPS];
    PlanOperand operands[3];
    char strings[64];
} StepsPlan;

// STEPS additions in place, one after another.
static void make_plan(StepsPlan *made)
{
    const KernelRow *row = kernel_find(
        &(KernelQuery){.op = OP_add, .target = target_native(), .inputs = DTYPE_SET(f32)});
    snprintf(made->strings + 1, sizeof made->strings - 1, "%s", row->name);
    for (int i = 0; i < 3; i++)
        made->operands[i] = (PlanOperand){.region = REGION_ACT,
                                          .dtype = DTYPE_f32,
                                          .bytes = 64,
                                          .shape = {2, {dim_symbol(SYMBOL_T), dim_constant(16)}}};
    for (int i = 0; i < STEPS; i++)
        made->steps[i] = (PlanStep){
            .kernel = 1, .abi = row->abi, .op = OP_add, .result_count = 1, .operand_count = 2};
    made->phase = (PlanPhase){.step_count = STEPS, .bound_t = 1, .act_bytes = 64};
    made->plan = (Plan){.info = {.page_tokens = 32, .batch = 1, .context_length = 32},
                        .strings = made->strings,
                        .string_bytes = sizeof made->strings,
                        .phase_count = 1,
                        .step_count = STEPS,
                        .operand_count = 3,
                        .phases = &made->phase,
                        .steps = made->steps,
                        .operands = made->operands};
}

static void bench_dispatch(void)
{
    StepsPlan *made = calloc(1, sizeof *made);
    Diag diag = {0};
    double ns[SAMPLES];
    ck_assert_ptr_nonnull(made);
    make_plan(made);
    Exec *exec = exec_open(&made->plan, &(ExecOptions){.threads = 1}, &diag);
    ck_assert_msg(exec != NULL, "%s", diag.message);
    for (int i = 0; i < SAMPLES; i++) {
        double begin = bench_seconds();
        exec_run(exec, 1, 0, 1);
        ns[i] = (bench_seconds() - begin) * 1e9 / STEPS;
    }
    bench_print("overhead.dispatch", "%10.3f ns a step (%g wanted)", bench_median(ns, SAMPLES),
                (double)50);
    exec_close(exec);
    free(made);
}

typedef struct Meeting {
    Pool *pool;
    double us[SAMPLES];
} Meeting;

static double wall_us(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec * 1e-3;
}

static void meet(void *context, int32_t thread, int32_t threads)
{
    Meeting *meeting = context;
    (void)threads;
    for (int i = 0; i < SAMPLES; i++) {
        double begin = wall_us();
        for (int j = 0; j < BARRIERS; j++)
            pool_barrier(meeting->pool, thread);
        if (thread == 0)
            meeting->us[i] = (wall_us() - begin) / BARRIERS;
    }
}

static void bench_barrier(void)
{
    Diag diag = {0};
    Meeting meeting = {.pool = pool_open(2, &diag)};
    ck_assert_msg(meeting.pool != NULL, "%s", diag.message);
    pool_run(meeting.pool, meet, &meeting);
    bench_print("overhead.barrier", "%10.3f us (%g wanted)", bench_median(meeting.us, SAMPLES),
                (double)0.5);
    pool_close(meeting.pool);
}

// Sums of uniform numbers: near normal, as logits are.
static void draw_logits(Random *random, float *logits)
{
    for (int i = 0; i < LOGITS; i++)
        logits[i] =
            (float)(random_fraction(random_next(random)) + random_fraction(random_next(random)) +
                    random_fraction(random_next(random)));
}

static void bench_sampler(const char *name, SampleOptions options, double bar)
{
    static float logits[LOGITS];
    double us[SAMPLES];
    Diag diag = {0};
    Random random = random_seed(1);
    Sampler *sampler = sampler_new(&options, LOGITS, &diag);
    ck_assert_msg(sampler != NULL, "%s", diag.message);
    for (int i = 0; i < SAMPLES; i++) {
        draw_logits(&random, logits);
        double begin = bench_seconds();
        for (int j = 0; j < DRAWS; j++)
            ck_assert_int_ge(sampler_draw(sampler, logits), 0);
        us[i] = (bench_seconds() - begin) * 1e6 / DRAWS;
    }
    bench_print(name, "%10.3f us (%g wanted)", bench_median(us, SAMPLES), (double)bar);
    sampler_free(sampler);
}

void bench_overheads(void)
{
    SampleOptions top = sample_options_default(), greedy = top;
    greedy.temperature = 0;
    if (bench_wanted(NULL, "overhead.dispatch"))
        bench_dispatch();
    if (bench_wanted(NULL, "overhead.barrier"))
        bench_barrier();
    if (bench_wanted(NULL, "overhead.greedy"))
        bench_sampler("overhead.greedy", greedy, 5);
    if (bench_wanted(NULL, "overhead.top_k"))
        bench_sampler("overhead.top_k", top, 30);
}
