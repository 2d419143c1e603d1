// Row readers against golden values, and packed forms: reading a packed row back gives the bits of
// reading the file's row, panels are exactly as long as the layout says, and bytes lie where
// README.md draws them. Also embed, and the catalogue's look-ups.
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/math.h"
#include "tests/kernels/harness.h"
#include "tests/unit/run_suite.h"

// Byte i of the block is (167 i + 13) mod 256, its scale 0.5; the values were made by the Python
// package gguf (quants.dequantize) and stand here doubled, which makes them integers.
static const int16_t golden_q8_0[] = {
    91,  2,   -87, 80,  -9,  -98, 69,  -20, -109, 58,  -31, -120, 47,  -42, 125, 36,
    -53, 114, 25,  -64, 103, 14,  -75, 92,  3,    -86, 81,  -8,   -97, 70,  -19, -108,
};
static const int16_t golden_q4_0[] = {
    3,  -6, 1, -8, -1, 6, -3, 4, -5, 2,  -7, 0, 7,  -2, 5,  -4,
    -3, -8, 2, -3, 7,  1, -4, 6, 1,  -5, 6,  0, -6, 5,  -1, -6,
};
static const int16_t golden_q6_k[] = {
    -231,  -2156, 2079,  154,  -539,  -2464, 1771,  1078,  -847,  -1540, 1463,  770,   -1155,
    -1848, 2387,  462,   36,   336,   -324,  -24,   84,    384,   -276,  -168,  132,   240,
    -228,  -120,  180,   288,  -372,  -72,   -2929, 1212,  -1111, 3030,  -909,  3232,  909,
    -3030, 1111,  -2828, 2929, -1010, 3131,  -808,  -3131, 1010,  1914,  -792,  726,   -1980,
    594,   -2112, -594,  1980, -726,  1848,  -1914, 660,   -2046, 528,   2046,  -660,  736,
    -621,  253,   736,   -230, 253,   -713,  161,   644,   -322,  161,   -437,  -322,  552,
    -46,   69,    -2576, -224, 2240,  -2576, 1680,  2240,  -672,  3584,  -3024, 1232,  3584,
    -1120, 1232,  -3472, 784,  3136,  770,   -1265, 1045,  770,   -1320, 1045,  -165,  -1375,
    990,   -220,  -1375, 55,   -220,  -1430, 0,     -275,  -714,  0,     204,   -714,  -510,
    204,   -680,  -476,  782,  -646,  -476,  816,   -646,  102,   850,   -612,  369,   3444,
    -3321, -246,  861,   3936, -2829, -1722, 1353,  2460,  -2337, -1230, 1845,  2952,  -3813,
    -738,  -132,  -1232, 1188, 88,    -308,  -1408, 1012,  616,   -484,  -880,  836,   440,
    -660,  -1056, 1364,  264,  -1305, 540,   -495,  1350,  -405,  1440,  405,   -1350, 495,
    -1260, 1305,  -450,  1395, -360,  -1395, 450,   3538,  -1464, 1342,  -3660, 1098,  -3904,
    -1098, 3660,  -1342, 3416, -3538, 1220,  -3782, 976,   3782,  -1220, 396,   -297,  561,
    396,   -858,  561,   -165, 693,   0,     -726,  693,   -33,   -726,  132,   -594,  825,
    728,   1008,  -448,  728,  -1624, -448,  1680,  -672,  504,   -952,  -672,  1456,  -952,
    280,   -1176, 0,     -666, -2997, 1665,  -666,  -3108, 1665,  -777,  2109,  1554,  -888,
    2109,  1443,  -888,  1998, 1332,  -2775, 374,   264,   -572,  374,   -110,  -572,  352,
    -132,  -594,  330,   -132, -616,  330,   -154,  418,   308,
};

