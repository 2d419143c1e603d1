// Rotary positions and the writes into the paged store: every target against the reference to the
// bit, the reference against complex multiplication in double and against the picture of the pages.
#include <check.h>
#include <complex.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/math.h"
#include "tests/kernels/store.h"
#include "tests/unit/run_suite.h"

static KernelOperand f32_new(int64_t rows, int64_t columns, uint64_t seed)
{
    KernelOperand operand = operand_new(DTYPE_f32, LAYOUT_plain, rows, columns);
    operand_fill(&operand, seed, FILL_random);
    return operand;
}

static float *f32_of(const KernelOperand *operand, int64_t row)
{
    return (float *)operand->data + row * operand->columns;
}

START_TEST(table_holds_cosines_and_sines_of_scaled_angles)
{
    static const int32_t positions[] = {0, 1, 17, 4095};
    Random random = {1};
    for (int factors = 0; factors < 2; factors++) {
        Case test = {.operand_count = 1 + factors, .result_count = 1};
        test.attributes.rope_table.dims = 6;
        test.attributes.rope_table.theta = 1e4f;
        test.attributes.rope_table.scale = 0.5f;
        test.attributes.rope_table.magnitude = factors ? 1.25f : 1;
        test.operands[0] = integers_new(positions, 4);
        if (factors)
            test.operands[1] = f32_new(1, 3, 2);
        test.results[0] = operand_new(DTYPE_f32, LAYOUT_plain, 4, 6);
        case_run(reference_of(OP_rope_table), &test, &random);
        for (int row = 0; row < 4; row++)
            for (int i = 0; i < 3; i++) {
                double angle = positions[row] * 0.5 / pow(1e4, i / 3.0);
                double magnitude = factors ? 1.25 : 1;
                if (factors)
                    angle /= (double)f32_of(&test.operands[1], 0)[i];
                ck_assert_double_eq_tol((double)f32_of(&test.results[0], row)[i],
                                        cos(angle) * magnitude, 1e-6);
                ck_assert_double_eq_tol((double)f32_of(&test.results[0], row)[3 + i],
                                        sin(angle) * magnitude, 1e-6);
            }
        case_free(&test);
    }
}
END_TEST

static void expect_rotated(const float *x, const float *y, const float *table, int32_t dims,
                           int32_t head_size, RopeStyle style)
{
    for (int32_t i = 0; i < dims / 2; i++) {
        int32_t a = style == STYLE_norm ? 2 * i : i, b = style == STYLE_norm ? a + 1 : i + dims / 2;
        double complex turn = (double)table[i] + I * (double)table[dims / 2 + i];
        double complex turned = ((double)x[a] + I * (double)x[b]) * turn;
        ck_assert_double_eq_tol((double)y[a], creal(turned), 1e-6);
        ck_assert_double_eq_tol((double)y[b], cimag(turned), 1e-6);
    }
    ck_assert_mem_eq(x + dims, y + dims, (size_t)(head_size - dims) * sizeof *x);
}

static void compare_rope(int32_t heads, int32_t head_size, int32_t dims, RopeStyle style,
                         Random *random)
{
    enum { TOKENS = 5 };
    Case test = {.operand_count = 2, .result_count = 1};
    test.attributes.rope.head_dim = head_size;
    test.attributes.rope.style = (int32_t)style;
    test.operands[0] = f32_new(TOKENS, heads * head_size, random_bits(random));
    test.operands[1] = f32_new(TOKENS, dims, random_bits(random));
    test.results[0] = operand_new(DTYPE_f32, LAYOUT_plain, TOKENS, heads * head_size);
    case_run(reference_of(OP_rope), &test, random);
    for (int token = 0; token < TOKENS; token++)
        for (int32_t head = 0; head < heads; head++)
            expect_rotated(f32_of(&test.operands[0], token) + head * head_size,
                           f32_of(&test.results[0], token) + head * head_size,
                           f32_of(&test.operands[1], token), dims, head_size, style);
    for (int32_t i = 0; i < kernel_count; i++) {
        if (kernel_table[i].op != OP_rope || kernel_table[i].target > target_native())
            continue;
        for (int in_place = 0; in_place < 2; in_place++) {
            Case again = test;
            again.results[0] =
                in_place ? operand_copy(&test.operands[0])
                         : operand_new(DTYPE_f32, LAYOUT_plain, TOKENS, heads * head_size);
            if (in_place)
                again.operands[0] = again.results[0];
            case_run(&kernel_table[i], &again, random);
            operand_expect(&kernel_table[i], &again.results[0], &test.results[0], 0);
            operand_free(&again.results[0]);
        }
    }
    case_free(&test);
}

