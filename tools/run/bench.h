// The tests of --bench, as they are written.
#ifndef TOOLS_RUN_BENCH_H
#define TOOLS_RUN_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "graph/base/diag.h"

enum { BENCH_TESTS_MAX = 64, BENCH_NAME_MAX = 48 };

// One test of the list: pp512, tg32@2048x8.
typedef struct BenchTest {
    char name[BENCH_NAME_MAX]; // as it was written
    bool prompt;               // pp: all tokens in one go; tg: a token a step
    int64_t tokens;            // of each sequence
    int64_t depth;             // tokens before them
    int32_t sequences;
} BenchTest;

// False with a message that names the wrong word and shows the grammar.
bool bench_parse(const char *list, BenchTest tests[BENCH_TESTS_MAX], int32_t *count, Diag *diag);

#endif
