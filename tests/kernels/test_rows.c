// Row-wise kernels: every row of the catalogue against the scalar reference of its op, to the bit,
// over all tails, types, layouts and cuts; and the references against plain double precision.
#include <check.h>
#include <math.h>
#include <string.h>

#include "kernels/math.h"
#include "tests/kernels/compare.h"
#include "tests/unit/run_suite.h"

// The sample: every 16411th bit pattern, and the floats around the limits, 0 and the ends of the
// range.
static void fill_edges(float *out, int64_t count)
{
    static const float centres[] = {EXP_LEAST, EXP_MOST,    0.0f,        -0.0f,     1.0f,
                                    -1.0f,     0x1p-126f,   INFINITY,    -INFINITY, 87.0f,
                                    -87.0f,    0.34657359f, -0.34657359f};
    enum { CENTRES = sizeof centres / sizeof *centres, AROUND = 64 };
    int64_t at = 0;
    for (int centre = 0; centre < CENTRES; centre++)
        for (uint32_t step = 0; step < 2 * AROUND; step++)
            out[at++] = f32_from_bits(f32_bits(centres[centre]) - AROUND + step);
    for (uint32_t pattern = 0; at < count; pattern += 16411)
        out[at++] = f32_from_bits(pattern);
}

START_TEST(exp_and_silu_agree_among_targets_on_a_dense_sample)
{
    Random random = {1};
    enum { COUNT = 1 << 18 };
    Case test = {.operand_count = 1, .result_count = 1};
    test.operands[0] = operand_new(DTYPE_f32, LAYOUT_plain, 1, COUNT);
    test.results[0] = operand_new(DTYPE_f32, LAYOUT_plain, 1, COUNT);
    fill_edges(test.operands[0].data, COUNT);
    compare_rows(&test, OP_exp, false, &random);
    compare_rows(&test, OP_silu, false, &random);
    float *x = test.operands[0].data;
    for (int64_t i = 0; i < COUNT; i++)
        x[i] = -88.0f + (float)i * (177.0f / COUNT);
    compare_rows(&test, OP_exp, true, &random);
    case_free(&test);
}
END_TEST

START_TEST(exp_is_close_to_the_exact_value)
{
    for (double x = -87.3; x < 88.7; x += 0.00037) {
        double exact = exp((double)(float)x);
        ck_assert_msg(fabs((double)exp_f32((float)x) - exact) <= 2e-7 * exact, "exp(%.9g)", x);
    }
    ck_assert(exp_f32(-88.0f) == 0 && exp_f32(-INFINITY) == 0);
    ck_assert(isinf(exp_f32(88.73f)) && isinf(exp_f32(INFINITY)) && isnan(exp_f32(NAN)));
    ck_assert(exp_f32(0.0f) == 1.0f && exp_f32(-0.0f) == 1.0f);
}
END_TEST

START_TEST(f16_comes_back_and_rounds_to_the_nearest_even)
{
    for (uint32_t half = 0; half < 65536; half++) {
        float value = f16_to_f32((uint16_t)half);
        if (isnan(value))
            ck_assert_uint_eq(f32_to_f16(value) & 0x7e00, 0x7e00);
        else
            ck_assert_uint_eq(f32_to_f16(value), half);
    }
    ck_assert_float_eq(f16_to_f32(0x3555), 0x1.554p-2f);
    ck_assert_float_eq(f16_to_f32(0x0001), 0x1p-24f);
    for (uint32_t half = 0; half < 0x7c00; half++) {
        // The middle between neighbours goes to the even one, what is nearer goes there.
        float low = f16_to_f32((uint16_t)half);
        float high = half == 0x7bff ? 65536.0f : f16_to_f32((uint16_t)(half + 1));
        float middle = low + (high - low) / 2;
        ck_assert_uint_eq(f32_to_f16(middle), half + (half & 1));
        ck_assert_uint_eq(f32_to_f16(nextafterf(middle, 0)), half);
        ck_assert_uint_eq(f32_to_f16(-nextafterf(middle, INFINITY)), 0x8000u | (half + 1));
    }
}
END_TEST

