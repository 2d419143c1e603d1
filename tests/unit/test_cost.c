// The cost model in exact figures: bytes and operations are counted here by hand, times are those
// of machine.def.
#include <check.h>
#include <stdlib.h>

#include "kernels/probe.h"
#include "passes/cost.h"
#include "tests/unit/run_suite.h"

static const char text[] =
    "module \"m\" level=built target=ref kv=f16 batch=8 page=32\n"
    "weight %embd : f16[48,64] = \"embd\":f16[48,64]\n"
    "weight %norm : f32[64] = \"norm\":f32[1,64]\n"
    "weight %f32 : f32[40,64] = \"f32\":f32[40,64]\n"
    "weight %f16 : f16[40,64] = \"f16\":f16[40,64]\n"
    "weight %bf16 : bf16[40,64] = \"bf16\":bf16[40,64]\n"
    "weight %q8_0 : q8_0[40,64] = \"q8_0\":q8_0[40,64]\n"
    "weight %q4_0 : q4_0[40,64] = \"q4_0\":q4_0[40,64]\n"
    "weight %q6_k : q6_k[40,256] = \"q6_k\":q6_k[40,256]\n"
    "state %k : f16[page,2,16] keys\n"
    "state %v : f16[page,2,16] values\n"
    "graph @step {\n"
    "  %1 : f32[T,64] = embed %embd, %token\n"
    "  %2 : f32[T,64] = rms_norm %1, %norm {eps=1e-05}\n"
    "  %3 : f32[T,32] = slice %2 {axis=1, begin=0, end=32}\n"
    "  kv_store %3, %pos, %seq, %table, rw %k\n"
    "  kv_store %3, %pos, %seq, %table, rw %v\n"
    "  %4 : f32[T,64] = attention %2, %pos, %seq, %table, %k, %v {heads=4, scale=0.25}\n"
    "  %5 : f32[T,64] = attention %4, %pos, %seq, %table, %k, %v {heads=4, scale=0.25, "
    "window=100}\n"
    "  %6 : f32[T,200] = matmul %5, %f32, %f16, %bf16, %q8_0, %q4_0\n"
    "  %7 : f32[T,256] = concat %1, %2, %4, %5 {axis=1}\n"
    "  %8 : f32[T,40] = matmul %7, %q6_k\n"
    "  %9 : f32[T,240] = concat %6, %8 {axis=1}\n"
    "  %10 : f32[R,240] = gather_rows %9, %row\n"
    "  output \"logits\" = %10\n"
    "}\n";

static Arena arena;
static const Module *module;

static void set_up(void)
{
    Diag diag = {0};
    module = module_parse(text, "m.ir", &arena, &diag);
    ck_assert_msg(module != NULL, "%s", diag.message);
}

static void tear_down(void)
{
    arena_free(&arena);
}

// The node of that op, the skip-th after the first.
static const Node *find(Op op, int skip)
{
    for (const Node *node = module->graphs.items[0]->first; node; node = node->next)
        if (node->op == op && skip-- == 0)
            return node;
    ck_abort_msg("no %s", op_table[op].name);
}

static void check(Cost cost, int64_t read, int64_t written, double operations)
{
    ck_assert_int_eq(cost.read_bytes, read);
    ck_assert_int_eq(cost.written_bytes, written);
    ck_assert_double_eq(cost.operations, operations);
}

// At T = 2.
static Cost cost_of(const Node *node)
{
    KernelRow row = {.op = node->op, .target = TARGET_avx2};
    return cost_node(node, &row, 2);
}

START_TEST(steps)
{
    check(cost_of(find(OP_embed, 0)), 2 * 128 + 8, 512, 128);
    check(cost_of(find(OP_rms_norm, 0)), 512 + 256, 512, 4 * 128);
    check(cost_of(find(OP_slice, 0)), 256, 256, 0);
    // Positions, sequences and a table of 16 pages are 80 bytes.
    check(cost_of(find(OP_kv_store, 0)), 256 + 80, 2 * 32 * 2, 64);
    check(cost_of(find(OP_gather_rows, 0)), 960 + 4, 960, 0); // one row is asked for
}
END_TEST

START_TEST(attention)
{
    // 512 positions of 32 f16 in keys and in values; 4 operations for each, 20 for each exp.
    Cost cost = cost_of(find(OP_attention, 0));
    check(cost, 512 + 80 + 2 * 512 * 64, 512, 2.0 * 512 * (64 * 4 + 4 * 20));
    ck_assert_double_eq(cost.ns, 344064 / 117.0);
    check(cost_of(find(OP_attention, 1)), 512 + 80 + 2 * 100 * 64, 512,
          2.0 * 100 * (64 * 4 + 4 * 20));
}
END_TEST

typedef struct MatmulCase {
    int index;
    DType input;
    Layout layout;
    int64_t activation_bytes, weight_bytes; // of one token; of the weight with its padding
} MatmulCase;

