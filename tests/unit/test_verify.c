// --verify's engine: it passes what is right, and catches and places what the tests break between
// stages, which a wrong pass would do. Then the steps it makes, and the limit of rewrites.
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "passes/passes.h"
#include "passes/verify.h"
#include "passes/verify_inputs.h"
#include "tests/unit/run_suite.h"

static const char model_text[] =
    "module \"small\" level=built target=ref opt=2 kv=f32 act=auto batch=16 page=32 context=64 "
    "vocabulary=24\n"
    "weight %embd : f16[24,64] = \"embd\":f16[24,64]\n"
    "weight %norm : f32[64] = \"norm\":f32[1,64]\n"
    "weight %wq : q8_0[64,64] = \"wq\":q8_0[64,64]\n"
    "weight %wk : q8_0[32,64] = \"wk\":q8_0[32,64]\n"
    "weight %wv : q8_0[32,64] = \"wv\":q8_0[32,64]\n"
    "weight %head : q4_0[24,64] = \"head\":q4_0[24,64]\n"
    "state %k0 : f32[page,2,16] keys\n"
    "state %v0 : f32[page,2,16] values\n"
    "graph @step {\n"
    "  %1 : f32[T,16] = rope_table %pos {dims=16, theta=10000} loc(\"m.lua\":1)\n"
    "  %2 : f32[T,64] = embed %embd, %token loc(\"m.lua\":2)\n"
    "  %3 : f32[T,64] = rms_norm %2, %norm {eps=1e-05} loc(\"m.lua\":3)\n"
    "  %4 : f32[T,64] = matmul %3, %wq loc(\"m.lua\":4)\n"
    "  %5 : f32[T,32] = matmul %3, %wk loc(\"m.lua\":5)\n"
    "  %6 : f32[T,32] = matmul %3, %wv loc(\"m.lua\":6)\n"
    "  %7 : f32[T,64] = rope %4, %1 {head_dim=16, style=neox} loc(\"m.lua\":7)\n"
    "  %8 : f32[T,32] = rope %5, %1 {head_dim=16, style=neox} loc(\"m.lua\":8)\n"
    "  kv_store %8, %pos, %seq, %table, rw %k0 loc(\"m.lua\":9)\n"
    "  kv_store %6, %pos, %seq, %table, rw %v0 loc(\"m.lua\":10)\n"
    "  %9\"attn\" : f32[T,64] = attention %7, %pos, %seq, %table, %k0, %v0 {heads=4, scale=0.25} "
    "loc(\"m.lua\":11)\n"
    "  %10 : f32[T,64] = mul %9, 0.5 loc(\"m.lua\":12)\n"
    "  %11\"mixed\" : f32[T,64] = sub %2, %10 loc(\"m.lua\":13)\n"
    "  %12 : f32[R,64] = gather_rows %11, %row loc(\"m.lua\":14)\n"
    "  %13 : f32[R,64] = rms_norm %12, %norm {eps=1e-05} loc(\"m.lua\":15)\n"
    "  %14 : f32[R,24] = matmul %13, %head loc(\"m.lua\":16)\n"
    "  output \"logits\" = %14\n"
    "}\n";

static Arena arena, tensors;
static Module *module;
static Graph *graph;
static Diag diag;
static PipelineOptions pipeline;
static Verify *verify;
static VerifyReport reports[PASS_COUNT + 1];
static bool evaluated[PASS_COUNT + 1];

static const void *tensor_bytes(void *context, const Recipe *tensor)
{
    (void)context;
    return verify_random_tensor(&tensors, tensor);
}

static void told(void *context, PassId pass, const VerifyReport *report)
{
    (void)context;
    if (report)
        reports[pass] = *report;
    evaluated[pass] = report == NULL || evaluated[pass];
}

static void parse(const char *text)
{
    module = module_parse(text, "model.ir", &arena, &diag);
    ck_assert_msg(module != NULL, "%s", diag.message);
    graph = module->graphs.items[0];
}

static void set_up(void)
{
    static const VerifyOptions options = {tensor_bytes, NULL, told, NULL};
    memset(reports, 0, sizeof reports);
    memset(evaluated, 0, sizeof evaluated);
    diag = (Diag){0};
    pipeline = (PipelineOptions){.stop_after = PASS_COUNT};
    parse(model_text);
    verify = verify_new(&pipeline, &options);
}

static void tear_down(void)
{
    verify_free(verify);
    arena_free(&arena);
    arena_free(&tensors);
}