static void compare_one_operand(Op op, int64_t rows, int64_t columns, Random *random)
{
    Case test = {.operand_count = 1, .result_count = 1};
    test.operands[0] = f32_new(rows, columns, random_bits(random));
    for (int64_t i = 0; i < rows * columns; i++)
        f32_of(&test.operands[0], 0)[i] *= 20;
    test.results[0] = operand_new(DTYPE_f32, LAYOUT_plain, rows, columns);
    compare_rows(&test, op, false, random);
    compare_rows(&test, op, true, random);
    case_free(&test);
}

START_TEST(unary_rows_agree_for_all_tails_and_in_place)
{
    Random random = {2};
    for (int64_t columns = 1; columns <= 35; columns++) {
        static const Op ops[] = {OP_exp, OP_silu, OP_tanh, OP_gelu, OP_gelu_tanh};
        for (int i = 0; i < 5; i++)
            compare_one_operand(ops[i], row_counts[columns % ROW_COUNTS], columns, &random);
    }
}
END_TEST

static void compare_norm(Op op, Result result, int64_t rows, int64_t columns, Random *random)
{
    bool sum = op == OP_add_rms_norm;
    Case test = {.operand_count = sum ? 3 : 2, .result_count = sum ? 2 : 1};
    test.operands[0] = f32_new(rows, columns, random_bits(random));
    test.operands[1] = f32_new(sum ? rows : 1, columns, random_bits(random));
    test.operands[2] = f32_new(1, columns, random_bits(random));
    test.results[0] = operand_new(DTYPE_f32, LAYOUT_plain, rows, columns);
    test.results[sum] =
        sum ? operand_new(result.dtype, result.layout, rows, columns) : test.results[0];
    if (!sum) {
        operand_free(&test.results[0]);
        test.results[0] = operand_new(result.dtype, result.layout, rows, columns);
        test.attributes.rms_norm.eps = 1e-5f;
    } else {
        test.attributes.add_rms_norm.eps = 1e-5f;
    }
    compare_rows(&test, op, false, random);
    if (sum || result.dtype == DTYPE_f32)
        compare_rows(&test, op, true, random);
    test.operand_count = 3;
    case_free(&test);
}

START_TEST(norms_agree_for_all_tails_types_and_in_place)
{
    Random random = {3};
    for (int i = 0; i < 24; i++)
        for (int result = 0; result < RESULTS; result++) {
            int64_t rows = row_counts[(i + result) % ROW_COUNTS];
            int64_t columns = columns_for(results[result].dtype, i);
            compare_norm(OP_rms_norm, results[result], rows, columns, &random);
            compare_norm(OP_add_rms_norm, results[result], rows, columns, &random);
        }
}
END_TEST

static void compare_gated(Op op)
{
    Random random = {4};
    for (int i = 0; i < 24; i++)
        for (int result = 0; result < RESULTS; result++) {
            int64_t rows = row_counts[(i + result) % ROW_COUNTS];
            int64_t columns = columns_for(results[result].dtype, i);
            Case test = {.operand_count = 2, .result_count = 1};
            test.operands[0] = f32_new(rows, columns, random_bits(&random));
            test.operands[1] = f32_new(rows, columns, random_bits(&random));
            test.results[0] =
                operand_new(results[result].dtype, results[result].layout, rows, columns);
            compare_rows(&test, op, false, &random);
            if (results[result].dtype == DTYPE_f32)
                compare_rows(&test, op, true, &random);
            case_free(&test);
        }
}

START_TEST(gated_ops_agree_for_all_tails_types_and_in_place)
{
    compare_gated(OP_swiglu);
    compare_gated(OP_geglu);
}
END_TEST

// Elements that a quantiser may stumble over, one block in four each.
static void spoil_blocks(KernelOperand *x, int64_t block, Random *random)
{
    static const float odd[] = {0, 1e-37f, 1e-40f, 3e38f, INFINITY, -INFINITY, NAN, -0.0f};
    for (int64_t at = 0; at < x->rows * x->columns; at += block) {
        float *values = (float *)x->data + at, value = odd[random_bits(random) % 8];
        if (random_bits(random) % 4 == 0)
            values[random_bits(random) % (uint32_t)block] = value;
        if (random_bits(random) % 4 == 0)
            for (int64_t i = 0; i < block; i++)
                values[i] = isnan(value) ? 0 : value * random_float(random);
    }
}

