// The pipeline keeps what a module means. A small llama with every fusion site is evaluated on
// scalar references after every pass: all passes but numerics give equal bytes, numerics stays
// near. Then the decompositions, the planner's bound, and the driver's rules.
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "graph/base/hash.h"
#include "graph/decompose.h"
#include "passes/eval.h"
#include "passes/passes.h"
#include "tests/unit/run_suite.h"

enum { TOKENS = 11, SEQUENCES = 2, PAGES = 2, VOCABULARY = 48 };

// Two layers: 64 wide, 4 heads of 16, 2 kv heads, ffn 96; types as given.
static const char model_text[] =
    "module \"small\" level=built target=%s opt=%d kv=f32 act=%s batch=32 page=32 context=64 "
    "vocabulary=48\n"
    "weight %%embd : f16[48,64] = \"embd\":f16[48,64]\n"
    "weight %%n0 : f32[64] = \"n0\":f32[1,64]\n"
    "weight %%q0 : %s[64,64] = \"q0\":%s[64,64]\n"
    "weight %%k0w : %s[32,64] = \"k0w\":%s[32,64]\n"
    "weight %%v0w : %s[32,64] = \"v0w\":%s[32,64]\n"
    "weight %%o0 : %s[64,64] = \"o0\":%s[64,64]\n"
    "weight %%m0 : f32[64] = \"m0\":f32[1,64]\n"
    "weight %%g0 : %s[96,64] = \"g0\":%s[96,64]\n"
    "weight %%u0 : %s[96,64] = \"u0\":%s[96,64]\n"
    "weight %%d0 : %s[64,96] = \"d0\":%s[64,96]\n"
    "weight %%q1 : %s[64,64] = \"q1\":%s[64,64]\n"
    "weight %%k1w : %s[32,64] = \"k1w\":%s[32,64]\n"
    "weight %%v1w : %s[32,64] = \"v1w\":%s[32,64]\n"
    "weight %%g1 : %s[96,64] = \"g1\":%s[96,64]\n"
    "weight %%u1 : %s[96,64] = \"u1\":%s[96,64]\n"
    "weight %%d1 : %s[64,96] = \"d1\":%s[64,96]\n"
    "weight %%head : %s[48,64] = \"head\":%s[48,64]\n"
    "state %%k0 : f32[page,2,16] keys\n"
    "state %%v0 : f32[page,2,16] values\n"
    "state %%k1 : f32[page,2,16] keys\n"
    "state %%v1 : f32[page,2,16] values\n"
    "graph @step {\n"
    "  %%1 : f32[T,16] = rope_table %%pos {dims=16, theta=10000}\n"
    "  %%2 : f32[T,64] = embed %%embd, %%token\n"
    "  %%3 : f32[T,64] = rms_norm %%2, %%n0 {eps=1e-05}\n"
    "  %%4 : f32[T,64] = matmul %%3, %%q0\n"
    "  %%5 : f32[T,32] = matmul %%3, %%k0w\n"
    "  %%6 : f32[T,32] = matmul %%3, %%v0w\n"
    "  %%7 : f32[T,64] = rope %%4, %%1 {head_dim=16, style=neox}\n"
    "  %%8 : f32[T,32] = rope %%5, %%1 {head_dim=16, style=neox}\n"
    "  kv_store %%8, %%pos, %%seq, %%table, rw %%k0\n"
    "  kv_store %%6, %%pos, %%seq, %%table, rw %%v0\n"
    "  %%9 : f32[T,64] = attention %%7, %%pos, %%seq, %%table, %%k0, %%v0 {heads=4, scale=0.25}\n"
    "  %%10 : f32[T,64] = matmul %%9, %%o0\n"
    "  %%11 : f32[T,64] = add %%2, %%10\n"
    "  %%12 : f32[T,64] = rms_norm %%11, %%m0 {eps=1e-05}\n"
    "  %%13 : f32[T,96] = matmul %%12, %%g0\n"
    "  %%14 : f32[T,96] = matmul %%12, %%u0\n"
    "  %%15 : f32[T,96] = swiglu %%13, %%14\n"
    "  %%16 : f32[T,64] = matmul %%15, %%d0\n"
    "  %%17 : f32[T,64] = add %%11, %%16\n"
    "  %%18 : f32[T,64] = rms_norm %%17, %%n0 {eps=1e-05}\n"
    "  %%19 : f32[T,64] = matmul %%18, %%q1\n"
    "  %%20 : f32[T,32] = matmul %%18, %%k1w\n"
    "  %%21 : f32[T,32] = matmul %%18, %%v1w\n"
    "  %%22 : f32[T,64] = rope %%19, %%1 {head_dim=16, style=norm}\n"
    "  %%23 : f32[T,32] = rope %%20, %%1 {head_dim=16, style=norm}\n"
    "  kv_store %%23, %%pos, %%seq, %%table, rw %%k1\n"
    "  kv_store %%21, %%pos, %%seq, %%table, rw %%v1\n"
    "  %%24 : f32[T,64] = attention %%22, %%pos, %%seq, %%table, %%k1, %%v1 {heads=4, scale=0.25, "
    "window=3}\n"
    "  %%25 : f32[T,64] = mul %%24, 1\n"
    "  %%26 : f32[T,64] = add %%17, %%25\n"
    "  %%27 : f32[T,64] = rms_norm %%26, %%m0 {eps=1e-05}\n"
    "  %%28 : f32[T,96] = matmul %%27, %%g1\n"
    "  %%29 : f32[T,96] = matmul %%27, %%u1\n"
    "  %%30 : f32[T,96] = swiglu %%28, %%29\n"
    "  %%31 : f32[T,64] = matmul %%30, %%d1\n"
    "  %%32 : f32[T,64] = add %%26, %%31\n"
    "  %%33 : f32[R,64] = gather_rows %%32, %%row\n"
    "  %%34 : f32[R,64] = rms_norm %%33, %%n0 {eps=1e-05}\n"
    "  %%35 : f32[R,48] = matmul %%34, %%head\n"
    "  output \"logits\" = %%35\n"
    "}\n";

