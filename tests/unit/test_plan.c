// Plans as files: what is written is read back, equal plans give equal bytes, and whatever else a
// file says is refused or harmless.
#define _GNU_SOURCE // memmem
#include <check.h>
#include <fcntl.h>
#include <math.h>

#include "runtime/plan_file.h"
#include "runtime/pool.h"
#include "runtime/session.h"
#include "runtime/weights.h"
#include "tests/unit/plan_files.h"
#include "tests/unit/run_suite.h"

START_TEST(test_written_plan_reads_back)
{
    SmallPlan *small = small_new(true);
    char path[400];
    write_plan(small, "small.plan", path);
    ck_assert(plan_is_plan(path));
    ck_assert(!plan_is_plan(small->model));
    Plan *plan = open_plan(path);
    ck_assert_str_eq(plan_string(plan, plan->info.command), "graphc model.bin -o small.plan");
    ck_assert_uint_eq(plan->step_count, small->plan.step_count);
    ck_assert_uint_eq(plan->operand_count, small->plan.operand_count);
    for (uint32_t i = 0; i < plan->step_count; i++) {
        ck_assert_str_eq(plan_string(plan, plan->steps[i].kernel),
                         plan_string(&small->plan, small->steps[i].kernel));
        ck_assert_mem_eq(&plan->steps[i].attributes, &small->steps[i].attributes,
                         sizeof(Attributes));
    }
    for (uint32_t i = 0; i < plan->operand_count; i++) {
        ck_assert(shape_equal(&plan->operands[i].shape, &small->operands[i].shape));
        ck_assert_int_eq(plan->operands[i].offset, small->operands[i].offset);
    }
    ck_assert_uint_eq((uintptr_t)plan->data % PLAN_DATA_ALIGNMENT, 0);
    Diag diag = {0};
    ck_assert(plan_check_data(plan, &diag));
    plan_close(plan);
    unlink(path);
    ck_assert(small_free(small));
}
END_TEST

// Every row of a packed weight, read back from the plan, is the row of the file.
START_TEST(test_embedded_weights_are_the_files)
{
    SmallPlan *small = small_new(true);
    char path[400];
    write_plan(small, "small.plan", path);
    Plan *plan = open_plan(path);
    float row[SMALL_WIDTH], want[SMALL_WIDTH];
    for (int64_t i = 0; i < SMALL_QKV; i++) {
        const PlanWeight *weight = &plan->weights[2];
        packed_row_to_f32((DType)weight->dtype, (Layout)weight->layout,
                          (const char *)plan->data + weight->offset, i, SMALL_WIDTH, row);
        const float *file = i < SMALL_WIDTH ? small->q + i * SMALL_WIDTH
                                            : small->kv + (i - SMALL_WIDTH) * SMALL_WIDTH;
        ck_assert_mem_eq(row, file, sizeof row);
    }
    for (int64_t i = 0; i < SMALL_VOCABULARY; i++) {
        const PlanWeight *weight = &plan->weights[0];
        packed_row_to_f32((DType)weight->dtype, (Layout)weight->layout,
                          (const char *)plan->data + weight->offset, i, SMALL_WIDTH, row);
        row_to_f32(DTYPE_f16, small->embedding + i * SMALL_WIDTH, SMALL_WIDTH, want);
        ck_assert_mem_eq(row, want, sizeof row);
    }
    row_to_f32(DTYPE_f16, small->norm, SMALL_WIDTH, want);
    ck_assert_mem_eq((const char *)plan->data + plan->weights[1].offset, want, sizeof want);
    plan_close(plan);
    unlink(path);
    ck_assert(small_free(small));
}
END_TEST