// 40 rows of 64: three panels of 16 or two of 32.
static const MatmulCase matmuls[] = {
    {1, DTYPE_f32, LAYOUT_plain, 256, 40 * 256},    {1, DTYPE_f32, LAYOUT_n16k1, 256, 48 * 256},
    {2, DTYPE_f32, LAYOUT_n32k1, 256, 64 * 128},    {3, DTYPE_f32, LAYOUT_n32k2, 256, 64 * 128},
    {4, DTYPE_f32, LAYOUT_plain, 256, 40 * 68},     {4, DTYPE_f32, LAYOUT_n16k4, 256, 3 * 1088},
    {4, DTYPE_q8, LAYOUT_n16k4, 80, 3 * 1088},      {5, DTYPE_q8, LAYOUT_n16k4, 80, 3 * 576},
    {3, DTYPE_bf16x2, LAYOUT_n32k2, 128, 2 * 4096},
};

START_TEST(matmul)
{
    static const struct {
        Order order;
        WorkKind kind;
        double peak;
    } kinds[DTYPE_COUNT] = {[DTYPE_f32] = {ORDER_chain, WORK_f32, 117},
                            [DTYPE_q8] = {ORDER_block32, WORK_int8, 470},
                            [DTYPE_bf16x2] = {ORDER_pairs, WORK_bf16, 235}};
    const MatmulCase *one = &matmuls[_i];
    const Node *node = find(OP_matmul, 0);
    KernelRow row = {
        .op = OP_matmul, .target = TARGET_avx512bf16, .order = kinds[one->input].order};
    for (int64_t tokens = 1; tokens <= 1000; tokens += 999) {
        Cost cost = cost_dots(node, one->index, one->input, one->layout, &row, tokens);
        int64_t read = tokens * one->activation_bytes + one->weight_bytes;
        double operations = 2.0 * (double)tokens * 40 * 64;
        check(cost, read, tokens * 160, operations);
        ck_assert_int_eq(cost.work, kinds[one->input].kind);
        double moving = (double)(read + tokens * 160) / 31.6;
        double working = operations / kinds[one->input].peak;
        ck_assert_double_eq(cost.ns, moving > working ? moving : working);
    }
}
END_TEST

// Two blocks of 256 a row where there is one: packing pads to pairs.
START_TEST(matmul_of_256)
{
    KernelRow row = {.op = OP_matmul, .order = ORDER_block256};
    Cost cost = cost_dots(find(OP_matmul, 1), 1, DTYPE_q8k, LAYOUT_n16k4, &row, 2);
    check(cost, 2 * 292 + 3 * 6720, 2 * 160, 2.0 * 2 * 40 * 256);
    ck_assert_double_eq(cost.ns, 40960 / 0.66);
}
END_TEST

// A node reads its activations once, whatever the number of its weights.
START_TEST(several_weights)
{
    check(cost_of(find(OP_matmul, 0)), 512 + 10240 + 5120 + 5120 + 40 * 68 + 40 * 36, 2 * 800,
          2.0 * 2 * 200 * 64);
}
END_TEST

START_TEST(token_of_two_phases)
{
    TokenCost sum = {0};
    Cost decode = {.read_bytes = 100, .written_bytes = 20, .operations = 7, .ns = 3};
    Cost prefill = {.read_bytes = 800, .written_bytes = 160, .operations = 80, .ns = 16};
    token_cost_add(&sum, &decode, 1);
    token_cost_add(&sum, &prefill, 8);
    ck_assert_double_eq(sum.bytes, 120 + 120);
    ck_assert_double_eq(sum.operations, 7 + 10);
    ck_assert_double_eq(sum.ns, 3 + 2);
}
END_TEST

// The depth of attention over two tokens of one sequence and three of another.
static void check_depth(int32_t window, double seen, double held)
{
    int32_t pos[] = {7, 8, 99, 100, 101}, seq[] = {0, 0, 1, 1, 1};
    KernelOperand operands[] = {{.rows = 5}, {.data = pos}, {.data = seq}};
    Attributes attributes = {.attention = {.window = window}};
    KernelCall call = {.operands = operands, .operand_count = 3, .attributes = &attributes};
    WorkDepth depth = work_depth(&(KernelRow){.op = OP_attention}, &call);
    ck_assert_double_eq(depth.seen, seen);
    ck_assert_double_eq(depth.held, held);
}

START_TEST(depth)
{
    check_depth(0, 8 + 9 + 100 + 101 + 102, 9 + 102);
    check_depth(8, 8 + 8 + 8 + 8 + 8, 9 + 10);
    check_depth(9, 8 + 9 + 9 + 9 + 9, 9 + 11);
}
END_TEST

// Twice the rounds are twice the operations.
START_TEST(probes)
{
    static _Alignas(64) char memory[1024];
    for (int target = 0; target <= (int)target_native(); target++) {
        for (WorkKind kind = 0; kind < WORK_COUNT; kind++) {
            ProbePeak *peak = probe_table[target].peak[kind];
            ck_assert_double_gt(peak(3), 0);
            ck_assert_double_eq(peak(6), 2 * peak(3));
        }
        probe_table[target].read(memory, sizeof memory);
    }
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("cost");
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_test(cases, steps);
    tcase_add_test(cases, attention);
    tcase_add_loop_test(cases, matmul, 0, (int)(sizeof matmuls / sizeof *matmuls));
    tcase_add_test(cases, matmul_of_256);
    tcase_add_test(cases, several_weights);
    tcase_add_test(cases, token_of_two_phases);
    tcase_add_test(cases, depth);
    tcase_add_test(cases, probes);
    return run_cases("cost", cases);
}
