// Attention: every target against the reference to the bit; the reference against softmax in
// double; and that a token's bits depend on its own sequence alone, not on the batch, the chunk,
// the pages or what lies in places it does not see.
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/math.h"
#include "tests/kernels/store.h"
#include "tests/unit/run_suite.h"

// POSITIONS: of each sequence; DEEP: where all parts of attention have several blocks.
enum { SEQUENCES = 3, POSITIONS = 640, DEEP = 5120 };

typedef struct Problem {
    StoreShape shape;
    int32_t group, window;
    float spread; // queries are -spread … spread
    float softcap;
    int32_t lengths[SEQUENCES];
    uint64_t seed;
} Problem;

typedef struct Token {
    int32_t sequence, position;
} Token;

static uint64_t seed_of(const Problem *problem, Token token, uint64_t kind)
{
    return problem->seed + kind * 1000003 + (uint64_t)token.sequence * 7919 +
           (uint64_t)token.position * 104729;
}

// One row a token, its contents a function of the token alone.
static KernelOperand rows_of(const Problem *problem, const Token *tokens, int64_t count,
                             int64_t columns, uint64_t kind, float spread)
{
    KernelOperand rows = operand_new(DTYPE_f32, LAYOUT_plain, count, columns);
    for (int64_t row = 0; row < count; row++) {
        Random random = {seed_of(problem, tokens[row], kind)};
        for (int64_t i = 0; i < columns; i++)
            ((float *)rows.data)[row * columns + i] = random_float(&random) * spread;
    }
    return rows;
}

// positions (member 1) or sequences (member 0) as i32 [1, count].
static KernelOperand member_of(const Token *tokens, int64_t count, int member)
{
    KernelOperand operand = operand_new(DTYPE_i32, LAYOUT_plain, 1, count);
    for (int64_t i = 0; i < count; i++)
        ((int32_t *)operand.data)[i] = member ? tokens[i].position : tokens[i].sequence;
    return operand;
}

static void write_positions(const Problem *problem, Store *store, int32_t sequence, int32_t begin,
                            int32_t end)
{
    int64_t count = end - begin, columns = problem->shape.kv_heads * problem->shape.head_size;
    if (count <= 0)
        return;
    Random random = {1};
    Token *tokens = malloc((size_t)count * sizeof *tokens);
    for (int32_t i = 0; i < count; i++) {
        tokens[i] = (Token){sequence, begin + i};
        store_touch(store, sequence, begin + i);
    }
    for (int state = 0; state < 2; state++) {
        Case test = {{rows_of(problem, tokens, count, columns, (uint64_t)state, 1),
                      member_of(tokens, count, 1), member_of(tokens, count, 0), store->table,
                      state ? store->values : store->keys},
                     .operand_count = 5,
                     .pages = store->pages};
        case_run(reference_of(OP_kv_store), &test, &random);
        test.operand_count = 3;
        case_free(&test);
    }
    free(tokens);
}

typedef enum Cut { BY_TILES, BY_PARTS } Cut;

static KernelOperand attend_cut(Cut cut, const KernelRow *row, const Problem *problem,
                                const Store *store, const Token *tokens, int64_t count, DType post,
                                Layout layout, Random *random)
{
    int64_t heads = problem->group * problem->shape.kv_heads;
    int64_t columns = heads * problem->shape.head_size;
    Case test = {{rows_of(problem, tokens, count, columns, 2, problem->spread),
                  member_of(tokens, count, 1), member_of(tokens, count, 0), store->table,
                  store->keys, store->values},
                 .operand_count = 6,
                 .result_count = 1,
                 .pages = store->pages};
    test.results[0] = operand_new(post, layout, count, columns);
    test.attributes.attention.heads = (int32_t)heads;
    test.attributes.attention.scale = 1.0f / sqrtf((float)problem->shape.head_size);
    test.attributes.attention.window = problem->window;
    test.attributes.attention.post = (int32_t)post;
    test.attributes.attention.softcap = problem->softcap;
    if (cut == BY_TILES)
        case_run(row, &test, random);
    else
        ck_assert_msg(case_run_parts(row, &test, random), "%s has no parts", row->name);
    KernelOperand result = test.results[0];
    test.operand_count = 3;
    test.result_count = 0;
    case_free(&test);
    return result;
}

static KernelOperand attend(const KernelRow *row, const Problem *problem, const Store *store,
                            const Token *tokens, int64_t count, DType post, Layout layout,
                            Random *random)
{
    return attend_cut(BY_TILES, row, problem, store, tokens, count, post, layout, random);
}