// Of other types, four times the sums of value[k] * (k + 1) and of value[k] * (k * k mod 101); the
// minimum's factor is 0.25, MXFP4 begins with 126.
static const struct {
    DType dtype;
    int factor_at[2];
    double first, second;
} golden_sums[] = {
    {DTYPE_q4_1, {0, 2}, 9054, 26610},         {DTYPE_q5_0, {0, -1}, -3224, -7902},
    {DTYPE_q5_1, {0, 2}, 18650, 51702},        {DTYPE_iq4_nl, {0, -1}, -3328, -19384},
    {DTYPE_mxfp4, {-1, -1}, -255, -102},       {DTYPE_q2_k, {80, 82}, 463162, 200622},
    {DTYPE_q3_k, {108, -1}, -354900, -100264}, {DTYPE_q4_k, {0, 2}, 18186112, 6784435},
    {DTYPE_q5_k, {0, 2}, 39230272, 14639827},  {DTYPE_iq4_xs, {0, -1}, 5096230, 1891928},
};
enum { GOLDEN_SUMS = sizeof golden_sums / sizeof *golden_sums };

static const DType readable[] = {
    DTYPE_f32,  DTYPE_f16,  DTYPE_bf16,   DTYPE_q8_0, DTYPE_q4_0, DTYPE_q4_1,
    DTYPE_q5_0, DTYPE_q5_1, DTYPE_iq4_nl, DTYPE_q4_k, DTYPE_q5_k, DTYPE_q6_k,
};
enum { READABLE = sizeof readable / sizeof *readable };

static void read_pattern(DType dtype, const int factor_at[2], float *values)
{
    uint8_t block[256];
    for (int i = 0; i < dtype_table[dtype].block_bytes; i++)
        block[i] = (uint8_t)(167 * i + 13);
    if (dtype == DTYPE_mxfp4)
        block[0] = 126;
    for (int i = 0; i < 2; i++) {
        uint16_t half = f32_to_f16(i ? 0.25f : 0.5f);
        if (factor_at[i] >= 0)
            memcpy(block + factor_at[i], &half, sizeof half);
    }
    row_to_f32(dtype, block, dtype_table[dtype].block_elements, values);
}

START_TEST(sums_of_blocks_are_those_of_gguf)
{
    float values[256];
    double first = 0, second = 0;
    read_pattern(golden_sums[_i].dtype, golden_sums[_i].factor_at, values);
    for (int k = 0; k < dtype_table[golden_sums[_i].dtype].block_elements; k++) {
        first += 4.0 * (double)values[k] * (k + 1);
        second += 4.0 * (double)values[k] * (k * k % 101);
    }
    ck_assert_double_eq(first, golden_sums[_i].first);
    ck_assert_double_eq(second, golden_sums[_i].second);
}
END_TEST

static void expect_golden(DType dtype, int scale_at, const int16_t *golden)
{
    float values[256];
    read_pattern(dtype, (int[2]){scale_at, -1}, values);
    for (int k = 0; k < dtype_table[dtype].block_elements; k++)
        ck_assert_float_eq(values[k] * 2, (float)golden[k]);
}

START_TEST(blocks_read_as_gguf_reads_them)
{
    expect_golden(DTYPE_q8_0, 0, golden_q8_0);
    expect_golden(DTYPE_q4_0, 0, golden_q4_0);
    expect_golden(DTYPE_q6_k, 208, golden_q6_k);
}
END_TEST

START_TEST(floats_read_as_they_are)
{
    uint16_t halves[] = {0x3c00, 0xc000, 0x0001, 0x7c00}, brain[] = {0x3f80, 0xc000, 0x7f80};
    float f16[4], bf16[3];
    row_to_f32(DTYPE_f16, halves, 4, f16);
    row_to_f32(DTYPE_bf16, brain, 3, bf16);
    ck_assert_float_eq(f16[0], 1.0f);
    ck_assert_float_eq(f16[1], -2.0f);
    ck_assert_float_eq(f16[2], 0x1p-24f);
    ck_assert_float_eq(f16[3], INFINITY);
    ck_assert_float_eq(bf16[0], 1.0f);
    ck_assert_float_eq(bf16[1], -2.0f);
    ck_assert_float_eq(bf16[2], INFINITY);
    double doubles[] = {0.1, -0x1p127, 1e-60};
    float f64[3];
    row_to_f32(DTYPE_f64, doubles, 3, f64);
    ck_assert_float_eq(f64[0], 0.1f);
    ck_assert_float_eq(f64[1], -0x1p127f);
    ck_assert_float_eq(f64[2], 0.0f);
}
END_TEST