START_TEST(quantise_agrees_and_takes_any_float)
{
    Random random = {5};
    for (int i = 0; i < 24; i++)
        for (int result = 1; result < RESULTS; result++) {
            Result type = results[result];
            int64_t rows = row_counts[i % ROW_COUNTS], columns = columns_for(type.dtype, i);
            Case test = {.operand_count = 1, .result_count = 1};
            test.attributes.quantise.type = (int32_t)type.dtype;
            test.operands[0] = f32_new(rows, columns, random_bits(&random));
            spoil_blocks(&test.operands[0], dtype_table[type.dtype].block_elements, &random);
            test.results[0] = operand_new(type.dtype, type.layout, rows, columns);
            compare_rows(&test, OP_quantise, false, &random);
            case_free(&test);
        }
}
END_TEST

static void check_block(const float *x, const ActivationBlock *block, int32_t elements)
{
    float most = 0;
    int32_t sums = elements == 32 ? 1 : 16, in_sum = elements / sums;
    for (int32_t i = 0; i < elements; i++)
        most = fmaxf(most, fabsf(x[i]));
    ck_assert_float_eq(block->scale, most / 127);
    for (int32_t i = 0; i < elements; i++)
        ck_assert(fabs((double)block->scale * block->quants[i] - (double)x[i]) <=
                  0.5001 * (double)block->scale);
    for (int32_t i = 0; i < sums; i++) {
        int32_t sum = 0;
        for (int32_t k = 0; k < in_sum; k++)
            sum += block->quants[i * in_sum + k];
        ck_assert_int_eq(block->sums[i], sum);
    }
}

START_TEST(quantised_blocks_hold_the_row_within_half_a_step)
{
    Random random = {6};
    for (int result = 1; result < RESULTS; result++) {
        if (results[result].dtype == DTYPE_bf16x2)
            continue; // no scale: the next test
        int32_t elements = dtype_table[results[result].dtype].block_elements;
        Case test = {.operand_count = 1, .result_count = 1};
        test.operands[0] = f32_new(11, 3 * elements, 7);
        test.results[0] =
            operand_new(results[result].dtype, results[result].layout, 11, 3 * elements);
        case_run(reference_of(OP_quantise), &test, &random);
        for (int64_t token = 0; token < 11; token++)
            for (int64_t block = 0; block < 3; block++) {
                ActivationBlock taken = activation_block(&test.results[0], token, block);
                check_block(f32_of(&test.operands[0], token) + block * elements, &taken, elements);
            }
        case_free(&test);
    }
}
END_TEST

// The two bf16 around a float differ in their last bit: the nearer one, of equally near ones the
// even.
START_TEST(pairs_hold_the_nearest_bf16)
{
    enum { COUNT = 1 << 18 };
    Random random = {6};
    Case test = {.operand_count = 1, .result_count = 1};
    test.operands[0] = operand_new(DTYPE_f32, LAYOUT_plain, 1, COUNT);
    fill_edges(test.operands[0].data, COUNT);
    test.attributes.quantise.type = DTYPE_bf16x2;
    test.results[0] = operand_new(DTYPE_bf16x2, LAYOUT_t1, 1, COUNT);
    case_run(reference_of(OP_quantise), &test, &random);
    for (int64_t i = 0; i < COUNT; i++) {
        float x = f32_of(&test.operands[0], 0)[i], got = activation_element(&test.results[0], 0, i);
        uint32_t below = f32_bits(x) & 0xffff0000u, rest = f32_bits(x) & 0xffffu;
        bool up = rest > 0x8000u || (rest == 0x8000u && below >> 16 & 1);
        ck_assert_msg(isnan(x) ? isnan(got) : f32_bits(got) == below + (up ? 0x10000u : 0),
                      "%a became %a", (double)x, (double)got);
    }
    compare_rows(&test, OP_quantise, false, &random);
    case_free(&test);
}
END_TEST