// Positions 0 … length-1 of every sequence.
static Store store_filled(const Problem *problem, int32_t page_tokens, Random *random)
{
    StoreShape shape = problem->shape;
    shape.page_tokens = page_tokens;
    Store store = store_new(shape, random);
    for (int32_t sequence = 0; sequence < SEQUENCES; sequence++)
        write_positions(problem, &store, sequence, 0, problem->lengths[sequence]);
    return store;
}

// Runs of a sequence's last tokens, in turn, then some tokens from anywhere.
static int64_t pick_tokens(const Problem *problem, Token *tokens, int64_t most, Random *random)
{
    int64_t count = 0;
    for (int32_t sequence = 0; sequence < SEQUENCES; sequence++) {
        int32_t length = problem->lengths[sequence], run = random_between(random, 1, 10);
        for (int32_t at = length > run ? length - run : 0; at < length; at++)
            tokens[count++] = (Token){sequence, at};
    }
    while (count < most) {
        int32_t sequence = random_between(random, 0, SEQUENCES - 1);
        tokens[count++] =
            (Token){sequence, random_between(random, 0, problem->lengths[sequence] - 1)};
    }
    return count;
}

enum { TOKENS = 36 };

static void compare_targets(const Problem *problem, DType post, Layout layout, Random *random)
{
    Store store = store_filled(problem, problem->shape.page_tokens, random);
    Token tokens[TOKENS];
    int64_t count = pick_tokens(problem, tokens, TOKENS, random);
    KernelOperand expected =
        attend(reference_of(OP_attention), problem, &store, tokens, count, post, layout, random);
    for (int32_t i = 0; i < kernel_count; i++) {
        const KernelRow *row = &kernel_table[i];
        if (row->op != OP_attention || row->target > target_native())
            continue;
        KernelOperand result = attend(row, problem, &store, tokens, count, post, layout, random);
        operand_expect(row, &result, &expected, row->tolerance);
        operand_free(&result);
    }
    operand_free(&expected);
    store_free(&store);
}

static Problem problem_new(int i, int32_t head_size, int32_t group, int32_t window)
{
    return (Problem){
        .shape = {state_type(i), state_type(i / 3), 1 + i % 3, head_size, 32 << i % 4, SEQUENCES,
                  POSITIONS},
        .group = group,
        .window = window,
        .spread = i % 5 == 4 ? 60.0f : 3.0f,
        .softcap = i % 3 == 1 ? 1.5f : 0,
        .lengths = {1 + i * 5 % 40, 255 + i % 4, 500 + i * 3 % 130},
        .seed = (uint64_t)i * 1234567,
    };
}

static const int32_t head_sizes[] = {2, 6, 16, 24, 40, 48, 64, 70, 128};
static const int32_t groups[] = {1, 2, 3, 4, 5, 7, 8, 9};
static const int32_t windows[] = {0, 1, 5, 40, 100, 300};
enum {
    HEAD_SIZES = sizeof head_sizes / sizeof *head_sizes,
    GROUPS = sizeof groups / sizeof *groups,
    WINDOWS = sizeof windows / sizeof *windows,
};

START_TEST(targets_agree_for_all_head_sizes_groups_types_and_windows)
{
    Random random = {1};
    for (int i = 0; i < HEAD_SIZES * 6; i++) {
        Problem problem = problem_new(i, head_sizes[i % HEAD_SIZES], groups[i * 3 % GROUPS],
                                      i & 1 ? windows[i / 2 % WINDOWS] : 0);
        compare_targets(&problem, DTYPE_f32, LAYOUT_plain, &random);
    }
}
END_TEST

START_TEST(targets_agree_on_quantised_results)
{
    static const int32_t shapes[][2] = {{16, 2}, {32, 3}, {64, 1}, {8, 4}, {64, 4}, {32, 8}};
    Random random = {2};
    for (int i = 0; i < 12; i++) {
        const int32_t *shape = shapes[i % 6];
        Problem problem = problem_new(i, shape[0], shape[1], 0);
        Layout layout = i & 1 ? LAYOUT_t8 : LAYOUT_t1;
        compare_targets(&problem, DTYPE_q8, layout, &random);
        compare_targets(&problem, DTYPE_bf16x2, layout, &random);
        if (shape[0] * shape[1] % 256 == 0)
            compare_targets(&problem, DTYPE_q8k, layout, &random);
    }
}
END_TEST

