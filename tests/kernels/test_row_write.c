// Rows written in the types of model files: the bytes of the Python package gguf (quants.quantize),
// and what a type cannot hold.
#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "graph/base/hash.h"
#include "kernels/kernel.h"
#include "kernels/math.h"
#include "kernels/row_write.h"
#include "tests/kernels/rows.h"
#include "tests/unit/run_suite.h"

enum { COUNT = 8192, BLOCK = 32 };

// Numbers of a linear congruential generator, each block of 32 scaled by another power of two:
// with denormals of f16, and ties.
static void fill(float *row)
{
    uint32_t x = 12345;
    for (int i = 0; i < COUNT; i++) {
        x = x * 1664525u + 1013904223u;
        row[i] = (float)(int32_t)x * ldexpf(1, -(20 + i / BLOCK % 24));
    }
}

// FNV-1a, as the golden values were hashed.
static uint64_t hash_bytes(const uint8_t *bytes, int64_t count)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (int64_t i = 0; i < count; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

static const struct {
    DType dtype;
    uint64_t hash;
} goldens[] = {
    {DTYPE_f32, 0x4db84439bc186442u},
    {DTYPE_f16, 0x7fcbdd1d20298145u},
    {DTYPE_bf16, 0xaab88e38c7c20749u},
    {DTYPE_q8_0, 0x2ad35c3c498748bfu},
};

START_TEST(bytes_are_those_of_the_reference)
{
    static float row[COUNT];
    static uint8_t out[COUNT * sizeof(float)];
    DType dtype = goldens[_i].dtype;
    fill(row);
    ck_assert(row_can_write(dtype));
    ck_assert_int_eq(row_from_f32(dtype, row, COUNT, out), COUNT);
    ck_assert_uint_eq(hash_bytes(out, dtype_row_bytes(dtype, COUNT)), goldens[_i].hash);
}
END_TEST

// Of 120 rows, as ggml's quantisers wrote them (tests/diff/quantise.sh prints them anew).
static const struct {
    DType dtype;
    uint64_t hash;
} quant_goldens[] = {
    {DTYPE_q4_0, 0xc2bb54dbb585f876u},   {DTYPE_q4_1, 0x11e4e49fdef8a69au},
    {DTYPE_q5_0, 0xb3377c440a723bd2u},   {DTYPE_q5_1, 0x98f4cf4061cec44du},
    {DTYPE_q8_0, 0x2a4da902191ad142u},   {DTYPE_q2_k, 0x20e88668e6d2eabeu},
    {DTYPE_q3_k, 0xced51140a8bb1407u},   {DTYPE_q4_k, 0xeff40e72957978acu},
    {DTYPE_q5_k, 0x900dd24959b0e9f2u},   {DTYPE_q6_k, 0xd47b627c793426a9u},
    {DTYPE_iq4_nl, 0x6acda7e06d92d609u}, {DTYPE_iq4_xs, 0x0e3be2e4f9cb6cd4u},
    {DTYPE_mxfp4, 0x2e77e7386b3aaa03u},
};

START_TEST(quantised_bytes_are_those_of_ggml)
{
    float row[ROW_COLUMNS];
    uint8_t out[ROW_COLUMNS * 2];
    DType dtype = quant_goldens[_i].dtype;
    uint64_t hash = 0;
    for (uint64_t number = 0; number < 120; number++) {
        row_fill(row, number);
        if (row_from_f32(dtype, row, ROW_COLUMNS, out) == ROW_COLUMNS)
            hash = hash64(out, (size_t)dtype_row_bytes(dtype, ROW_COLUMNS), hash);
    }
    ck_assert_uint_eq(hash, quant_goldens[_i].hash);
}
END_TEST

START_TEST(every_quantised_type_that_is_written_has_a_golden)
{
    int count = 0;
    for (int dtype = 0; dtype < DTYPE_COUNT; dtype++)
        count += row_can_write((DType)dtype) && dtype_table[dtype].kind == DTYPE_KIND_QUANT;
    ck_assert_int_eq(count, (int)(sizeof quant_goldens / sizeof *quant_goldens));
}
END_TEST

static const struct {
    DType dtype;
    float value; // element 40 of 64, the others are 0
    int64_t refused;
} limits[] = {
    {DTYPE_f16, 65504.0f, 64},
    {DTYPE_f16, 65519.0f, 64},
    {DTYPE_f16, 65520.0f, 40},
    {DTYPE_f16, -1e9f, 40},
    {DTYPE_f16, INFINITY, 64},
    {DTYPE_f16, NAN, 64},
    {DTYPE_bf16, 3.3895e38f, 64},
    {DTYPE_bf16, 3.4e38f, 40},
    {DTYPE_bf16, -INFINITY, 64},
    {DTYPE_q8_0, 127 * 65504.0f, 64},
    {DTYPE_q8_0, 127 * 65536.0f, 40},
    {DTYPE_q8_0, INFINITY, 40},
    {DTYPE_q8_0, NAN, 40},
    {DTYPE_q8_0, 1e-42f, 64},
    {DTYPE_f32, NAN, 64},
};

START_TEST(what_a_type_cannot_hold_is_told)
{
    float row[64] = {[40] = limits[_i].value}, back[64];
    uint8_t out[64 * sizeof(float)];
    ck_assert_int_eq(row_from_f32(limits[_i].dtype, row, 64, out), limits[_i].refused);
    if (limits[_i].refused < 64)
        return;
    row_to_f32(limits[_i].dtype, out, 64, back);
    ck_assert_int_eq(isnan(back[40]) != 0, isnan(row[40]) != 0);
    ck_assert_int_eq(isfinite(back[40]) != 0, isfinite(row[40]) != 0);
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("row_write");
    tcase_add_loop_test(cases, bytes_are_those_of_the_reference, 0,
                        (int)(sizeof goldens / sizeof *goldens));
    tcase_add_loop_test(cases, quantised_bytes_are_those_of_ggml, 0,
                        (int)(sizeof quant_goldens / sizeof *quant_goldens));
    tcase_add_test(cases, every_quantised_type_that_is_written_has_a_golden);
    tcase_add_loop_test(cases, what_a_type_cannot_hold_is_told, 0,
                        (int)(sizeof limits / sizeof *limits));
    return run_cases("row_write", cases);
}
