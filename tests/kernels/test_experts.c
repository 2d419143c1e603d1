// The kernels of a mixture of experts. matmul_experts: every row of the catalogue against matmul's
// reference, one expert and one slot at a time, to the bit. route and combine: against definitions
// in double precision, and where bits are promised, to the bit.
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/kernels/store.h"
#include "tests/unit/run_suite.h"

// x of a part is what the part's slot reads: made from floats, so that it can be cut anywhere.
typedef struct Problem {
    DType x, weight;
    int64_t tokens, experts, slots, rows, k;
    bool shared; // x is one part for all slots
    Epilogue epilogue;
    DType post;
    KernelOperand floats, weights, ids;
} Problem;

static const DType types[][2] = {
    {DTYPE_f32, DTYPE_f32},  {DTYPE_f32, DTYPE_f16},  {DTYPE_f32, DTYPE_bf16},
    {DTYPE_f32, DTYPE_q8_0}, {DTYPE_f32, DTYPE_q4_0}, {DTYPE_f32, DTYPE_q6_k},
    {DTYPE_q8, DTYPE_q8_0},  {DTYPE_q8, DTYPE_q4_0},  {DTYPE_q8, DTYPE_q4_1},
    {DTYPE_q8, DTYPE_q5_0},  {DTYPE_q8, DTYPE_q5_1},  {DTYPE_q8, DTYPE_iq4_nl},
    {DTYPE_f32, DTYPE_q4_k}, {DTYPE_f32, DTYPE_q5_k}, {DTYPE_q8k, DTYPE_q4_k},
    {DTYPE_q8k, DTYPE_q5_k}, {DTYPE_q8k, DTYPE_q6_k}, {DTYPE_bf16x2, DTYPE_bf16},
};
enum { TYPES = sizeof types / sizeof *types };

static Problem problem_of(int type, int64_t tokens, int64_t experts, int64_t rows, bool shared)
{
    int32_t block = dtype_table[types[type][1]].block_elements;
    return (Problem){.x = types[type][0],
                     .weight = types[type][1],
                     .tokens = tokens,
                     .experts = experts,
                     .slots = 2,
                     .rows = rows,
                     .k = block == 1 ? 6 : block,
                     .shared = shared};
}

static Problem problem_new(int type, Random *random)
{
    Problem problem = {.x = types[type][0], .weight = types[type][1]};
    int32_t block = dtype_table[problem.weight].block_elements;
    problem.tokens = random_between(random, 1, 4) == 1 ? 1 : random_between(random, 2, 20);
    problem.experts = random_between(random, 1, 6);
    problem.slots = random_between(random, 1, 3);
    problem.rows = random_between(random, 1, 2) == 1 ? 32 : random_between(random, 1, 70);
    problem.k = block == 1 ? random_between(random, 1, 600) : block * random_between(random, 1, 3);
    if (problem.x == DTYPE_bf16x2)
        problem.k *= 2;
    problem.shared = random_bits(random) & 1;
    return problem;
}

static void problem_fill(Problem *problem, uint64_t seed)
{
    problem->floats = operand_new(DTYPE_f32, LAYOUT_plain, problem->tokens,
                                  problem->k * (problem->shared ? 1 : problem->slots));
    problem->weights =
        operand_new(problem->weight, LAYOUT_plain, problem->experts * problem->rows, problem->k);
    problem->ids = operand_new(DTYPE_i32, LAYOUT_plain, problem->tokens, problem->slots);
    operand_fill(&problem->floats, seed, FILL_random);
    operand_fill(&problem->weights, seed + 1, FILL_random);
    operand_fill_integers(&problem->ids, seed + 2, 0, (int32_t)problem->experts - 1);
}

static void problem_free(Problem *problem)
{
    operand_free(&problem->floats);
    operand_free(&problem->weights);
    operand_free(&problem->ids);
}

static int64_t outputs(const Problem *problem)
{
    return epilogue_is_gated(problem->epilogue) ? problem->rows / 2 : problem->rows;
}

// The floats as activations of a type.
static KernelOperand activations(DType dtype, const KernelOperand *floats)
{
    if (dtype == DTYPE_f32)
        return operand_copy(floats);
    Random random = {9};
    Case test = {.operand_count = 1, .result_count = 1};
    test.attributes = op_default_attributes(OP_quantise);
    test.attributes.quantise.type = (int32_t)dtype;
    test.operands[0] = *floats;
    test.results[0] = operand_new(dtype, floats->rows == 1 ? LAYOUT_t1 : LAYOUT_t8, floats->rows,
                                  floats->columns);
    case_run(reference_of(OP_quantise), &test, &random);
    return test.results[0];
}