// Every type of floats or weights has a reader; q8_1 and q8_k are not types of weights.
START_TEST(readers_exist_for_all_types)
{
    int count = 0;
    for (int dtype = 0; dtype < DTYPE_COUNT; dtype++)
        count += row_can_read((DType)dtype);
    ck_assert_int_eq(count, 7 + GOLDEN_SUMS); // f64 too, which is never packed as it is
}
END_TEST

// What a packed layout holds is read back by the tests below.
START_TEST(all_packed_types_are_tested)
{
    for (int dtype = 0; dtype < DTYPE_COUNT; dtype++) {
        bool packed =
            layout_holds(LAYOUT_n16k4, (DType)dtype) || layout_holds(LAYOUT_n32k1, (DType)dtype) ||
            layout_holds(LAYOUT_n32k2, (DType)dtype) || layout_holds(LAYOUT_n16k1, (DType)dtype);
        bool tested = false;
        for (int i = 0; i < READABLE; i++)
            tested |= readable[i] == (DType)dtype;
        ck_assert_msg(packed == tested, "%s", dtype_table[dtype].name);
    }
}
END_TEST

static void expect_round_trip(DType dtype, Layout layout, int64_t rows, int64_t columns)
{
    KernelOperand plain = operand_new(dtype, LAYOUT_plain, rows, columns);
    operand_fill(&plain, (uint64_t)(rows * 1000 + columns), FILL_random);
    KernelOperand packed = operand_pack(&plain, layout);
    float *straight = guarded_new(columns * 4), *back = guarded_new(columns * 4);
    for (int64_t row = 0; row < rows; row++) {
        row_to_f32(dtype, (const uint8_t *)plain.data + row * dtype_row_bytes(dtype, columns),
                   columns, straight);
        packed_row_to_f32(dtype, layout, packed.data, row, columns, back);
        ck_assert_mem_eq(straight, back, (size_t)columns * 4);
    }
    guarded_check(straight);
    guarded_check(back);
    guarded_free(straight);
    guarded_free(back);
    operand_free(&packed);
    operand_free(&plain);
}

START_TEST(packed_rows_read_back_to_the_bit)
{
    static const int64_t rows[] = {1, 15, 16, 17, 31, 32, 33, 50};
    DType dtype = readable[_i];
    int64_t block = dtype_table[dtype].block_elements;
    for (int layout = 0; layout < LAYOUT_COUNT; layout++) {
        if (!layout_holds((Layout)layout, dtype) || layout == LAYOUT_k32 || layout == LAYOUT_v1)
            continue;
        for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
            for (int64_t blocks = 1; blocks <= 5; blocks++)
                expect_round_trip(dtype, (Layout)layout, rows[r], block * blocks);
    }
}
END_TEST

// Every byte of a panel is written, and rows that do not exist read as zero.
START_TEST(padding_is_zero)
{
    DType dtype = readable[_i];
    int64_t columns = 3 * dtype_table[dtype].block_elements;
    for (int layout = 1; layout < LAYOUT_COUNT; layout++) {
        if (!layout_holds((Layout)layout, dtype) || layout == LAYOUT_k32 || layout == LAYOUT_v1)
            continue;
        const void *rows[32] = {NULL};
        int64_t bytes = layout_panel_bytes(dtype, (Layout)layout, columns);
        uint8_t *first = guarded_new(bytes), *second = guarded_new(bytes);
        memset(second, 0x55, (size_t)bytes);
        pack_panel(dtype, (Layout)layout, rows, columns, first);
        pack_panel(dtype, (Layout)layout, rows, columns, second);
        ck_assert_mem_eq(first, second, (size_t)bytes);
        guarded_check(first);
        float values[3 * 256], zeros[3 * 256] = {0};
        for (int row = 0; row < layout_table[layout].panel_rows; row++) {
            packed_row_to_f32(dtype, (Layout)layout, first, row, columns, values);
            for (int64_t k = 0; k < columns; k++)
                ck_assert_float_eq(values[k], zeros[k]);
        }
        guarded_free(first);
        guarded_free(second);
    }
}
END_TEST