enum { TYPED_WEIGHTS = 14 };

// Fills every %s of the model's weights with `type` (a format with a fixed number of them cannot be
// a literal for printf).
static Module *parse_model(Arena *arena, const char *target, int opt, const char *act,
                           const char *type)
{
    Text text = {0};
    int strings = 0;
    for (const char *c = model_text; *c; c++) {
        if (*c != '%') {
            text_append(&text, c, 1);
            continue;
        }
        c++;
        if (*c == '%')
            text_append(&text, "%", 1);
        else if (*c == 'd')
            text_print(&text, "%d", opt);
        else
            text_print(&text, "%s", strings == 0 ? target : strings == 1 ? act : type), strings++;
    }
    ck_assert_int_eq(strings, 2 + 2 * TYPED_WEIGHTS);
    Diag diag = {0};
    Module *module = module_parse(text.bytes, "model.ir", arena, &diag);
    ck_assert_msg(module != NULL, "%s", diag.message);
    text_free(&text);
    return module;
}

// Random rows for any tensor, a function of its name alone, so that every recipe finds the same.
static const void *random_tensor(void *context, const Recipe *tensor)
{
    Arena *arena = context;
    static struct {
        Arena *arena;
        const char *name;
        void *bytes;
    } made[64];
    int slot = 0;
    while (made[slot].arena &&
           (made[slot].arena != arena || strcmp(made[slot].name, tensor->tensor)))
        slot++;
    ck_assert_int_lt(slot, 64);
    if (made[slot].arena)
        return made[slot].bytes;
    int64_t bytes = tensor->rows * dtype_row_bytes(tensor->dtype, tensor->columns);
    uint8_t *out = arena_alloc(arena, (size_t)bytes);
    uint64_t seed = hash64(tensor->tensor, strlen(tensor->tensor), 7);
    int32_t block = dtype_table[tensor->dtype].block_bytes;
    for (int64_t i = 0; i < bytes; i++)
        out[i] = (uint8_t)(hash64(&i, sizeof i, seed) >> 8);
    for (int64_t i = 0; i < bytes; i += block) {
        uint64_t random = hash64(&i, sizeof i, seed + 1);
        float value = (float)((double)(random % 2001) - 1000) * 1e-3f;
        uint16_t scale = (uint16_t)(0x1c00 + random % 512); // f16, about 0.004 … 0.006
        if (tensor->dtype == DTYPE_f32)
            memcpy(out + i, &value, sizeof value);
        else if (tensor->dtype == DTYPE_f16)
            scale = (uint16_t)(0x2c00 + random % 1024), memcpy(out + i, &scale, 2);
        else
            memcpy(out + i, &scale, 2);
    }
    made[slot].arena = arena;
    made[slot].name = tensor->tensor;
    made[slot].bytes = out;
    return out;
}

