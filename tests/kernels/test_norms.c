// Norms of heads and layer norms, tanh and the forms of GELU: every row against the reference to
// the bit, the references against double precision.
#include <check.h>
#include <math.h>

#include "kernels/math.h"
#include "tests/kernels/compare.h"
#include "tests/unit/run_suite.h"

static void check_near(float have, double want, double scale)
{
    ck_assert_msg(fabs((double)have - want) <= 1e-5 * fmax(fabs(want), scale), "%.9g, not %.9g",
                  (double)have, want);
}

// Every float from 0 to where tanh and erf are 1, one in 1009, and their negatives.
START_TEST(tanh_and_erf_are_close_to_the_exact_values)
{
    for (uint32_t bits = 0x20000000; bits < 0x41200000; bits += 1009) {
        double x = (double)f32_from_bits(bits), exact = tanh(x), exact_erf = erf(x);
        double have = (double)tanh_f32((float)x);
        double have_erf = (double)odd_rational_f32(&erf_rational, (float)x);
        ck_assert_msg(fabs(have - exact) <= 4e-7 * exact && have <= 1, "tanh(%.9g)", x);
        ck_assert_msg(fabs(have_erf - exact_erf) <= 4e-7 * exact_erf && have_erf <= 1, "erf(%.9g)",
                      x);
        ck_assert(tanh_f32(-(float)x) == -(float)have);
    }
    ck_assert(tanh_f32(INFINITY) == 1 && tanh_f32(-1e30f) == -1 && isnan(tanh_f32(NAN)));
    ck_assert(gelu_f32(-1e30f) == 0 && gelu_f32(1e30f) == 1e30f);
    ck_assert(gelu_tanh_f32(-1e10f) == 0 && gelu_tanh_f32(1e10f) == 1e10f);
}
END_TEST

START_TEST(tanh_and_gelu_agree_among_targets_on_a_dense_sample)
{
    static const Op ops[] = {OP_tanh, OP_gelu, OP_gelu_tanh};
    static const float edges[] = {7.92523956f, 3.63719988f, 5.1437774f, INFINITY, NAN, 3e38f, 0};
    enum { COUNT = 1 << 17, EDGES = sizeof edges / sizeof *edges, AROUND = 32 };
    Random random = {1};
    Case test = {.operand_count = 1, .result_count = 1};
    test.operands[0] = operand_new(DTYPE_f32, LAYOUT_plain, 1, COUNT);
    test.results[0] = operand_new(DTYPE_f32, LAYOUT_plain, 1, COUNT);
    float *x = test.operands[0].data;
    for (uint32_t i = 0; i < COUNT; i++)
        x[i] = f32_from_bits(i * 32749u);
    for (uint32_t i = 0; i < EDGES * 2 * AROUND; i++)
        x[i] = f32_from_bits(f32_bits(edges[i / (2 * AROUND)]) + i % (2 * AROUND) - AROUND);
    for (int i = 0; i < 3; i++)
        compare_rows(&test, ops[i], i == 0, &random);
    case_free(&test);
}
END_TEST

START_TEST(gelu_and_geglu_are_what_their_formulas_say)
{
    Random random = {2};
    Case test = {.operand_count = 2, .result_count = 1};
    test.operands[0] = f32_new(3, 50, 1);
    test.operands[1] = f32_new(3, 50, 2);
    test.results[0] = operand_new(DTYPE_f32, LAYOUT_plain, 3, 50);
    const float *x = f32_of(&test.operands[0], 0), *up = f32_of(&test.operands[1], 0);
    for (int op = 0; op < 3; op++) {
        static const Op ops[] = {OP_geglu, OP_gelu, OP_gelu_tanh};
        test.operand_count = op == 0 ? 2 : 1;
        case_run(reference_of(ops[op]), &test, &random);
        for (int i = 0; i < 150; i++) {
            double v = (double)x[i], cubic = sqrt(2 / acos(-1)) * (v + 0.044715 * v * v * v);
            double half = op == 1 ? erf(v / sqrt(2)) : tanh(cubic);
            double want = v / 2 * (1 + half) * (op == 0 ? (double)up[i] : 1);
            check_near(f32_of(&test.results[0], 0)[i], want, 0.1);
        }
    }
    test.operand_count = 2;
    case_free(&test);
}
END_TEST

