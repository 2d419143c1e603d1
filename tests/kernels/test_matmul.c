// Every matmul row of the catalogue against a definition written here from kernels/README.md: plain
// weights, one output at a time. Bits must be equal (but for the row that has a tolerance), so
// targets agree with one another, whatever the layout, the tile of tokens, or the cut of the tiles.
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/math.h"
#include "kernels/pack.h"
#include "kernels/rows.h"
#include "tests/kernels/harness.h"
#include "tests/unit/run_suite.h"

enum { WEIGHTS_MOST = 3 };

// A problem: its weights are plain; each run packs them as the row wants.
typedef struct Problem {
    int64_t tokens, k;
    KernelOperand x;
    KernelOperand weights[WEIGHTS_MOST];
    int32_t weight_count;
    Epilogue epilogue;
    DType post;
    Layout result_layout;
    Fill fill;
} Problem;

static float chain_dot(const KernelOperand *x, int64_t token, const float *weights)
{
    const float *row = (const float *)x->data + token * x->columns;
    float sum = 0;
    for (int64_t k = 0; k < x->columns; k++)
        sum = fmaf(row[k], weights[k], sum);
    return sum;
}

// A file's row as integers, by k, and f16 factors, by block: value = factors[0] * quants[0] +
// factors[1] * quants[1], the second of types with minima. Q6_K: subscale * quant.
typedef struct IntegerRow {
    int32_t *quants[2];
    float *factors[2];
} IntegerRow;

// With a factor of 1, and the other 0, the reader gives the integers.
static void integer_block(DType dtype, const PackForm *form, const uint8_t *row, int64_t b,
                          const IntegerRow *out)
{
    const DTypeInfo *info = &dtype_table[dtype];
    for (int f = 0; f < form->factors; f++) {
        uint8_t block[256];
        float values[256];
        uint16_t factor;
        memcpy(block, row + b * info->block_bytes, (size_t)info->block_bytes);
        memcpy(&factor, block + form->factor_at[f], 2);
        out->factors[f][b] = f16_to_f32(factor);
        for (int other = 0; other < form->factors; other++) {
            factor = f32_to_f16(other == f ? 1.0f : 0.0f);
            memcpy(block + form->factor_at[other], &factor, 2);
        }
        row_to_f32(dtype, block, info->block_elements, values);
        for (int k = 0; k < info->block_elements; k++)
            out->quants[f][b * info->block_elements + k] = (int32_t)values[k];
    }
}

static float block_dot(const KernelOperand *x, int64_t token, const IntegerRow *row, int factors)
{
    int32_t elements = dtype_table[x->dtype].block_elements;
    float sum = 0;
    for (int64_t b = 0; b < x->columns / elements; b++) {
        ActivationBlock block = activation_block(x, token, b);
        for (int f = 0; f < factors; f++) {
            int32_t dot = 0;
            for (int k = 0; k < elements; k++)
                dot += row->quants[f][b * elements + k] * block.quants[k];
            sum = fmaf(row->factors[f][b] * block.scale, (float)dot, sum);
        }
    }
    return sum;
}

static void expect_blocks(const Problem *problem, DType dtype, const uint8_t *bytes, float *sums,
                          int64_t stride)
{
    IntegerRow row;
    int32_t elements = dtype_table[dtype].block_elements;
    const PackForm *form = elements == 32 ? &pack_forms32[dtype] : &pack_forms256[dtype];
    for (int f = 0; f < 2; f++) {
        row.quants[f] = malloc((size_t)problem->k * sizeof *row.quants[f]);
        row.factors[f] = malloc((size_t)problem->k * sizeof *row.factors[f]);
    }
    for (int64_t b = 0; b < problem->k / elements; b++)
        integer_block(dtype, form, bytes, b, &row);
    for (int64_t t = 0; t < problem->tokens; t++)
        sums[t * stride] = block_dot(&problem->x, t, &row, form->factors);
    for (int f = 0; f < 2; f++) {
        free(row.quants[f]);
        free(row.factors[f]);
    }
}