START_TEST(test_equal_plans_give_equal_bytes)
{
    SmallPlan *small = small_new(true), *other = small_new(true);
    for (uint32_t i = 0; i < other->plan.operand_count; i++)
        memset((char *)&other->operands[i].shape + sizeof(int32_t), 0xaa,
               offsetof(Shape, dims) - sizeof(int32_t));
    char path[400], other_path[400];
    write_plan(small, "small.plan", path);
    write_plan(other, "small.plan", other_path);
    Bytes a = read_file(path), b = read_file(other_path);
    ck_assert_uint_eq(a.length, b.length);
    ck_assert_mem_eq(a.bytes, b.bytes, a.length);
    free(a.bytes);
    free(b.bytes);
    unlink(path);
    unlink(other_path);
    ck_assert(small_free(small));
    ck_assert(small_free(other));
}
END_TEST

START_TEST(test_embedded_plan_names_no_folder)
{
    SmallPlan *small = small_new(true);
    char path[400];
    write_plan(small, "small.plan", path);
    Bytes file = read_file(path);
    ck_assert_ptr_null(memmem(file.bytes, file.length, small->folder, strlen(small->folder)));
    free(file.bytes);
    Plan *plan = open_plan(path);
    ck_assert_str_eq(plan_string(plan, plan->files[0].path), "model.bin");
    ck_assert_int_eq(plan->files[0].modified_ns, 0);
    plan_close(plan);
    unlink(path);
    ck_assert(small_free(small));
}
END_TEST

START_TEST(test_plan_without_data_refuses_a_changed_file)
{
    SmallPlan *small = small_new(false);
    char path[400];
    write_plan(small, "small.plan", path);
    Plan *plan = open_plan(path);
    ck_assert_ptr_null(plan->data);
    Diag diag = {0};
    Weights *weights = weights_open(plan, &diag);
    ck_assert_msg(weights != NULL, "%s", diag.message);
    weights_close(weights);
    FILE *file = fopen(small->model, "ab");
    fputc('x', file);
    fclose(file);
    ck_assert_ptr_null(weights_open(plan, &diag));
    ck_assert_ptr_nonnull(strstr(diag.message, "has changed since the plan was made"));
    plan_close(plan);
    unlink(path);
    ck_assert(small_free(small));
}
END_TEST

// Windows that cut panels anywhere make each panel once, and write nothing before their beginning.
START_TEST(test_weights_do_not_depend_on_windows)
{
    enum { WINDOW = 1000 };
    SmallPlan *small = small_new(false);
    Diag diag = {0};
    Weights *weights = weights_open(&small->plan, &diag);
    Pool *pool = pool_open(2, &diag);
    int64_t bytes = small->plan.info.w_bytes, most = weights_panel_most(weights);
    char *whole = calloc(1, (size_t)bytes), *pieces = calloc(1, (size_t)(bytes + WINDOW + most));
    char *window = malloc((size_t)(most + WINDOW + most));
    ck_assert(weights_make(weights, pool, 0, bytes, whole, &diag));
    for (int64_t begin = 0; begin < bytes; begin += WINDOW) {
        int64_t end = begin + WINDOW < bytes ? begin + WINDOW : bytes;
        memset(window, 0, (size_t)(most + WINDOW + most));
        ck_assert(weights_make(weights, pool, begin, end, window + most, &diag));
        for (int64_t i = 0; i < most; i++)
            ck_assert_int_eq(window[i], 0);
        for (int64_t i = 0; i < WINDOW + most; i++) {
            ck_assert(!pieces[begin + i] || !window[most + i]);
            pieces[begin + i] |= window[most + i];
        }
    }
    ck_assert_mem_eq(pieces, whole, (size_t)bytes);
    free(window);
    free(whole);
    free(pieces);
    pool_close(pool);
    weights_close(weights);
    ck_assert(small_free(small));
}
END_TEST