// Head `head` of one token in double, from the stored keys and values.
static void check_head(const Problem *problem, const Store *store, Token token, int32_t head,
                       const float *query, const float *output)
{
    int32_t d = problem->shape.head_size, kv_head = head / problem->group;
    int32_t first = problem->window && token.position + 1 > problem->window
                        ? token.position + 1 - problem->window
                        : 0;
    double scores[DEEP], most = -INFINITY, sum = 0;
    // Queries and weights that meet q8_0 are rounded by up to 2^-16 of the largest: 4e-5 was met.
    bool rounded = store->keys.dtype == DTYPE_q8_0 || store->values.dtype == DTYPE_q8_0;
    double bound = rounded ? 1e-3 : 1e-5;
    for (int32_t key = first; key <= token.position; key++) {
        scores[key] = 0;
        for (int32_t i = 0; i < d; i++)
            scores[key] +=
                (double)query[i] * (double)store_key(store, token.sequence, key, kv_head, i);
        scores[key] *= (double)(1.0f / sqrtf((float)d));
        if (problem->softcap > 0)
            scores[key] = (double)problem->softcap * tanh(scores[key] / (double)problem->softcap);
        most = fmax(most, scores[key]);
    }
    for (int32_t key = first; key <= token.position; key++)
        sum += scores[key] = exp(scores[key] - most);
    for (int32_t i = 0; i < d; i++) {
        double want = 0;
        for (int32_t key = first; key <= token.position; key++)
            want += scores[key] / sum * (double)store_value(store, token.sequence, key, kv_head, i);
        ck_assert_msg(fabs((double)output[i] - want) <= bound * fmax(fabs(want), 0.1),
                      "position %d head %d: %.9g, not %.9g", token.position, head,
                      (double)output[i], want);
    }
}

START_TEST(reference_is_softmax_of_scaled_products)
{
    Random random = {3};
    for (int i = 0; i < 18; i++) {
        Problem problem =
            problem_new(i, head_sizes[i % HEAD_SIZES], groups[i % GROUPS], windows[i % WINDOWS]);
        problem.spread = 3;
        int32_t heads = problem.group * problem.shape.kv_heads, d = problem.shape.head_size;
        Store store = store_filled(&problem, problem.shape.page_tokens, &random);
        Token tokens[TOKENS];
        int64_t count = pick_tokens(&problem, tokens, TOKENS, &random);
        KernelOperand query = rows_of(&problem, tokens, count, heads * d, 2, problem.spread);
        KernelOperand result = attend(reference_of(OP_attention), &problem, &store, tokens, count,
                                      DTYPE_f32, LAYOUT_plain, &random);
        for (int64_t row = 0; row < count; row++)
            for (int32_t head = 0; head < heads; head++) {
                int64_t at = row * heads * d + head * d;
                check_head(&problem, &store, tokens[row], head, (float *)query.data + at,
                           (float *)result.data + at);
            }
        operand_free(&query);
        operand_free(&result);
        store_free(&store);
    }
}
END_TEST

// The token alone, in a store of other pages where nothing after it has been written and everything
// below its window is gone.
static void expect_alone(const KernelRow *row, const Problem *problem, Token token,
                         const float *expected, int32_t page_tokens, Random *random)
{
    StoreShape shape = problem->shape;
    shape.page_tokens = page_tokens;
    Store store = store_new(shape, random);
    int32_t begin = 0;
    if (problem->window && token.position + 1 > problem->window)
        begin = (token.position + 1 - problem->window) / page_tokens * page_tokens;
    write_positions(problem, &store, token.sequence, begin, token.position + 1);
    KernelOperand result = attend(row, problem, &store, &token, 1, DTYPE_f32, LAYOUT_plain, random);
    ck_assert_msg(memcmp(result.data, expected, (size_t)result.columns * 4) == 0,
                  "%s: sequence %d position %d alone differs from the batch", row->name,
                  token.sequence, token.position);
    operand_free(&result);
    store_free(&store);
}

START_TEST(bits_do_not_depend_on_batch_chunk_pages_or_unseen_places)
{
    Random random = {4};
    for (int i = 0; i < 10; i++) {
        Problem problem =
            problem_new(i, head_sizes[1 + i % 7], groups[i % GROUPS], windows[i % WINDOWS]);
        Store store = store_filled(&problem, problem.shape.page_tokens, &random);
        Token tokens[TOKENS];
        int64_t count = pick_tokens(&problem, tokens, TOKENS, &random);
        for (int32_t k = 0; k < kernel_count; k++) {
            const KernelRow *row = &kernel_table[k];
            if (row->op != OP_attention || row->target > target_native())
                continue;
            KernelOperand all =
                attend(row, &problem, &store, tokens, count, DTYPE_f32, LAYOUT_plain, &random);
            for (int64_t t = 0; t < count; t += 3)
                expect_alone(row, &problem, tokens[t], (float *)all.data + t * all.columns,
                             32 << random_between(&random, 0, 3), &random);
            operand_free(&all);
        }
        store_free(&store);
    }
}
END_TEST