static float flushed(float value)
{
    return isnan(value) || isnormal(value) || isinf(value) ? value : copysignf(0, value);
}

static float pair_dot(const KernelOperand *x, int64_t token, const float *weights)
{
    float sum = 0;
    for (int64_t i = 0; i < x->columns; i++) {
        int64_t k = i ^ 1; // 1, 0, 3, 2, …
        sum = flushed(fmaf(flushed(activation_element(x, token, k)), flushed(weights[k]), sum));
    }
    return sum;
}

// Column `column` of the sums, before epilogue and post.
static void expect_column(const Problem *problem, const KernelOperand *weight, int64_t row,
                          float *sums, int64_t stride)
{
    const uint8_t *bytes =
        (const uint8_t *)weight->data + row * dtype_row_bytes(weight->dtype, problem->k);
    if (dtype_table[weight->dtype].kind == DTYPE_KIND_QUANT && problem->x.dtype != DTYPE_f32) {
        expect_blocks(problem, weight->dtype, bytes, sums, stride);
        return;
    }
    float *values = malloc((size_t)problem->k * sizeof *values);
    row_to_f32(weight->dtype, bytes, problem->k, values);
    for (int64_t t = 0; t < problem->tokens; t++)
        sums[t * stride] =
            (problem->x.dtype == DTYPE_f32 ? chain_dot : pair_dot)(&problem->x, t, values);
    free(values);
}

static int64_t all_rows(const Problem *problem)
{
    int64_t rows = 0;
    for (int32_t i = 0; i < problem->weight_count; i++)
        rows += problem->weights[i].rows;
    return rows;
}

static KernelOperand new_result(const Problem *problem)
{
    int64_t rows = all_rows(problem);
    return operand_new(problem->post, problem->result_layout, problem->tokens,
                       epilogue_is_gated(problem->epilogue) ? rows / 2 : rows);
}

static KernelOperand expect_sums(const Problem *problem)
{
    KernelOperand sums = operand_new(DTYPE_f32, LAYOUT_plain, problem->tokens, all_rows(problem));
    int64_t column = 0;
    for (int32_t i = 0; i < problem->weight_count; i++)
        for (int64_t row = 0; row < problem->weights[i].rows; row++, column++)
            expect_column(problem, &problem->weights[i], row, (float *)sums.data + column,
                          sums.columns);
    return sums;
}

// The result by definition.
static KernelOperand expect_result(const Problem *problem)
{
    KernelOperand sums = expect_sums(problem), values, result = new_result(problem);
    values = operand_new(DTYPE_f32, LAYOUT_plain, problem->tokens, result.columns);
    for (int64_t t = 0; t < problem->tokens; t++)
        for (int64_t i = 0; i < result.columns; i++) {
            const float *row = (const float *)sums.data + t * sums.columns;
            float *out = (float *)values.data + t * result.columns + i;
            const float *gate = row + i / 16 * 32 + i % 16;
            switch (problem->epilogue) {
            case EPILOGUE_swiglu: *out = silu_f32(gate[0]) * gate[16]; break;
            case EPILOGUE_geglu: *out = gelu_tanh_f32(gate[0]) * gate[16]; break;
            default: *out = row[i];
            }
        }
    operand_free(&sums);
    if (problem->post == DTYPE_f32) {
        operand_free(&result);
        return values;
    }
    int32_t tokens = layout_table[result.layout].panel_rows;
    for (int64_t t = 0; t < problem->tokens; t++) {
        int64_t tile_bytes = layout_panel_bytes(result.dtype, result.layout, result.columns);
        uint8_t *tile = (uint8_t *)result.data + t / tokens * tile_bytes;
        rows_body_ref.quantise[problem->post]((const float *)values.data + t * result.columns,
                                              result.columns, tile, 0, (int32_t)(t % tokens),
                                              tokens);
    }
    operand_free(&values);
    return result;
}