// A panel that crosses a window of plan_write (64 MiB) arrives whole. The model file has a hole
// where the rows do not matter.
START_TEST(test_panels_cross_windows)
{
    enum { ROWS = 17000, COLUMNS = 1024, FIRST = 16320, LAST = 16420 };
    SmallPlan *small = small_new(true);
    static float row[COLUMNS], got[COLUMNS];
    uint64_t offset = small->files[0].bytes, row_bytes = sizeof row;
    int file = open(small->model, O_WRONLY);
    small->files[0].bytes = offset + ROWS * row_bytes;
    small->files[0].modified_ns = 0;
    ck_assert_int_eq(ftruncate(file, (off_t)small->files[0].bytes), 0);
    for (int i = FIRST; i < LAST; i++) {
        for (int j = 0; j < COLUMNS; j++)
            row[j] = (float)(i * COLUMNS + j);
        off_t place = (off_t)(offset + (uint64_t)i * row_bytes);
        ck_assert_int_eq(pwrite(file, row, sizeof row, place), sizeof row);
    }
    close(file);
    small_tensor(small, "large", DTYPE_f32, ROWS, COLUMNS, offset);
    uint32_t recipe = small_recipe(small, (PlanRecipe){.kind = RECIPE_TENSOR,
                                                       .tensor = SMALL_TENSORS,
                                                       .rows = ROWS,
                                                       .columns = COLUMNS});
    small_weight(small, "large", DTYPE_f32, LAYOUT_n16k1, recipe);
    small->plan.string_bytes = small->used;
    char path[400];
    write_plan(small, "small.plan", path);
    Plan *plan = open_plan(path);
    Diag diag = {0};
    ck_assert(plan_check_data(plan, &diag));
    for (int i = FIRST; i < LAST; i++) {
        for (int j = 0; j < COLUMNS; j++)
            row[j] = (float)(i * COLUMNS + j);
        packed_row_to_f32(DTYPE_f32, LAYOUT_n16k1,
                          (const char *)plan->data + plan->weights[4].offset, i, COLUMNS, got);
        ck_assert_mem_eq(got, row, sizeof row);
    }
    plan_close(plan);
    unlink(path);
    ck_assert(small_free(small));
}
END_TEST

START_TEST(test_failed_write_leaves_nothing)
{
    SmallPlan *small = small_new(true);
    char path[400];
    small_path(small, "small.plan", path);
    unlink(small->model);
    Diag diag = {0};
    ck_assert(!plan_write(&small->plan, path, NULL, NULL, &diag));
    ck_assert_ptr_nonnull(strstr(diag.message, "model.bin"));
    ck_assert(small_free(small));
}
END_TEST

START_TEST(test_write_refuses_what_is_no_file)
{
    SmallPlan *small = small_new(false);
    Diag diag = {0};
    ck_assert(!plan_write(&small->plan, small->folder, NULL, NULL, &diag));
    ck_assert_ptr_nonnull(strstr(diag.message, "not a regular file"));
    ck_assert(small_free(small));
}
END_TEST

// A vocabulary of three pieces in an arena.
static void give_vocabulary(Plan *plan, Arena *arena)
{
    static const uint32_t offsets[] = {0, 3, 4, 6};
    static const float scores[] = {0, -1, -2};
    static const uint8_t types[] = {PIECE_CONTROL, PIECE_NORMAL, PIECE_NORMAL};
    plan->info.has_vocabulary = 1;
    plan->vocabulary = (Vocabulary){.kind = VOCABULARY_SCORES,
                                    .count = 3,
                                    .bytes = "<s>abc",
                                    .offsets = offsets,
                                    .scores = scores,
                                    .types = types,
                                    .bos = 0,
                                    .eos = TOKEN_NONE,
                                    .unknown = TOKEN_NONE,
                                    .padding = TOKEN_NONE,
                                    .add_bos = true,
                                    .pre_tokenizer = "",
                                    .chat_template = "{{ messages }}"};
    vocabulary_build_lookup(&plan->vocabulary, arena);
}

