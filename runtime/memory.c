// What a run takes is decided by the plan, the context, the sequences, the threads and the rows of
// results; nothing is measured. Kernels tell their scratch for the shapes they will see, so the
// steps are bound here without memory, in the very way in which exec.c binds them.
//
// Not counted: the program and its libraries, the stacks of threads, the tables of an Exec and of a
// tokenizer, which are small beside any model.
#include "runtime/memory.h"

#include <assert.h>
#include <stdio.h>

#include "runtime/pool.h"

enum { IO_ALIGNMENT = 64, HUGE_BYTES = 2 << 20, THREAD_ALIGNMENT = 4096 };

static int64_t round_up(int64_t value, int64_t multiple)
{
    return (value + multiple - 1) / multiple * multiple;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

// A region of zero bytes is given an address too.
int64_t memory_mapped_bytes(int64_t bytes)
{
    return round_up(bytes + 1, HUGE_BYTES);
}

static void settle_zeros(const PlanInfo *info, ExecOptions *options)
{
    if (options->threads == 0)
        options->threads = pool_default_threads();
    if (options->context == 0)
        options->context = info->context_length;
    if (options->sequences == 0)
        options->sequences = 1;
    if (options->rows_max == 0)
        options->rows_max = options->sequences;
    options->rows_max = least(options->rows_max, info->batch);
}

static bool settle_options(const Plan *plan, RunMemory *memory, Diag *diag)
{
    const PlanInfo *info = &plan->info;
    ExecOptions *options = &memory->options;
    settle_zeros(info, options);
    if (options->context < 1 || options->context > INT32_MAX - info->page_tokens ||
        options->sequences < 1 || options->rows_max < 1)
        return diag_fail(diag, (Where){0}, "a context of %lld tokens for %d sequences cannot be",
                         (long long)options->context, options->sequences);
    if (info->positions && options->context > info->positions)
        return diag_fail(diag, (Where){0},
                         "the model has learned %d positions, a context of %lld tokens cannot be",
                         info->positions, (long long)options->context);
    int64_t pages = (options->context + info->page_tokens - 1) / info->page_tokens;
    memory->pages_per_sequence = (int32_t)pages;
    if (pages * options->sequences > INT32_MAX ||
        __builtin_mul_overflow(pages * options->sequences, info->page_bytes, &memory->kv) ||
        memory->kv > (int64_t)1 << 46)
        return diag_fail(
            diag, (Where){0},
            "a context of %lld tokens for %d sequences needs too much memory: lower -c",
            (long long)options->context, options->sequences);
    return true;
}

// The largest value of each symbol in a phase.
static void largest_symbols(const RunMemory *memory, const PlanPhase *phase,
                            int64_t symbols[SYMBOL_COUNT])
{
    symbols[SYMBOL_T] = phase->bound_t;
    symbols[SYMBOL_R] = least(memory->options.rows_max, phase->bound_t);
    symbols[SYMBOL_B] = least(memory->options.sequences, phase->bound_t);
    symbols[SYMBOL_P] = memory->pages_per_sequence;
}

int64_t memory_io_bytes(const Plan *plan, const RunMemory *memory, const Shape *shape)
{
    int64_t symbols[SYMBOL_COUNT];
    largest_symbols(memory, &plan->phases[plan->phase_count - 1], symbols);
    int64_t bytes = shape_rows(shape, symbols) * shape_columns(shape, symbols) * 4;
    return round_up(bytes, IO_ALIGNMENT);
}

static int64_t all_io_bytes(const Plan *plan, const RunMemory *memory)
{
    int64_t bytes = 0;
    for (int input = 0; input < INPUT_COUNT; input++) {
        Shape shape = step_input_shape((StepInput)input);
        bytes += memory_io_bytes(plan, memory, &shape);
    }
    for (uint32_t i = 0; i < plan->output_count; i++)
        bytes += memory_io_bytes(plan, memory, &plan->outputs[i].shape);
    return bytes;
}

void memory_bind_call(const Plan *plan, const PlanStep *step, int32_t pages_per_sequence,
                      const KernelOperand *operands, KernelCall *call)
{
    *call = (KernelCall){.results = operands,
                         .operands = operands + step->result_count,
                         .result_count = step->result_count,
                         .operand_count = step->operand_count,
                         .attributes = &step->attributes,
                         .pages = {.page_bytes = plan->info.page_bytes,
                                   .page_tokens = plan->info.page_tokens,
                                   .pages_per_sequence = pages_per_sequence}};
    const PlanOperand *own = &plan->operands[step->first_operand];
    for (int j = step->result_count; j < step->result_count + step->operand_count; j++)
        if (own[j].region == REGION_KV)
            call->pages.kv_heads = (int32_t)own[j].shape.dims[1].constant;
}

void memory_bind_shape(const Plan *plan, const PlanOperand *operand,
                       const int64_t symbols[SYMBOL_COUNT], KernelOperand *bound)
{
    const Shape *shape = &operand->shape;
    bound->rows = shape_rows(shape, symbols);
    bound->columns = shape_columns(shape, symbols);
    if (operand->region == REGION_KV) {
        bound->rows = plan->info.page_tokens;
        bound->columns = shape->dims[1].constant * shape->dims[2].constant;
    }
}

// What a step needs at its largest shapes in this binding, if it is more than what is planned.
static void size_step_scratch(const Plan *plan, const PlanStep *step,
                              const int64_t symbols[SYMBOL_COUNT], RunMemory *memory)
{
    const KernelRow *row = kernel_from_name(plan_string(plan, step->kernel));
    KernelOperand operands[RESULTS_MAX + OPERANDS_MAX] = {0};
    KernelCall call;
    int32_t count = step->result_count + step->operand_count;
    assert(count <= RESULTS_MAX + OPERANDS_MAX);
    memory_bind_call(plan, step, memory->pages_per_sequence, operands, &call);
    for (int32_t i = 0; i < count; i++) {
        const PlanOperand *operand = &plan->operands[step->first_operand + (uint32_t)i];
        operands[i].dtype = (DType)operand->dtype;
        operands[i].layout = (Layout)operand->layout;
        memory_bind_shape(plan, operand, symbols, &operands[i]);
    }
    int64_t own = row->scratch ? row->scratch(&call) : 0;
    int64_t shared = row->parts && memory->options.threads > 1 ? row->parts->bytes(&call) : 0;
    memory->thread_scratch = most(memory->thread_scratch, most(own, step->scratch_bytes));
    memory->shared_scratch = most(memory->shared_scratch, shared);
}

static void size_scratch(const Plan *plan, RunMemory *memory)
{
    for (uint32_t i = 0; i < plan->phase_count; i++) {
        const PlanPhase *phase = &plan->phases[i];
        int64_t symbols[SYMBOL_COUNT];
        largest_symbols(memory, phase, symbols);
        for (uint32_t j = 0; j < phase->step_count; j++)
            size_step_scratch(plan, &plan->steps[phase->first_step + j], symbols, memory);
    }
    memory->thread_scratch = round_up(memory->thread_scratch, THREAD_ALIGNMENT);
    memory->scratch = memory->thread_scratch * memory->options.threads + memory->shared_scratch;
}

static bool has_own_values(const Plan *plan, const PlanPhase *phase)
{
    for (uint32_t i = 0; i < phase->step_count; i++) {
        const PlanStep *step = &plan->steps[phase->first_step + i];
        for (int j = 0; j < step->result_count + step->operand_count; j++)
            if (plan->operands[step->first_operand + (uint32_t)j].region == REGION_OWN)
                return true;
    }
    return false;
}

static void size_arenas(const Plan *plan, RunMemory *memory)
{
    for (uint32_t i = 0; i < plan->phase_count; i++) {
        const PlanPhase *phase = &plan->phases[i];
        int64_t own = has_own_values(plan, phase) ? phase->act_bytes : 0;
        memory->act = phase->act_bytes > memory->act ? phase->act_bytes : memory->act;
        memory->thread_own = own > memory->thread_own ? own : memory->thread_own;
    }
    memory->thread_own = round_up(memory->thread_own, THREAD_ALIGNMENT);
    memory->own = memory->thread_own * (memory->options.threads - 1);
}

static int64_t mapped_plan_bytes(const Plan *plan)
{
    const PlanHeader *header = plan_header(plan);
    int64_t bytes = header ? (int64_t)sizeof *header : 0;
    for (int i = 0; header && i < SECTION_COUNT; i++)
        if (i != SECTION_DATA)
            bytes += (int64_t)header->sections[i].bytes;
    return bytes;
}

static int64_t tensor_bytes(const Plan *plan)
{
    int64_t bytes = 0;
    for (uint32_t i = 0; i < plan->tensor_count; i++)
        bytes += (int64_t)plan->tensors[i].bytes;
    return bytes;
}

static void sum_up(const Plan *plan, RunMemory *memory)
{
    const int64_t mapped[] = {memory->kv, memory->act + memory->own, memory->scratch, memory->io};
    for (size_t i = 0; i < sizeof mapped / sizeof *mapped; i++)
        memory->rounding += memory_mapped_bytes(mapped[i]) - mapped[i];
    if (!memory->weights_mapped && memory->weights > 0)
        memory->rounding += memory_mapped_bytes(memory->weights) - memory->weights;
    memory->total = memory->weights + memory->kv + memory->act + memory->own + memory->scratch +
                    memory->io + memory->plan + memory->rounding;
    memory->opening = memory->weights_mapped ? 0 : tensor_bytes(plan);
}

bool memory_of_run(const Plan *plan, const ExecOptions *options, RunMemory *memory, Diag *diag)
{
    *memory = (RunMemory){.options = *options,
                          .weights = plan->info.w_bytes,
                          .weights_mapped = plan->info.weights_in != WEIGHTS_IN_MODEL,
                          .plan = mapped_plan_bytes(plan)};
    if (plan->phase_count == 0)
        return diag_fail(diag, (Where){.file = plan->path},
                         "the plan holds a vocabulary and no model");
    if (!settle_options(plan, memory, diag))
        return false;
    size_arenas(plan, memory);
    memory->io = all_io_bytes(plan, memory);
    size_scratch(plan, memory);
    sum_up(plan, memory);
    return true;
}

static void print_line(Text *out, const char *name, int64_t bytes, const char *note)
{
    text_print(out, "%-10s %15lld  %s\n", name, (long long)bytes, note);
}

void memory_print(const RunMemory *memory, Text *out)
{
    const ExecOptions *options = &memory->options;
    char note[96];
    text_print(out, "run: context %lld, sequences %d, threads %d, rows %lld; bytes\n",
               (long long)options->context, options->sequences, options->threads,
               (long long)options->rows_max);
    print_line(out, "weights", memory->weights,
               memory->weights_mapped ? "mapped from their file" : "made when the plan is opened");
    snprintf(note, sizeof note, "%d pages a sequence", memory->pages_per_sequence);
    print_line(out, "kv", memory->kv, note);
    print_line(out, "act", memory->act, "of the largest phase");
    snprintf(note, sizeof note, "%lld a thread but the first: what each makes for itself",
             (long long)memory->thread_own);
    print_line(out, "own", memory->own, note);
    snprintf(note, sizeof note, "%lld a thread, %lld shared", (long long)memory->thread_scratch,
             (long long)memory->shared_scratch);
    print_line(out, "scratch", memory->scratch, note);
    print_line(out, "io", memory->io, "inputs and outputs");
    print_line(out, "plan", memory->plan,
               memory->plan ? "steps, vocabulary: mapped" : "not written yet: not counted");
    print_line(out, "rounding", memory->rounding, "regions end at multiples of 2 MiB");
    print_line(out, "total", memory->total, "");
    if (memory->opening)
        print_line(out, "opening", memory->opening, "more while weights are made (mapped files)");
}

void memory_print_json(const RunMemory *memory, Text *out)
{
    const ExecOptions *options = &memory->options;
    const struct {
        const char *name;
        int64_t value;
    } members[] = {{"context", options->context},
                   {"sequences", options->sequences},
                   {"threads", options->threads},
                   {"rows", options->rows_max},
                   {"pages_per_sequence", memory->pages_per_sequence},
                   {"weights", memory->weights},
                   {"kv", memory->kv},
                   {"act", memory->act},
                   {"own_per_thread", memory->thread_own},
                   {"own", memory->own},
                   {"scratch_per_thread", memory->thread_scratch},
                   {"scratch_shared", memory->shared_scratch},
                   {"scratch", memory->scratch},
                   {"io", memory->io},
                   {"plan", memory->plan},
                   {"rounding", memory->rounding},
                   {"total", memory->total},
                   {"opening", memory->opening}};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        text_print(out, "\"%s\": %lld, ", members[i].name, (long long)members[i].value);
    text_print(out, "\"weights_mapped\": %s", memory->weights_mapped ? "true" : "false");
}