static Case problem_case(const Problem *problem, const KernelRow *row)
{
    Case test = {.operand_count = 1 + problem->weight_count, .result_count = 1};
    test.attributes = op_default_attributes(OP_matmul);
    test.attributes.matmul.epilogue = (int32_t)problem->epilogue;
    test.attributes.matmul.post = (int32_t)problem->post;
    test.operands[0] = operand_copy(&problem->x);
    for (int32_t i = 0; i < problem->weight_count; i++) {
        const KernelOperand *weight = &problem->weights[i];
        bool plain = row->layouts & LAYOUT_SET(plain);
        test.operands[1 + i] =
            plain ? operand_copy(weight) : operand_pack(weight, packed_layout(weight->dtype));
    }
    test.results[0] = new_result(problem);
    return test;
}

static bool row_takes(const KernelRow *row, const Problem *problem)
{
    uint32_t stored = 0;
    for (int32_t i = 0; i < problem->weight_count; i++)
        stored |= 1u << problem->weights[i].dtype;
    return row->op == OP_matmul && (row->inputs >> problem->x.dtype & 1) &&
           !(stored & ~row->stored);
}

// Every row that takes the problem gives the bits of the definition.
static void check_problem(const Problem *problem, Random *random)
{
    KernelOperand expected = expect_result(problem);
    int rows = 0;
    for (int32_t i = 0; i < kernel_count; i++) {
        const KernelRow *row = &kernel_table[i];
        if (!row_takes(row, problem) || row->target > target_native())
            continue;
        Case test = problem_case(problem, row);
        case_run(row, &test, random);
        operand_expect(row, &test.results[0], &expected, row->tolerance);
        case_free(&test);
        rows++;
    }
    ck_assert_int_gt(rows, 0);
    operand_free(&expected);
}

static void problem_free(Problem *problem)
{
    operand_free(&problem->x);
    for (int32_t i = 0; i < problem->weight_count; i++)
        operand_free(&problem->weights[i]);
}

static void add_weight(Problem *problem, DType dtype, int64_t rows, uint64_t seed)
{
    KernelOperand weight = operand_new(dtype, LAYOUT_plain, rows, problem->k);
    operand_fill(&weight, seed, problem->fill);
    problem->weights[problem->weight_count++] = weight;
}

static Problem problem_new(DType x, int64_t tokens, int64_t k, Fill fill)
{
    Problem problem = {.tokens = tokens, .k = k, .fill = fill, .result_layout = LAYOUT_plain};
    Layout layout = x == DTYPE_f32 ? LAYOUT_plain : tokens == 1 ? LAYOUT_t1 : LAYOUT_t8;
    problem.x = operand_new(x, layout, tokens, k);
    operand_fill(&problem.x, 77, fill);
    return problem;
}

typedef struct Types {
    DType x, weight;
} Types;

static const Types types[] = {
    {DTYPE_f32, DTYPE_f32},     {DTYPE_f32, DTYPE_f16},  {DTYPE_f32, DTYPE_bf16},
    {DTYPE_f32, DTYPE_q8_0},    {DTYPE_f32, DTYPE_q4_0}, {DTYPE_f32, DTYPE_q6_k},
    {DTYPE_f32, DTYPE_q4_1},    {DTYPE_f32, DTYPE_q5_0}, {DTYPE_f32, DTYPE_q5_1},
    {DTYPE_f32, DTYPE_iq4_nl},  {DTYPE_f32, DTYPE_q4_k}, {DTYPE_f32, DTYPE_q5_k},
    {DTYPE_q8, DTYPE_q8_0},     {DTYPE_q8, DTYPE_q4_0},  {DTYPE_q8, DTYPE_q4_1},
    {DTYPE_q8, DTYPE_q5_0},     {DTYPE_q8, DTYPE_q5_1},  {DTYPE_q8, DTYPE_iq4_nl},
    {DTYPE_q8k, DTYPE_q4_k},    {DTYPE_q8k, DTYPE_q5_k}, {DTYPE_q8k, DTYPE_q6_k},
    {DTYPE_bf16x2, DTYPE_bf16},
};
enum { TYPES = sizeof types / sizeof *types };

