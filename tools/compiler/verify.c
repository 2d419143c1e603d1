// Where --verify takes tensors from, and what a person sees of it. Tensors of a model file are read
// in its mapping; a shape, and graph text without -w, get random ones, made on first use and kept
// for all stages.
#include "tools/compiler/verify.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "graph/base/hash.h"
#include "passes/verify.h"
#include "passes/verify_inputs.h"

typedef struct RandomTensor {
    uint64_t hash; // of name, type and size
    const void *bytes;
} RandomTensor;

typedef struct VerifyRun {
    Compile *compile;
    Verify *verify;
    Arena tensors;
    Vector(RandomTensor) random;
    bool watched; // by a person
    struct timespec begin;
} VerifyRun;

static double seconds_since(struct timespec begin)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - begin.tv_sec) + (double)(now.tv_nsec - begin.tv_nsec) * 1e-9;
}

static bool has_weights(const Compile *compile)
{
    return compile->file && !compile->file->weightless;
}

static const void *tensor_bytes(void *context, const Recipe *tensor)
{
    VerifyRun *run = context;
    if (has_weights(run->compile))
        return model_file_tensor(run->compile->file, tensor->tensor)->data;
    uint64_t size = (uint64_t)(tensor->rows * 31 + tensor->columns) * DTYPE_COUNT + tensor->dtype;
    uint64_t hash = hash64(tensor->tensor, strlen(tensor->tensor), size);
    for (int32_t i = run->random.count - 1; i >= 0; i--)
        if (run->random.items[i].hash == hash)
            return run->random.items[i].bytes;
    RandomTensor made = {hash, verify_random_tensor(&run->tensors, tensor)};
    vector_push(&run->tensors, &run->random, made);
    return made.bytes;
}

// Graph text may name what it likes: every tensor must be in the file as the text says.
static bool check_recipe(const VerifyRun *run, const Recipe *recipe, Diag *diag)
{
    for (int32_t i = 0; i < recipe->child_count; i++)
        if (!check_recipe(run, recipe->children[i], diag))
            return false;
    if (recipe->kind != RECIPE_TENSOR)
        return true;
    const ModelFile *file = run->compile->file;
    const FileTensor *tensor = model_file_tensor(file, recipe->tensor);
    uint64_t bytes = (uint64_t)(recipe->rows * dtype_row_bytes(recipe->dtype, recipe->columns));
    if (!tensor || !tensor->data || tensor->dtype != recipe->dtype || tensor->bytes != bytes)
        return diag_fail(diag, (Where){file->path, 0, 0},
                         "has no tensor \"%s\" of type %s and %llu bytes: another model's graph?",
                         recipe->tensor, dtype_table[recipe->dtype].name,
                         (unsigned long long)bytes);
    return true;
}

static bool check(void *context, PassId pass, Module *module, Diag *diag)
{
    VerifyRun *run = context;
    for (int32_t i = 0;
         pass == PASS_COUNT && has_weights(run->compile) && i < module->weights.count; i++)
        if (!check_recipe(run, module->weights.items[i]->recipe, diag))
            return false;
    return verify_check(run->verify, pass, module, diag);
}

// --- what a person sees

enum { PROGRESS_WIDTH = 60 };

static void show_progress(const VerifyRun *run, PassId pass)
{
    if (run->watched)
        fprintf(stderr, "\r%*s\rverify: evaluating %s%s, pass %d of %d, %.1f s", PROGRESS_WIDTH, "",
                pass == PASS_COUNT ? "what was built" : "after ",
                pass == PASS_COUNT ? "" : pass_table[pass].name,
                pass == PASS_COUNT ? 0 : (int)pass + 1, PASS_COUNT, seconds_since(run->begin));
}

static void hide_progress(const VerifyRun *run)
{
    if (run->watched)
        fprintf(stderr, "\r%*s\r", PROGRESS_WIDTH, "");
}

static void show_begin(const VerifyRun *run)
{
    int32_t steps;
    int64_t most_tokens;
    verify_size(run->verify, &steps, &most_tokens);
    fprintf(stderr,
            "verify: %d steps of 1 to %lld tokens on scalar references, %s weights, %.1f s a "
            "stage\n",
            steps, (long long)most_tokens, has_weights(run->compile) ? "the model's" : "random",
            seconds_since(run->begin));
}

