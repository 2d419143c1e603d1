// Binding and running.
//
// At open every operand gets its address and every step its kernel, for each thread: a value in
// region own lies in the thread's copy of the arena (the first thread's is the arena itself). When
// t, r or b differ from the last run of a phase, every thread gives the phase's operands their rows
// and its steps their tiles; steps without tiles drop out then, and their barriers pass to the next
// step that has some. What is left is a list for each thread: barrier, own tiles, next.
//
// A thread's share of n tiles depends on n alone, so steps with equal tiles keep work on its
// thread; the schedule relies on that where it leaves out barriers. A step whose results lie in own
// is run whole by every thread.
//
// Steps of rows always end at a barrier. Of long ones the last quarter is not shared out: whoever
// is done with the own share takes a chunk of it, and the next, so that a thread that was held up
// holds up the others by a chunk at most.
#include "runtime/exec.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "kernels/kernel.h"
#include "kernels/work.h"
#include "runtime/memory.h"
#include "runtime/pool.h"
#include "runtime/weights.h"

enum { ALIGNMENT = 64, HUGE_BYTES = 2 << 20 };
// One part in so many of a long step is its tail, which has so many chunks a thread.
enum { TAIL_PART = 4, TAIL_CHUNKS = 4 };
// Below, a step is so short that taking chunks costs more than waiting.
static const double TAIL_OPERATIONS = 2e6;

typedef struct ConstantSlot {
    _Alignas(ALIGNMENT) float value;
} ConstantSlot;

// How many chunks of a step's tail were asked for, over all runs.
typedef struct Claims {
    _Alignas(ALIGNMENT) atomic_uint count;
} Claims;

// What one thread needs to walk the plan. Nothing of it is written by another.
typedef struct Worker {
    char *own; // its copy of the arena
    void *scratch;
    KernelOperand *operands; // one for each of the plan's
    KernelCall *calls;       // and for each step
    ExecStep *bound;
    uint32_t *claimed; // by step: the count of its claims when the next run begins
    ExecRun *runs;     // the last of each phase; t is 0 before the first
    ExecSpan *spans;   // of the last run; NULL when nobody watches
} Worker;

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
    const KernelRow **rows; // one for each step
    Claims *claims;         // and for each step
    Worker *workers;        // one for each thread
    uint32_t phase;         // of the last run
    int64_t t, r, b;
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
    return map_memory(&exec->act, memory->act + memory->own, "activations", diag) &&
           map_memory(&exec->kv, memory->kv, "keys and values: lower -c", diag) &&
           map_memory(&exec->scratch, memory->scratch, "scratch of the threads", diag) &&
           make_io(exec, diag);
}

static bool make_worker(const Plan *plan, bool watched, Worker *worker)
{
    size_t steps = (size_t)plan->step_count + 1, operands = (size_t)plan->operand_count + 1;
    worker->operands = calloc(operands, sizeof *worker->operands);
    worker->calls = calloc(steps, sizeof *worker->calls);
    worker->bound = calloc(steps, sizeof *worker->bound);
    worker->claimed = calloc(steps, sizeof *worker->claimed);
    worker->runs = calloc(plan->phase_count, sizeof *worker->runs);
    worker->spans = watched ? calloc(steps, sizeof *worker->spans) : NULL;
    return worker->operands && worker->calls && worker->bound && worker->claimed && worker->runs &&
           (worker->spans || !watched);
}

static bool make_tables(Exec *exec, Diag *diag)
{
    const Plan *plan = exec->plan;
    const ExecOptions *options = &exec->memory.options;
    size_t steps = (size_t)plan->step_count + 1, operands = (size_t)plan->operand_count + 1;
    exec->outputs = calloc((size_t)plan->output_count + 1, sizeof *exec->outputs);
    exec->constants = aligned_alloc(ALIGNMENT, operands * sizeof *exec->constants);
    exec->rows = calloc(steps, sizeof *exec->rows);
    exec->claims = aligned_alloc(ALIGNMENT, steps * sizeof *exec->claims);
    exec->workers = calloc((size_t)options->threads, sizeof *exec->workers);
    bool good = exec->outputs && exec->constants && exec->rows && exec->claims && exec->workers;
    for (size_t i = 0; i < steps && good; i++)
        atomic_init(&exec->claims[i].count, 0);
    for (int32_t i = 0; i < options->threads && good; i++)
        good = make_worker(plan, options->watch, &exec->workers[i]);
    return good || diag_fail(diag, (Where){0}, "out of memory for the steps of the plan");
}

static void *operand_address(const Exec *exec, const Worker *worker, uint32_t index)
{
    const PlanOperand *operand = &exec->plan->operands[index];
    switch ((Region)operand->region) {
    case REGION_W: return (void *)(uintptr_t)(exec->weights + operand->offset);
    case REGION_KV: return exec->kv.bytes + operand->offset;
    case REGION_ACT: return exec->act.bytes + operand->offset;
    case REGION_OWN: return worker->own + operand->offset;
    case REGION_IO:
        return operand->offset < INPUT_COUNT ? exec->io_buffers[operand->offset]
                                             : exec->outputs[operand->offset - INPUT_COUNT];
    default: return &exec->constants[index].value;
    }
}