// Columns begin … begin+columns-1 of floats.
static KernelOperand part_of(const KernelOperand *floats, int64_t begin, int64_t columns)
{
    KernelOperand part = operand_new(DTYPE_f32, LAYOUT_plain, floats->rows, columns);
    for (int64_t row = 0; row < floats->rows; row++)
        memcpy((float *)part.data + row * columns,
               (const float *)floats->data + row * floats->columns + begin,
               (size_t)columns * sizeof(float));
    return part;
}

// matmul of all tokens with one expert, by the reference.
static KernelOperand expert_product(const Problem *problem, int64_t expert, int64_t slot)
{
    Random random = {10};
    KernelOperand part =
        part_of(&problem->floats, problem->shared ? 0 : slot * problem->k, problem->k);
    KernelOperand rows = operand_new(problem->weight, LAYOUT_plain, problem->rows, problem->k);
    int64_t row_bytes = dtype_row_bytes(problem->weight, problem->k);
    memcpy(rows.data, (const char *)problem->weights.data + expert * problem->rows * row_bytes,
           (size_t)(problem->rows * row_bytes));
    Case test = {.operand_count = 2, .result_count = 1};
    test.attributes = op_default_attributes(OP_matmul);
    test.attributes.matmul.epilogue = (int32_t)problem->epilogue;
    test.operands[0] = activations(problem->x, &part);
    test.operands[1] = operand_pack(&rows, packed_layout(problem->weight));
    test.results[0] = operand_new(DTYPE_f32, LAYOUT_plain, problem->tokens, outputs(problem));
    KernelQuery query = {.op = OP_matmul,
                         .target = TARGET_ref,
                         .inputs = 1u << problem->x,
                         .stored = 1u << problem->weight,
                         .layouts = 1u << test.operands[1].layout,
                         .epilogue = problem->epilogue};
    case_run(kernel_find(&query), &test, &random);
    operand_free(&part);
    operand_free(&rows);
    operand_free(&test.operands[0]);
    operand_free(&test.operands[1]);
    return test.results[0];
}

static bool names(const Problem *problem, int64_t token, int64_t slot, int64_t expert)
{
    return ((const int32_t *)problem->ids.data)[token * problem->slots + slot] == expert;
}

// Where no expert is named the result stays the garbage that it was.
static KernelOperand expected_result(const Problem *problem)
{
    int64_t part = outputs(problem);
    KernelOperand result =
        operand_new(DTYPE_f32, LAYOUT_plain, problem->tokens, problem->slots * part);
    for (int64_t expert = 0; expert < problem->experts; expert++)
        for (int64_t slot = 0; slot < problem->slots; slot++) {
            KernelOperand product = expert_product(problem, expert, slot);
            for (int64_t t = 0; t < problem->tokens; t++)
                if (names(problem, t, slot, expert))
                    memcpy((float *)result.data + t * result.columns + slot * part,
                           (const float *)product.data + t * part, (size_t)part * sizeof(float));
            operand_free(&product);
        }
    KernelOperand written = activations(problem->post, &result);
    operand_free(&result);
    return written;
}

static void check_problem(const Problem *problem, Random *random)
{
    KernelOperand expected = expected_result(problem);
    int rows = 0;
    for (int32_t i = 0; i < kernel_count; i++) {
        const KernelRow *row = &kernel_table[i];
        if (row->op != OP_matmul_experts || !(row->inputs >> problem->x & 1) ||
            !(row->stored >> problem->weight & 1) || row->target > target_native())
            continue;
        Case test = {.operand_count = 3, .result_count = 1};
        test.attributes.matmul_experts.experts = (int32_t)problem->experts;
        test.attributes.matmul_experts.epilogue = (int32_t)problem->epilogue;
        test.attributes.matmul_experts.post = (int32_t)problem->post;
        test.operands[0] = activations(problem->x, &problem->floats);
        test.operands[1] = row->layouts & LAYOUT_SET(plain)
                               ? operand_copy(&problem->weights)
                               : operand_pack(&problem->weights, packed_layout(problem->weight));
        test.operands[2] = operand_copy(&problem->ids);
        test.results[0] =
            operand_new(problem->post, expected.layout, problem->tokens, expected.columns);
        case_run(row, &test, random);
        operand_expect(row, &test.results[0], &expected, row->tolerance);
        case_free(&test);
        rows++;
    }
    ck_assert_int_gt(rows, 0);
    operand_free(&expected);
}