// Logits of two steps (a prompt over two sequences, then one token more each) in one array.
enum { FIRST_ROWS = 3, LOGITS = (FIRST_ROWS + SEQUENCES) * VOCABULARY };

static Graph *graph_for(Module *module, int64_t tokens)
{
    int32_t i = 0;
    while (module->graphs.items[i]->bound_t && module->graphs.items[i]->bound_t < tokens)
        i++;
    return module->graphs.items[i];
}

static void run_step(Evaluator *evaluator, Module *module, const EvalInputs *inputs, float *logits)
{
    Diag diag = {0};
    Graph *graph = graph_for(module, inputs->symbols[SYMBOL_T]);
    ck_assert_msg(eval_run(evaluator, graph, inputs, &diag), "%s", diag.message);
    memcpy(logits, eval_result(evaluator, eval_output(graph, "logits")),
           (size_t)inputs->symbols[SYMBOL_R] * VOCABULARY * sizeof *logits);
}

static void evaluate(Module *module, Arena *tensors, float logits[LOGITS])
{
    static const int32_t token[TOKENS] = {1, 5, 9, 2, 40, 7, 7, 3, 11, 30, 47};
    static const int32_t pos[TOKENS] = {0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3};
    static const int32_t seq[TOKENS] = {0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1};
    static const int32_t row[FIRST_ROWS] = {0, 6, 10};
    static const int32_t table[SEQUENCES * PAGES] = {3, -1, 1, -1};
    static const int32_t length[SEQUENCES] = {7, 4};
    Evaluator *evaluator = eval_new(module, SEQUENCES, PAGES, random_tensor, tensors);
    EvalInputs first = {{TOKENS, FIRST_ROWS, SEQUENCES, PAGES},
                        {token, pos, seq, row, table, length}};
    run_step(evaluator, module, &first, logits);
    static const int32_t next_token[] = {12, 13}, next_pos[] = {7, 4}, next_seq[] = {0, 1};
    for (int32_t i = 0; i < SEQUENCES; i++) { // one token a step: the decode graph
        static const int32_t zero = 0;
        EvalInputs next = {{1, 1, SEQUENCES, PAGES},
                           {next_token + i, next_pos + i, next_seq + i, &zero, table, length}};
        run_step(evaluator, module, &next, logits + (FIRST_ROWS + i) * VOCABULARY);
    }
    eval_free(evaluator);
}

typedef struct Setting {
    const char *target, *act, *type;
} Setting;

static const Setting settings[] = {
    {"ref", "auto", "q8_0"},    {"ref", "f32", "q4_0"},     {"ref", "auto", "f16"},
    {"avx512", "auto", "q8_0"}, {"avx512", "auto", "q4_0"}, {"avx2", "f32", "q8_0"},
    {"avx2", "auto", "f32"},    {"avx512", "f32", "bf16"},  {"avx512bf16", "auto", "bf16"},
};
enum { SETTING_COUNT = sizeof settings / sizeof *settings };

static Module *module_after(Arena *arena, const Setting *setting, int opt, PassId stop_after)
{
    Module *module = parse_model(arena, setting->target, opt, setting->act, setting->type);
    PipelineOptions options = {.stop_after = stop_after, .verify = true};
    Diag diag = {0};
    ck_assert_msg(pipeline_run(module, &options, &diag), "%s", diag.message);
    return module;
}

static double distance(const float *a, const float *b)
{
    double difference = 0, norm = 0;
    for (int i = 0; i < LOGITS; i++) {
        difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        norm += (double)b[i] * b[i];
    }
    return sqrt(difference / norm);
}

