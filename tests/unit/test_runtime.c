// The runtime below the tools: threads, pages, a plan bound and run, sequences side by side.
#include <check.h>
#include <fenv.h>
#include <math.h>
#include <stdatomic.h>

#include "runtime/kv.h"
#include "runtime/pool.h"
#include "runtime/session.h"
#include "tests/unit/run_suite.h"
#include "tests/unit/small_plan.h"

// Counts allocations where the C library's own can still be reached.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define ALLOCATOR_IS_TAKEN
#endif
#endif
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(ALLOCATOR_IS_TAKEN)
#define COUNTS_ALLOCATIONS 1
static atomic_llong allocations;
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);

void *malloc(size_t bytes)
{
    atomic_fetch_add(&allocations, 1);
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    atomic_fetch_add(&allocations, 1);
    return __libc_calloc(count, bytes);
}

void *realloc(void *memory, size_t bytes)
{
    atomic_fetch_add(&allocations, 1);
    return __libc_realloc(memory, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    atomic_fetch_add(&allocations, 1);
    return __libc_memalign(alignment, bytes);
}
#else
#define COUNTS_ALLOCATIONS 0
static atomic_llong allocations;
#endif

// --- pool

typedef struct Relay {
    Pool *pool;
    int32_t rounds;
    int64_t cells[64]; // plain memory: the barrier is what orders it
    atomic_int wrong;
} Relay;

// In each round every thread adds to its cell, then checks its neighbour's.
static void run_relay(void *context, int32_t thread, int32_t threads)
{
    Relay *relay = context;
    for (int32_t round = 1; round <= relay->rounds; round++) {
        relay->cells[thread]++;
        pool_barrier(relay->pool, thread);
        if (relay->cells[(thread + 1) % threads] % relay->rounds != round % relay->rounds)
            atomic_fetch_add(&relay->wrong, 1);
        pool_barrier(relay->pool, thread);
    }
}

START_TEST(test_barriers_order_memory)
{
    Diag diag = {0};
    Relay relay = {.rounds = 500};
    relay.pool = pool_open(_i, &diag);
    ck_assert_msg(relay.pool != NULL, "%s", diag.message);
    ck_assert_int_eq(pool_threads(relay.pool), _i);
    for (int run = 1; run <= 20; run++) {
        pool_run(relay.pool, run_relay, &relay);
        for (int32_t thread = 0; thread < _i; thread++)
            ck_assert_int_eq(relay.cells[thread], (int64_t)run * relay.rounds);
    }
    ck_assert_int_eq(relay.wrong, 0);
    pool_close(relay.pool);
}
END_TEST

static void mark_thread(void *context, int32_t thread, int32_t threads)
{
    int32_t *marks = context;
    marks[thread] += threads;
}

// Threads that fell asleep between runs wake up.
START_TEST(test_sleeping_threads_wake)
{
    Diag diag = {0};
    Pool *pool = pool_open(3, &diag);
    int32_t marks[3] = {0};
    for (int run = 1; run <= 20; run++) {
        usleep(500);
        pool_run(pool, mark_thread, marks);
        for (int thread = 0; thread < 3; thread++)
            ck_assert_int_eq(marks[thread], 3 * run);
    }
    pool_close(pool);
}
END_TEST

static void note_rounding(void *context, int32_t thread, int32_t threads)
{
    (void)threads;
    ((int *)context)[thread] = fegetround();
}

START_TEST(test_threads_round_to_nearest)
{
    Diag diag = {0};
    int rounding[2] = {-1, -1};
    fesetround(FE_UPWARD);
    Pool *pool = pool_open(2, &diag);
    pool_run(pool, note_rounding, rounding);
    ck_assert_int_eq(fegetround(), FE_UPWARD);
    fesetround(FE_TONEAREST);
    ck_assert_int_eq(rounding[0], FE_TONEAREST);
    ck_assert_int_eq(rounding[1], FE_TONEAREST);
    pool_close(pool);
}
END_TEST

START_TEST(test_quota_rounds_up)
{
    ck_assert_int_eq(pool_quota_from_text("max 100000\n"), 0);
    ck_assert_int_eq(pool_quota_from_text("150000 100000\n"), 2);
    ck_assert_int_eq(pool_quota_from_text("200000 100000\n"), 2);
    ck_assert_int_eq(pool_quota_from_text("1000 100000"), 1);
    ck_assert_int_eq(pool_quota_from_text("100000 0"), 0);
    ck_assert_int_eq(pool_quota_from_text(""), 0);
    ck_assert_int_ge(pool_default_threads(), 1);
}
END_TEST

START_TEST(test_impossible_thread_counts_are_refused)
{
    Diag diag = {0};
    ck_assert_ptr_null(pool_open(-1, &diag));
    ck_assert_ptr_nonnull(strstr(diag.message, "give 1 to 1024"));
}
END_TEST

// --- kv

static Kv *new_kv(int32_t pages, int32_t pages_per_sequence, int32_t sequences)
{
    Diag diag = {0};
    KvOptions options = {pages, 32, pages_per_sequence, sequences};
    Kv *kv = kv_open(&options, &diag);
    ck_assert_msg(kv != NULL, "%s", diag.message);
    return kv;
}

START_TEST(test_pages_belong_to_one_sequence)
{
    Kv *kv = new_kv(8, 4, 3);
    Diag diag = {0};
    uint32_t random = 3;
    for (int32_t i = 0; i < 3; i++)
        ck_assert_int_eq(kv_add_sequence(kv, &diag), i);
    for (int round = 0; round < 2000; round++) {
        Diag ignored = {0};
        kv_set_length(kv, (int32_t)(small_random(&random) % 3), small_random(&random) % 140,
                      &ignored);
        int32_t owner[8] = {0}, used = 0;
        for (int32_t sequence = 0; sequence < 3; sequence++) {
            int64_t pages = (kv_length(kv, sequence) + 31) / 32;
            for (int32_t i = 0; i < 4; i++) {
                int32_t page = kv_table(kv, sequence)[i];
                ck_assert_int_eq(page >= 0, i < pages);
                if (page >= 0)
                    ck_assert_int_eq(owner[page]++, 0);
                used += page >= 0;
            }
        }
        ck_assert_int_eq(used + kv_free_pages(kv), 8);
    }
    kv_close(kv);
}
END_TEST

START_TEST(test_full_store_changes_nothing)
{
    Kv *kv = new_kv(4, 4, 2);
    Diag diag = {0};
    kv_add_sequence(kv, &diag);
    kv_add_sequence(kv, &diag);
    ck_assert(kv_set_length(kv, 0, 96, &diag));
    ck_assert(!kv_set_length(kv, 1, 33, &diag));
    ck_assert_ptr_nonnull(strstr(diag.message, "the store of keys and values is full: 4 pages"));
    ck_assert_int_eq(kv_length(kv, 1), 0);
    ck_assert_int_eq(kv_free_pages(kv), 1);
    diag = (Diag){0};
    ck_assert(!kv_set_length(kv, 0, 129, &diag));
    ck_assert_ptr_nonnull(strstr(diag.message, "context of 128 tokens is full: raise -c"));
    diag = (Diag){0};
    ck_assert_int_eq(kv_add_sequence(kv, &diag), -1);
    kv_remove_sequence(kv, 0);
    ck_assert_int_eq(kv_free_pages(kv), 4);
    ck_assert_int_eq(kv_add_sequence(kv, &diag), 0);
    kv_close(kv);
}
END_TEST

// --- exec and session, on the small plan

static const int32_t story[80] = {1,  7,  3, 90, 11, 4,  60, 2,  9, 33, 5,  8,  70, 12, 44, 6,
                                  95, 10, 0, 21, 13, 88, 14, 40, 2, 15, 17, 71, 16, 18, 50, 19};

static Session *new_session(const SmallPlan *small, SessionOptions options)
{
    Diag diag = {0};
    Session *session = session_open(&small->plan, &options, &diag);
    ck_assert_msg(session != NULL, "%s", diag.message);
    return session;
}

static void feed(Session *session, int32_t sequence, const int32_t *tokens, int64_t count)
{
    Diag diag = {0};
    ck_assert_msg(session_feed(session, sequence, tokens, count, ROWS_LAST, NULL, NULL, &diag),
                  "%s", diag.message);
}

// Logits after the first `count` tokens of the story, alone, token by token, on one thread.
static void expected_logits(const SmallPlan *small, int64_t count, float logits[SMALL_VOCABULARY])
{
    Session *session = new_session(small, (SessionOptions){.threads = 1, .chunk = 1});
    Diag diag = {0};
    feed(session, session_add_sequence(session, &diag), story, count);
    memcpy(logits, session_logits(session, 0), SMALL_VOCABULARY * sizeof *logits);
    session_close(session);
}

// The norm of the embedding, computed here in double from the model file's numbers.
START_TEST(test_outputs_are_what_the_steps_say)
{
    SmallPlan *small = small_new(false);
    Session *session = new_session(small, (SessionOptions){.threads = 2});
    Diag diag = {0};
    feed(session, session_add_sequence(session, &diag), story, 5);
    int32_t tap = exec_find_output(session_exec(session), "tap.norm");
    ck_assert_int_eq(tap, 1);
    const float *norm = exec_output(session_exec(session), tap);
    float row[SMALL_WIDTH], weight[SMALL_WIDTH];
    row_to_f32(DTYPE_f16, small->norm, SMALL_WIDTH, weight);
    for (int t = 0; t < 5; t++) {
        double squares = 0;
        row_to_f32(DTYPE_f16, small->embedding + story[t] * SMALL_WIDTH, SMALL_WIDTH, row);
        for (int i = 0; i < SMALL_WIDTH; i++)
            squares += (double)row[i] * row[i];
        for (int i = 0; i < SMALL_WIDTH; i++) {
            double want = row[i] / sqrt(squares / SMALL_WIDTH + 1e-5) * weight[i];
            ck_assert_float_eq_tol(norm[t * SMALL_WIDTH + i], (float)want, 1e-5f);
        }
    }
    session_close(session);
    ck_assert(small_free(small));
}
END_TEST

START_TEST(test_bits_do_not_depend_on_threads_or_chunks)
{
    SmallPlan *small = small_new(false);
    float want[SMALL_VOCABULARY];
    expected_logits(small, 70, want);
    ck_assert_float_ne(want[0], want[1]);
    static const int64_t chunks[] = {1, 2, 7, 16};
    for (int32_t threads = 1; threads <= 4; threads++)
        for (int i = 0; i < 4; i++) {
            Session *session =
                new_session(small, (SessionOptions){.threads = threads, .chunk = chunks[i]});
            Diag diag = {0};
            feed(session, session_add_sequence(session, &diag), story, 70);
            ck_assert_mem_eq(session_logits(session, 0), want, sizeof want);
            session_close(session);
        }
    ck_assert(small_free(small));
}
END_TEST

// Sequences of different lengths in one step get what each gets alone, whatever pages they have.
START_TEST(test_sequences_do_not_touch_each_other)
{
    SmallPlan *small = small_new(false);
    float want[3][SMALL_VOCABULARY];
    static const int64_t lengths[3] = {40, 9, 35};
    for (int i = 0; i < 3; i++)
        expected_logits(small, lengths[i], want[i]);
    Session *session = new_session(small, (SessionOptions){.threads = 2, .sequences = 3});
    Diag diag = {0};
    int32_t ids[3];
    for (int i = 0; i < 3; i++)
        ids[i] = session_add_sequence(session, &diag);
    feed(session, ids[2], story, lengths[2] - 3);
    feed(session, ids[0], story, lengths[0] - 1);
    SessionInput inputs[3] = {{ids[0], story + lengths[0] - 1, 1, ROWS_LAST},
                              {ids[2], story + lengths[2] - 3, 3, ROWS_LAST},
                              {ids[1], story, lengths[1], ROWS_LAST}};
    ck_assert_msg(session_step(session, inputs, 3, &diag), "%s", diag.message);
    ck_assert_mem_eq(session_logits(session, 0), want[0], sizeof want[0]);
    ck_assert_mem_eq(session_logits(session, 1), want[2], sizeof want[2]);
    ck_assert_mem_eq(session_logits(session, 2), want[1], sizeof want[1]);
    session_close(session);
    ck_assert(small_free(small));
}
END_TEST

START_TEST(test_steps_without_rows_still_store)
{
    SmallPlan *small = small_new(false);
    float want[SMALL_VOCABULARY];
    expected_logits(small, 12, want);
    Session *session = new_session(small, (SessionOptions){.threads = 2});
    Diag diag = {0};
    int32_t id = session_add_sequence(session, &diag);
    SessionInput first = {id, story, 11, ROWS_NONE}, last = {id, story + 11, 1, ROWS_LAST};
    ck_assert(session_step(session, &first, 1, &diag));
    ck_assert(session_step(session, &last, 1, &diag));
    ck_assert_mem_eq(session_logits(session, 0), want, sizeof want);
    session_close(session);
    ck_assert(small_free(small));
}
END_TEST

START_TEST(test_truncated_sequences_continue)
{
    SmallPlan *small = small_new(false);
    float want[SMALL_VOCABULARY];
    expected_logits(small, 50, want);
    Session *session = new_session(small, (SessionOptions){.threads = 1});
    Diag diag = {0};
    int32_t id = session_add_sequence(session, &diag);
    feed(session, id, story, 20);
    feed(session, id, story, 60);
    session_truncate(session, id, 20);
    ck_assert_int_eq(session_length(session, id), 20);
    feed(session, id, story + 20, 30);
    ck_assert_mem_eq(session_logits(session, 0), want, sizeof want);
    session_close(session);
    ck_assert(small_free(small));
}
END_TEST

typedef struct Seen {
    int64_t next, stop;
    float last[SMALL_VOCABULARY];
} Seen;

static bool see_row(void *context, int64_t index, const float *logits)
{
    Seen *seen = context;
    ck_assert_int_eq(index, seen->next++);
    memcpy(seen->last, logits, sizeof seen->last);
    return seen->next < seen->stop;
}

START_TEST(test_feeding_gives_every_row_once)
{
    SmallPlan *small = small_new(false);
    float want[SMALL_VOCABULARY];
    Session *session = new_session(small, (SessionOptions){.threads = 1, .rows_max = 5});
    Diag diag = {0};
    int32_t id = session_add_sequence(session, &diag);
    Seen seen = {.stop = 100};
    ck_assert(session_feed(session, id, story, 33, ROWS_ALL, see_row, &seen, &diag));
    ck_assert_int_eq(seen.next, 33);
    expected_logits(small, 33, want);
    ck_assert_mem_eq(seen.last, want, sizeof want);
    session_truncate(session, id, 0);
    seen = (Seen){.stop = 3};
    ck_assert(session_feed(session, id, story, 33, ROWS_ALL, see_row, &seen, &diag));
    ck_assert_int_eq(seen.next, 3);
    session_close(session);
    ck_assert(small_free(small));
}
END_TEST

static void refuse_step(Session *session, const SessionInput *inputs, int32_t count,
                        const char *because)
{
    Diag diag = {0};
    ck_assert(!session_step(session, inputs, count, &diag));
    ck_assert_msg(strstr(diag.message, because) != NULL, "\"%s\" does not say \"%s\"", diag.message,
                  because);
}

START_TEST(test_impossible_steps_are_refused)
{
    SmallPlan *small = small_new(false);
    Session *session =
        new_session(small, (SessionOptions){.threads = 1, .context = 40, .sequences = 2});
    Diag diag = {0};
    int32_t id = session_add_sequence(session, &diag);
    const int32_t bad = SMALL_VOCABULARY;
    SessionInput twice[2] = {{id, story, 1, ROWS_LAST}, {id, story, 1, ROWS_LAST}};
    refuse_step(session, twice, 2, "sequence 0 appears twice");
    refuse_step(session, &(SessionInput){id, &bad, 1, ROWS_LAST}, 1,
                "token 96 is not in the vocabulary of 96");
    refuse_step(session, &(SessionInput){1, story, 1, ROWS_LAST}, 1, "there is no sequence 1");
    refuse_step(session, &(SessionInput){id, story, 0, ROWS_LAST}, 1, "no tokens");
    refuse_step(session, &(SessionInput){id, story, 17, ROWS_LAST}, 1,
                "a step takes at most 16 tokens");
    refuse_step(session, &(SessionInput){id, story, 3, ROWS_ALL}, 1, "3 rows of logits are wanted");
    ck_assert_int_eq(session_length(session, id), 0);
    ck_assert(!session_feed(session, id, story, 41, ROWS_LAST, NULL, NULL, &diag));
    ck_assert_ptr_nonnull(
        strstr(diag.message, "the prompt has 41 tokens but the context holds 40: raise -c"));
    feed(session, id, story, 40);
    refuse_step(session, &(SessionInput){id, story, 1, ROWS_LAST}, 1,
                "1 tokens are to follow 40 but the context holds 40: raise -c");
    session_close(session);
    ck_assert(small_free(small));
}
END_TEST

START_TEST(test_too_large_contexts_are_refused)
{
    SmallPlan *small = small_new(false);
    Diag diag = {0};
    SessionOptions options = {.threads = 1, .context = 1 << 30, .sequences = 1 << 20};
    ck_assert_ptr_null(session_open(&small->plan, &options, &diag));
    ck_assert_ptr_nonnull(strstr(diag.message, "lower -c"));
    ck_assert(small_free(small));
}
END_TEST

// Counts runs, and holds that each thread's times ascend.
static void watch_times(void *context, const Exec *exec)
{
    const ExecRun *run = exec_last_run(exec);
    bool good = run->step_count > 0;
    for (int32_t thread = 0; thread < exec_options(exec)->threads; thread++) {
        int64_t now = run->begin;
        const ExecSpan *spans = exec_spans(exec, thread);
        for (uint32_t i = 0; i < run->step_count; i++) {
            good &= now <= spans[i].came && spans[i].came <= spans[i].began &&
                    spans[i].began <= spans[i].done;
            now = spans[i].done;
        }
        good &= now <= run->end;
    }
    *(int *)context += good;
}

START_TEST(test_steps_allocate_nothing)
{
    SmallPlan *small = small_new(false);
    int watched = 0;
    Session *session = new_session(
        small, (SessionOptions){
                   .threads = 2, .sequences = 2, .watch = watch_times, .watch_context = &watched});
    Diag diag = {0};
    int32_t a = session_add_sequence(session, &diag), b = session_add_sequence(session, &diag);
    long long before = allocations;
    bool good = true;
    for (int i = 0; i < 20; i++) {
        SessionInput inputs[2] = {{a, story + i, 1 + i % 3, ROWS_LAST}, {b, story, 2, ROWS_NONE}};
        good &= session_step(session, inputs, 1 + i % 2, &diag);
    }
    long long after = allocations;
    ck_assert_msg(good, "%s", diag.message);
    ck_assert_int_eq(after, before);
    ck_assert(!COUNTS_ALLOCATIONS || before > 0);
    ck_assert_int_eq(watched, 20);
    session_close(session);
    ck_assert(small_free(small));
}
END_TEST

START_TEST(test_memory_is_what_the_plan_needs)
{
    SmallPlan *small = small_new(false);
    Session *session =
        new_session(small, (SessionOptions){.threads = 1, .context = 65, .sequences = 2});
    ExecMemory memory = exec_memory(session_exec(session));
    ck_assert_int_eq(memory.weights, small->plan.info.w_bytes);
    ck_assert_int_eq(memory.kv, 2 * 3 * small->plan.info.page_bytes);
    ck_assert_int_ge(memory.act, small->phases[1].act_bytes);
    session_close(session);
    ck_assert(small_free(small));
}
END_TEST

// Weights made when the plan is opened and weights embedded in it give the same bits.
START_TEST(test_embedded_and_read_weights_agree)
{
    SmallPlan *small = small_new(true);
    char path[400];
    Diag diag = {0};
    float want[SMALL_VOCABULARY];
    small_path(small, "small.plan", path);
    ck_assert_msg(plan_write(&small->plan, path, NULL, NULL, &diag), "%s", diag.message);
    expected_logits(small, 20, want);
    Plan *plan = plan_open(path, &diag);
    ck_assert_msg(plan != NULL, "%s", diag.message);
    SessionOptions options = {.threads = 2};
    Session *session = session_open(plan, &options, &diag);
    ck_assert_msg(session != NULL, "%s", diag.message);
    feed(session, session_add_sequence(session, &diag), story, 20);
    ck_assert_mem_eq(session_logits(session, 0), want, sizeof want);
    session_close(session);
    plan_close(plan);
    unlink(path);
    ck_assert(small_free(small));
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("runtime");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, test_barriers_order_memory, 1, 5);
    tcase_add_test(tests, test_sleeping_threads_wake);
    tcase_add_test(tests, test_threads_round_to_nearest);
    tcase_add_test(tests, test_quota_rounds_up);
    tcase_add_test(tests, test_impossible_thread_counts_are_refused);
    tcase_add_test(tests, test_pages_belong_to_one_sequence);
    tcase_add_test(tests, test_full_store_changes_nothing);
    tcase_add_test(tests, test_outputs_are_what_the_steps_say);
    tcase_add_test(tests, test_bits_do_not_depend_on_threads_or_chunks);
    tcase_add_test(tests, test_sequences_do_not_touch_each_other);
    tcase_add_test(tests, test_steps_without_rows_still_store);
    tcase_add_test(tests, test_truncated_sequences_continue);
    tcase_add_test(tests, test_feeding_gives_every_row_once);
    tcase_add_test(tests, test_impossible_steps_are_refused);
    tcase_add_test(tests, test_too_large_contexts_are_refused);
    tcase_add_test(tests, test_steps_allocate_nothing);
    tcase_add_test(tests, test_memory_is_what_the_plan_needs);
    tcase_add_test(tests, test_embedded_and_read_weights_agree);
    return run_cases("runtime", tests);
}