START_TEST(experts_give_what_matmul_gives)
{
    Random random = {(uint64_t)_i + 1};
    for (int problems = 0; problems < 15; problems++) {
        Problem problem = problem_new(_i, &random);
        problem_fill(&problem, (uint64_t)problems * 8);
        check_problem(&problem, &random);
        problem_free(&problem);
    }
}
END_TEST

START_TEST(experts_have_epilogues_and_posts)
{
    static const DType posts[] = {DTYPE_f32, DTYPE_q8, DTYPE_q8k, DTYPE_bf16x2};
    Random random = {(uint64_t)_i + 70};
    for (int problems = 0; problems < 16; problems++) {
        Problem problem = problem_new(_i, &random);
        problem.post = posts[problems % 4];
        problem.epilogue = (Epilogue)(problems / 4 % EPILOGUE_COUNT);
        bool gated = epilogue_is_gated(problem.epilogue);
        int32_t block = dtype_table[problem.post].block_elements;
        int32_t unit = gated && block < 16 ? 16 : block;
        problem.rows = unit * random_between(&random, 1, block < 16 ? 30 : 2) * (gated ? 2 : 1);
        problem_fill(&problem, (uint64_t)problems * 8);
        check_problem(&problem, &random);
        problem_free(&problem);
    }
}
END_TEST

// More picks of one expert than a block of the loops holds.
START_TEST(experts_take_many_tokens)
{
    Random random = {(uint64_t)_i + 50};
    Problem problem = problem_of(_i, 270, 2, 20, true);
    problem_fill(&problem, 3);
    check_problem(&problem, &random);
    problem_free(&problem);
}
END_TEST

// A plan may bring any numbers as ids.
START_TEST(ids_of_no_expert_touch_nothing)
{
    Random random = {(uint64_t)_i + 100};
    Problem problem = problem_of(_i, 9, 3, 40, false);
    problem_fill(&problem, 4);
    int32_t *ids = problem.ids.data;
    ids[0] = -1;
    ids[3] = 3;
    ids[8] = INT32_MAX;
    ids[11] = INT32_MIN;
    check_problem(&problem, &random);
    problem_free(&problem);
}
END_TEST

START_TEST(no_tokens_no_tiles)
{
    for (int32_t i = 0; i < kernel_count; i++) {
        if (kernel_table[i].op != OP_matmul_experts)
            continue;
        KernelOperand operands[] = {{NULL, 0, 256, DTYPE_f32, LAYOUT_plain},
                                    {NULL, 64, 256, DTYPE_f32, LAYOUT_n16k1},
                                    {NULL, 0, 2, DTYPE_i32, LAYOUT_plain}};
        KernelOperand result = {0};
        Attributes attributes = {.matmul_experts = {.experts = 4}};
        KernelCall call = {&result, operands, 1, 3, &attributes, {0}, NULL};
        ck_assert_int_eq(kernel_table[i].tiles(&call), 0);
    }
}
END_TEST

// --- route, combine

static Case route_case(int64_t tokens, int64_t experts, int32_t k, int32_t normalise)
{
    Case test = {.operand_count = 1, .result_count = 2};
    test.attributes.route.k = k;
    test.attributes.route.normalise = normalise;
    test.operands[0] = operand_new(DTYPE_f32, LAYOUT_plain, tokens, experts);
    test.results[0] = operand_new(DTYPE_i32, LAYOUT_plain, tokens, k);
    test.results[1] = operand_new(DTYPE_f32, LAYOUT_plain, tokens, k);
    return test;
}

// How many experts stand before expert i: larger, or equal with a lower index.
static int64_t rank_of(const float *logits, int64_t experts, int64_t i)
{
    int64_t rank = 0;
    for (int64_t j = 0; j < experts; j++)
        rank += j < i ? logits[j] >= logits[i] : logits[j] > logits[i];
    return rank;
}