START_TEST(every_pass_keeps_the_bits)
{
    const Setting *setting = &settings[_i];
    Arena arena = {0}, tensors = {0};
    float before[LOGITS], after[LOGITS], built[LOGITS];
    evaluate(parse_model(&arena, setting->target, 2, setting->act, setting->type), &tensors, built);
    memcpy(before, built, sizeof before);
    for (int i = 0; i < LOGITS; i++)
        ck_assert_msg(isfinite(built[i]), "logit %d is not finite", i);
    for (int pass = 0; pass < PASS_COUNT; pass++) {
        evaluate(module_after(&arena, setting, 2, (PassId)pass), &tensors, after);
        if (pass == PASS_numerics) {
            ck_assert_double_lt(distance(after, built), 0.05);
            memcpy(before, after, sizeof before);
        }
        ck_assert_msg(memcmp(before, after, sizeof before) == 0,
                      "%s %s %s: pass %s changed the logits, relative distance %g", setting->target,
                      setting->act, setting->type, pass_table[pass].name, distance(after, before));
    }
    arena_free(&tensors);
    arena_free(&arena);
}
END_TEST

START_TEST(quantised_activations_change_the_bits)
{
    Arena arena = {0}, tensors = {0};
    float f32[LOGITS], automatic[LOGITS];
    Setting setting = {"ref", "f32", "q8_0"};
    evaluate(module_after(&arena, &setting, 2, PASS_COUNT), &tensors, f32);
    setting.act = "auto";
    evaluate(module_after(&arena, &setting, 2, PASS_COUNT), &tensors, automatic);
    ck_assert_double_gt(distance(automatic, f32), 1e-5);
    arena_free(&tensors);
    arena_free(&arena);
}
END_TEST

START_TEST(opt_0_keeps_f32_and_fuses_nothing)
{
    Arena arena = {0};
    Setting setting = {"ref", "auto", "q8_0"};
    Module *module = module_after(&arena, &setting, 0, PASS_COUNT);
    for (Node *node = module->graphs.items[0]->first; node; node = node->next)
        ck_assert(node->op != OP_quantise && node->op != OP_add_rms_norm &&
                  node->op != OP_rope_qk_store && node->operand_count < 7);
    arena_free(&arena);
}
END_TEST

static int32_t count_ops(const Graph *graph, Op op)
{
    int32_t count = 0;
    for (Node *node = graph->first; node; node = node->next)
        count += node->op == op;
    return count;
}

// 2 L add_rms_norm less the sites without a sum, one rope_qk_store a layer, 4 L + 1 matmuls less
// the second layer's output matmul that this model lacks.
START_TEST(every_site_is_fused)
{
    Arena arena = {0};
    Module *module = module_after(&arena, &settings[_i], 2, PASS_COUNT);
    for (int32_t i = 0; i < module->graphs.count; i++) {
        const Graph *graph = module->graphs.items[i];
        ck_assert_int_eq(count_ops(graph, OP_add_rms_norm), 4);
        ck_assert_int_eq(count_ops(graph, OP_rms_norm), 1);
        ck_assert_int_eq(count_ops(graph, OP_rope_qk_store), 2);
        ck_assert_int_eq(count_ops(graph, OP_matmul), 8);
        ck_assert_int_eq(count_ops(graph, OP_slice), 0);
        ck_assert_int_eq(count_ops(graph, OP_swiglu), 0);
    }
    arena_free(&arena);
}
END_TEST

START_TEST(the_plan_reaches_the_lower_bound)
{
    Arena arena = {0};
    for (int opt = 0; opt <= 2; opt += 2) {
        Module *module = module_after(&arena, &settings[_i], opt, PASS_COUNT);
        for (int32_t i = 0; i < module->graphs.count; i++) {
            const Graph *graph = module->graphs.items[i];
            ck_assert_int_ge(graph->act_bytes, graph->act_lower_bound);
            ck_assert_msg((double)graph->act_bytes <= 1.02 * (double)graph->act_lower_bound,
                          "-O%d @%s: peak %lld, lower bound %lld", opt, graph->name,
                          (long long)graph->act_bytes, (long long)graph->act_lower_bound);
        }
    }
    arena_free(&arena);
}
END_TEST

START_TEST(two_compiles_print_the_same)
{
    Arena arena = {0};
    Text first = {0}, second = {0};
    module_print(module_after(&arena, &settings[0], 2, PASS_COUNT), &first);
    module_print(module_after(&arena, &settings[0], 2, PASS_COUNT), &second);
    ck_assert_str_eq(first.bytes, second.bytes);
    text_free(&first);
    text_free(&second);
    arena_free(&arena);
}
END_TEST