START_TEST(test_plan_may_hold_only_a_vocabulary)
{
    SmallPlan *small = small_new(false);
    Arena arena = {0};
    Plan only = {.path = "vocabulary",
                 .info = {.name = small->plan.info.name, .target = small->plan.info.target},
                 .strings = small->strings,
                 .string_bytes = small->plan.string_bytes};
    give_vocabulary(&only, &arena);
    char path[400];
    small_path(small, "vocabulary.plan", path);
    Diag diag = {0};
    ck_assert_msg(plan_write(&only, path, NULL, NULL, &diag), "%s", diag.message);
    Plan *plan = open_plan(path);
    ck_assert_int_eq(plan->vocabulary.count, 3);
    ck_assert_int_eq(vocabulary_find(&plan->vocabulary, "bc", 2), 2);
    ck_assert_int_eq(vocabulary_find(&plan->vocabulary, "zz", 2), TOKEN_NONE);
    ck_assert(plan->vocabulary.add_bos);
    ck_assert_str_eq(plan->vocabulary.chat_template, "{{ messages }}");
    ck_assert_ptr_null(exec_open(plan, &(ExecOptions){0}, &diag));
    ck_assert_ptr_nonnull(strstr(diag.message, "holds a vocabulary and no model"));
    plan_close(plan);
    arena_free(&arena);
    unlink(path);
    ck_assert(small_free(small));
}
END_TEST

// As compiled from a shape without weights.
START_TEST(test_settings_are_kept_and_checked)
{
    static const Setting good[] = {{SETTING_temperature, 0.5f}, {SETTING_top_k, 20}};
    static const Setting bad[][2] = {{{SETTING_top_k, 20}, {SETTING_temperature, 0.5f}},
                                     {{SETTING_top_k, 20}, {SETTING_top_k, 20}},
                                     {{SETTING_temperature, -1}, {SETTING_top_k, 20}},
                                     {{SETTING_temperature, NAN}, {SETTING_top_k, 20}},
                                     {{SETTING_temperature, 1}, {SETTING_top_k, 1.5f}},
                                     {{SETTING_temperature, 1}, {SETTING_COUNT, 1}}};
    SmallPlan *small = small_new(false);
    char path[400];
    small->plan.settings = good;
    small->plan.setting_count = 2;
    write_plan(small, "small.plan", path);
    Plan *plan = open_plan(path);
    ck_assert_uint_eq(plan->setting_count, 2);
    ck_assert_mem_eq(plan->settings, good, sizeof good);
    plan_close(plan);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        Diag diag = {0};
        small->plan.settings = bad[i];
        ck_assert(!plan_write(&small->plan, path, NULL, NULL, &diag));
        ck_assert_ptr_nonnull(strstr(diag.message, "setting"));
    }
    unlink(path);
    ck_assert(small_free(small));
}
END_TEST

START_TEST(test_plan_without_files_can_be_read_but_not_run)
{
    SmallPlan *small = small_new(false);
    char path[400];
    small->plan.file_count = 0;
    for (int i = 0; i < SMALL_TENSORS; i++)
        small->tensors[i].offset = small->tensors[i].bytes = 0;
    write_plan(small, "small.plan", path);
    Plan *plan = open_plan(path);
    Diag diag = {0};
    ck_assert_ptr_null(exec_open(plan, &(ExecOptions){.threads = 1}, &diag));
    ck_assert_ptr_nonnull(strstr(diag.message, "has no weights: compile a model file"));
    plan_close(plan);
    unlink(path);
    ck_assert(small_free(small));
}
END_TEST

START_TEST(test_cut_plans_are_refused)
{
    SmallPlan *small = small_new(false);
    char path[400];
    write_plan(small, "small.plan", path);
    Bytes file = read_file(path);
    for (size_t length = 0; length < file.length; length += length < 700 ? 1 : 97) {
        write_file(path, file.bytes, length);
        refuse_plan(path, length < 8 ? "not a plan" : "the plan is cut short");
    }
    free(file.bytes);
    unlink(path);
    ck_assert(small_free(small));
}
END_TEST