// A prompt in chunks, each written just before it is attended to, pages dropped once below the
// window.
START_TEST(a_prompt_in_chunks_equals_the_prompt_at_once)
{
    enum { LENGTH = 300 };
    Random random = {5};
    for (int i = 0; i < 9; i++) {
        Problem problem = problem_new(i, 16, groups[i * 2 % GROUPS], i & 1 ? 40 : 0);
        problem.lengths[2] = LENGTH;
        Store at_once = store_filled(&problem, 64, &random);
        StoreShape shape = problem.shape;
        shape.page_tokens = 32;
        Store chunked = store_new(shape, &random);
        Token tokens[LENGTH];
        for (int32_t t = 0; t < LENGTH; t++)
            tokens[t] = (Token){2, t};
        KernelOperand all = attend(reference_of(OP_attention), &problem, &at_once, tokens, LENGTH,
                                   DTYPE_f32, LAYOUT_plain, &random);
        const KernelQuery query = {.op = OP_attention, .target = target_native()};
        int32_t dropped = 0;
        for (int32_t begin = 0, end; begin < LENGTH; begin = end) {
            end = begin + random_between(&random, 1, 40);
            end = end < LENGTH ? end : LENGTH;
            write_positions(&problem, &chunked, 2, begin, end);
            while (problem.window && dropped + 32 <= begin + 1 - problem.window) {
                store_drop(&chunked, 2, dropped);
                dropped += 32;
            }
            KernelOperand part = attend(kernel_find(&query), &problem, &chunked, tokens + begin,
                                        end - begin, DTYPE_f32, LAYOUT_plain, &random);
            ck_assert_msg(memcmp(part.data, (float *)all.data + begin * all.columns,
                                 (size_t)(part.rows * part.columns) * 4) == 0,
                          "chunk %d … %d differs", begin, end - 1);
            operand_free(&part);
        }
        operand_free(&all);
        store_free(&at_once);
        store_free(&chunked);
    }
}
END_TEST

// Every target's run and parts.
static void expect_cuts(const Problem *problem, const Store *store, Token token,
                        const KernelOperand *expected, Random *random)
{
    for (int32_t k = 0; k < 2 * kernel_count; k++) {
        const KernelRow *row = &kernel_table[k / 2];
        if (row->op != OP_attention || row->target > target_native())
            continue;
        KernelOperand result = attend_cut(k % 2 ? BY_PARTS : BY_TILES, row, problem, store, &token,
                                          1, expected->dtype, expected->layout, random);
        operand_expect(row, &result, expected, 0);
        operand_free(&result);
    }
}

// One token at a time over contexts of one block to some in every part.
START_TEST(parts_in_any_cut_equal_the_whole)
{
    Random random = {6};
    int rounded_count = 0;
    for (int i = 0; i < 12; i++) {
        Problem problem = problem_new(i, head_sizes[i % HEAD_SIZES], groups[i % GROUPS],
                                      i % 4 == 3 ? 700 * i : 0);
        int32_t heads = problem.group * problem.shape.kv_heads, d = problem.shape.head_size;
        problem.spread = 3;
        problem.shape.positions = DEEP;
        problem.lengths[1] = 1000 + 93 * i;
        problem.lengths[2] = 2040 + 280 * i;
        Store store = store_filled(&problem, problem.shape.page_tokens, &random);
        for (int32_t sequence = 0; sequence < SEQUENCES; sequence++) {
            Token token = {sequence, problem.lengths[sequence] - 1};
            KernelOperand query = rows_of(&problem, &token, 1, heads * d, 2, problem.spread);
            KernelOperand whole = attend(reference_of(OP_attention), &problem, &store, &token, 1,
                                         DTYPE_f32, LAYOUT_plain, &random);
            for (int32_t head = 0; head < heads; head++)
                check_head(&problem, &store, token, head, (float *)query.data + head * d,
                           (float *)whole.data + head * d);
            expect_cuts(&problem, &store, token, &whole, &random);
            if (problem.group * d % 32 == 0) {
                KernelOperand rounded = attend(reference_of(OP_attention), &problem, &store, &token,
                                               1, DTYPE_q8, LAYOUT_t1, &random);
                expect_cuts(&problem, &store, token, &rounded, &random);
                operand_free(&rounded);
                rounded_count++;
            }
            operand_free(&query);
            operand_free(&whole);
        }
        store_free(&store);
    }
    ck_assert_int_ge(rounded_count, SEQUENCES);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("attention");
    tcase_set_timeout(tests, 240);
    tcase_add_test(tests, targets_agree_for_all_head_sizes_groups_types_and_windows);
    tcase_add_test(tests, targets_agree_on_quantised_results);
    tcase_add_test(tests, reference_is_softmax_of_scaled_products);
    tcase_add_test(tests, bits_do_not_depend_on_batch_chunk_pages_or_unseen_places);
    tcase_add_test(tests, a_prompt_in_chunks_equals_the_prompt_at_once);
    tcase_add_test(tests, parts_in_any_cut_equal_the_whole);
    return run_cases("attention", tests);
}
