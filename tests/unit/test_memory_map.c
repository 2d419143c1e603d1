// --mem, --dry-run and --diff: what they say is what a plan's steps say and what an Exec maps.
#include <check.h>

#include "runtime/memory.h"
#include "tests/unit/run_suite.h"
#include "tests/unit/small_plan.h"
#include "tools/compiler/compile.h"
#include "tools/compiler/memory_map.h"
#include "tools/compiler/plan_diff.h"

// The small llama of the repository, compiled at a level. Close what `compile` holds.
static Plan *compile_tiny(Compile *compile, Options *options, int64_t level)
{
    Diag diag = {0};
    char *words[] = {"graphc", "--script", "examples/models/llama.lua",
                     "-b",     "64",       "examples/tiny/tiny.gguf"};
    PipelineOptions pipeline = {.stop_after = PASS_COUNT};
    ck_assert_msg(options_parse(PROGRAM_GRAPHC, 6, words, options, &diag), "%s", diag.message);
    options->opt = level;
    ck_assert_msg(compile_open(compile, options, &diag), "%s", diag.message);
    ck_assert_msg(compile_module(compile, &pipeline, &diag), "%s", diag.message);
    Plan *plan = compile_plan(compile, &diag);
    ck_assert_msg(plan != NULL, "%s", diag.message);
    return plan;
}

// Arenas seen as units of 64 bytes: which hold something that is still read, in which epoch. Knows
// nothing of values and blocks.
typedef struct Units {
    int64_t count;
    int32_t epochs;
    uint8_t *alive;   // [unit][epoch]
    int32_t *written; // epoch of the last write, by unit
    int64_t peak;     // in units
} Units;

static void touch(Units *units, const PlanOperand *operand, int32_t epoch, bool write)
{
    int64_t first = operand->offset / 64, end = (operand->offset + operand->bytes + 63) / 64;
    if (!region_in_arena((Region)operand->region))
        return;
    ck_assert_int_le(end, units->count);
    for (int64_t unit = first; unit < end; unit++) {
        if (write)
            units->written[unit] = epoch;
        for (int32_t i = units->written[unit]; i <= epoch; i++)
            units->alive[unit * units->epochs + i] = 1;
    }
    if (write && end > units->peak)
        units->peak = end;
}

static int64_t most_alive(const Units *units)
{
    int64_t most = 0;
    for (int32_t epoch = 0; epoch < units->epochs; epoch++) {
        int64_t alive = 0;
        for (int64_t unit = 0; unit < units->count; unit++)
            alive += units->alive[unit * units->epochs + epoch];
        most = alive > most ? alive : most;
    }
    return most;
}

static void check_phase(const Plan *plan, uint32_t index)
{
    const PlanPhase *phase = &plan->phases[index];
    Units units = {.count = phase->act_bytes / 64, .epochs = (int32_t)phase->step_count};
    units.alive = calloc((size_t)(units.count * units.epochs), 1);
    units.written = calloc((size_t)units.count, sizeof *units.written);
    int32_t epoch = 0;
    for (uint32_t i = 0; i < phase->step_count; i++) {
        const PlanStep *step = &plan->steps[phase->first_step + i];
        const PlanOperand *operands = &plan->operands[step->first_operand];
        epoch += i && step->barrier_before;
        for (int j = step->result_count; j < step->result_count + step->operand_count; j++)
            touch(&units, &operands[j], epoch, false);
        for (int j = 0; j < step->result_count; j++)
            touch(&units, &operands[j], epoch, true);
    }
    Arena arena = {0};
    Diag diag = {0};
    PhaseLifetimes lifetimes;
    ck_assert_msg(lifetimes_of_phase(plan, index, &lifetimes, &arena, &diag), "%s", diag.message);
    ck_assert_int_eq(lifetimes.peak, units.peak * 64);
    ck_assert_int_eq(lifetimes.bound, most_alive(&units) * 64);
    ck_assert_int_eq(lifetimes.peak, phase->act_bytes);
    ck_assert_int_eq(lifetimes.bound, phase->act_lower_bound);
    ck_assert_int_eq(lifetimes.epochs, epoch + 1);
    arena_free(&arena);
    free(units.alive);
    free(units.written);
}

START_TEST(test_lifetimes_give_the_peak_and_the_bound_of_memplan)
{
    Compile compile;
    Options options;
    const Plan *plan = compile_tiny(&compile, &options, _i);
    ck_assert_int_eq(plan->phase_count, 2);
    for (uint32_t i = 0; i < plan->phase_count; i++)
        check_phase(plan, i);
    compile_close(&compile);
}
END_TEST

START_TEST(test_a_read_of_bytes_that_nobody_wrote_is_refused)
{
    SmallPlan *small = small_new(false);
    Arena arena = {0};
    Diag diag = {0};
    PhaseLifetimes lifetimes;
    PlanStep *norm = &small->steps[1];
    small->operands[norm->first_operand + norm->result_count].offset += 1 << 20;
    ck_assert(!lifetimes_of_phase(&small->plan, 0, &lifetimes, &arena, &diag));
    ck_assert_ptr_nonnull(strstr(diag.message, "step 1 reads bytes"));
    arena_free(&arena);
    ck_assert(small_free(small));
}
END_TEST

