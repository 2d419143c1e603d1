// How a kernel is measured: as many of its tiles as take a moment, in turn with the probes. The
// larger of the probes before and after is the limit: what slows a probe down is not the kernel's
// merit. Medians of BENCH_REPEATS.
#define _GNU_SOURCE // MADV_HUGEPAGE
#include "tests/bench/bench.h"

#include <check.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "tests/kernels/harness.h"

enum { HUGE_BYTES = 2 << 20 };
static const double run_seconds = 0.02, probe_seconds = 0.004, least_seconds = 0.0005;

static int64_t round_up(int64_t value, int64_t multiple)
{
    return (value + multiple - 1) / multiple * multiple;
}

void *bench_fill(int64_t bytes, const void *pattern, int64_t pattern_bytes)
{
    static char *memory;
    static int64_t length;
    if (bytes > length) {
        free(memory);
        length = round_up(bytes, HUGE_BYTES);
        memory = aligned_alloc(HUGE_BYTES, (size_t)length);
        ck_assert_msg(memory != NULL, "out of memory");
        madvise(memory, (size_t)length, MADV_HUGEPAGE);
    }
    for (int64_t at = 0; at < bytes; at += pattern_bytes)
        memcpy(memory + at, pattern,
               (size_t)(bytes - at < pattern_bytes ? bytes - at : pattern_bytes));
    return memory;
}

double bench_seconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, ascending);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

bool bench_wanted(const KernelRow *row, const char *name)
{
    const char *only = getenv("ONLY");
    char words[1024], *rest = words;
    if (row && row->target > target_native())
        return false;
    if (!only || !only[strspn(only, " ")])
        return !row || row->target != TARGET_ref;
    snprintf(words, sizeof words, "%s", only);
    for (char *word; (word = strsep(&rest, " "));)
        if (*word && strstr(name, word))
            return true;
    return false;
}

void bench_print(const char *name, const char *format, ...)
{
    static bool begun;
    va_list arguments;
    if (!begun)
        printf("%-52s %10s %8s %8s  %s\n", "kernel", "us", "GB/s", "Gop/s",
               "of what the machine can");
    begun = true;
    printf("%-52s ", name);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    fflush(stdout);
}

// Operations a second of the target's products in registers.
static double probe_peak(const KernelRow *row, WorkKind kind)
{
    ProbePeak *peak = probe_table[row->target].peak[kind];
    double done = 0, begin = bench_seconds(), now = begin;
    for (; now - begin < probe_seconds; now = bench_seconds())
        done += peak(1000);
    return done / (now - begin);
}

static double probe_bandwidth(const KernelRow *row, const void *memory, int64_t bytes)
{
    double begin = bench_seconds();
    probe_table[row->target].read(memory, bytes / 512 * 512);
    return (double)bytes / (bench_seconds() - begin);
}

// Bytes and operations a second; no limit on bytes that are not streamed.
typedef struct Limits {
    double bandwidth, peak;
} Limits;

static Limits probe_limits(const KernelRow *row, WorkKind kind, const void *streamed, int64_t bytes)
{
    return (Limits){streamed ? probe_bandwidth(row, streamed, bytes) : (double)INFINITY,
                    probe_peak(row, kind)};
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

// Seconds of one run, of as many as make the clock's grain small.
static double time_run(const KernelRow *row, const KernelCall *call, void *scratch, int64_t tiles)
{
    int64_t runs = 0;
    double begin = bench_seconds(), now = begin;
    for (; now - begin < least_seconds; now = bench_seconds(), runs++)
        row->run(call, scratch, 0, tiles);
    return (now - begin) / (double)runs;
}

// The most tiles, in steps of two, that stay below the time of a run.
static int64_t choose_tiles(const KernelRow *row, const KernelCall *call, void *scratch)
{
    int64_t all = row->tiles(call), tiles = 1;
    while (tiles < all && time_run(row, call, scratch, tiles) < run_seconds / 2)
        tiles = 2 * tiles < all ? 2 * tiles : all;
    return tiles;
}

static void check_finite(const char *name, const KernelCall *call)
{
    for (int32_t i = 0; i < call->result_count; i++) {
        const KernelOperand *result = &call->results[i];
        const float *values = result->data;
        for (int64_t j = 0; result->dtype == DTYPE_f32 && j < result->rows * result->columns; j++)
            ck_assert_msg(isfinite(values[j]), "%s: a result is not finite", name);
    }
}

static void zero_results(const KernelCall *call)
{
    for (int32_t i = 0; i < call->result_count; i++) {
        const KernelOperand *result = &call->results[i];
        memset(result->data, 0,
               (size_t)layout_bytes(result->dtype, result->layout, result->rows, result->columns));
    }
}

void bench_run(const char *name, const KernelRow *row, const KernelCall *call, const void *streamed,
               int64_t streamed_bytes)
{
    void *scratch = guarded_new(row->scratch ? row->scratch(call) : 0);
    zero_results(call);
    int64_t tiles = choose_tiles(row, call, scratch);
    double share = (double)tiles / (double)row->tiles(call);
    Work work = work_of_call(row, call, work_depth(row, call));
    double seconds[BENCH_REPEATS], reached[BENCH_REPEATS];
    bool stream = false;
    for (int i = 0; i < BENCH_REPEATS; i++) {
        Limits before = probe_limits(row, work.kind, streamed, streamed_bytes);
        seconds[i] = time_run(row, call, scratch, tiles);
        Limits after = probe_limits(row, work.kind, streamed, streamed_bytes);
        double moving = work.stored_bytes / larger(before.bandwidth, after.bandwidth);
        double working = work.operations / larger(before.peak, after.peak);
        stream = moving > working;
        reached[i] = (stream ? moving : working) * share / seconds[i];
    }
    check_finite(name, call);
    double median = bench_median(seconds, BENCH_REPEATS), rate = share / median * 1e-9;
    bench_print(name, "%10.1f %8.2f %8.1f  %3.0f %% of %s%s", median * 1e6,
                (work.read_bytes + work.written_bytes) * rate, work.operations * rate,
                bench_median(reached, BENCH_REPEATS) * 100,
                stream ? "read bandwidth" : work_names[work.kind], stream ? "" : " peak");
    guarded_free(scratch);
}

START_TEST(benches)
{
    bench_matmuls();
    bench_attention();
    bench_rows();
    bench_overheads();
}
END_TEST

// The harness of kernel tests wants to be run by Check.
int main(void)
{
    TCase *tcase = tcase_create("bench");
    tcase_add_test(tcase, benches);
    tcase_set_timeout(tcase, 0);
    Suite *suite = suite_create("bench");
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_SILENT);
    bool failed = srunner_ntests_failed(runner) > 0;
    if (failed)
        srunner_print(runner, CK_NORMAL);
    srunner_free(runner);
    return failed;
}