static Node *find_node(const Graph *in, Op op)
{
    Node *node = in->first;
    while (node && node->op != op)
        node = node->next;
    ck_assert_msg(node != NULL, "no %s", op_table[op].name);
    return node;
}

static void begin(void)
{
    ck_assert_msg(verify_check(verify, PASS_COUNT, module, &diag), "%s", diag.message);
}

// What a test did to the module is taken for the pass's work.
static void expect_caught(PassId pass, const char *message)
{
    ck_assert_msg(!verify_check(verify, pass, module, &diag), "%s", message);
    ck_assert_msg(strstr(diag.message, message), "%s", diag.message);
    ck_assert_int_eq(verify_failure(verify).pass, pass);
}

START_TEST(the_pipeline_passes)
{
    ck_assert_msg(pipeline_run(module, &pipeline, &diag), "%s", diag.message);
    ck_assert_int_eq(module->level, LEVEL_PLANNED);
    for (int pass = 0; pass < PASS_COUNT; pass++)
        ck_assert_msg(reports[pass].unchanged || reports[pass].compared > 0, "%s was not compared",
                      pass_table[pass].name);
    ck_assert_int_eq(verify_failure(verify).pass, PASS_COUNT);
    ck_assert_int_eq(reports[PASS_COUNT].not_finite, 0);
}
END_TEST

START_TEST(a_pass_that_changes_nothing_is_not_evaluated)
{
    ck_assert(pipeline_run(module, &pipeline, &diag));
    ck_assert(reports[PASS_fold].unchanged && !evaluated[PASS_fold]);
    ck_assert(!reports[PASS_merge].unchanged && evaluated[PASS_merge]);
}
END_TEST

START_TEST(numerics_reports_what_it_costs)
{
    ck_assert(pipeline_run(module, &pipeline, &diag));
    const VerifyReport *report = &reports[PASS_numerics];
    ck_assert(report->exempt && !reports[PASS_fuse].exempt);
    ck_assert_double_gt(report->difference, 0);
    ck_assert_double_lt(report->difference, 0.5);
    ck_assert_double_gt(report->divergence, 0);
    ck_assert_double_lt(report->divergence, 0.05);
}
END_TEST

START_TEST(a_wrong_constant_is_caught)
{
    begin();
    node_set_operand(find_node(graph, OP_mul), 1, graph_constant(graph, 0.25f));
    expect_caught(PASS_simplify, "pass simplify changes what the module computes: %10 = mul "
                                 "(m.lua:12) element [0,0] is ");
    ck_assert_ptr_nonnull(strstr(diag.message, " in @step, step 1 (T=1 R=1 B=1)"));
}
END_TEST

START_TEST(swapped_operands_are_caught)
{
    begin();
    Node *node = find_node(graph, OP_sub);
    Value *first = node->operands[0].value;
    node_set_operand(node, 0, node->operands[1].value);
    node_set_operand(node, 1, first);
    expect_caught(PASS_cse, "pass cse changes what the module computes: %11 \"mixed\" = sub "
                            "(m.lua:13) element [0,0] is ");
}
END_TEST

START_TEST(both_numbers_are_told)
{
    begin();
    node_set_operand(find_node(graph, OP_mul), 1, graph_constant(graph, 1.0f));
    expect_caught(PASS_simplify, "element [0,0] is ");
    const char *number = strstr(diag.message, " is ") + 4;
    double now = strtod(number, NULL), before = strtod(strstr(number, "was ") + 4, NULL);
    ck_assert_double_ne(now, 0);
    ck_assert_double_eq_tol(now, 2 * before, 1e-6 * fabs(now));
}
END_TEST

// Values are stored as keys: a step over one position alone does not depend on keys.
START_TEST(a_wrong_store_is_caught)
{
    begin();
    Node *store = find_node(graph, OP_kv_store);
    node_set_operand(store, 0, store->next->operands[0].value);
    expect_caught(PASS_dce, "%9 \"attn\" = attention (m.lua:11) element ");
    ck_assert_ptr_null(strstr(diag.message, "step 1 "));
}
END_TEST

START_TEST(a_lost_output_is_caught)
{
    begin();
    graph->outputs.items[0]->name = "others";
    expect_caught(PASS_dce, "output \"logits\" = matmul (m.lua:16) is gone");
}
END_TEST

START_TEST(a_phase_is_compared_with_the_one_graph)
{
    pipeline.stop_after = PASS_specialise;
    ck_assert_msg(pipeline_run(module, &pipeline, &diag), "%s", diag.message);
    ck_assert_int_eq(module->graphs.count, 2);
    node_set_operand(find_node(module->graphs.items[1], OP_mul), 1,
                     graph_constant(module->graphs.items[1], 0.25f));
    expect_caught(PASS_specialise, "in @prefill, step 2 ");
}
END_TEST

