// --bench: tokens a second, beside the most that this machine could do at that moment.
//
// Each test fills its sequences to their depth once, runs once to warm up (there the work is
// counted), then again and again from that depth, the machine's limits probed between repetitions.
// One whose limits moved by more than 10 % while it ran is dropped and another made, at most as
// many again as were asked for; where none is steady all count, and the report says so. Tokens are
// random: a model never sees the same one over and over. A prompt asks for logits of its last
// token, tg of each; nothing is sampled.
#include "tools/run/bench.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/roofline.h"
#include "runtime/sample.h"
#include "tools/common/exec_options.h"
#include "tools/run/profile.h"

enum { REPETITIONS = 5, REPETITIONS_MAX = 1000 };
static const double steady = 0.10;

typedef struct Bench {
    Run *run;
    Session *session;
    Roofline roofline;
    BenchTest tests[BENCH_TESTS_MAX];
    int32_t test_count, sequences_most;
    int64_t repetitions, chunk;
    Random random;
    int32_t *tokens;      // room for those of any test
    SessionInput *inputs; // one a sequence
} Bench;

typedef struct Repetition {
    double rate;
    RooflineLimits limits; // means of before and after
    double limit;          // the rate that they allow
} Repetition;

typedef struct Result {
    const BenchTest *test;
    RooflineWork work;
    Repetition *kept;
    int64_t kept_count, dropped;
    bool unsteady; // none was steady: those kept are all that were made
} Result;

// Appends the next `count` tokens to each of the sequences, `chunk` a step. `test` is NULL while
// they are filled: then no logits are asked for.
static bool advance(Bench *bench, const BenchTest *test, SessionInput *inputs, int32_t sequences,
                    int64_t count, int64_t chunk, RooflineWork *work, Diag *diag)
{
    for (int64_t done = 0; done < count && !run_interrupted; done += chunk) {
        int64_t length = count - done < chunk ? count - done : chunk;
        bool wanted = test && (!test->prompt || done + length == count);
        for (int32_t i = 0; i < sequences; i++) {
            inputs[i].tokens = bench->tokens + i * count + done;
            inputs[i].token_count = length;
            inputs[i].rows = wanted ? ROWS_LAST : ROWS_NONE;
        }
        if (!session_step(bench->session, inputs, sequences, diag))
            return false;
        if (work)
            roofline_add_run(work, session_exec(bench->session));
    }
    return true;
}

static void draw_tokens(Bench *bench, int64_t count)
{
    uint64_t vocabulary = (uint64_t)bench->run->plan->info.vocabulary_size;
    for (int64_t i = 0; i < count; i++)
        bench->tokens[i] = (int32_t)(random_next(&bench->random) % vocabulary);
}

static bool fill(Bench *bench, const BenchTest *test, Diag *diag)
{
    for (int32_t i = 0; i < bench->sequences_most; i++)
        session_truncate(bench->session, bench->inputs[i].sequence, 0);
    for (int32_t i = 0; i < test->sequences; i++) {
        draw_tokens(bench, test->depth);
        if (!advance(bench, NULL, &bench->inputs[i], 1, test->depth, bench->chunk, NULL, diag))
            return false;
    }
    return true;
}

static double test_tokens(const BenchTest *test)
{
    return (double)(test->tokens * test->sequences);
}

// The test once, from its depth; the sequences are at their depth again afterwards.
static bool run_once(Bench *bench, const BenchTest *test, RooflineWork *work, double *rate,
                     Diag *diag)
{
    draw_tokens(bench, test->tokens * test->sequences);
    double begin = run_seconds();
    if (!advance(bench, test, bench->inputs, test->sequences, test->tokens,
                 test->prompt ? bench->chunk : 1, work, diag))
        return false;
    *rate = test_tokens(test) / (run_seconds() - begin);
    for (int32_t i = 0; i < test->sequences; i++)
        session_truncate(bench->session, bench->inputs[i].sequence, test->depth);
    return true;
}

static RooflineLimits mean_limits(const RooflineLimits *a, const RooflineLimits *b)
{
    RooflineLimits mean = {.bandwidth = (a->bandwidth + b->bandwidth) / 2};
    for (WorkKind kind = 0; kind < WORK_COUNT; kind++)
        mean.peak[kind] = (a->peak[kind] + b->peak[kind]) / 2;
    return mean;
}

// Whether the machine allowed the same before and after.
static bool is_steady(const RooflineWork *work, const RooflineLimits *a, const RooflineLimits *b)
{
    double before = roofline_floor(work, a), after = roofline_floor(work, b);
    return before < after * (1 + steady) && after < before * (1 + steady);
}

static void show_progress(const Bench *bench, const BenchTest *test, int64_t done)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\rbench: %s %" PRId64 " of %" PRId64 "   ", test->name, done,
                bench->repetitions);
}

