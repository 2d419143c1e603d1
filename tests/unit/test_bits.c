// Bit-identity of whole models: a token's logits are the same bytes for any number of threads, any
// chunking, alone or among other sequences, and for every target. The model is the small one of the
// repository, compiled here for each target this CPU runs.
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/session.h"
#include "tests/unit/run_suite.h"
#include "tools/compiler/compile.h"

enum { LENGTH = 300, TARGETS = TARGET_COUNT };
static const char model[] = "examples/tiny/tiny.gguf";

static bool target_runs(int target)
{
    if (target <= (int)target_native())
        return true;
    printf("skip: bits on %s: needs a CPU that has it\n", target_names[target]);
    return false;
}

static Plan *compile(const char *target, const char *kv, int64_t batch)
{
    char path[64], number[24];
    snprintf(path, sizeof path, "/tmp/test_bits.%ld.plan", (long)getpid());
    snprintf(number, sizeof number, "%lld", (long long)batch);
    const char *words[] = {
        "graphc", "examples/models/llama.lua", "-w", model, "--target", target, "--kv", kv, "-b",
        number};
    Options options;
    Compile job;
    Diag diag = {0};
    PipelineOptions pipeline = {.stop_after = PASS_COUNT};
    bool good = options_parse(PROGRAM_GRAPHC, sizeof words / sizeof *words,
                              (char **)(uintptr_t)words, &options, &diag) &&
                compile_open(&job, &options, &diag) && compile_module(&job, &pipeline, &diag);
    ck_assert_msg(good, "%s", diag.message);
    const Plan *built = compile_plan(&job, &diag);
    ck_assert_msg(built && compile_write(built, path, &diag), "%s", diag.message);
    compile_close(&job);
    Plan *plan = plan_open(path, &diag);
    ck_assert_msg(plan != NULL, "%s", diag.message);
    unlink(path);
    return plan;
}

static Session *open_session(const Plan *plan, int32_t threads, int32_t sequences)
{
    Diag diag = {0};
    SessionOptions options = {.threads = threads,
                              .sequences = sequences,
                              .context = 512,
                              .rows_max = plan->info.batch < 64 ? plan->info.batch : 64};
    Session *session = session_open(plan, &options, &diag);
    ck_assert_msg(session != NULL, "%s", diag.message);
    return session;
}

static int32_t token_of(int32_t stream, int64_t index)
{
    return (int32_t)((uint64_t)(index * 7919 + 31 * stream + 5) % 1000) + 3;
}

static size_t row_bytes(const Plan *plan)
{
    return (size_t)plan->info.vocabulary_size * sizeof(float);
}

// Logits of stream 0's first `count` tokens, given in steps of `chunk`; streams 1 … `others` walk
// along in the same steps, each at its own pace. `out` holds count rows.
static void collect(const Plan *plan, int32_t threads, int64_t chunk, int32_t others, int64_t count,
                    char *out)
{
    Session *session = open_session(plan, threads, 1 + others);
    Diag diag = {0};
    int64_t done[3] = {0};
    for (int32_t i = others; i >= 0; i--) // the watched sequence is not the first one
        ck_assert_int_ge(session_add_sequence(session, &diag), 0);
    while (done[0] < count) {
        SessionInput inputs[3];
        int32_t tokens[3][64];
        for (int32_t i = 0; i <= others; i++) {
            int64_t step = i == 0 ? chunk : i == 1 ? 3 : 1;
            if (i == 0 && step > count - done[0])
                step = count - done[0];
            for (int64_t j = 0; j < step; j++)
                tokens[i][j] = token_of(i, done[i] + j);
            done[i] += step;
            inputs[others - i] =
                (SessionInput){others - i, tokens[i], step, i == 0 ? ROWS_ALL : ROWS_LAST};
        }
        ck_assert_msg(session_step(session, inputs, 1 + others, &diag), "%s", diag.message);
        int64_t rows = inputs[others].token_count;
        memcpy(out + (size_t)(done[0] - rows) * row_bytes(plan), session_logits(session, others),
               (size_t)rows * row_bytes(plan));
    }
    session_close(session);
}

static char *collected(const Plan *plan, int32_t threads, int64_t chunk, int32_t others,
                       int64_t count)
{
    char *rows = malloc((size_t)count * row_bytes(plan));
    ck_assert(rows != NULL);
    collect(plan, threads, chunk, others, count, rows);
    return rows;
}

static void assert_equal_rows(const Plan *plan, const char *expected, char *got, int64_t count,
                              const char *what)
{
    for (int64_t row = 0; row < count; row++)
        ck_assert_msg(memcmp(expected + (size_t)row * row_bytes(plan),
                             got + (size_t)row * row_bytes(plan), row_bytes(plan)) == 0,
                      "%s: logits of token %lld differ", what, (long long)row);
    free(got);
}