static int64_t some_k(Random *random, Types type)
{
    int32_t block = dtype_table[type.weight].block_elements;
    if (block == 256)
        return block * random_between(random, 1, 5);
    if (block == 32)
        return block * random_between(random, 1, 35);
    int32_t few = random_between(random, 1, 4) == 1 ? random_between(random, 250, 550)
                                                    : random_between(random, 1, 35);
    return type.x == DTYPE_bf16x2 ? 2 * few : 2 * few - random_between(random, 0, 1);
}

static void check_plain(DType x, DType weight, int64_t tokens, int64_t rows, int64_t k, Fill fill,
                        Random *random)
{
    Problem problem = problem_new(x, tokens, k, fill);
    add_weight(&problem, weight, rows, 5);
    check_problem(&problem, random);
    problem_free(&problem);
}

START_TEST(every_number_of_rows)
{
    Random random = {(uint64_t)_i + 1};
    for (int rows = 1; rows <= 70; rows++)
        check_plain(types[_i].x, types[_i].weight, random_between(&random, 1, 10), rows,
                    some_k(&random, types[_i]), FILL_random, &random);
}
END_TEST

START_TEST(every_number_of_tokens)
{
    Random random = {(uint64_t)_i + 100};
    for (int tokens = 1; tokens <= 20; tokens++)
        check_plain(types[_i].x, types[_i].weight, tokens == 20 ? 40 : tokens,
                    random_between(&random, 1, 40), some_k(&random, types[_i]), FILL_random,
                    &random);
}
END_TEST

START_TEST(no_quants_saturate)
{
    Random random = {(uint64_t)_i + 200};
    for (int tokens = 1; tokens <= 9; tokens++)
        check_plain(types[_i].x, types[_i].weight, tokens, 35, some_k(&random, types[_i]),
                    FILL_extreme, &random);
}
END_TEST

// More tokens than a block of the loops, and rows so long that a block holds only eight tokens.
START_TEST(blocks_of_tokens)
{
    Random random = {(uint64_t)_i + 300};
    DType weight = types[_i].weight;
    int32_t block = dtype_table[weight].block_elements;
    int64_t k = block > 1 ? block : types[_i].x == DTYPE_bf16x2 ? 6 : 7;
    check_plain(types[_i].x, weight, 270, 3, k, FILL_random, &random);
    check_plain(types[_i].x, weight, 19, 2, 24576, FILL_random, &random);
}
END_TEST

static void check_epilogue(Types type, Epilogue epilogue, DType post, Random *random)
{
    int64_t tokens = random_between(random, 1, 19);
    int32_t block = dtype_table[post].block_elements;
    int32_t unit = epilogue_is_gated(epilogue) && block < 16 ? 16 : block;
    Problem problem = problem_new(type.x, tokens, some_k(random, type), FILL_random);
    problem.epilogue = epilogue;
    problem.post = post;
    if (post != DTYPE_f32)
        problem.result_layout = random_bits(random) & 1 ? LAYOUT_t8 : LAYOUT_t1;
    for (int i = 0; i < 2; i++)
        add_weight(&problem, type.weight,
                   unit * random_between(random, 1, block < 32 ? 40 : 3) *
                       (epilogue_is_gated(epilogue) ? 2 : 1),
                   (uint64_t)i + 9);
    check_problem(&problem, random);
    problem_free(&problem);
}

START_TEST(epilogues_and_posts)
{
    static const DType posts[] = {DTYPE_f32, DTYPE_q8, DTYPE_q8k, DTYPE_bf16x2};
    Random random = {(uint64_t)_i + 400};
    for (int epilogue = 0; epilogue < EPILOGUE_COUNT; epilogue++)
        for (int post = 0; post < 4; post++)
            for (int repeat = 0; repeat < 3; repeat++)
                check_epilogue(types[_i], (Epilogue)epilogue, posts[post], &random);
}
END_TEST