static void bind_worker(const Exec *exec, Worker *worker)
{
    const Plan *plan = exec->plan;
    for (uint32_t i = 0; i < plan->operand_count; i++) {
        KernelOperand *operand = &worker->operands[i];
        operand->data = operand_address(exec, worker, i);
        operand->dtype = (DType)plan->operands[i].dtype;
        operand->layout = (Layout)plan->operands[i].layout;
        assert((uintptr_t)operand->data % ALIGNMENT == 0);
    }
    for (uint32_t i = 0; i < plan->step_count; i++) {
        const PlanStep *step = &plan->steps[i];
        memory_bind_call(plan, step, exec->memory.pages_per_sequence,
                         &worker->operands[step->first_operand], &worker->calls[i]);
        worker->calls[i].shared =
            exec->scratch.bytes + exec->memory.thread_scratch * exec->memory.options.threads;
    }
    for (uint32_t i = 0; i < plan->phase_count; i++)
        worker->runs[i] = (ExecRun){.phase = &plan->phases[i],
                                    .steps = &worker->bound[plan->phases[i].first_step]};
}

static void bind_addresses(Exec *exec)
{
    const Plan *plan = exec->plan;
    const RunMemory *memory = &exec->memory;
    for (uint32_t i = 0; i < plan->operand_count; i++)
        exec->constants[i].value = plan->operands[i].constant;
    for (uint32_t i = 0; i < plan->step_count; i++)
        exec->rows[i] = kernel_from_name(plan_string(plan, plan->steps[i].kernel));
    for (int32_t i = 0; i < memory->options.threads; i++) {
        Worker *worker = &exec->workers[i];
        worker->own = exec->act.bytes;
        if (i > 0)
            worker->own +=
                round_up((size_t)memory->act, ALIGNMENT) + (size_t)(memory->thread_own * (i - 1));
        worker->scratch = exec->scratch.bytes + i * memory->thread_scratch;
        bind_worker(exec, worker);
    }
}