START_TEST(q8k_has_the_sums_of_neighbouring_groups_in_a_word)
{
    Random random = {6};
    Case test = {.operand_count = 1, .result_count = 1};
    test.operands[0] = f32_new(1, 256, 7);
    test.results[0] = operand_new(DTYPE_q8k, LAYOUT_t1, 1, 256);
    case_run(reference_of(OP_quantise), &test, &random);
    const int32_t *words = test.results[0].data;
    int16_t sums[16];
    int8_t quants[256];
    memcpy(sums, words + 1, sizeof sums);
    memcpy(quants, words + 9, sizeof quants);
    for (int group = 0; group < 16; group++) {
        int sum = 0;
        for (int k = 0; k < 16; k++)
            sum += quants[group * 16 + k];
        ck_assert_int_eq(sums[group], sum);
    }
    case_free(&test);
}
END_TEST

static void check_near(float have, double want)
{
    ck_assert_msg(fabs((double)have - want) <= 1e-5 * fmax(fabs(want), 1e-3), "%.9g, not %.9g",
                  (double)have, want);
}

START_TEST(norm_is_what_its_formula_says)
{
    Random random = {8};
    Case test = {.operand_count = 3, .result_count = 2};
    test.attributes.add_rms_norm.eps = 1e-5f;
    for (int i = 0; i < 3; i++)
        test.operands[i] = f32_new(i < 2 ? 5 : 1, 333, (uint64_t)i);
    for (int i = 0; i < 2; i++)
        test.results[i] = operand_new(DTYPE_f32, LAYOUT_plain, 5, 333);
    case_run(reference_of(OP_add_rms_norm), &test, &random);
    for (int64_t row = 0; row < 5; row++) {
        const float *x = f32_of(&test.operands[0], row), *y = f32_of(&test.operands[1], row);
        double squares = 0;
        for (int i = 0; i < 333; i++)
            squares += ((double)x[i] + (double)y[i]) * ((double)x[i] + (double)y[i]);
        for (int i = 0; i < 333; i++) {
            double sum = (double)x[i] + (double)y[i];
            check_near(f32_of(&test.results[0], row)[i], sum);
            check_near(f32_of(&test.results[1], row)[i],
                       sum / sqrt(squares / 333 + 1e-5) * (double)f32_of(&test.operands[2], 0)[i]);
        }
    }
    case_free(&test);
}
END_TEST

START_TEST(softmax_reductions_and_swiglu_are_what_their_formulas_say)
{
    Random random = {9};
    KernelOperand x = f32_new(3, 77, 1), up = f32_new(3, 77, 2);
    Case test = {.operands = {x, up}, .operand_count = 2, .result_count = 1};
    KernelOperand soft = operand_new(DTYPE_f32, LAYOUT_plain, 3, 77);
    KernelOperand glu = operand_new(DTYPE_f32, LAYOUT_plain, 3, 77);
    KernelOperand sum = operand_new(DTYPE_f32, LAYOUT_plain, 3, 1);
    KernelOperand most = operand_new(DTYPE_f32, LAYOUT_plain, 3, 1);
    const struct {
        Op op;
        KernelOperand result;
    } ops[] = {{OP_softmax, soft}, {OP_swiglu, glu}, {OP_reduce_sum, sum}, {OP_reduce_max, most}};
    for (int i = 0; i < 4; i++) {
        test.results[0] = ops[i].result;
        case_run(reference_of(ops[i].op), &test, &random);
    }
    for (int64_t row = 0; row < 3; row++) {
        double total = 0, largest = -1, exponentials = 0;
        for (int i = 0; i < 77; i++) {
            double value = (double)f32_of(&x, row)[i];
            total += value;
            exponentials += exp(value);
            largest = fmax(largest, value);
        }
        check_near(*f32_of(&sum, row), total);
        ck_assert_double_eq((double)*f32_of(&most, row), largest);
        for (int i = 0; i < 77; i++) {
            double value = (double)f32_of(&x, row)[i];
            check_near(f32_of(&soft, row)[i], exp(value) / exponentials);
            check_near(f32_of(&glu, row)[i],
                       value / (1 + exp(-value)) * (double)f32_of(&up, row)[i]);
        }
    }
    test.results[0] = soft;
    case_free(&test);
    operand_free(&glu);
    operand_free(&sum);
    operand_free(&most);
}
END_TEST