static void check_route_row(const Case *test, int64_t row)
{
    int64_t experts = test->operands[0].columns, k = test->results[0].columns;
    const float *logits = (const float *)test->operands[0].data + row * experts;
    const int32_t *ids = (const int32_t *)test->results[0].data + row * k;
    const float *weights = (const float *)test->results[1].data + row * k;
    double all = 0, chosen = 0;
    for (int64_t i = 0; i < experts; i++) {
        all += exp((double)logits[i]);
        chosen += rank_of(logits, experts, i) < k ? exp((double)logits[i]) : 0;
    }
    for (int64_t slot = 0; slot < k; slot++) {
        ck_assert_int_eq(rank_of(logits, experts, ids[slot]), slot);
        double share =
            exp((double)logits[ids[slot]]) / (test->attributes.route.normalise ? chosen : all);
        ck_assert_double_le(fabs((double)weights[slot] - share), 1e-6);
    }
}

START_TEST(route_chooses_the_largest_and_weighs_them)
{
    Random random = {7};
    for (int problems = 0; problems < 60; problems++) {
        int32_t experts = random_between(&random, 1, 70);
        Case test = route_case(random_between(&random, 1, 9), experts,
                               random_between(&random, 1, experts), problems & 1);
        // Small integers tie often.
        operand_fill(&test.operands[0], (uint64_t)problems,
                     problems & 2 ? FILL_small : FILL_random);
        case_run(reference_of(OP_route), &test, &random);
        for (int64_t row = 0; row < test.operands[0].rows; row++)
            check_route_row(&test, row);
        case_free(&test);
    }
}
END_TEST

START_TEST(route_chooses_different_experts_whatever_the_logits)
{
    static const float logits[] = {NAN, 1, -INFINITY, INFINITY, NAN, -INFINITY};
    Random random = {8};
    Case test = route_case(1, 6, 6, 1);
    memcpy(test.operands[0].data, logits, sizeof logits);
    case_run(reference_of(OP_route), &test, &random);
    uint32_t seen = 0;
    for (int slot = 0; slot < 6; slot++)
        seen |= 1u << ((const int32_t *)test.results[0].data)[slot];
    ck_assert_uint_eq(seen, 63);
    case_free(&test);
}
END_TEST

START_TEST(combine_adds_in_the_order_of_slots)
{
    Random random = {9};
    for (int64_t slots = 1; slots <= 5; slots++) {
        int64_t columns = random_between(&random, 1, 40), rows = random_between(&random, 1, 9);
        Case test = {.operand_count = 2, .result_count = 1};
        test.operands[0] = operand_new(DTYPE_f32, LAYOUT_plain, rows, slots * columns);
        test.operands[1] = operand_new(DTYPE_f32, LAYOUT_plain, rows, slots);
        test.results[0] = operand_new(DTYPE_f32, LAYOUT_plain, rows, columns);
        operand_fill(&test.operands[0], 1, FILL_random);
        operand_fill(&test.operands[1], 2, FILL_random);
        case_run(reference_of(OP_combine), &test, &random);
        KernelOperand expected = operand_new(DTYPE_f32, LAYOUT_plain, rows, columns);
        for (int64_t i = 0; i < rows * columns; i++) {
            const float *part =
                (const float *)test.operands[0].data + i / columns * slots * columns + i % columns;
            const float *weight = (const float *)test.operands[1].data + i / columns * slots;
            volatile float sum = weight[0] * part[0];
            for (int64_t slot = 1; slot < slots; slot++) {
                volatile float product = weight[slot] * part[slot * columns];
                sum = sum + product;
            }
            ((float *)expected.data)[i] = sum;
        }
        operand_expect(reference_of(OP_combine), &test.results[0], &expected, 0);
        operand_free(&expected);
        case_free(&test);
    }
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("experts");
    tcase_set_timeout(tests, 300);
    tcase_add_loop_test(tests, experts_give_what_matmul_gives, 0, TYPES);
    tcase_add_loop_test(tests, experts_have_epilogues_and_posts, 0, TYPES);
    tcase_add_loop_test(tests, experts_take_many_tokens, 0, TYPES);
    tcase_add_loop_test(tests, ids_of_no_expert_touch_nothing, 0, TYPES);
    tcase_add_test(tests, no_tokens_no_tiles);
    tcase_add_test(tests, route_chooses_the_largest_and_weighs_them);
    tcase_add_test(tests, route_chooses_different_experts_whatever_the_logits);
    tcase_add_test(tests, combine_adds_in_the_order_of_slots);
    for (int32_t i = 0; i < kernel_count; i++)
        if (kernel_table[i].op == OP_matmul_experts)
            row_runs_here(&kernel_table[i]);
    return run_cases("experts", tests);
}