// Rows and columns of a phase's operands for the symbols of the run.
static void bind_shapes(const Exec *exec, Worker *worker, const PlanPhase *phase)
{
    const int64_t symbols[SYMBOL_COUNT] = {exec->t, exec->r, exec->b,
                                           exec->memory.pages_per_sequence};
    const Plan *plan = exec->plan;
    for (uint32_t i = 0; i < phase->step_count; i++) {
        const PlanStep *step = &plan->steps[phase->first_step + i];
        uint32_t end = step->first_operand + step->result_count + step->operand_count;
        for (uint32_t j = step->first_operand; j < end; j++)
            memory_bind_shape(plan, &plan->operands[j], symbols, &worker->operands[j]);
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
    for (int32_t i = 0; i < exec->memory.options.threads && exec->workers; i++) {
        Worker *worker = &exec->workers[i];
        free(worker->operands);
        free(worker->calls);
        free(worker->bound);
        free(worker->claimed);
        free(worker->runs);
        free(worker->spans);
    }
    free(exec->workers);
    free(exec->outputs);
    free(exec->constants);
    free(exec->rows);
    free(exec->claims);
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
    return &exec->workers[0].runs[exec->phase];
}

const ExecSpan *exec_spans(const Exec *exec, int32_t thread)
{
    return exec->workers[thread].spans;
}

// The first tile of a thread's share; single tiles fall to thread 0, which is awake already.
static int64_t share(int64_t tiles, int32_t thread, int32_t threads)
{
    return (tiles * thread + threads - 1) / threads;
}

static bool has_tail(const Exec *exec, const KernelRow *row, const KernelCall *call)
{
    return exec->memory.options.threads > 1 && work_divides(row, call) &&
           work_of_call(row, call, (WorkDepth){0}).operations >= TAIL_OPERATIONS;
}

// Whether a quarter of the threads' time or more would be idle for want of tiles.
static bool leaves_idle(int64_t tiles, int32_t threads)
{
    return (tiles + threads - 1) / threads * threads * 3 >= tiles * 4;
}

// Gives the step parts in place of tiles, if that pays and the kernel can.
static void bind_parts(const Exec *exec, int32_t thread, ExecStep *step)
{
    const KernelParts *parts = step->row->parts;
    int32_t threads = exec->memory.options.threads;
    if (!parts || !leaves_idle(step->tiles, threads))
        return;
    int64_t tiles = parts->tiles(step->call);
    if (tiles == 0)
        return;
    step->parts = parts;
    step->first = share(tiles, thread, threads);
    step->last = share(tiles, thread + 1, threads);
}

// The step of a thread, with all of its tiles if the thread keeps the results to itself.
static ExecStep bind_step(const Exec *exec, uint32_t index, int32_t thread, int64_t tiles)
{
    const PlanStep *step = &exec->plan->steps[index];
    const KernelRow *row = exec->rows[index];
    const KernelCall *call = &exec->workers[thread].calls[index];
    int32_t threads = exec->memory.options.threads;
    bool own = step->result_count && exec->plan->operands[step->first_operand].region == REGION_OWN;
    int64_t tail = !own && has_tail(exec, row, call) ? tiles - tiles / TAIL_PART : tiles;
    int64_t chunk = (tiles - tail) / (TAIL_CHUNKS * threads);
    ExecStep bound = {.row = row,
                      .call = call,
                      .first = own ? 0 : share(tail, thread, threads),
                      .last = own ? tiles : share(tail, thread + 1, threads),
                      .tail = tail,
                      .tiles = tiles,
                      .chunk = chunk > 1 ? chunk : 1,
                      .step = index};
    if (!own)
        bind_parts(exec, thread, &bound);
    return bound;
}

static void bind_run(const Exec *exec, int32_t thread)
{
    Worker *worker = &exec->workers[thread];
    ExecRun *run = &worker->runs[exec->phase];
    const PlanPhase *phase = run->phase;
    ExecStep *steps = &worker->bound[phase->first_step];
    bind_shapes(exec, worker, phase);
    bool barrier = false;
    run->step_count = 0;
    for (uint32_t i = phase->first_step; i < phase->first_step + phase->step_count; i++) {
        barrier |= exec->plan->steps[i].barrier_before;
        int64_t tiles = exec->rows[i]->tiles(&worker->calls[i]);
        if (tiles == 0)
            continue;
        ExecStep *step = &steps[run->step_count];
        *step = bind_step(exec, i, thread, tiles);
        step->barrier = (barrier || step->parts) && run->step_count > 0;
        run->step_count++;
        barrier = false;
    }
    run->t = exec->t;
    run->r = exec->r;
    run->b = exec->b;
}

static int64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

// Takes chunks of a step's tail until none is left. Every thread asks once in vain, so all know
// where the count stands when the next run begins.
static void run_tail(const Exec *exec, const Worker *worker, const ExecStep *step)
{
    uint32_t chunks = (uint32_t)((step->tiles - step->tail + step->chunk - 1) / step->chunk);
    uint32_t *claimed = &worker->claimed[step->step], chunk;
    atomic_uint *count = &exec->claims[step->step].count;
    while ((chunk = atomic_fetch_add_explicit(count, 1, memory_order_relaxed) - *claimed) <
           chunks) {
        int64_t first = step->tail + chunk * step->chunk, rest = step->tiles - first;
        step->row->run(step->call, worker->scratch, first,
                       first + (rest < step->chunk ? rest : step->chunk));
    }
    *claimed += chunks + (uint32_t)exec->memory.options.threads;
}

// The thread's parts of a step, then its share of what is made of all parts.
static void run_parts(const Exec *exec, int32_t thread, const ExecStep *step, ExecSpan *span)
{
    int32_t threads = exec->memory.options.threads;
    void *scratch = exec->workers[thread].scratch;
    int64_t first = share(step->tiles, thread, threads);
    int64_t last = share(step->tiles, thread + 1, threads);
    if (step->first < step->last)
        step->parts->run(step->call, scratch, step->first, step->last);
    int64_t came = span ? now_ns() : 0;
    pool_barrier(exec->pool, thread);
    if (span)
        span->waited = now_ns() - came;
    if (first < last)
        step->parts->merge(step->call, scratch, first, last);
}

static void run_steps(void *context, int32_t thread, int32_t threads)
{
    const Exec *exec = context;
    const Worker *worker = &exec->workers[thread];
    const ExecRun *run = &worker->runs[exec->phase];
    assert(threads == exec->memory.options.threads);
    if (run->t != exec->t || run->r != exec->r || run->b != exec->b)
        bind_run(exec, thread);
    for (uint32_t i = 0; i < run->step_count; i++) {
        const ExecStep *step = &run->steps[i];
        if (worker->spans)
            worker->spans[i] = (ExecSpan){.came = now_ns()};
        if (step->barrier)
            pool_barrier(exec->pool, thread);
        if (worker->spans)
            worker->spans[i].began = step->barrier ? now_ns() : worker->spans[i].came;
        if (step->parts)
            run_parts(exec, thread, step, worker->spans ? &worker->spans[i] : NULL);
        else if (step->first < step->last)
            step->row->run(step->call, worker->scratch, step->first, step->last);
        if (step->tail < step->tiles)
            run_tail(exec, worker, step);
        if (worker->spans)
            worker->spans[i].done = now_ns();
    }
}

void exec_run(Exec *exec, int64_t t, int64_t r, int64_t b)
{
    const Plan *plan = exec->plan;
    const ExecOptions *options = &exec->memory.options;
    assert(t >= 1 && t <= plan->info.batch);
    assert(r >= 0 && r <= t && r <= options->rows_max);
    assert(b >= 1 && b <= t && b <= options->sequences);
    exec->phase = 0;
    while (plan->phases[exec->phase].bound_t < t)
        exec->phase++;
    exec->t = t;
    exec->r = r;
    exec->b = b;
    int64_t begin = options->watch ? now_ns() : 0;
    pool_run(exec->pool, run_steps, exec);
    if (!options->watch)
        return;
    ExecRun *run = &exec->workers[0].runs[exec->phase];
    run->begin = begin;
    run->end = now_ns();
    options->watch(options->watch_context, exec);
}