// The text of every stage reads back and prints the same, and the pipeline goes on from it to the
// same end.
START_TEST(every_stage_reads_back)
{
    Arena arena = {0};
    Text straight = {0};
    module_print(module_after(&arena, &settings[3], 2, PASS_COUNT), &straight);
    for (int pass = 0; pass < PASS_COUNT; pass++) {
        Text text = {0}, again = {0}, end = {0};
        Diag diag = {0};
        module_print(module_after(&arena, &settings[3], 2, (PassId)pass), &text);
        Module *module = module_parse(text.bytes, "stage.ir", &arena, &diag);
        ck_assert_msg(module != NULL, "after %s: %s", pass_table[pass].name, diag.message);
        module_print(module, &again);
        ck_assert_str_eq(text.bytes, again.bytes);
        PipelineOptions options = {.stop_after = PASS_COUNT, .verify = true};
        ck_assert_msg(pipeline_run(module, &options, &diag), "after %s: %s", pass_table[pass].name,
                      diag.message);
        module_print(module, &end);
        ck_assert_msg(strcmp(end.bytes, straight.bytes) == 0, "resumed after %s: another end",
                      pass_table[pass].name);
        text_free(&text);
        text_free(&again);
        text_free(&end);
    }
    text_free(&straight);
    arena_free(&arena);
}
END_TEST

START_TEST(deciding_passes_cannot_be_disabled)
{
    Arena arena = {0};
    Diag diag = {0};
    Module *module = parse_model(&arena, "ref", 2, "auto", "q8_0");
    PipelineOptions options = {.stop_after = PASS_COUNT, .disabled = 1u << PASS_layout};
    ck_assert(!pipeline_run(module, &options, &diag));
    ck_assert_str_eq(diag.message,
                     "error: pass layout cannot be disabled: everything after it needs what it "
                     "decides");
    arena_free(&arena);
}
END_TEST

START_TEST(a_type_without_kernel_is_refused_by_name)
{
    Arena arena = {0};
    Diag diag = {0};
    Module *module = parse_model(&arena, "avx2", 2, "auto", "q8_1");
    PipelineOptions options = {.stop_after = PASS_COUNT};
    ck_assert(!pipeline_run(module, &options, &diag));
    ck_assert_msg(strstr(diag.message, "no kernel for matmul") && strstr(diag.message, "q8_1") &&
                      strstr(diag.message, "avx2"),
                  "%s", diag.message);
    arena_free(&arena);
}
END_TEST

// Bytes that values pass on: 8 tokens of 64 floats, written once and read by every reader.
START_TEST(statistics_count_bytes_and_nodes)
{
    Arena arena = {0};
    Diag diag = {0};
    Module *module = module_parse("module \"m\" level=built target=ref opt=1 batch=8\n"
                                  "weight %w : f32[48,64] = \"w\":f32[48,64]\n"
                                  "graph @step {\n"
                                  "  %1 : f32[T,64] = embed %w, %token\n"
                                  "  %2 : f32[T,64] = mul %1, 1\n"
                                  "  %3 : f32[T,64] = add %2, %1\n"
                                  "  output \"logits\" = %3\n}\n",
                                  "m.ir", &arena, &diag);
    ck_assert_msg(module != NULL, "%s", diag.message);
    PipelineOptions options = {.stop_after = PASS_simplify};
    ck_assert(pipeline_run(module, &options, &diag));
    const PassStatistics *row = &options.statistics[PASS_simplify];
    ck_assert(row->ran && !options.statistics[PASS_fold].ran);
    ck_assert_int_eq(row->nodes_before, 3);
    ck_assert_int_eq(row->nodes_after, 2);
    ck_assert_int_eq(row->matches, 1);
    ck_assert_int_eq(row->bytes_before, (3 + 2 + 2) * 8 * 64 * 4);
    ck_assert_int_eq(row->bytes_after, (3 + 2) * 8 * 64 * 4);
    arena_free(&arena);
}
END_TEST

// --- decompositions

