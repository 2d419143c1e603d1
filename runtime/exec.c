// Binding and running.
//
// At open every operand gets its address and every step its kernel. When t, r or b differ from the
// last run of a phase, the phase's operands get their rows and its steps their tile counts; steps
// without tiles drop out then, and their barriers pass to the next step that has some. What is left
// is a list that all threads walk: barrier, own share of the tiles, next.
//
// A thread's share of n tiles depends on n alone, so steps with equal tiles keep work on its
// thread; the schedule relies on that where it leaves out barriers.
#include "runtime/exec.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "kernels/kernel.h"
#include "runtime/memory.h"
#include "runtime/pool.h"
#include "runtime/weights.h"

enum { ALIGNMENT = 64, HUGE_BYTES = 2 << 20 };

typedef struct ConstantSlot {
    _Alignas(ALIGNMENT) float value;
} ConstantSlot;

typedef struct Mapping {
    char *bytes;
    size_t length;
} Mapping;

struct Exec {
    const Plan *plan;
    RunMemory memory; // what is allocated, the options it is for
    Pool *pool;
    const char *weights; // in the plan's mapping or in `made`
    Mapping made, kv, act, scratch, io;
    char *io_buffers[INPUT_COUNT];
    char **outputs;
    ConstantSlot *constants;
    KernelOperand *operands; // one for each of the plan's
    const KernelRow **rows;  // and for each step
    KernelCall *calls;
    ExecStep *bound;
    ExecRun *runs; // the last of each phase; t is 0 before the first
    ExecRun *current;
    ExecSpan *spans; // [thread][step of the run]; NULL when nobody watches
};

static size_t round_up(size_t value, size_t multiple)
{
    return (value + multiple - 1) / multiple * multiple;
}