// One flipped byte in the middle of each section is noticed by its hash.
START_TEST(test_flipped_bytes_are_noticed)
{
    SmallPlan *small = small_new(true);
    Arena arena = {0};
    give_vocabulary(&small->plan, &arena);
    char path[400];
    write_plan(small, "small.plan", path);
    Bytes file = read_file(path);
    PlanHeader header;
    memcpy(&header, file.bytes, sizeof header);
    for (int i = 0; i < SECTION_COUNT; i++) {
        PlanSectionEntry entry = header.sections[i];
        if (entry.bytes == 0)
            continue;
        file.bytes[entry.offset + entry.bytes / 2] ^= 1;
        write_file(path, file.bytes, file.length);
        if (i == SECTION_DATA) {
            Plan *plan = open_plan(path);
            Diag diag = {0};
            ck_assert(!plan_check_data(plan, &diag));
            ck_assert_ptr_nonnull(strstr(diag.message, "the weight data is damaged"));
            plan_close(plan);
        } else {
            refuse_plan(path, "is damaged");
        }
        file.bytes[entry.offset + entry.bytes / 2] ^= 1;
    }
    file.bytes[offsetof(PlanHeader, file_bytes)] ^= 1;
    write_file(path, file.bytes, file.length);
    refuse_plan(path, "header is damaged");
    free(file.bytes);
    arena_free(&arena);
    unlink(path);
    ck_assert(small_free(small));
}
END_TEST

// Makes the hashes fit what the bytes say.
static void hash_again(Bytes file)
{
    PlanHeader header;
    memcpy(&header, file.bytes, sizeof header);
    for (int i = 0; i < SECTION_DATA; i++)
        header.sections[i].hash =
            hash128(file.bytes + header.sections[i].offset, header.sections[i].bytes);
    header.hash = plan_header_hash(&header);
    memcpy(file.bytes, &header, sizeof header);
}

START_TEST(test_other_format_names_the_command)
{
    SmallPlan *small = small_new(false);
    char path[400];
    write_plan(small, "small.plan", path);
    Bytes file = read_file(path);
    PlanHeader *header = (PlanHeader *)(void *)file.bytes;
    header->format = PLAN_FORMAT + 1;
    write_file(path, file.bytes, file.length);
    refuse_plan(path, "make it again with: graphc model.bin -o small.plan");
    free(file.bytes);
    unlink(path);
    ck_assert(small_free(small));
}
END_TEST

START_TEST(test_changed_kernels_are_refused)
{
    SmallPlan *small = small_new(false);
    char path[400];
    write_plan(small, "small.plan", path);
    Bytes file = read_file(path);
    const PlanHeader *header = (const PlanHeader *)(const void *)file.bytes;
    PlanStep *steps = (PlanStep *)(void *)(file.bytes + header->sections[SECTION_STEPS].offset);
    steps[1].abi++;
    hash_again(file);
    write_file(path, file.bytes, file.length);
    refuse_plan(path, "(rms_norm.f32.ref): the kernel has changed since the plan was made");
    free(file.bytes);
    unlink(path);
    ck_assert(small_free(small));
}
END_TEST

// A mistake in a plan that is being built is found when it is written.
START_TEST(test_operands_that_do_not_fit_are_refused)
{
    SmallPlan *small = small_new(false);
    char path[400];
    small_path(small, "small.plan", path);
    PlanOperand *weight = &small->operands[small->steps[1].first_operand + 2];
    weight->shape.dims[0] = dim_constant(SMALL_WIDTH - 1);
    Diag diag = {0};
    ck_assert(!plan_write(&small->plan, path, NULL, NULL, &diag));
    ck_assert_ptr_nonnull(
        strstr(diag.message, "step 1 (rms_norm.f32.ref): the operands do not fit"));
    ck_assert(small_free(small));
}
END_TEST

static PlanStep *find_step(SmallPlan *small, const char *kernel)
{
    PlanStep *step = small->steps;
    while (strcmp(plan_string(&small->plan, step->kernel), kernel) != 0)
        step++;
    return step;
}