// The structural verifier or the arena shows it; the pass is named either way.
START_TEST(overlapping_places_are_caught)
{
    ck_assert_msg(pipeline_run(module, &pipeline, &diag), "%s", diag.message);
    Graph *prefill = module->graphs.items[1];
    Value *table = find_node(prefill, OP_rope_table)->results[0];
    Value *x = find_node(prefill, OP_embed)->results[0];
    ck_assert(x->place.region == REGION_ACT && table->place.region == REGION_ACT);
    x->place.offset = table->place.offset;
    expect_caught(PASS_memplan, "pass memplan");
}
END_TEST

START_TEST(the_failure_keeps_the_text_before)
{
    Text text = {0};
    begin();
    module_print(module, &text);
    node_set_operand(find_node(graph, OP_mul), 1, graph_constant(graph, 0.25f));
    expect_caught(PASS_cse, "pass cse");
    VerifyFailure failure = verify_failure(verify);
    ck_assert_str_eq(failure.text, text.bytes);
    ck_assert_uint_eq(failure.disabled, 1u << PASS_simplify | 1u << PASS_fold);
    text_free(&text);
}
END_TEST

START_TEST(rewrites_stop_at_the_limit)
{
    int64_t all = 0;
    for (int64_t limit = 1000; limit >= 0; limit = limit > all ? all : limit - 1) {
        PipelineOptions limited = {.stop_after = PASS_fuse,
                                   .verify = true,
                                   .limit_rewrites = true,
                                   .rewrite_limit = limit};
        parse(model_text);
        ck_assert_msg(pipeline_run(module, &limited, &diag), "%s", diag.message);
        all = limit == 1000 ? limited.rewrites : all;
        ck_assert_int_eq(limited.rewrites, limit < all ? limit : all);
        int32_t matches = limited.statistics[PASS_simplify].matches +
                          limited.statistics[PASS_fold].matches +
                          limited.statistics[PASS_fuse].matches;
        ck_assert_int_eq(matches, limited.rewrites);
    }
    ck_assert_int_gt(all, 3);
}
END_TEST

START_TEST(weights_cut_by_ops_are_compared_from_fold_on)
{
    parse("module \"cut\" level=built target=ref opt=2 kv=f32 act=f32 batch=4 page=32 context=32 "
          "vocabulary=8\nweight %e : f32[8,32] = \"e\":f32[8,32]\n"
          "weight %w : f32[64,32] = \"w\":f32[64,32]\ngraph @step {\n"
          "  %1 : f32[T,32] = embed %e, %token\n  %2 : f32[16,32] = slice %w {axis=0, begin=8, "
          "end=24}\n  %3 : f32[T,16] = matmul %1, %2\n  output \"logits\" = %3\n}\n");
    ck_assert_msg(pipeline_run(module, &pipeline, &diag), "%s", diag.message);
    ck_assert(reports[PASS_COUNT].no_values && !reports[PASS_fold].no_values);
    ck_assert_int_eq(reports[PASS_fold].compared, 0);
    ck_assert_int_gt(reports[PASS_memplan].compared, 0);
}
END_TEST

// --- steps

static VerifyInputs make_inputs(int64_t batch)
{
    VerifyInputs inputs;
    module->options.batch = batch;
    ck_assert_msg(verify_inputs_make(module, &arena, &inputs, &diag), "%s", diag.message);
    return inputs;
}

START_TEST(steps_cover_what_a_step_can_be)
{
    VerifyInputs inputs = make_inputs(64);
    bool one = false, fewer_rows = false, none = false, several = false, second_page = false;
    for (int32_t i = 0; i < inputs.count; i++) {
        const EvalInputs *step = &inputs.steps[i];
        int64_t tokens = step->symbols[SYMBOL_T], rows = step->symbols[SYMBOL_R];
        one = one || tokens == 1;
        fewer_rows = fewer_rows || (rows > 0 && rows < tokens);
        none = none || rows == 0;
        several = several || step->symbols[SYMBOL_B] > 1;
        for (int64_t t = 0; t < tokens; t++)
            second_page = second_page || step->inputs[INPUT_POS][t] >= module->options.page_tokens;
        ck_assert(rows == 0 || step->inputs[INPUT_ROW][rows - 1] == tokens - 1);
        for (int64_t r = 1; r < rows; r++)
            ck_assert_int_lt(step->inputs[INPUT_ROW][r - 1], step->inputs[INPUT_ROW][r]);
    }
    ck_assert(one && fewer_rows && none && several && second_page);
}
END_TEST