static Case norm_case(Result result, int64_t rows, int64_t columns, int64_t size, bool bias,
                      Random *random)
{
    Case test = {.operand_count = bias ? 3 : 2, .result_count = 1};
    test.operands[0] = f32_new(rows, columns, random_bits(random));
    test.operands[1] = f32_new(1, size, random_bits(random));
    if (bias)
        test.operands[2] = f32_new(1, size, random_bits(random));
    test.results[0] = operand_new(result.dtype, result.layout, rows, columns);
    return test;
}

START_TEST(layer_norm_agrees_for_all_tails_and_types)
{
    Random random = {3};
    for (int i = 0; i < 24; i++)
        for (int result = 0; result < RESULTS; result++) {
            int64_t columns = columns_for(results[result].dtype, i);
            Case test = norm_case(results[result], row_counts[(i + result) % ROW_COUNTS], columns,
                                  columns, i & 1, &random);
            test.attributes.layer_norm.eps = 1e-5f;
            compare_rows(&test, OP_layer_norm, false, &random);
            case_free(&test);
        }
}
END_TEST

START_TEST(norms_of_heads_agree_for_all_tails_and_types)
{
    Random random = {4};
    for (int i = 0; i < 24; i++)
        for (int result = 0; result < RESULTS; result++) {
            int64_t size = columns_for(results[result].dtype, i), heads = 1 + i % 5;
            Case test = norm_case(results[result], row_counts[(i + result) % ROW_COUNTS],
                                  heads * size, size, false, &random);
            test.attributes.rms_norm.eps = 1e-5f;
            compare_rows(&test, OP_rms_norm, false, &random);
            case_free(&test);
        }
}
END_TEST

START_TEST(layer_norm_is_what_its_formula_says)
{
    Random random = {5};
    for (int bias = 0; bias < 2; bias++) {
        Case test = norm_case(results[0], 4, 77, 77, bias, &random);
        test.attributes.layer_norm.eps = 0.01f;
        case_run(reference_of(OP_layer_norm), &test, &random);
        for (int64_t row = 0; row < 4; row++) {
            const float *x = f32_of(&test.operands[0], row);
            double mean = 0, variance = 0;
            for (int i = 0; i < 77; i++)
                mean += (double)x[i] / 77;
            for (int i = 0; i < 77; i++)
                variance += ((double)x[i] - mean) * ((double)x[i] - mean) / 77;
            for (int i = 0; i < 77; i++) {
                double want = ((double)x[i] - mean) / sqrt(variance + 0.01) *
                              (double)f32_of(&test.operands[1], 0)[i];
                want += bias ? (double)f32_of(&test.operands[2], 0)[i] : 0;
                check_near(f32_of(&test.results[0], row)[i], want, 0.1);
            }
        }
        case_free(&test);
    }
}
END_TEST

START_TEST(norm_of_heads_is_the_norm_of_each)
{
    Random random = {6};
    Case test = norm_case(results[0], 3, 60, 20, false, &random);
    test.attributes.rms_norm.eps = 1e-5f;
    case_run(reference_of(OP_rms_norm), &test, &random);
    for (int64_t head = 0; head < 9; head++) {
        const float *x = f32_of(&test.operands[0], 0) + head * 20;
        double squares = 0;
        for (int i = 0; i < 20; i++)
            squares += (double)x[i] * (double)x[i];
        for (int i = 0; i < 20; i++)
            check_near(f32_of(&test.results[0], 0)[head * 20 + i],
                       (double)x[i] / sqrt(squares / 20 + 1e-5) *
                           (double)f32_of(&test.operands[1], 0)[i],
                       0.1);
    }
    case_free(&test);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("norms");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, tanh_and_erf_are_close_to_the_exact_values);
    tcase_add_test(tests, tanh_and_gelu_agree_among_targets_on_a_dense_sample);
    tcase_add_test(tests, gelu_and_geglu_are_what_their_formulas_say);
    tcase_add_test(tests, layer_norm_agrees_for_all_tails_and_types);
    tcase_add_test(tests, norms_of_heads_agree_for_all_tails_and_types);
    tcase_add_test(tests, layer_norm_is_what_its_formula_says);
    tcase_add_test(tests, norm_of_heads_is_the_norm_of_each);
    return run_cases("norms", tests);
}