// Ids of another type, of too many slots; experts that do not divide the rows; no such epilogue.
START_TEST(test_mixtures_that_do_not_fit_are_refused)
{
    SmallPlan *small = small_new(false);
    char path[400];
    small_path(small, "small.plan", path);
    PlanStep *step = find_step(small, "matmul_experts.f32.ref"), good = *step;
    PlanOperand *ids = &small->operands[step->first_operand + 3], good_ids = *ids;
    for (int i = 0; i < 6; i++) {
        Diag diag = {0};
        step->attributes.matmul_experts.experts = i == 0 ? 0 : i == 1 ? 3 : SMALL_WIDTH;
        step->attributes.matmul_experts.epilogue = i == 2 ? EPILOGUE_swiglu : EPILOGUE_none;
        step->attributes.matmul_experts.post = i == 3 ? DTYPE_q8 : DTYPE_f32;
        ids->dtype = i == 4 ? DTYPE_f32 : DTYPE_i32;
        ids->shape.dims[1] = dim_constant(i == 5 ? 1 : 2);
        ck_assert(!plan_write(&small->plan, path, NULL, NULL, &diag));
        ck_assert_ptr_nonnull(strstr(diag.message, "matmul_experts.f32.ref): the operands"));
        *step = good;
        *ids = good_ids;
    }
    ck_assert(small_free(small));
}
END_TEST

// A thread's own values stand in steps of one token, alone and without states.
START_TEST(test_values_of_threads_are_refused_where_they_cannot_be)
{
    SmallPlan *small = small_new(false);
    char path[400];
    small_path(small, "small.plan", path);
    const PlanPhase *prefill = &small->phases[1];
    PlanStep *store = find_step(small, "rope_qk_store.paged.ref");
    PlanStep *route = find_step(small, "route.f32.ref");
    const struct {
        uint32_t operand;
        const char *message;
    } cases[] = {{small->steps[prefill->first_step].first_operand, "impossible place of result 0"},
                 {store->first_operand, "results in own where threads may not all run it"},
                 {route->first_operand + 1, "results in own where threads may not all run it"}};
    ck_assert_int_eq(small->phases[0].bound_t, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Diag diag = {0};
        small->operands[cases[i].operand].region = REGION_OWN;
        ck_assert(!plan_write(&small->plan, path, NULL, NULL, &diag));
        ck_assert_msg(strstr(diag.message, cases[i].message) != NULL, "%s", diag.message);
        small->operands[cases[i].operand].region = REGION_ACT;
    }
    ck_assert(small_free(small));
}
END_TEST

START_TEST(test_operands_with_too_few_bytes_are_refused)
{
    SmallPlan *small = small_new(false);
    char path[400];
    small_path(small, "small.plan", path);
    static const int places[][2] = {{0, 0}, {0, 1}, {5, 6}}; // act, w, kv
    for (int i = 0; i < 3; i++) {
        PlanOperand *operand =
            &small->operands[small->steps[places[i][0]].first_operand + (uint32_t)places[i][1]];
        Diag diag = {0};
        operand->bytes--;
        ck_assert(!plan_write(&small->plan, path, NULL, NULL, &diag));
        ck_assert_ptr_nonnull(strstr(diag.message, "impossible place"));
        operand->bytes++;
    }
    ck_assert(small_free(small));
}
END_TEST

// A search for a piece that is not there ends at a free slot.
START_TEST(test_full_lookups_are_refused)
{
    SmallPlan *small = small_new(false);
    Arena arena = {0};
    char path[400];
    small_path(small, "small.plan", path);
    give_vocabulary(&small->plan, &arena);
    static const int32_t full[4] = {0, 1, 2, 2};
    small->plan.vocabulary.lookup = full;
    small->plan.vocabulary.lookup_mask = 3;
    Diag diag = {0};
    ck_assert(!plan_write(&small->plan, path, NULL, NULL, &diag));
    ck_assert_ptr_nonnull(strstr(diag.message, "lookup cannot be searched"));
    arena_free(&arena);
    ck_assert(small_free(small));
}
END_TEST

START_TEST(test_weights_in_layouts_of_activations_are_refused)
{
    SmallPlan *small = small_new(false);
    char path[400];
    small_path(small, "small.plan", path);
    small->weights[1].layout = LAYOUT_v1;
    Diag diag = {0};
    ck_assert(!plan_write(&small->plan, path, NULL, NULL, &diag));
    ck_assert_ptr_nonnull(strstr(diag.message, "weight norm does not lie in the weights"));
    ck_assert(small_free(small));
}
END_TEST