START_TEST(rope_rotates_both_styles_and_parts_of_heads)
{
    static const int32_t sizes[][2] = {{2, 2},   {8, 8},   {16, 16}, {48, 48},   {64, 64},
                                       {64, 32}, {80, 32}, {96, 96}, {128, 128}, {70, 46}};
    Random random = {2};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int style = 0; style < STYLE_COUNT; style++)
            compare_rope(3, sizes[i][0], sizes[i][1], (RopeStyle)style, &random);
}
END_TEST

enum { TOKENS = 21, SEQUENCES = 3 };

// Tokens of three sequences mixed; each sequence's positions ascend from a start of its own.
typedef struct Tokens {
    int32_t positions[TOKENS], sequences[TOKENS];
} Tokens;

static Tokens tokens_new(Store *store, Random *random)
{
    Tokens tokens;
    int32_t next[SEQUENCES] = {0, 29, 60};
    for (int i = 0; i < TOKENS; i++) {
        tokens.sequences[i] = random_between(random, 0, SEQUENCES - 1);
        tokens.positions[i] = next[tokens.sequences[i]]++;
        store_touch(store, tokens.sequences[i], tokens.positions[i]);
    }
    return tokens;
}

// What a head's element reads as once it is stored.
static float as_stored(DType dtype, const float *head, int32_t head_size, int32_t element)
{
    if (dtype == DTYPE_f16)
        return f16_to_f32(f32_to_f16(head[element]));
    if (dtype != DTYPE_q8_0)
        return head[element];
    float most = 0;
    for (int32_t i = element / 32 * 32; i < head_size && i < (element / 32 + 1) * 32; i++)
        most = fmaxf(most, fabsf(head[i]));
    float quant = most < 1e-36f ? 0 : rintf(head[element] * (127.0f / most));
    return f16_to_f32(f32_to_f16(most / 127.0f)) * quant;
}

// How many bytes of a state are no longer the garbage that fills new memory.
static int64_t written_bytes(const Store *store, const KernelOperand *state)
{
    int64_t written = 0;
    for (int64_t i = 0; i < store_bytes(store); i++)
        written += ((const uint8_t *)state->data)[i] != 0xff;
    return written;
}

static void compare_kv_store(StoreShape shape, bool keys, Random *random)
{
    int32_t d = shape.head_size, columns = shape.kv_heads * d;
    KernelOperand x = f32_new(TOKENS, columns, random_bits(random));
    Store store = store_new(shape, random);
    Tokens tokens = tokens_new(&store, random);
    KernelOperand positions = integers_new(tokens.positions, TOKENS);
    KernelOperand sequences = integers_new(tokens.sequences, TOKENS);
    KernelOperand *state = keys ? &store.keys : &store.values;
    size_t bytes = (size_t)store_bytes(&store);
    void *first = malloc(bytes);
    for (int32_t i = 0; i < kernel_count; i++) {
        if (kernel_table[i].op != OP_kv_store || kernel_table[i].target > target_native())
            continue;
        memset(state->data, 0xff, bytes);
        Case test = {{x, positions, sequences, store.table, *state},
                     .operand_count = 5,
                     .pages = store.pages};
        case_run(&kernel_table[i], &test, random);
        if (kernel_table[i].target == TARGET_ref)
            memcpy(first, state->data, bytes);
        ck_assert_msg(memcmp(first, state->data, bytes) == 0, "%s", kernel_table[i].name);
        ck_assert_int_le(
            written_bytes(&store, state),
            TOKENS * dtype_row_bytes(state->dtype, state_columns(state->dtype, shape.kv_heads, d)));
    }
    for (int token = 0; token < TOKENS; token++)
        for (int32_t c = 0; c < columns; c++)
            ck_assert_float_eq((keys ? store_key : store_value)(&store, tokens.sequences[token],
                                                                tokens.positions[token], c / d,
                                                                c % d),
                               as_stored(state->dtype, f32_of(&x, token) + c / d * d, d, c % d));
    free(first);
    operand_free(&x);
    operand_free(&positions);
    operand_free(&sequences);
    store_free(&store);
}