// One row of a panel of three blocks, packed; the caller looks at its bytes.
static uint8_t *pack_one(DType dtype, int row, uint8_t *file)
{
    int64_t columns = 3 * dtype_table[dtype].block_elements;
    for (int64_t i = 0; i < dtype_row_bytes(dtype, columns); i++)
        file[i] = (uint8_t)(89 * i + 7);
    const void *rows[32] = {NULL};
    rows[row] = file;
    uint8_t *panel = guarded_new(layout_panel_bytes(dtype, LAYOUT_n16k4, columns));
    pack_panel(dtype, LAYOUT_n16k4, rows, columns, panel);
    return panel;
}

START_TEST(bytes_of_q8_0_lie_as_drawn)
{
    uint8_t file[3 * 34], *panel = pack_one(DTYPE_q8_0, 5, file);
    for (int b = 0; b < 3; b++) {
        const uint8_t *pair = panel + b / 2 * 1088, *block = pair + 64 + b % 2 * 512;
        ck_assert_mem_eq(pair + b % 2 * 32 + 5 * 2, file + b * 34, 2);
        for (int k = 0; k < 32; k++)
            ck_assert_uint_eq(block[k / 4 * 64 + 5 * 4 + k % 4],
                              (uint8_t)(file[b * 34 + 2 + k] + 128));
    }
    const uint8_t *missing = panel + 1088 + 64 + 512;
    for (int i = 0; i < 512; i++)
        ck_assert_uint_eq(missing[i], 128);
    guarded_free(panel);
}
END_TEST

// Types of 32 nibbles after one or two factors and, in some, 32 fifth bits.
typedef struct Nibbles {
    DType dtype;
    int factors, fifths_bytes;
} Nibbles;

static const Nibbles nibbles[] = {
    {DTYPE_q4_0, 1, 0}, {DTYPE_iq4_nl, 1, 0}, {DTYPE_q4_1, 2, 0},
    {DTYPE_q5_0, 1, 4}, {DTYPE_q5_1, 2, 4},
};
enum { NIBBLES = sizeof nibbles / sizeof *nibbles };

START_TEST(bytes_of_nibbles_lie_as_drawn)
{
    Nibbles type = nibbles[_i];
    int bytes = dtype_table[type.dtype].block_bytes, lines = type.fifths_bytes ? 5 : 4;
    int fifths_at = 2 * type.factors, nibbles_at = fifths_at + type.fifths_bytes;
    uint8_t file[3 * 24], *panel = pack_one(type.dtype, 15, file);
    for (int b = 0; b < 3; b++) {
        const uint8_t *from = file + b * bytes, *pair = panel + b / 2 * (32 * bytes);
        const uint8_t *block = pair + (type.factors + b % 2 * lines) * 64;
        for (int f = 0; f < type.factors; f++)
            ck_assert_mem_eq(pair + f * 64 + b % 2 * 32 + 15 * 2, from + 2 * f, 2);
        for (int i = 0; i < 16; i++)
            ck_assert_uint_eq(block[i / 4 * 64 + 15 * 4 + i % 4], from[nibbles_at + i]);
        for (int k = 0; k < 32 && type.fifths_bytes; k++)
            ck_assert_int_eq(block[4 * 64 + 15 * 4 + k % 4] >> k / 4 & 1,
                             from[fifths_at + k / 8] >> k % 8 & 1);
    }
    const uint8_t *missing = panel + 32 * bytes + (type.factors + lines) * 64;
    for (int i = 0; i < lines * 64; i++)
        ck_assert_uint_eq(missing[i], 0);
    guarded_free(panel);
}
END_TEST

// Byte i % 4 of row 2 in a line of a packed block.
static uint8_t byte_at(const uint8_t *block, int line, int i)
{
    return block[line * 64 + 2 * 4 + i % 4];
}