// A head of 16 is a block of 34 bytes in q8_0, 32 bytes in f16.
START_TEST(test_states_that_do_not_fit_their_place_are_refused)
{
    static const struct {
        DType dtype;
        int32_t kv_heads, head_dim;
    } wrong[] = {{DTYPE_q8_0, 1, SMALL_HEAD},    {DTYPE_q4_0, 1, SMALL_HEAD},
                 {DTYPE_COUNT, 1, SMALL_HEAD},   {DTYPE_f16, 2, SMALL_HEAD},
                 {DTYPE_q8_0, 1, INT32_MAX},     {DTYPE_q8_0, INT32_MAX, INT32_MAX},
                 {DTYPE_f16, 1, SMALL_HEAD + 1}, {DTYPE_f16, 0, SMALL_HEAD}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        SmallPlan *small = small_new(false);
        char path[400];
        small_path(small, "small.plan", path);
        small->states[1].dtype = wrong[i].dtype;
        small->states[1].kv_heads = wrong[i].kv_heads;
        small->states[1].head_dim = wrong[i].head_dim;
        Diag diag = {0};
        ck_assert(!plan_write(&small->plan, path, NULL, NULL, &diag));
        ck_assert_ptr_nonnull(strstr(diag.message, "state values does not lie in a page"));
        ck_assert(small_free(small));
    }
}
END_TEST

// Runs a plan that was accepted: three tokens, then one.
static void run_plan(const Plan *plan)
{
    Diag diag = {0};
    SessionOptions options = {.threads = 1, .context = 40};
    static const int32_t tokens[] = {1, 2, 0, 1};
    Session *session = session_open(plan, &options, &diag);
    if (!session)
        return;
    int32_t sequence = session_add_sequence(session, &diag);
    SessionInput input = {sequence, tokens, 3, ROWS_LAST};
    if (session_step(session, &input, 1, &diag)) {
        input.token_count = 1;
        session_step(session, &input, 1, &diag);
    }
    session_close(session);
}

static uint32_t corrupt_word(uint32_t word, uint32_t *random)
{
    static const uint32_t words[] = {0, 1, 2, 3, 0x7fffffff, 0x80000000, 0xffffffff, 64, 1u << 20};
    uint32_t choice = small_random(random) % 16;
    if (choice < 9)
        return words[choice];
    if (choice < 12)
        return word ^ 1u << small_random(random) % 32;
    return choice < 14 ? word + 1 + small_random(random) % 64 : small_random(random);
}

// Random words in every table, with hashes that fit: refused, or runs without harm (sanitizers
// tell).
START_TEST(test_corrupt_tables_are_refused_or_harmless)
{
    enum { ROUNDS = 4000 };
    SmallPlan *small = small_new(false);
    Arena arena = {0};
    give_vocabulary(&small->plan, &arena);
    char path[400];
    write_plan(small, "small.plan", path);
    Bytes file = read_file(path);
    char *copy = malloc(file.length);
    memcpy(copy, file.bytes, file.length);
    const PlanHeader *header = (const PlanHeader *)(const void *)copy;
    uint32_t random = 7, refused = 0, opened = 0;
    for (int round = 0; round < ROUNDS; round++) {
        int section = (int)(small_random(&random) % SECTION_DATA);
        PlanSectionEntry entry = header->sections[section];
        if (entry.bytes < 4)
            continue;
        for (uint32_t i = 0; i <= small_random(&random) % 3; i++) {
            uint32_t word;
            size_t place = entry.offset + small_random(&random) % (entry.bytes / 4) * 4;
            memcpy(&word, file.bytes + place, sizeof word);
            word = corrupt_word(word, &random);
            memcpy(file.bytes + place, &word, sizeof word);
        }
        hash_again(file);
        write_file(path, file.bytes, file.length);
        Diag diag = {0};
        Plan *plan = plan_open(path, &diag);
        ck_assert(plan != NULL || diag.failed);
        refused += plan == NULL;
        opened += plan != NULL;
        if (plan)
            run_plan(plan);
        plan_close(plan);
        memcpy(file.bytes, copy, file.length);
    }
    ck_assert_uint_gt(refused, ROUNDS / 4);
    ck_assert_uint_gt(opened, 0);
    free(copy);
    free(file.bytes);
    arena_free(&arena);
    unlink(path);
    ck_assert(small_free(small));
}
END_TEST