START_TEST(kv_store_writes_its_places_and_no_others)
{
    Random random = {3};
    static const int32_t head_sizes[] = {2, 16, 48, 64, 70};
    for (int i = 0; i < 30; i++) {
        DType dtype = state_type(i);
        StoreShape shape = {dtype, dtype, 1 + i % 3, head_sizes[i % 5], 32 << i % 4, SEQUENCES, 96};
        compare_kv_store(shape, i & 2, &random);
    }
}
END_TEST

// One token of as many columns as there are odd floats, in order and mixed.
static void compare_odd_floats(DType dtype, Random *random)
{
    enum { COLUMNS = 1 << 16 };
    static const int32_t zero[] = {0};
    Store store = store_new((StoreShape){dtype, dtype, 1, COLUMNS, 32, 1, 32}, random);
    store_touch(&store, 0, 0);
    KernelOperand x = operand_new(DTYPE_f32, LAYOUT_plain, 1, COLUMNS);
    KernelOperand position = integers_new(zero, 1), sequence = integers_new(zero, 1);
    size_t bytes = (size_t)store_bytes(&store);
    void *first = malloc(bytes);
    for (uint32_t round = 0; round < 8; round++) {
        for (uint32_t i = 0; i < COLUMNS; i++)
            f32_of(&x, 0)[i * (round & 1 ? 40503u : 1u) % COLUMNS] =
                f32_from_bits(i * 65536u + round * 4096u + round % 3 - (round == 7));
        for (int32_t i = 0; i < kernel_count; i++) {
            if (kernel_table[i].op != OP_kv_store || kernel_table[i].target > target_native())
                continue;
            Case test = {{x, position, sequence, store.table, store.values},
                         .operand_count = 5,
                         .pages = store.pages};
            memset(store.values.data, 0xff, bytes);
            case_run(&kernel_table[i], &test, random);
            if (kernel_table[i].target == TARGET_ref)
                memcpy(first, store.values.data, bytes);
            ck_assert_msg(memcmp(first, store.values.data, bytes) == 0, "%s", kernel_table[i].name);
        }
        const uint16_t *page =
            (const uint16_t *)((const char *)first +
                               *(int32_t *)store.table.data * store.pages.page_bytes);
        for (int c = 0; dtype == DTYPE_f16 && c < COLUMNS; c++)
            ck_assert_uint_eq(page[c], f32_to_f16(f32_of(&x, 0)[c]));
    }
    free(first);
    operand_free(&x);
    operand_free(&position);
    operand_free(&sequence);
    store_free(&store);
}

START_TEST(states_round_alike_on_every_target)
{
    Random random = {4};
    for (int i = 0; i < 3; i++)
        compare_odd_floats(state_type(i), &random);
}
END_TEST

// Rotates columns begin … begin+heads*d-1 of each row of qkv by the reference of rope.
static KernelOperand rope_columns(const KernelOperand *qkv, const KernelOperand *table,
                                  int64_t begin, int64_t columns, int32_t d, RopeStyle style,
                                  Random *random)
{
    Case test = {.operand_count = 2, .result_count = 1};
    test.operands[0] = operand_new(DTYPE_f32, LAYOUT_plain, qkv->rows, columns);
    for (int64_t row = 0; row < qkv->rows; row++)
        memcpy(f32_of(&test.operands[0], row), f32_of(qkv, row) + begin, (size_t)columns * 4);
    test.operands[1] = *table;
    test.results[0] = operand_new(DTYPE_f32, LAYOUT_plain, qkv->rows, columns);
    test.attributes.rope.head_dim = d;
    test.attributes.rope.style = (int32_t)style;
    case_run(reference_of(OP_rope), &test, random);
    operand_free(&test.operands[0]);
    return test.results[0];
}