START_TEST(threads_and_chunks_do_not_matter)
{
    if (!target_runs(_i) || _i == TARGET_ref)
        return;
    Plan *plan = compile(target_names[_i], "f16", 64);
    char *expected = collected(plan, 1, 64, 0, LENGTH);
    assert_equal_rows(plan, expected, collected(plan, 2, 64, 0, LENGTH), LENGTH, "2 threads");
    assert_equal_rows(plan, expected, collected(plan, 3, 64, 0, LENGTH), LENGTH, "3 threads");
    assert_equal_rows(plan, expected, collected(plan, 1, 7, 0, LENGTH), LENGTH, "chunks of 7");
    assert_equal_rows(plan, expected, collected(plan, 2, 1, 0, LENGTH), LENGTH, "token by token");
    free(expected);
    plan_close(plan);
}
END_TEST

START_TEST(other_sequences_do_not_matter)
{
    if (!target_runs(_i) || _i == TARGET_ref)
        return;
    for (int f32 = 0; f32 < 2; f32++) {
        Plan *plan = compile(target_names[_i], f32 ? "f32" : "f16", 64);
        char *expected = collected(plan, 1, 60, 0, LENGTH);
        assert_equal_rows(plan, expected, collected(plan, 2, 50, 2, LENGTH), LENGTH,
                          "with two others, chunks of 50");
        assert_equal_rows(plan, expected, collected(plan, 1, 1, 2, 100), 100,
                          "with two others, token by token");
        free(expected);
        plan_close(plan);
    }
}
END_TEST

START_TEST(the_plans_batch_does_not_matter)
{
    if (!target_runs(_i) || _i == TARGET_ref)
        return;
    Plan *plan = compile(target_names[_i], "f16", 512);
    char *expected = collected(plan, 2, 64, 0, LENGTH);
    static const int64_t batches[] = {1, 7};
    for (int i = 0; i < 2; i++) {
        Plan *other = compile(target_names[_i], "f16", batches[i]);
        assert_equal_rows(plan, expected, collected(other, 2, batches[i], 0, LENGTH), LENGTH,
                          "another -b");
        plan_close(other);
    }
    free(expected);
    plan_close(plan);
}
END_TEST

START_TEST(targets_agree)
{
    enum { SHORT = 40 };
    char *expected = NULL;
    Plan *plans[TARGETS] = {NULL};
    for (int i = 0; i < TARGETS; i++) {
        if (!target_runs(i))
            continue;
        plans[i] = compile(target_names[i], "f16", 32);
        if (!expected)
            expected = collected(plans[i], 2, 32, 0, SHORT);
        else
            assert_equal_rows(plans[0], expected, collected(plans[i], 2, 9, 0, SHORT), SHORT,
                              target_names[i]);
    }
    for (int i = 0; i < TARGETS; i++)
        if (plans[i])
            plan_close(plans[i]);
    free(expected);
}
END_TEST

// A sequence that was cut back and fed again gives the same bytes: its pages held other keys
// between.
START_TEST(recycled_pages_do_not_matter)
{
    if (!target_runs(_i) || _i == TARGET_ref)
        return;
    Plan *plan = compile(target_names[_i], "f16", 64);
    Session *session = open_session(plan, 2, 1);
    Diag diag = {0};
    int32_t tokens[64];
    char *expected = malloc(row_bytes(plan));
    ck_assert(expected != NULL);
    ck_assert_int_eq(session_add_sequence(session, &diag), 0);
    for (int round = 0; round < 3; round++) {
        int32_t stream = round == 1 ? 2 : 0; // the second round leaves other keys behind
        session_truncate(session, 0, 0);
        for (int64_t i = 0; i < 64; i++)
            tokens[i] = token_of(stream, i);
        SessionInput input = {0, tokens, 64, ROWS_LAST};
        ck_assert_msg(session_step(session, &input, 1, &diag), "%s", diag.message);
        if (round == 0)
            memcpy(expected, session_logits(session, 0), row_bytes(plan));
        bool equal = memcmp(expected, session_logits(session, 0), row_bytes(plan)) == 0;
        ck_assert_int_eq(equal, round != 1);
    }
    free(expected);
    session_close(session);
    plan_close(plan);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("bits");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, threads_and_chunks_do_not_matter, 0, TARGETS);
    tcase_add_loop_test(tests, other_sequences_do_not_matter, 0, TARGETS);
    tcase_add_loop_test(tests, the_plans_batch_does_not_matter, 0, TARGETS);
    tcase_add_test(tests, targets_agree);
    tcase_add_loop_test(tests, recycled_pages_do_not_matter, 0, TARGETS);
    return run_cases("bits", tests);
}