// Of lanes `first`, first + step, …: halves whose lanes alternate, so that the tree begins with
// lanes 8 apart.
static float tree_sum(const float lanes[16], int first, int step)
{
    return step == 16 ? lanes[first]
                      : tree_sum(lanes, first, 2 * step) + tree_sum(lanes, first + step, 2 * step);
}

// As the op table has it: lane i takes columns i, i+16, …, then a tree 8-4-2-1.
static float sum_in_lanes(const float *x, int64_t columns)
{
    float lanes[16] = {0};
    for (int lane = 0; lane < 16; lane++)
        for (int64_t i = lane; i < columns; i += 16)
            lanes[lane] += x[i];
    return tree_sum(lanes, 0, 1);
}

START_TEST(sum_and_softmax_add_in_the_promised_order)
{
    Random random = {13};
    for (int64_t columns = 1; columns <= 70; columns++) {
        Case test = {.operand_count = 1, .result_count = 1};
        test.operands[0] = f32_new(3, columns, random_bits(&random));
        KernelOperand sum = operand_new(DTYPE_f32, LAYOUT_plain, 3, 1);
        KernelOperand soft = operand_new(DTYPE_f32, LAYOUT_plain, 3, columns);
        test.results[0] = sum;
        compare_rows(&test, OP_reduce_sum, false, &random);
        test.results[0] = soft;
        compare_rows(&test, OP_softmax, false, &random);
        for (int64_t row = 0; row < 3; row++) {
            const float *x = f32_of(&test.operands[0], row);
            float most = x[0], powers[70];
            for (int64_t i = 1; i < columns; i++)
                most = fmaxf(most, x[i]);
            for (int64_t i = 0; i < columns; i++)
                powers[i] = exp_f32(x[i] - most);
            float total = sum_in_lanes(powers, columns);
            for (int64_t i = 0; i < columns; i++)
                ck_assert_float_eq(f32_of(&soft, row)[i], powers[i] / total);
            ck_assert_float_eq(*f32_of(&sum, row), sum_in_lanes(x, columns));
        }
        case_free(&test);
        operand_free(&sum);
    }
}
END_TEST

static float binary_of(Op op, float x, float y)
{
    switch (op) {
    case OP_add: return x + y;
    case OP_sub: return x - y;
    case OP_mul: return x * y;
    default: return x / y;
    }
}

START_TEST(binary_ops_take_matrix_vector_column_and_scalar)
{
    static const Op ops[] = {OP_add, OP_sub, OP_mul, OP_div};
    Random random = {10};
    for (int i = 0; i < 4 * 4 * 10; i++) {
        Op op = ops[i % 4];
        int64_t rows = row_counts[i % ROW_COUNTS], columns = 1 + i % 37;
        bool one_row = i / 4 & 1, one_column = i / 8 & 1;
        Case test = {.operand_count = 2, .result_count = 1};
        test.operands[0] = f32_new(rows, columns, random_bits(&random));
        test.operands[1] =
            f32_new(one_row ? 1 : rows, one_column ? 1 : columns, random_bits(&random));
        test.results[0] = operand_new(DTYPE_f32, LAYOUT_plain, rows, columns);
        compare_rows(&test, op, false, &random);
        for (int64_t row = 0; row < rows; row++)
            for (int64_t c = 0; c < columns; c++)
                ck_assert_float_eq(
                    f32_of(&test.results[0], row)[c],
                    binary_of(op, f32_of(&test.operands[0], row)[c],
                              f32_of(&test.operands[1], one_row ? 0 : row)[one_column ? 0 : c]));
        compare_rows(&test, op, true, &random);
        case_free(&test);
    }
}
END_TEST