// Steady repetitions are kept from the front, the others from the back.
static bool repeat(Bench *bench, Result *result, Diag *diag)
{
    const BenchTest *test = result->test;
    int64_t most = 2 * bench->repetitions, dropped = 0;
    RooflineLimits before = roofline_probe(&bench->roofline);
    for (int64_t made = 0; result->kept_count < bench->repetitions && made < most; made++) {
        Repetition one;
        show_progress(bench, test, result->kept_count);
        if (!run_once(bench, test, NULL, &one.rate, diag))
            return false;
        if (run_interrupted)
            return true;
        RooflineLimits after = roofline_probe(&bench->roofline);
        one.limits = mean_limits(&before, &after);
        one.limit = test_tokens(test) / roofline_floor(&result->work, &one.limits);
        if (is_steady(&result->work, &before, &after))
            result->kept[result->kept_count++] = one;
        else
            result->kept[most - ++dropped] = one;
        before = after;
    }
    result->unsteady = result->kept_count == 0;
    result->dropped = result->unsteady ? 0 : dropped;
    result->kept_count = result->unsteady ? dropped : result->kept_count;
    return true;
}

static bool run_test(Bench *bench, Result *result, Diag *diag)
{
    double rate;
    result->kept = calloc((size_t)bench->repetitions * 2, sizeof *result->kept);
    if (!result->kept)
        return diag_fail(diag, (Where){0}, "out of memory");
    run_profile_pause(bench->run->profile, true);
    if (!fill(bench, result->test, diag) ||
        !run_once(bench, result->test, &result->work, &rate, diag))
        return false;
    run_profile_pause(bench->run->profile, false);
    return repeat(bench, result, diag);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// The middle of a field of the repetitions that count.
static double median_of(const Result *result, size_t field)
{
    double values[2 * REPETITIONS_MAX] = {0};
    int64_t count = result->kept_count;
    for (int64_t i = 0; i < count; i++)
        values[i] = *(const double *)(const void *)((const char *)&result->kept[i] + field);
    qsort(values, (size_t)count, sizeof *values, ascending);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

typedef struct Figures {
    double median, least, most, limit, reached; // tokens a second, a share
    double bandwidth, peak[WORK_COUNT];
} Figures;

static Figures figures_of(const Result *result)
{
    Figures figures = {.median = median_of(result, offsetof(Repetition, rate)),
                       .least = result->kept[0].rate,
                       .limit = median_of(result, offsetof(Repetition, limit)),
                       .bandwidth = median_of(result, offsetof(Repetition, limits.bandwidth))};
    for (int64_t i = 0; i < result->kept_count; i++) {
        double rate = result->kept[i].rate;
        figures.least = rate < figures.least ? rate : figures.least;
        figures.most = rate > figures.most ? rate : figures.most;
    }
    for (WorkKind kind = 0; kind < WORK_COUNT; kind++)
        figures.peak[kind] =
            median_of(result, offsetof(Repetition, limits.peak) + (size_t)kind * sizeof(double));
    figures.reached = figures.median / figures.limit;
    return figures;
}

static void print_head(const Bench *bench)
{
    const PlanInfo *info = &bench->run->plan->info;
    printf("%s, target %s, %d threads\n", plan_string(bench->run->plan, info->name),
           plan_string(bench->run->plan, info->target),
           exec_options(session_exec(bench->session))->threads);
    printf("%-16s %9s %9s %9s %9s %8s  %s\n", "test", "tok/s", "min", "max", "limit", "reached",
           "of what was probed");
}

static void print_row(const Result *result)
{
    Figures figures = figures_of(result);
    double seconds = test_tokens(result->test) / figures.median * 1e9;
    printf("%-16s %9.1f %9.1f %9.1f %9.1f %6.0f %%  %.1f of %.1f GB/s", result->test->name,
           figures.median, figures.least, figures.most, figures.limit, figures.reached * 100,
           result->work.bytes / seconds, figures.bandwidth * 1e-9);
    for (WorkKind kind = 0; kind < WORK_COUNT; kind++)
        if (result->work.operations[kind] > 0)
            printf(", %.1f of %.1f %s Gop/s", result->work.operations[kind] / seconds,
                   figures.peak[kind] * 1e-9, work_names[kind]);
    if (result->unsteady)
        printf("; the machine was never steady");
    else if (result->dropped)
        printf("; %" PRId64 " dropped, the machine was not steady", result->dropped);
    printf("\n");
    fflush(stdout);
}

static void print_json_head(const Bench *bench)
{
    const Plan *plan = bench->run->plan;
    Text out = {0};
    text_print(&out, "{\"format\": 1, \"model\": ");
    const char *name = plan_string(plan, plan->info.name);
    text_quote(&out, name, strlen(name));
    text_print(&out,
               ", \"target\": \"%s\", \"threads\": %d, \"repetitions\": %" PRId64 ", \"tests\": [",
               plan_string(plan, plan->info.target),
               exec_options(session_exec(bench->session))->threads, bench->repetitions);
    fwrite(out.bytes, 1, out.length, stdout);
    text_free(&out);
}

static void print_json_row(const Result *result, bool first)
{
    Figures figures = figures_of(result);
    const BenchTest *test = result->test;
    printf("%s{\"test\": \"%s\", \"kind\": \"%s\", \"tokens\": %" PRId64 ", \"depth\": %" PRId64
           ", \"sequences\": %d, \"tokens_per_second\": {\"median\": %.3f, \"min\": %.3f, "
           "\"max\": %.3f}, \"kept\": %" PRId64 ", \"dropped\": %" PRId64 ", \"steady\": %s, "
           "\"bytes\": %.0f, \"read_bytes_per_second\": %.0f, ",
           first ? "" : ", ", test->name, test->prompt ? "pp" : "tg", test->tokens, test->depth,
           test->sequences, figures.median, figures.least, figures.most, result->kept_count,
           result->dropped, result->unsteady ? "false" : "true", result->work.bytes,
           figures.bandwidth);
    for (WorkKind kind = 0; kind < WORK_COUNT; kind++)
        printf("\"%s_operations\": %.0f, \"%s_peak_per_second\": %.0f, ", work_names[kind],
               result->work.operations[kind], work_names[kind], figures.peak[kind]);
    printf("\"limit_tokens_per_second\": %.3f, \"reached\": %.4f}", figures.limit, figures.reached);
}

// Runs all tests; what they gave is printed as it comes.
static bool run_tests(Bench *bench, Diag *diag)
{
    bool json = bench->run->options->json, good = true;
    json ? print_json_head(bench) : print_head(bench);
    for (int32_t i = 0; good && i < bench->test_count && !run_interrupted; i++) {
        Result result = {.test = &bench->tests[i]};
        good = run_test(bench, &result, diag);
        if (isatty(STDERR_FILENO))
            fprintf(stderr, "\r%40s\r", "");
        if (good && !run_interrupted)
            json ? print_json_row(&result, i == 0) : print_row(&result);
        free(result.kept);
    }
    if (json)
        printf("]}\n");
    return good;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

// A session with room for every test, and all the sequences that one needs.
static bool open_session(Bench *bench, Diag *diag)
{
    SessionOptions options;
    int64_t context = 0, tokens = 0;
    if (!run_session_options(bench->run, 0, &options, diag))
        return false;
    for (int32_t i = 0; i < bench->test_count; i++) {
        const BenchTest *test = &bench->tests[i];
        bench->sequences_most = (int32_t)larger(bench->sequences_most, test->sequences);
        context = larger(context, test->depth + test->tokens);
        tokens = larger(tokens, larger(test->depth, test->tokens * test->sequences));
    }
    if (options.context && options.context < context)
        return diag_fail(diag, (Where){0},
                         "--bench needs a context of %" PRId64 " tokens, -c gives %" PRId64,
                         context, options.context);
    options.context = options.context ? options.context : context;
    options.sequences = bench->sequences_most;
    bench->session = session_open(bench->run->plan, &options, diag);
    bench->tokens = malloc((size_t)tokens * sizeof *bench->tokens);
    bench->inputs = calloc((size_t)options.sequences, sizeof *bench->inputs);
    if (!bench->session)
        return false;
    if (!bench->tokens || !bench->inputs)
        return diag_fail(diag, (Where){0}, "out of memory");
    for (int32_t i = 0; i < options.sequences; i++)
        if ((bench->inputs[i].sequence = session_add_sequence(bench->session, diag)) < 0)
            return false;
    return true;
}

static bool open_bench(Bench *bench, Diag *diag)
{
    const Options *options = bench->run->options;
    if (!option_number("-r", options->repetitions, 1, REPETITIONS_MAX, &bench->repetitions, diag))
        return false;
    if (!bench->repetitions)
        bench->repetitions = REPETITIONS;
    bench->chunk =
        options->chunk == OPTION_UNSET_INT ? bench->run->plan->info.batch : options->chunk;
    bench->random = random_seed(options->seed == OPTION_UNSET_INT ? 1 : (uint64_t)options->seed);
    return bench_parse(options->bench, bench->tests, &bench->test_count, diag) &&
           open_session(bench, diag) &&
           roofline_open(&bench->roofline, bench->run->plan, session_exec(bench->session), diag);
}

int run_bench(Run *run, Diag *diag)
{
    Bench bench = {.run = run};
    bool good = open_bench(&bench, diag) && run_tests(&bench, diag) &&
                run_profile_report(run->profile, bench.session, diag);
    roofline_close(&bench.roofline);
    session_close(bench.session);
    free(bench.tokens);
    free(bench.inputs);
    return !good ? -1 : run_interrupted ? 130 : 0;
}