// Results of several weights stand side by side; a unit never straddles two of them.
START_TEST(weights_side_by_side)
{
    static const DType blocks32[] = {DTYPE_q8_0, DTYPE_q4_0, DTYPE_q4_1,
                                     DTYPE_q5_0, DTYPE_q5_1, DTYPE_iq4_nl};
    static const DType others[] = {DTYPE_f32, DTYPE_f16, DTYPE_bf16, DTYPE_q6_k};
    Random random = {500};
    for (int repeat = 0; repeat < 30; repeat++) {
        bool quants = repeat % 2;
        Problem problem = problem_new(quants ? DTYPE_q8 : DTYPE_f32, random_between(&random, 1, 12),
                                      quants ? 96 : 256, FILL_random);
        for (int i = 0; i < WEIGHTS_MOST; i++)
            add_weight(&problem,
                       quants || i % 2 ? blocks32[random_between(&random, 0, 5)]
                                       : others[random_between(&random, 0, 3)],
                       random_between(&random, 1, 70), (uint64_t)i + 20);
        check_problem(&problem, &random);
        problem_free(&problem);
    }
}
END_TEST

// Small integers: every order of summation is exact, so a sum in double is an oracle of its own.
START_TEST(small_integers_are_exact)
{
    Random random = {(uint64_t)_i + 600};
    DType weight_type = types[_i].weight;
    Problem problem = problem_new(types[_i].x, 11, some_k(&random, types[_i]), FILL_small);
    add_weight(&problem, weight_type, 33, 3);
    KernelOperand sums = expect_sums(&problem);
    float *row = malloc((size_t)problem.k * sizeof *row);
    for (int64_t n = 0; n < 33; n++) {
        const KernelOperand *weight = &problem.weights[0];
        row_to_f32(weight_type,
                   (const uint8_t *)weight->data + n * dtype_row_bytes(weight_type, problem.k),
                   problem.k, row);
        for (int64_t t = 0; t < problem.tokens; t++) {
            double sum = 0;
            for (int64_t k = 0; k < problem.k; k++) {
                float x = types[_i].x == DTYPE_f32
                              ? ((const float *)problem.x.data)[t * problem.k + k]
                              : activation_element(&problem.x, t, k);
                sum += (double)row[k] * (double)x;
            }
            ck_assert_double_eq(sum, (double)((const float *)sums.data)[t * 33 + n]);
        }
    }
    free(row);
    operand_free(&sums);
    check_problem(&problem, &random);
    problem_free(&problem);
}
END_TEST

// One token at a time and eight at once give equal bits, also from a t1 operand of several tokens.
START_TEST(tiles_of_tokens_do_not_matter)
{
    Random random = {(uint64_t)_i + 700};
    int64_t k = some_k(&random, types[_i]);
    Problem eight = problem_new(types[_i].x, 8, k, FILL_random);
    add_weight(&eight, types[_i].weight, 45, 4);
    for (int32_t i = 0; i < kernel_count; i++) {
        const KernelRow *row = &kernel_table[i];
        if (!row_takes(row, &eight) || row->target > target_native())
            continue;
        Case together = problem_case(&eight, row);
        case_run(row, &together, &random);
        Case alone = problem_case(&eight, row);
        if (types[_i].x != DTYPE_f32) {
            operand_free(&alone.operands[0]);
            alone.operands[0] = operand_new(types[_i].x, LAYOUT_t1, 8, k);
            operand_fill(&alone.operands[0], 77, FILL_random);
        }
        case_run(row, &alone, &random);
        operand_expect(row, &alone.results[0], &together.results[0], 0);
        KernelOperand x = alone.operands[0], result = alone.results[0];
        alone.operands[0].rows = alone.results[0].rows = 1;
        for (int64_t t = 0; t < 8; t++) {
            alone.results[0].data = guarded_new(45 * 4);
            alone.operands[0].data = guarded_new(dtype_row_bytes(x.dtype, k));
            memcpy(alone.operands[0].data,
                   (const uint8_t *)x.data + t * dtype_row_bytes(x.dtype, k),
                   (size_t)dtype_row_bytes(x.dtype, k));
            case_run(row, &alone, &random);
            ck_assert_mem_eq(alone.results[0].data,
                             (const float *)together.results[0].data + t * 45, 45 * 4);
            guarded_free(alone.results[0].data);
            guarded_free(alone.operands[0].data);
        }
        alone.operands[0] = x;
        alone.results[0] = result;
        case_free(&alone);
        case_free(&together);
    }
    problem_free(&eight);
}
END_TEST