START_TEST(bytes_of_q4_k_lie_as_drawn)
{
    uint8_t file[3 * 144], *panel = pack_one(DTYPE_q4_k, 2, file);
    for (int b = 0; b < 3; b++) {
        const uint8_t *from = file + b * 144, *pair = panel + b / 2 * 4608;
        const uint8_t *block = pair + 128 + b % 2 * 2240;
        for (int factor = 0; factor < 2; factor++)
            ck_assert_mem_eq(pair + factor * 64 + b % 2 * 32 + 2 * 2, from + 2 * factor, 2);
        for (int i = 0; i < 12; i++)
            ck_assert_uint_eq(byte_at(block, i / 4, i), from[4 + i]);
        for (int k = 0; k < 256; k++) {
            int group = k / 32, l = k % 32;
            int quant = from[16 + group / 2 * 32 + l] >> group % 2 * 4 & 15;
            ck_assert_int_eq(byte_at(block, 3 + group / 2 * 8 + l / 4, k) >> group % 2 * 4 & 15,
                             quant);
        }
    }
    guarded_free(panel);
}
END_TEST

START_TEST(bytes_of_q5_k_lie_as_drawn)
{
    uint8_t file[3 * 176], *panel = pack_one(DTYPE_q5_k, 2, file);
    for (int b = 0; b < 3; b++) {
        const uint8_t *from = file + b * 176, *pair = panel + b / 2 * 5632;
        const uint8_t *block = pair + 128 + b % 2 * 2752;
        for (int factor = 0; factor < 2; factor++)
            ck_assert_mem_eq(pair + factor * 64 + b % 2 * 32 + 2 * 2, from + 2 * factor, 2);
        for (int i = 0; i < 12; i++)
            ck_assert_uint_eq(byte_at(block, i / 4, i), from[4 + i]);
        for (int k = 0; k < 256; k++) {
            int group = k / 32, l = k % 32, half = group % 2, chunk = k / 64 * 2 + l / 16;
            int line = 3 + 5 * chunk, i = l / 4 % 4;
            ck_assert_int_eq(byte_at(block, line + 1 + i, k) >> half * 4 & 15,
                             from[48 + group / 2 * 32 + l] >> half * 4 & 15);
            ck_assert_int_eq(byte_at(block, line, k) >> (4 * half + i) & 1,
                             from[16 + l] >> group & 1);
        }
    }
    guarded_free(panel);
}
END_TEST

START_TEST(bytes_of_q6_k_lie_as_drawn)
{
    uint8_t file[3 * 210], *panel = pack_one(DTYPE_q6_k, 2, file);
    for (int b = 0; b < 3; b++) {
        const uint8_t *from = file + b * 210, *pair = panel + b / 2 * 6720;
        const uint8_t *block = pair + 64 + b % 2 * 3328;
        ck_assert_mem_eq(pair + b % 2 * 32 + 2 * 2, from + 208, 2);
        for (int group = 0; group < 16; group++)
            ck_assert_uint_eq(byte_at(block, group / 4, group), from[192 + group]);
        for (int k = 0; k < 256; k++) {
            int half = k / 128, l = k % 32, part = k % 128 / 32;
            int low = from[half * 64 + l + part % 2 * 32] >> part / 2 * 4 & 15;
            int high = from[128 + half * 32 + l] >> part * 2 & 3;
            int line = 4 + 3 * (k / 16), quad = k / 4 % 4;
            ck_assert_int_eq(byte_at(block, line + 1 + quad % 2, k) >> quad / 2 * 4 & 15, low);
            ck_assert_int_eq(byte_at(block, line, k) >> quad * 2 & 3, high);
        }
    }
    uint8_t zero[32] = {0};
    ck_assert_mem_eq(panel + 6720 + 32, zero, 32);
    guarded_free(panel);
}
END_TEST

