// The grammar of --bench.
#include "tools/run/bench.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool parse_number(const char **at, int64_t most, int64_t *out)
{
    if (!isdigit((unsigned char)**at))
        return false;
    char *end;
    long long value = strtoll(*at, &end, 10);
    *at = end;
    *out = value;
    return value >= 1 && value <= most;
}

static bool parse_test(const char *word, BenchTest *test)
{
    int64_t sequences = 1;
    *test = (BenchTest){.prompt = word[0] == 'p', .sequences = 1};
    snprintf(test->name, sizeof test->name, "%s", word);
    if (strncmp(word, "pp", 2) != 0 && strncmp(word, "tg", 2) != 0)
        return false;
    const char *at = word + 2;
    if (!parse_number(&at, INT32_MAX, &test->tokens))
        return false;
    if (*at == '@' && (at++, !parse_number(&at, INT32_MAX, &test->depth)))
        return false;
    if (*at == 'x' && !test->prompt && (at++, !parse_number(&at, INT16_MAX, &sequences)))
        return false;
    test->sequences = (int32_t)sequences;
    return *at == 0;
}

bool bench_parse(const char *list, BenchTest tests[BENCH_TESTS_MAX], int32_t *count, Diag *diag)
{
    *count = 0;
    for (const char *at = list;; at++) {
        char word[BENCH_NAME_MAX];
        size_t length = strcspn(at, ",");
        snprintf(word, sizeof word, "%.*s", (int)length, at);
        if (length >= sizeof word || !parse_test(word, &tests[*count]))
            return diag_fail(diag, (Where){0},
                             "--bench: \"%.*s\" is no test: a list of ppN, ppN@D, tgN, tgN@D, "
                             "tgNxB, tgN@DxB with commas between, N tokens behind D others, "
                             "B sequences together",
                             (int)length, at);
        ++*count;
        at += length;
        if (*at == 0)
            return true;
        if (*count == BENCH_TESTS_MAX)
            return diag_fail(diag, (Where){0}, "--bench takes at most %d tests", BENCH_TESTS_MAX);
    }
}