START_TEST(test_a_run_maps_what_was_predicted)
{
    SmallPlan *small = small_new(false);
    Diag diag = {0};
    ExecOptions options = {.threads = 3, .context = 65, .sequences = 2, .rows_max = 5};
    RunMemory memory;
    ck_assert_msg(memory_of_run(&small->plan, &options, &memory, &diag), "%s", diag.message);
    Exec *exec = exec_open(&small->plan, &options, &diag);
    ck_assert_msg(exec != NULL, "%s", diag.message);
    ExecMemory mapped = exec_memory(exec);
    ck_assert_int_eq(memory.kv, 2 * 3 * small->plan.info.page_bytes);
    ck_assert_int_eq(mapped.kv, memory.kv);
    ck_assert_int_eq(mapped.weights, memory.weights);
    ck_assert_int_eq(mapped.act, memory_mapped_bytes(memory.act));
    ck_assert_int_eq(mapped.scratch, memory_mapped_bytes(memory.scratch));
    ck_assert_int_eq(mapped.io, memory_mapped_bytes(memory.io));
    ck_assert_int_eq(memory.scratch, 3 * memory.thread_scratch);
    ck_assert_int_eq(memory.total, memory_mapped_bytes(memory.weights) +
                                       memory_mapped_bytes(memory.kv) + mapped.act +
                                       mapped.scratch + mapped.io);
    exec_close(exec);
    ck_assert(small_free(small));
}
END_TEST

START_TEST(test_options_that_are_zero_are_those_of_an_exec)
{
    SmallPlan *small = small_new(false);
    Diag diag = {0};
    RunMemory memory;
    ck_assert(memory_of_run(&small->plan, &(ExecOptions){0}, &memory, &diag));
    Exec *exec = exec_open(&small->plan, &(ExecOptions){0}, &diag);
    ck_assert_int_eq(exec_options(exec)->threads, memory.options.threads);
    ck_assert_int_eq(exec_options(exec)->context, SMALL_CONTEXT);
    ck_assert_int_eq(memory.options.context, SMALL_CONTEXT);
    ck_assert_int_eq(exec_pages_per_sequence(exec), memory.pages_per_sequence);
    exec_close(exec);
    ck_assert(small_free(small));
}
END_TEST

START_TEST(test_equal_plans_do_not_differ)
{
    SmallPlan *a = small_new(false), *b = small_new(false);
    Diag diag = {0};
    Text text = {0};
    ck_assert(plan_diff(&a->plan, &b->plan, &text, &diag));
    ck_assert_msg(text.length == 0, "%s", text.bytes);
    ck_assert(small_free(a));
    ck_assert(small_free(b));
}
END_TEST

static void drop_step(SmallPlan *small, uint32_t index)
{
    for (uint32_t i = index; i + 1 < small->plan.step_count; i++)
        small->steps[i] = small->steps[i + 1];
    small->plan.step_count--;
    small->phases[0].step_count--;
    small->phases[1].first_step--;
}

START_TEST(test_each_difference_is_one_line)
{
    SmallPlan *a = small_new(false), *b = small_new(false);
    Diag diag = {0};
    Text text = {0};
    b->plan.info.opt = 2;
    b->plan.info.page_bytes += 64;
    b->weights[3].layout = LAYOUT_plain;
    b->states[1].offset += 64;
    b->steps[8].kernel = small_string(b, "add.f32.avx2");
    b->phases[1].act_bytes += 64;
    drop_step(b, 2);
    ck_assert(plan_diff(&a->plan, &b->plan, &text, &diag));
    ck_assert_str_eq(text.bytes,
                     "options: opt 0 -> 2\n"
                     "memory: bytes a page 2048 -> 2112\n"
                     "weight %o: layout n16k4 -> plain\n"
                     "state %values: offset 1024 -> 1088\n"
                     "phase @decode: steps 15 -> 14\n"
                     "phase @decode: - step 2: gather_rows !gather_rows.f32.ref small.lua:1\n"
                     "phase @decode: step 8 -> 7: add; kernel add.f32.ref -> add.f32.avx2\n"
                     "phase @prefill: act bytes 20032 -> 20096\n");
    text_free(&text);
    ck_assert(small_free(a));
    ck_assert(small_free(b));
}
END_TEST

START_TEST(test_a_difference_back_is_the_same_with_its_sides_changed)
{
    SmallPlan *a = small_new(false), *b = small_new(false);
    Diag diag = {0};
    Text text = {0};
    drop_step(a, 2);
    ck_assert(plan_diff(&a->plan, &b->plan, &text, &diag));
    ck_assert_str_eq(text.bytes,
                     "phase @decode: steps 14 -> 15\n"
                     "phase @decode: + step 2: gather_rows !gather_rows.f32.ref small.lua:1\n");
    text_free(&text);
    ck_assert(small_free(a));
    ck_assert(small_free(b));
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("all");
    tcase_add_loop_test(tests, test_lifetimes_give_the_peak_and_the_bound_of_memplan, 0, 3);
    tcase_add_test(tests, test_a_read_of_bytes_that_nobody_wrote_is_refused);
    tcase_add_test(tests, test_a_run_maps_what_was_predicted);
    tcase_add_test(tests, test_options_that_are_zero_are_those_of_an_exec);
    tcase_add_test(tests, test_equal_plans_do_not_differ);
    tcase_add_test(tests, test_each_difference_is_one_line);
    tcase_add_test(tests, test_a_difference_back_is_the_same_with_its_sides_changed);
    return run_cases("memory map", tests);
}