static void told(void *context, PassId pass, const VerifyReport *report)
{
    const VerifyRun *run = context;
    if (!report) {
        show_progress(run, pass);
        return;
    }
    hide_progress(run);
    if (pass == PASS_COUNT)
        show_begin(run);
    else if (report->no_values)
        fprintf(stderr, "verify: %-12s not evaluated: ops cut or join rows of weights until fold\n",
                pass_table[pass].name);
    else if (report->unchanged)
        fprintf(stderr, "verify: %-12s changed nothing\n", pass_table[pass].name);
    else if (report->exempt)
        fprintf(stderr,
                "verify: %-12s KL divergence %.3g nats a row, outputs differ by at most %.3g\n",
                pass_table[pass].name, report->divergence, report->difference);
    else if (!report->compared)
        fprintf(stderr, "verify: %-12s evaluated, nothing to compare with\n",
                pass_table[pass].name);
    else
        fprintf(stderr, "verify: %-12s equal bits, %lld values\n", pass_table[pass].name,
                (long long)report->compared);
    if (report->not_finite && !report->unchanged)
        fprintf(stderr, "verify: warning: %lld elements of outputs are infinite or NaN\n",
                (long long)report->not_finite);
}

// --- a failure

static void print_command(const VerifyRun *run, const VerifyFailure *failure, const char *path,
                          Text *out)
{
    text_print(out, "graphc");
    shell_word_print(out, path);
    if (run->compile->file)
        text_print(out, " -w"), shell_word_print(out, run->compile->file->path);
    text_print(out, " --verify");
    if (failure->pass != PASS_COUNT)
        text_print(out, " --stop-after=%s", pass_table[failure->pass].name);
    bool first = true;
    for (int i = 0; i < PASS_COUNT; i++)
        if (failure->disabled >> i & 1u) {
            text_print(out, "%s%s", first ? " --disable=" : ",", pass_table[i].name);
            first = false;
        }
    if (failure->limit_rewrites)
        text_print(out, " --rewrite-limit=%lld", (long long)failure->rewrite_limit);
}

static bool write_text(const char *path, const char *text, size_t length, Arena *arena)
{
    const char *part = arena_format(arena, "%s.%ld.part", path, (long)getpid());
    FILE *file = fopen(part, "wb");
    if (!file)
        return false;
    bool good = fwrite(text, 1, length, file) == length;
    good = fclose(file) == 0 && good && rename(part, path) == 0;
    if (!good)
        unlink(part);
    return good;
}

static void show_failure(VerifyRun *run)
{
    VerifyFailure failure = verify_failure(run->verify);
    hide_progress(run);
    if (failure.pass == PASS_COUNT)
        return;
    Text command = {0};
    const char *path =
        arena_format(&run->tensors, "./graphc-verify-%s.ir", pass_table[failure.pass].name);
    print_command(run, &failure, path, &command);
    if (write_text(path, failure.text, failure.text_length, &run->tensors))
        fprintf(stderr, "verify: the module before %s is in %s\nverify: replay: %s\n",
                pass_table[failure.pass].name, path, command.bytes);
    else
        fprintf(stderr, "verify: warning: the module before %s cannot be written to %s: %s\n",
                pass_table[failure.pass].name, path, strerror(errno));
    text_free(&command);
}

bool compile_verified(Compile *compile, PipelineOptions *pipeline, Diag *diag)
{
    VerifyRun run = {.compile = compile, .watched = isatty(STDERR_FILENO)};
    VerifyOptions options = {tensor_bytes, &run, told, &run};
    clock_gettime(CLOCK_MONOTONIC, &run.begin);
    run.verify = verify_new(pipeline, &options);
    pipeline->check = check;
    pipeline->check_context = &run;
    bool ok = compile_module(compile, pipeline, diag);
    if (ok)
        fprintf(stderr, "verify: good, %.1f s\n", seconds_since(run.begin));
    else
        show_failure(&run);
    pipeline->check = NULL;
    pipeline->check_context = NULL;
    verify_free(run.verify);
    arena_free(&run.tensors);
    return ok;
}