// Denormals are zero where they are read and where they would be written; the second of a pair
// first.
START_TEST(pairs_round_as_the_instruction_does)
{
    static const struct {
        float x[2], weight[2], sum;
    } cases[] = {
        {{0x1p-130f, 0}, {0x1p100f, 0}, 0},
        {{0x1p100f, 0}, {0x1p-130f, 0}, 0},
        {{0x1p-100f, 0}, {0x1p-30f, 0}, 0},
        {{0x1p-100f, 0x1p-100f}, {0x1p-26f, 0x1p-30f}, 0x1p-126f},
        {{0x1p-100f, 0x1p-100f}, {0x1p-30f, 0x1p-26f}, 0x1.1p-126f},
        {{-1, 0x1p-24f}, {1, 1}, -1 + 0x1p-24f},
        {{1, 0x1p-24f}, {1, 1}, 1},
        {{INFINITY, -1}, {1, INFINITY}, NAN},
    };
    Random random = {800};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Problem problem = problem_new(DTYPE_bf16x2, 1, 2, FILL_small);
        add_weight(&problem, DTYPE_bf16, 1, 1);
        for (int k = 0; k < 2; k++) {
            ((uint16_t *)problem.x.data)[k] = f32_to_bf16(cases[i].x[k]);
            ((uint16_t *)problem.weights[0].data)[k] = f32_to_bf16(cases[i].weight[k]);
        }
        KernelOperand sums = expect_sums(&problem);
        float sum = *(const float *)sums.data;
        ck_assert(isnan(cases[i].sum) ? isnan(sum) : sum == cases[i].sum);
        check_problem(&problem, &random);
        operand_free(&sums);
        problem_free(&problem);
    }
}
END_TEST

START_TEST(no_tokens_no_tiles)
{
    for (int32_t i = 0; i < kernel_count; i++) {
        if (kernel_table[i].op != OP_matmul)
            continue;
        KernelOperand x = {NULL, 0, 256, DTYPE_f32, LAYOUT_plain};
        KernelOperand weight = {NULL, 16, 256, DTYPE_f32, LAYOUT_n16k1}, result = {0};
        KernelOperand operands[] = {x, weight};
        Attributes attributes = op_default_attributes(OP_matmul);
        KernelCall call = {&result, operands, 1, 2, &attributes, {0}, NULL};
        ck_assert_int_eq(kernel_table[i].tiles(&call), 0);
    }
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("matmul");
    tcase_set_timeout(tests, 300);
    tcase_add_loop_test(tests, every_number_of_rows, 0, TYPES);
    tcase_add_loop_test(tests, every_number_of_tokens, 0, TYPES);
    tcase_add_loop_test(tests, no_quants_saturate, 0, TYPES);
    tcase_add_loop_test(tests, blocks_of_tokens, 0, TYPES);
    tcase_add_loop_test(tests, epilogues_and_posts, 0, TYPES);
    tcase_add_loop_test(tests, small_integers_are_exact, 0, TYPES);
    tcase_add_loop_test(tests, tiles_of_tokens_do_not_matter, 0, TYPES);
    tcase_add_test(tests, weights_side_by_side);
    tcase_add_test(tests, pairs_round_as_the_instruction_does);
    tcase_add_test(tests, no_tokens_no_tiles);
    for (int32_t i = 0; i < kernel_count; i++)
        if (kernel_table[i].op == OP_matmul)
            row_runs_here(&kernel_table[i]);
    return run_cases("matmul", tests);
}
