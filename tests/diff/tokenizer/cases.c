// Many texts through one tokenizer, and how fast that is: what tests/diff/tokenizers.sh runs.
//
//   cases PLAN parse|plain < CASES     each case a u32 length and bytes; for each to stdout the ids
//                                      (u32 count, i32 each) and the text they decode to (u32
//                                      length)
//   cases PLAN bench FILE RUNS         seconds of each run over the whole file, a line each
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/plan.h"
#include "runtime/text/text_stream.h"
#include "runtime/text/tokenizer.h"

static int fail(const Diag *diag)
{
    fprintf(stderr, "cases: %s\n", diag->message);
    return 1;
}

static void put_u32(size_t value)
{
    uint32_t word = (uint32_t)value;
    fwrite(&word, sizeof word, 1, stdout);
}

static void put_decoded(const Tokenizer *tokenizer, const TokenList *ids, bool show_special)
{
    Text out = {0};
    TextStream stream;
    text_append(&out, "", 0);
    text_stream_begin(&stream, tokenizer, show_special, true);
    for (int64_t i = 0; i < ids->count; i++)
        text_stream_push(&stream, ids->ids[i], &out);
    text_stream_end(&stream, &out);
    put_u32(out.length);
    fwrite(out.bytes, 1, out.length, stdout);
    text_free(&out);
}

static int run_cases(const Tokenizer *tokenizer, bool parse, Diag *diag)
{
    uint32_t length;
    while (fread(&length, sizeof length, 1, stdin) == 1) {
        char *text = malloc((size_t)length + 1);
        TokenList ids = {0};
        if (!text || fread(text, 1, length, stdin) != length ||
            !tokenizer_encode(tokenizer, text, length, (EncodeOptions){false, parse}, &ids, diag)) {
            free(text);
            return fail(diag);
        }
        put_u32((size_t)ids.count);
        if (ids.count)
            fwrite(ids.ids, sizeof *ids.ids, (size_t)ids.count, stdout);
        put_decoded(tokenizer, &ids, parse);
        token_list_free(&ids);
        free(text);
    }
    return 0;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static int run_bench(const Tokenizer *tokenizer, const char *path, int runs, Diag *diag)
{
    FILE *file = fopen(path, "rb");
    Text text = {0};
    char block[65536];
    for (size_t got; file && (got = fread(block, 1, sizeof block, file)) > 0;)
        text_append(&text, block, got);
    if (file)
        fclose(file);
    for (int i = 0; i < runs; i++) {
        TokenList ids = {0};
        double began = seconds();
        if (!text.length || !tokenizer_encode(tokenizer, text.bytes, text.length,
                                              (EncodeOptions){false, true}, &ids, diag))
            return fail(diag);
        printf("%.6f %lld\n", seconds() - began, (long long)ids.count);
        token_list_free(&ids);
    }
    text_free(&text);
    return 0;
}

int main(int argc, char **argv)
{
    Diag diag = {0};
    if (argc < 3) {
        fprintf(stderr, "usage: cases PLAN parse|plain, cases PLAN bench FILE RUNS\n");
        return 2;
    }
    Plan *plan = plan_open(argv[1], &diag);
    Tokenizer *tokenizer = plan ? tokenizer_new(&plan->vocabulary, &diag) : NULL;
    if (!tokenizer)
        return fail(&diag);
    int status = strcmp(argv[2], "bench") == 0 && argc == 5
                     ? run_bench(tokenizer, argv[3], atoi(argv[4]), &diag)
                     : run_cases(tokenizer, strcmp(argv[2], "parse") == 0, &diag);
    tokenizer_free(tokenizer);
    plan_close(plan);
    return status;
}