START_TEST(embed_reads_the_rows_of_any_layout)
{
    enum { ROWS = 37, TOKENS = 11 };
    const KernelRow *row = kernel_from_name("embed.any.ref");
    DType dtype = readable[_i];
    int64_t columns = 3 * dtype_table[dtype].block_elements;
    Random random = {1};
    for (int layout = 0; layout < LAYOUT_COUNT; layout++) {
        if (!layout_holds((Layout)layout, dtype) || !(row->layouts >> layout & 1))
            continue;
        Case test = {.operand_count = 2, .result_count = 1};
        KernelOperand plain = operand_new(dtype, LAYOUT_plain, ROWS, columns);
        operand_fill(&plain, 3, FILL_random);
        test.operands[0] = operand_pack(&plain, (Layout)layout);
        test.operands[1] = operand_new(DTYPE_i32, LAYOUT_plain, 1, TOKENS);
        operand_fill_integers(&test.operands[1], 4, 0, ROWS - 1);
        test.results[0] = operand_new(DTYPE_f32, LAYOUT_plain, TOKENS, columns);
        case_run(row, &test, &random);
        for (int t = 0; t < TOKENS; t++) {
            float expected[3 * 256];
            int32_t token = ((const int32_t *)test.operands[1].data)[t];
            row_to_f32(dtype, (uint8_t *)plain.data + token * dtype_row_bytes(dtype, columns),
                       columns, expected);
            ck_assert_mem_eq((float *)test.results[0].data + t * columns, expected,
                             (size_t)columns * 4);
        }
        operand_free(&plain);
        case_free(&test);
    }
}
END_TEST

START_TEST(names_lead_to_their_rows)
{
    for (int32_t i = 0; i < kernel_count; i++)
        ck_assert_ptr_eq(kernel_from_name(kernel_table[i].name), &kernel_table[i]);
    ck_assert_ptr_null(kernel_from_name("matmul.none.ref"));
    ck_assert_int_eq(target_from_name("avx2"), TARGET_avx2);
    ck_assert_int_eq(target_from_name("native"), target_native());
    ck_assert_int_eq(target_from_name("sse"), TARGET_COUNT);
}
END_TEST

START_TEST(queries_get_the_best_allowed_target)
{
    KernelQuery query = {.op = OP_matmul,
                         .target = TARGET_ref,
                         .inputs = DTYPE_SET(q8),
                         .stored = DTYPE_SET(q8_0) | DTYPE_SET(q4_0),
                         .layouts = LAYOUT_SET(n16k4),
                         .post = DTYPE_q8,
                         .epilogue = EPILOGUE_swiglu};
    ck_assert_str_eq(kernel_find(&query)->name, "matmul.q8_n16k4.ref");
#if defined(__x86_64__)
    query.target = TARGET_avx512;
    ck_assert_str_eq(kernel_find(&query)->name, "matmul.q8_n16k4.avx512");
    query.target = TARGET_avx2;
    ck_assert_str_eq(kernel_find(&query)->name, "matmul.q8_n16k4.avx2");
#endif
    query.layouts = LAYOUT_SET(plain);
    ck_assert_ptr_null(kernel_find(&query));
    query.inputs = DTYPE_SET(f32);
    ck_assert_str_eq(kernel_find(&query)->name, "matmul.f32.ref");
    query.stored = DTYPE_SET(q8_1);
    ck_assert_ptr_null(kernel_find(&query));
    query.stored = DTYPE_SET(f32);
    query.post = DTYPE_f16;
    ck_assert_ptr_null(kernel_find(&query));
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("pack");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, blocks_read_as_gguf_reads_them);
    tcase_add_loop_test(tests, sums_of_blocks_are_those_of_gguf, 0, GOLDEN_SUMS);
    tcase_add_test(tests, floats_read_as_they_are);
    tcase_add_test(tests, readers_exist_for_all_types);
    tcase_add_test(tests, all_packed_types_are_tested);
    tcase_add_loop_test(tests, packed_rows_read_back_to_the_bit, 0, READABLE);
    tcase_add_loop_test(tests, padding_is_zero, 0, READABLE);
    tcase_add_test(tests, bytes_of_q8_0_lie_as_drawn);
    tcase_add_loop_test(tests, bytes_of_nibbles_lie_as_drawn, 0, NIBBLES);
    tcase_add_test(tests, bytes_of_q4_k_lie_as_drawn);
    tcase_add_test(tests, bytes_of_q5_k_lie_as_drawn);
    tcase_add_test(tests, bytes_of_q6_k_lie_as_drawn);
    tcase_add_loop_test(tests, embed_reads_the_rows_of_any_layout, 0, READABLE);
    tcase_add_test(tests, names_lead_to_their_rows);
    tcase_add_test(tests, queries_get_the_best_allowed_target);
    return run_cases("pack", tests);
}