static void check_stored(const Store *store, const Tokens *tokens, const KernelOperand *key,
                         const KernelOperand *qkv, int64_t values_begin)
{
    int32_t d = store->shape.head_size;
    for (int64_t token = 0; token < qkv->rows; token++)
        for (int32_t c = 0; c < store->shape.kv_heads * d; c++) {
            int32_t sequence = tokens->sequences[token], position = tokens->positions[token];
            ck_assert_float_eq(
                store_key(store, sequence, position, c / d, c % d),
                as_stored(store->shape.keys, f32_of(key, token) + c / d * d, d, c % d));
            ck_assert_float_eq(store_value(store, sequence, position, c / d, c % d),
                               as_stored(store->shape.values,
                                         f32_of(qkv, token) + values_begin + c / d * d, d, c % d));
        }
}

static void compare_qk_store(StoreShape shape, int32_t group, int32_t dims, RopeStyle style,
                             int64_t count, Random *random)
{
    int32_t d = shape.head_size, heads = group * shape.kv_heads;
    Store store = store_new(shape, random);
    Tokens tokens = tokens_new(&store, random);
    KernelOperand qkv = f32_new(count, (heads + 2 * shape.kv_heads) * d, random_bits(random));
    KernelOperand table = f32_new(count, dims, random_bits(random));
    KernelOperand positions = integers_new(tokens.positions, count);
    KernelOperand sequences = integers_new(tokens.sequences, count);
    KernelOperand query = rope_columns(&qkv, &table, 0, heads * d, d, style, random);
    KernelOperand key = rope_columns(&qkv, &table, heads * d, shape.kv_heads * d, d, style, random);
    for (int32_t i = 0; i < kernel_count; i++) {
        if (kernel_table[i].op != OP_rope_qk_store || kernel_table[i].target > target_native())
            continue;
        memset(store.keys.data, 0xff, (size_t)store_bytes(&store));
        memset(store.values.data, 0xff, (size_t)store_bytes(&store));
        Case test = {{qkv, table, positions, sequences, store.table, store.keys, store.values},
                     .operand_count = 7,
                     .result_count = 1,
                     .pages = store.pages};
        test.attributes.rope_qk_store.heads = heads;
        test.attributes.rope_qk_store.kv_heads = shape.kv_heads;
        test.attributes.rope_qk_store.style = (int32_t)style;
        test.results[0] = operand_new(DTYPE_f32, LAYOUT_plain, count, heads * d);
        case_run(&kernel_table[i], &test, random);
        operand_expect(&kernel_table[i], &test.results[0], &query, 0);
        check_stored(&store, &tokens, &key, &qkv, (heads + shape.kv_heads) * d);
        operand_free(&test.results[0]);
    }
    operand_free(&qkv);
    operand_free(&table);
    operand_free(&positions);
    operand_free(&sequences);
    operand_free(&query);
    operand_free(&key);
    store_free(&store);
}

START_TEST(rope_qk_store_is_rope_and_kv_store)
{
    static const int32_t sizes[][2] = {{16, 16}, {48, 48}, {64, 64}, {64, 32}, {70, 46}};
    static const int64_t counts[] = {1, 7, 8, 9, 21};
    Random random = {5};
    for (int i = 0; i < 40; i++) {
        StoreShape shape = {state_type(i), state_type(i / 3), 1 + i % 3, sizes[i % 5][0],
                            32 << i % 4,   SEQUENCES,         96};
        compare_qk_store(shape, 1 + i % 4, sizes[i % 5][1], (RopeStyle)(i / 4 % 2),
                         counts[i / 5 % 5], &random);
    }
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("rope");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, table_holds_cosines_and_sines_of_scaled_angles);
    tcase_add_test(tests, rope_rotates_both_styles_and_parts_of_heads);
    tcase_add_test(tests, kv_store_writes_its_places_and_no_others);
    tcase_add_test(tests, states_round_alike_on_every_target);
    tcase_add_test(tests, rope_qk_store_is_rope_and_kv_store);
    return run_cases("rope", tests);
}