// Sizes in the header that hashes vouch for must still be possible.
START_TEST(test_corrupt_headers_are_refused)
{
    SmallPlan *small = small_new(false);
    char path[400];
    write_plan(small, "small.plan", path);
    Bytes file = read_file(path);
    PlanHeader *header = (PlanHeader *)(void *)file.bytes, good = *header;
    for (int i = 0; i < SECTION_COUNT; i++)
        for (int bit = 0; bit < 64; bit++) {
            *header = good;
            header->sections[i].bytes ^= 1ull << bit;
            header->hash = plan_header_hash(header);
            write_file(path, file.bytes, file.length);
            Diag diag = {0};
            ck_assert_ptr_null(plan_open(path, &diag));
            *header = good;
            header->sections[i].offset ^= 1ull << bit;
            header->hash = plan_header_hash(header);
            write_file(path, file.bytes, file.length);
            ck_assert_ptr_null(plan_open(path, &diag));
        }
    free(file.bytes);
    unlink(path);
    ck_assert(small_free(small));
}
END_TEST

START_TEST(test_listing_shows_steps)
{
    SmallPlan *small = small_new(false);
    Text text = {0};
    plan_print(&small->plan, &text);
    ck_assert_ptr_nonnull(strstr(text.bytes, "phase @prefill T<=16"));
    ck_assert_ptr_nonnull(strstr(
        text.bytes, "| f32[T,32] @io7 = rms_norm f32[T,32] @act+0x0:0x800, %norm:f32[32] "
                    "@w+0x1800:0x80 {eps=1e-05, post=f32}  !rms_norm.f32.ref  loc(small.lua:1)"));
    ck_assert_ptr_nonnull(strstr(text.bytes, "rw %keys:f16[32,1,16]{k32} @kv+0x0:0x400"));
    text_free(&text);
    ck_assert(small_free(small));
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("plan");
    tcase_set_timeout(tests, 300);
    tcase_add_test(tests, test_written_plan_reads_back);
    tcase_add_test(tests, test_embedded_weights_are_the_files);
    tcase_add_test(tests, test_equal_plans_give_equal_bytes);
    tcase_add_test(tests, test_embedded_plan_names_no_folder);
    tcase_add_test(tests, test_plan_without_data_refuses_a_changed_file);
    tcase_add_test(tests, test_weights_do_not_depend_on_windows);
    tcase_add_test(tests, test_panels_cross_windows);
    tcase_add_test(tests, test_failed_write_leaves_nothing);
    tcase_add_test(tests, test_write_refuses_what_is_no_file);
    tcase_add_test(tests, test_plan_may_hold_only_a_vocabulary);
    tcase_add_test(tests, test_settings_are_kept_and_checked);
    tcase_add_test(tests, test_plan_without_files_can_be_read_but_not_run);
    tcase_add_test(tests, test_cut_plans_are_refused);
    tcase_add_test(tests, test_flipped_bytes_are_noticed);
    tcase_add_test(tests, test_other_format_names_the_command);
    tcase_add_test(tests, test_changed_kernels_are_refused);
    tcase_add_test(tests, test_operands_that_do_not_fit_are_refused);
    tcase_add_test(tests, test_mixtures_that_do_not_fit_are_refused);
    tcase_add_test(tests, test_values_of_threads_are_refused_where_they_cannot_be);
    tcase_add_test(tests, test_operands_with_too_few_bytes_are_refused);
    tcase_add_test(tests, test_full_lookups_are_refused);
    tcase_add_test(tests, test_weights_in_layouts_of_activations_are_refused);
    tcase_add_test(tests, test_states_that_do_not_fit_their_place_are_refused);
    tcase_add_test(tests, test_corrupt_tables_are_refused_or_harmless);
    tcase_add_test(tests, test_corrupt_headers_are_refused);
    tcase_add_test(tests, test_listing_shows_steps);
    return run_cases("plan", tests);
}