static const char *const composites[] = {
    "%1 : f32[T,64] = embed %w, %token\n  %2 : f32[T,64] = rms_norm %1, %n {eps=0.001}\n"
    "  output \"logits\" = %2",
    "%1 : f32[T,64] = embed %w, %token\n  %2 : f32[T,64] = silu %1\n  output \"logits\" = %2",
    "%1 : f32[T,64] = embed %w, %token\n  %2 : f32[T,64] = softmax %1\n  output \"logits\" = %2",
    "%1 : f32[T,64] = embed %w, %token\n  %2 : f32[T,64] = add %1, %n\n"
    "  %3 : f32[T,64] = swiglu %1, %2\n  output \"logits\" = %3",
    "%1 : f32[T,64] = embed %w, %token\n  %2 : f32[T,64] = mul %1, %n\n"
    "  %3, %4 : f32[T,64], f32[T,64] = add_rms_norm %1, %2, %n {eps=1e-05}\n"
    "  %5 : f32[T,64] = sub %4, %3\n  output \"logits\" = %5",
    "%1 : f32[T,64] = embed %w, %token\n"
    "  %2 : f32[T,64] = layer_norm %1, %n, %n {eps=0.001}\n  output \"logits\" = %2",
    "%1 : f32[T,64] = embed %w, %token\n  %2 : f32[T,64] = gelu_tanh %1\n"
    "  output \"logits\" = %2",
    "%1 : f32[T,64] = embed %w, %token\n  %2 : f32[T,64] = add %1, %n\n"
    "  %3 : f32[T,64] = geglu %1, %2\n  output \"logits\" = %3",
};
static const Op composite_ops[] = {OP_rms_norm,     OP_silu,       OP_softmax,   OP_swiglu,
                                   OP_add_rms_norm, OP_layer_norm, OP_gelu_tanh, OP_geglu};
enum { COMPOSITES = sizeof composite_ops / sizeof *composite_ops };

static void evaluate_composite(Module *module, Arena *tensors, float *out)
{
    static const int32_t token[] = {3, 1, 2};
    Evaluator *evaluator = eval_new(module, 1, 1, random_tensor, tensors);
    EvalInputs inputs = {{3, 0, 1, 1}, {token}};
    Diag diag = {0};
    Graph *graph = module->graphs.items[0];
    ck_assert_msg(eval_run(evaluator, graph, &inputs, &diag), "%s", diag.message);
    memcpy(out, eval_result(evaluator, eval_output(graph, "logits")), 3 * 64 * sizeof *out);
    eval_free(evaluator);
}

START_TEST(decomposition_means_the_same)
{
    Arena arena = {0}, tensors = {0};
    Diag diag = {0};
    float whole[192], parts[192];
    const char *text = arena_format(
        &arena,
        "module \"one\" level=built target=ref opt=0 kv=f32 act=f32 batch=4 page=32 context=32 "
        "vocabulary=64\nweight %%w : f32[8,64] = \"w\":f32[8,64]\n"
        "weight %%n : f32[64] = \"n\":f32[1,64]\ngraph @step {\n  %s\n}\n",
        composites[_i]);
    Module *module = module_parse(text, "one.ir", &arena, &diag);
    ck_assert_msg(module != NULL, "%s", diag.message);
    evaluate_composite(module, &tensors, whole);
    Graph *graph = module->graphs.items[0];
    for (Node *node = graph->first, *next; node; node = next) {
        next = node->next;
        graph_decompose(node);
    }
    ck_assert_int_eq(count_ops(graph, composite_ops[_i]), 0);
    evaluate_composite(module, &tensors, parts);
    for (int i = 0; i < 192; i++)
        ck_assert_float_le(fabsf(whole[i] - parts[i]), 1e-5f * fmaxf(1, fabsf(whole[i])));
    arena_free(&tensors);
    arena_free(&arena);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("passes");
    tcase_add_loop_test(tests, every_pass_keeps_the_bits, 0, SETTING_COUNT);
    tcase_add_test(tests, quantised_activations_change_the_bits);
    tcase_add_test(tests, opt_0_keeps_f32_and_fuses_nothing);
    tcase_add_loop_test(tests, every_site_is_fused, 0, SETTING_COUNT);
    tcase_add_loop_test(tests, the_plan_reaches_the_lower_bound, 0, SETTING_COUNT);
    tcase_add_test(tests, two_compiles_print_the_same);
    tcase_add_test(tests, every_stage_reads_back);
    tcase_add_test(tests, deciding_passes_cannot_be_disabled);
    tcase_add_test(tests, a_type_without_kernel_is_refused_by_name);
    tcase_add_test(tests, statistics_count_bytes_and_nodes);
    tcase_add_loop_test(tests, decomposition_means_the_same, 0, COMPOSITES);
    return run_cases("passes", tests);
}