START_TEST(unary_references_are_their_formulas)
{
    static const Op ops[] = {OP_neg, OP_sqrt, OP_reciprocal};
    Random random = {11};
    for (int i = 0; i < 3; i++) {
        Case test = {.operand_count = 1, .result_count = 1};
        test.operands[0] = f32_new(4, 9, 3);
        test.results[0] = operand_new(DTYPE_f32, LAYOUT_plain, 4, 9);
        float *x = test.operands[0].data, *y = test.results[0].data;
        for (int k = 0; k < 36; k++)
            x[k] = fabsf(x[k]);
        compare_rows(&test, ops[i], true, &random);
        for (int k = 0; k < 36; k++)
            ck_assert_float_eq(y[k], i == 0 ? -x[k] : i == 1 ? sqrtf(x[k]) : 1 / x[k]);
        case_free(&test);
    }
}
END_TEST

START_TEST(movement_copies_the_named_rows_and_columns)
{
    Random random = {12};
    KernelOperand x = f32_new(6, 10, 1), y = f32_new(6, 3, 2);
    KernelOperand rows = operand_new(DTYPE_i32, LAYOUT_plain, 1, 9);
    operand_fill_integers(&rows, 4, 0, 5);
    KernelOperand gathered = operand_new(DTYPE_f32, LAYOUT_plain, 9, 10);
    KernelOperand sliced = operand_new(DTYPE_f32, LAYOUT_plain, 6, 4);
    KernelOperand joined = operand_new(DTYPE_f32, LAYOUT_plain, 6, 16);
    Case gather = {{x, rows}, {gathered}, 2, 1, .attributes = {.words = {0}}};
    case_run(reference_of(OP_gather_rows), &gather, &random);
    Case slice = {{x}, {sliced}, 1, 1, .attributes = {.slice = {.axis = 1, .begin = 3, .end = 7}}};
    case_run(reference_of(OP_slice), &slice, &random);
    Case concat = {{y, x, y}, {joined}, 3, 1, .attributes = {.concat = {.axis = 1}}};
    case_run(reference_of(OP_concat), &concat, &random);
    for (int64_t row = 0; row < 9; row++)
        ck_assert_mem_eq(f32_of(&gathered, row), f32_of(&x, ((int32_t *)rows.data)[row]), 40);
    for (int64_t row = 0; row < 6; row++) {
        ck_assert_mem_eq(f32_of(&sliced, row), f32_of(&x, row) + 3, 16);
        ck_assert_mem_eq(f32_of(&joined, row), f32_of(&y, row), 12);
        ck_assert_mem_eq(f32_of(&joined, row) + 3, f32_of(&x, row), 40);
        ck_assert_mem_eq(f32_of(&joined, row) + 13, f32_of(&y, row), 12);
    }
    gather.results[0].rows = 0;
    KernelCall none = {gather.results,     gather.operands, 1,   2,
                       &gather.attributes, gather.pages,    NULL};
    ck_assert_int_eq(reference_of(OP_gather_rows)->tiles(&none), 0);
    case_free(&gather);
    operand_free(&sliced);
    operand_free(&joined);
    operand_free(&y);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("rows");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, exp_and_silu_agree_among_targets_on_a_dense_sample);
    tcase_add_test(tests, exp_is_close_to_the_exact_value);
    tcase_add_test(tests, f16_comes_back_and_rounds_to_the_nearest_even);
    tcase_add_test(tests, unary_rows_agree_for_all_tails_and_in_place);
    tcase_add_test(tests, norms_agree_for_all_tails_types_and_in_place);
    tcase_add_test(tests, gated_ops_agree_for_all_tails_types_and_in_place);
    tcase_add_test(tests, quantise_agrees_and_takes_any_float);
    tcase_add_test(tests, quantised_blocks_hold_the_row_within_half_a_step);
    tcase_add_test(tests, pairs_hold_the_nearest_bf16);
    tcase_add_test(tests, q8k_has_the_sums_of_neighbouring_groups_in_a_word);
    tcase_add_test(tests, norm_is_what_its_formula_says);
    tcase_add_test(tests, softmax_reductions_and_swiglu_are_what_their_formulas_say);
    tcase_add_test(tests, sum_and_softmax_add_in_the_promised_order);
    tcase_add_test(tests, binary_ops_take_matrix_vector_column_and_scalar);
    tcase_add_test(tests, unary_references_are_their_formulas);
    tcase_add_test(tests, movement_copies_the_named_rows_and_columns);
    return run_cases("rows", tests);
}
