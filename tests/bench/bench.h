// What the micro-benchmarks share: one thread, its CPU time (others may load the machine), medians
// of repetitions that alternate with a probe of the machine's limit.
#ifndef TESTS_BENCH_BENCH_H
#define TESTS_BENCH_BENCH_H

#include "kernels/probe.h"

enum { BENCH_REPEATS = 7 };

// Memory in 2 MiB pages, full of the pattern over and over; valid until the next call.
void *bench_fill(int64_t bytes, const void *pattern, int64_t pattern_bytes);
// CPU seconds of this thread.
double bench_seconds(void);
double bench_median(double *values, int count);
// Whether this machine runs the row (NULL: what is no kernel), and one of the words of ONLY is part
// of the name. Without ONLY everything is wanted but references: nobody runs them for speed.
bool bench_wanted(const KernelRow *row, const char *name);
// A line of the table, its head before the first.
void bench_print(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Runs the first tiles of a call, as many as take some 20 ms, again and again, and prints a line.
// `streamed`, if not NULL, is what the call reads from memory. The
// limit is the longer of reading that and of the operations at their peak. Ends the program when a
// result is not finite.
void bench_run(const char *name, const KernelRow *row, const KernelCall *call, const void *streamed,
               int64_t streamed_bytes);

void bench_matmuls(void);
void bench_attention(void);
void bench_rows(void);
// Of the runtime, with limits of their own.
void bench_overheads(void);

#endif