// Zeroed memory at a multiple of 2 MiB, of which only touched pages count. Zero bytes are given
// too.
static bool map_memory(Mapping *mapping, int64_t bytes, const char *what, Diag *diag)
{
    size_t length = (size_t)memory_mapped_bytes(bytes), reserved = length + HUGE_BYTES;
    char *space = mmap(NULL, reserved, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (space == MAP_FAILED)
        return diag_fail(diag, (Where){0}, "out of memory: %lld bytes for %s", (long long)bytes,
                         what);
    char *base = (char *)round_up((uintptr_t)space, HUGE_BYTES);
    if (base > space)
        munmap(space, (size_t)(base - space));
    if (base + length < space + reserved)
        munmap(base + length, (size_t)(space + reserved - base) - length);
    madvise(base, length, MADV_HUGEPAGE);
    *mapping = (Mapping){base, length};
    return true;
}

static void unmap_memory(Mapping *mapping)
{
    if (mapping->bytes)
        munmap(mapping->bytes, mapping->length);
}

static bool make_weights(Exec *exec, Diag *diag)
{
    const Plan *plan = exec->plan;
    exec->weights = plan->data;
    if (plan->data || plan->info.w_bytes == 0)
        return true;
    if (!map_memory(&exec->made, plan->info.w_bytes, "the weights", diag))
        return false;
    exec->weights = exec->made.bytes;
    Weights *weights = weights_open(plan, diag);
    bool good =
        weights && weights_make(weights, exec->pool, 0, plan->info.w_bytes, exec->made.bytes, diag);
    weights_close(weights);
    return good;
}

static int64_t io_bytes(const Exec *exec, const Shape *shape)
{
    return memory_io_bytes(exec->plan, &exec->memory, shape);
}

static bool make_io(Exec *exec, Diag *diag)
{
    const Plan *plan = exec->plan;
    if (!map_memory(&exec->io, exec->memory.io, "inputs and outputs", diag))
        return false;
    char *place = exec->io.bytes;
    for (int input = 0; input < INPUT_COUNT; input++) {
        Shape shape = step_input_shape((StepInput)input);
        exec->io_buffers[input] = place;
        place += io_bytes(exec, &shape);
    }
    for (uint32_t i = 0; i < plan->output_count; i++) {
        exec->outputs[i] = place;
        place += io_bytes(exec, &plan->outputs[i].shape);
    }
    return true;
}

static bool make_arenas(Exec *exec, Diag *diag)
{
    const RunMemory *memory = &exec->memory;
    return map_memory(&exec->act, memory->act, "activations", diag) &&
           map_memory(&exec->kv, memory->kv, "keys and values: lower -c", diag) &&
           map_memory(&exec->scratch, memory->scratch, "scratch of the threads", diag) &&
           make_io(exec, diag);
}

static bool make_tables(Exec *exec, Diag *diag)
{
    const Plan *plan = exec->plan;
    size_t steps = (size_t)plan->step_count + 1, operands = (size_t)plan->operand_count + 1;
    exec->outputs = calloc((size_t)plan->output_count + 1, sizeof *exec->outputs);
    exec->operands = calloc(operands, sizeof *exec->operands);
    exec->constants = aligned_alloc(ALIGNMENT, operands * sizeof *exec->constants);
    exec->rows = calloc(steps, sizeof *exec->rows);
    exec->calls = calloc(steps, sizeof *exec->calls);
    exec->bound = calloc(steps, sizeof *exec->bound);
    exec->runs = calloc(plan->phase_count, sizeof *exec->runs);
    bool watched = exec->memory.options.watch;
    size_t spans = steps * (size_t)exec->memory.options.threads;
    exec->spans = watched ? calloc(spans, sizeof *exec->spans) : NULL;
    if (!exec->outputs || !exec->operands || !exec->constants || !exec->rows || !exec->calls ||
        !exec->bound || !exec->runs || (watched && !exec->spans))
        return diag_fail(diag, (Where){0}, "out of memory for the steps of the plan");
    return true;
}

static void *operand_address(Exec *exec, uint32_t index)
{
    const PlanOperand *operand = &exec->plan->operands[index];
    ConstantSlot *constant = &exec->constants[index];
    constant->value = operand->constant;
    switch ((Region)operand->region) {
    case REGION_W: return (void *)(uintptr_t)(exec->weights + operand->offset);
    case REGION_KV: return exec->kv.bytes + operand->offset;
    case REGION_ACT: return exec->act.bytes + operand->offset;
    case REGION_IO:
        return operand->offset < INPUT_COUNT ? exec->io_buffers[operand->offset]
                                             : exec->outputs[operand->offset - INPUT_COUNT];
    default: return &constant->value;
    }
}

static void bind_addresses(Exec *exec)
{
    const Plan *plan = exec->plan;
    for (uint32_t i = 0; i < plan->operand_count; i++) {
        exec->operands[i].data = operand_address(exec, i);
        exec->operands[i].dtype = (DType)plan->operands[i].dtype;
        exec->operands[i].layout = (Layout)plan->operands[i].layout;
        assert((uintptr_t)exec->operands[i].data % ALIGNMENT == 0);
    }
    for (uint32_t i = 0; i < plan->step_count; i++) {
        const PlanStep *step = &plan->steps[i];
        exec->rows[i] = kernel_from_name(plan_string(plan, step->kernel));
        memory_bind_call(plan, step, exec->memory.pages_per_sequence,
                         &exec->operands[step->first_operand], &exec->calls[i]);
    }
}

// Rows and columns of a phase's operands for values of the symbols.
static void bind_shapes(Exec *exec, const PlanPhase *phase, const int64_t symbols[SYMBOL_COUNT])
{
    const Plan *plan = exec->plan;
    for (uint32_t i = 0; i < phase->step_count; i++) {
        const PlanStep *step = &plan->steps[phase->first_step + i];
        uint32_t end = step->first_operand + step->result_count + step->operand_count;
        for (uint32_t j = step->first_operand; j < end; j++)
            memory_bind_shape(plan, &plan->operands[j], symbols, &exec->operands[j]);
    }
}

Exec *exec_open(const Plan *plan, const ExecOptions *options, Diag *diag)
{
    RunMemory memory;
    if (!memory_of_run(plan, options, &memory, diag))
        return NULL;
    Exec *exec = calloc(1, sizeof *exec);
    if (!exec) {
        diag_fail(diag, (Where){.file = plan->path}, "out of memory");
        return NULL;
    }
    exec->plan = plan;
    exec->memory = memory;
    bool good = (exec->pool = pool_open(memory.options.threads, diag)) != NULL &&
                make_tables(exec, diag) && make_arenas(exec, diag) && make_weights(exec, diag);
    if (!good) {
        exec_close(exec);
        return NULL;
    }
    bind_addresses(exec);
    for (uint32_t i = 0; i < plan->phase_count; i++)
        exec->runs[i] =
            (ExecRun){.phase = &plan->phases[i], .steps = &exec->bound[plan->phases[i].first_step]};
    return exec;
}

void exec_close(Exec *exec)
{
    if (!exec)
        return;
    pool_close(exec->pool);
    unmap_memory(&exec->made);
    unmap_memory(&exec->kv);
    unmap_memory(&exec->act);
    unmap_memory(&exec->scratch);
    unmap_memory(&exec->io);
    free(exec->outputs);
    free(exec->constants);
    free(exec->operands);
    free(exec->rows);
    free(exec->calls);
    free(exec->bound);
    free(exec->runs);
    free(exec->spans);
    free(exec);
}

const ExecOptions *exec_options(const Exec *exec)
{
    return &exec->memory.options;
}

int32_t exec_pages_per_sequence(const Exec *exec)
{
    return exec->memory.pages_per_sequence;
}

int32_t *exec_input(Exec *exec, StepInput input)
{
    return (int32_t *)(void *)exec->io_buffers[input];
}

const float *exec_output(const Exec *exec, int32_t index)
{
    return (const float *)(const void *)exec->outputs[index];
}

int32_t exec_find_output(const Exec *exec, const char *name)
{
    for (uint32_t i = 0; i < exec->plan->output_count; i++)
        if (strcmp(plan_string(exec->plan, exec->plan->outputs[i].name), name) == 0)
            return (int32_t)i;
    return -1;
}

ExecMemory exec_memory(const Exec *exec)
{
    return (ExecMemory){
        .weights = exec->memory.weights,
        .kv = exec->memory.kv,
        .act = (int64_t)exec->act.length,
        .scratch = (int64_t)exec->scratch.length,
        .io = (int64_t)exec->io.length,
    };
}

const void *exec_weights(const Exec *exec)
{
    return exec->weights;
}

const ExecRun *exec_last_run(const Exec *exec)
{
    return exec->current;
}

const ExecSpan *exec_spans(const Exec *exec, int32_t thread)
{
    return &exec->spans[(int64_t)thread * exec->plan->step_count];
}

static void bind_run(Exec *exec, ExecRun *run, int64_t t, int64_t r, int64_t b)
{
    const int64_t symbols[SYMBOL_COUNT] = {t, r, b, exec->memory.pages_per_sequence};
    const PlanPhase *phase = run->phase;
    ExecStep *steps = &exec->bound[phase->first_step];
    bind_shapes(exec, phase, symbols);
    bool barrier = false;
    run->step_count = 0;
    for (uint32_t i = phase->first_step; i < phase->first_step + phase->step_count; i++) {
        const KernelRow *row = exec->rows[i];
        barrier |= exec->plan->steps[i].barrier_before;
        int64_t tiles = row->tiles(&exec->calls[i]);
        if (tiles == 0)
            continue;
        bool first = run->step_count == 0;
        steps[run->step_count++] = (ExecStep){row, &exec->calls[i], tiles, barrier && !first, i};
        barrier = false;
    }
    run->t = t;
    run->r = r;
    run->b = b;
}

static int64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

// The first tile of a thread's share; single tiles fall to thread 0, which is awake already.
static int64_t share(int64_t tiles, int32_t thread, int32_t threads)
{
    return (tiles * thread + threads - 1) / threads;
}

static void run_step(const Exec *exec, const ExecStep *step, int32_t thread, int32_t threads)
{
    int64_t first = share(step->tiles, thread, threads);
    int64_t last = share(step->tiles, thread + 1, threads);
    if (first < last)
        step->row->run(step->call, exec->scratch.bytes + thread * exec->memory.thread_scratch,
                       first, last);
}

static void run_steps(void *context, int32_t thread, int32_t threads)
{
    const Exec *exec = context;
    const ExecRun *run = exec->current;
    for (uint32_t i = 0; i < run->step_count; i++) {
        if (run->steps[i].barrier)
            pool_barrier(exec->pool);
        run_step(exec, &run->steps[i], thread, threads);
    }
}

static void run_steps_watched(void *context, int32_t thread, int32_t threads)
{
    const Exec *exec = context;
    const ExecRun *run = exec->current;
    ExecSpan *spans = &exec->spans[(int64_t)thread * exec->plan->step_count];
    for (uint32_t i = 0; i < run->step_count; i++) {
        spans[i].came = now_ns();
        if (run->steps[i].barrier)
            pool_barrier(exec->pool);
        spans[i].began = run->steps[i].barrier ? now_ns() : spans[i].came;
        run_step(exec, &run->steps[i], thread, threads);
        spans[i].done = now_ns();
    }
}

static void run_watched(Exec *exec)
{
    exec->current->begin = now_ns();
    pool_run(exec->pool, run_steps_watched, exec);
    exec->current->end = now_ns();
    exec->memory.options.watch(exec->memory.options.watch_context, exec);
}

void exec_run(Exec *exec, int64_t t, int64_t r, int64_t b)
{
    const Plan *plan = exec->plan;
    assert(t >= 1 && t <= plan->info.batch);
    assert(r >= 0 && r <= t && r <= exec->memory.options.rows_max);
    assert(b >= 1 && b <= t && b <= exec->memory.options.sequences);
    ExecRun *run = exec->runs;
    while (run->phase->bound_t < t)
        run++;
    if (run->t != t || run->r != r || run->b != b)
        bind_run(exec, run, t, r, b);
    exec->current = run;
    if (exec->spans)
        run_watched(exec);
    else
        pool_run(exec->pool, run_steps, exec);
}