START_TEST(chunks_fit_the_batch)
{
    static const int64_t batches[] = {1, 2, 5, 16};
    VerifyInputs inputs = make_inputs(batches[_i]);
    int64_t most = 0;
    for (int32_t i = 0; i < inputs.count; i++)
        most = inputs.steps[i].symbols[SYMBOL_T] > most ? inputs.steps[i].symbols[SYMBOL_T] : most;
    ck_assert_int_eq(most, batches[_i]);
    ck_assert_int_eq(most, inputs.most_tokens);
}
END_TEST

START_TEST(pages_belong_to_one_sequence_and_are_shuffled)
{
    VerifyInputs inputs = make_inputs(64);
    int32_t owner[64], ascending = 0, pages = 0;
    for (int32_t i = 0; i < 64; i++)
        owner[i] = -1;
    for (int32_t i = 0; i < inputs.count; i++) {
        const EvalInputs *step = &inputs.steps[i];
        for (int64_t entry = 0; entry < step->symbols[SYMBOL_B] * inputs.pages; entry++) {
            int32_t page = step->inputs[INPUT_TABLE][entry];
            if (page < 0)
                continue;
            ck_assert_int_lt(page, inputs.sequences * inputs.pages);
            // A group of sequences is known by its size.
            int32_t name = (int32_t)(step->symbols[SYMBOL_B] * 16 + entry);
            ck_assert(owner[page] == -1 || owner[page] == name);
            pages += owner[page] == -1;
            ascending += owner[page] == -1 && page == pages - 1;
            owner[page] = name;
        }
    }
    ck_assert_int_ge(pages, 5);
    ck_assert_int_lt(ascending, pages);
}
END_TEST

START_TEST(rows_picked_by_another_input_are_refused)
{
    Node *node = find_node(graph, OP_embed);
    node_set_operand(node, 1, graph_input(graph, INPUT_SEQ));
    ck_assert(!verify_check(verify, PASS_COUNT, module, &diag));
    ck_assert_ptr_nonnull(strstr(diag.message, "operand 2 of embed can only be %token"));
}
END_TEST

START_TEST(random_tensors_are_near_one)
{
    enum { COLUMNS = 512 };
    float row[COLUMNS];
    for (int i = 0; i < DTYPE_COUNT; i++) {
        if (!row_can_read((DType)i) || i == DTYPE_f64)
            continue;
        Recipe *tensor = recipe_tensor(&arena, "some", (DType)i, 4, COLUMNS);
        const char *bytes = verify_random_tensor(&tensors, tensor);
        double sum = 0;
        row_to_f32((DType)i, bytes + dtype_row_bytes((DType)i, COLUMNS), COLUMNS, row);
        for (int k = 0; k < COLUMNS; k++)
            sum += (double)row[k] * row[k];
        ck_assert_msg(sum > 0.05 && sum < 4, "%s: the square of a row is %g", dtype_table[i].name,
                      sum);
        ck_assert(memcmp(bytes, verify_random_tensor(&tensors, tensor),
                         (size_t)(4 * dtype_row_bytes((DType)i, COLUMNS))) == 0);
    }
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("verify");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, the_pipeline_passes);
    tcase_add_test(tests, a_pass_that_changes_nothing_is_not_evaluated);
    tcase_add_test(tests, numerics_reports_what_it_costs);
    tcase_add_test(tests, a_wrong_constant_is_caught);
    tcase_add_test(tests, swapped_operands_are_caught);
    tcase_add_test(tests, both_numbers_are_told);
    tcase_add_test(tests, a_wrong_store_is_caught);
    tcase_add_test(tests, a_lost_output_is_caught);
    tcase_add_test(tests, a_phase_is_compared_with_the_one_graph);
    tcase_add_test(tests, overlapping_places_are_caught);
    tcase_add_test(tests, the_failure_keeps_the_text_before);
    tcase_add_test(tests, weights_cut_by_ops_are_compared_from_fold_on);
    tcase_add_test(tests, rewrites_stop_at_the_limit);
    tcase_add_test(tests, steps_cover_what_a_step_can_be);
    tcase_add_loop_test(tests, chunks_fit_the_batch, 0, 4);
    tcase_add_test(tests, pages_belong_to_one_sequence_and_are_shuffled);
    tcase_add_test(tests, rows_picked_by_another_input_are_refused);
    tcase_add_test(tests, random_tensors_are_near_one);
    return run_cases("verify", tests);
}
