// Random graphs through random passes, against the scalar references: after every pass the module
// verifies, prints, reads back and prints the same, and its outputs have the bytes that they had
// before; numerics alone may change them, and then they are the new measure. Planned memory is
// checked anew from lifetimes.
//
//   random_graphs [COUNT [FIRST_SEED]]
//
// Then 1,000 larger graphs that are only planned. Prints a histogram of what was met (tally.h);
// with 300 graphs or more all of it must have been met ten times. A failure names seed and pass,
// and the text before that pass goes to random_SEED.ir in the folder named by OUT (default: the
// current one).
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/diff/tally.h"

typedef Vector(float) Floats;

enum { REQUIRED_GRAPHS = 300, PLANNED_GRAPHS = 1000, PATTERNS_MANY = 120 };

// One graph on its way through the passes.
typedef struct Run {
    uint64_t seed;
    Chance chance;
    Arena arena;
    Tensors tensors;
    Steps steps;
    Text before; // of the module, before the pass in hand
    Floats expected;
    bool failed;
    Tally *tally;
} Run;

static void fail(Run *run, const char *pass, const char *format, ...)
{
    if (run->failed)
        return;
    run->failed = true;
    run->tally->failures++;
    char reason[1200], path[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    const char *folder = getenv("OUT");
    snprintf(path, sizeof path, "%s/random_%llu.ir", folder ? folder : ".",
             (unsigned long long)run->seed);
    printf("FAIL seed %llu, pass %s: %s; the graph before it: %s\n", (unsigned long long)run->seed,
           pass, reason, path);
    fflush(stdout); // the first is enough for some
    FILE *file = fopen(path, "w");
    if (!file || fputs(run->before.bytes ? run->before.bytes : "", file) < 0)
        perror(path);
    if (file)
        fclose(file);
}

// --- what a module computes

static Graph *graph_for(const Module *module, int64_t tokens)
{
    int32_t i = 0;
    while (module->graphs.items[i]->bound_t && module->graphs.items[i]->bound_t < tokens)
        i++;
    return module->graphs.items[i];
}

static void append_outputs(Run *run, const Evaluator *evaluator, const Graph *graph,
                           const EvalInputs *step, Floats *out)
{
    for (int32_t i = 0; i < graph->outputs.count; i++) {
        const Value *value = graph->outputs.items[i]->use.value;
        const float *elements = eval_result(evaluator, value);
        int64_t count =
            shape_rows(&value->shape, step->symbols) * shape_columns(&value->shape, step->symbols);
        for (int64_t j = 0; j < count; j++)
            vector_push(&run->arena, out, elements[j]);
    }
}

static bool evaluate(Run *run, const Module *module, Floats *out, const char *pass)
{
    Diag diag = {0};
    Evaluator *evaluator = eval_new(module, SEQUENCES, PAGES, generate_tensor, &run->tensors);
    bool ok = true;
    for (int32_t i = 0; ok && i < run->steps.count; i++) {
        const EvalInputs *step = &run->steps.steps[i];
        Graph *graph = graph_for(module, step->symbols[SYMBOL_T]);
        ok = eval_run(evaluator, graph, step, &diag);
        if (ok)
            append_outputs(run, evaluator, graph, step, out);
        else
            fail(run, pass, "%s", diag.message);
    }
    eval_free(evaluator);
    return ok;
}

// Index of the first float that differs, -1 if none. NaN equals NaN: its bits mean nothing.
static int32_t first_difference(const Floats *a, const Floats *b)
{
    for (int32_t i = 0; i < a->count && i < b->count; i++)
        if (memcmp(&a->items[i], &b->items[i], sizeof(float)) != 0 &&
            !(isnan(a->items[i]) && isnan(b->items[i])))
            return i;
    return a->count == b->count ? -1 : a->count < b->count ? a->count : b->count;
}

static void compare(Run *run, const Module *module, PassId pass, bool may_differ)
{
    Floats found = {0};
    const char *name = pass_table[pass].name;
    if (!evaluate(run, module, &found, name))
        return;
    int32_t at = first_difference(&run->expected, &found);
    if (at < 0)
        return;
    if (may_differ && found.count == run->expected.count)
        run->expected = found;
    else
        fail(run, name, "float %d of the outputs was %.9g and is %.9g", at,
             (double)run->expected.items[at], (double)found.items[at]);
}

// --- after every pass

static void check_reads_back(Run *run, const Text *text, const char *pass)
{
    Arena arena = {0};
    Diag diag = {0};
    Text again = {0};
    Module *module = module_parse(text->bytes, "random.ir", &arena, &diag);
    if (!module) {
        fail(run, pass, "its text does not read back: %s", diag.message);
    } else {
        module_print(module, &again);
        if (strcmp(text->bytes, again.bytes) != 0)
            fail(run, pass, "its text reads back as another");
    }
    text_free(&again);
    arena_free(&arena);
}

static void check_memory(Run *run, const Text *text, Nearness *nearness)
{
    MemoryFigures figures;
    const char *wrong = memory_check(text->bytes, &figures);
    if (wrong)
        fail(run, "memplan", "%s", wrong);
    else
        tally_memory(nearness, &figures, run->seed);
}

static void after_pass(void *context, PassId pass, const Module *module)
{
    Run *run = context;
    Text text = {0};
    module_print(module, &text);
    bool changed = strcmp(text.bytes, run->before.bytes) != 0;
    if (changed && !run->failed) {
        bool may_differ = pass == PASS_numerics && strstr(text.bytes, "quantise");
        if (!moves_weights(module))
            compare(run, module, pass, may_differ);
        check_reads_back(run, &text, pass_table[pass].name);
        if (module->level == LEVEL_PLANNED)
            check_memory(run, &text, &run->tally->evaluated);
        run->tally->ran[pass]++;
    }
    if (changed && !run->failed) {
        text_free(&run->before);
        run->before = text;
    } else {
        text_free(&text);
    }
}

// --- one graph

// Any optional passes, but never fold where weights are moved by ops: nothing can read those.
static uint32_t any_disabled(Run *run, const Module *module)
{
    uint32_t disabled = 0;
    if (chance_in(&run->chance, 50))
        return 0;
    for (int pass = 0; pass < PASS_COUNT; pass++) {
        bool needed = pass_table[pass].ensures > pass_table[pass].requires ||
                      (pass == PASS_fold && moves_weights(module));
        if (!needed && chance_in(&run->chance, 40))
            disabled |= 1u << pass;
    }
    return disabled;
}

static bool run_passes(Run *run, Module *module, PassId stop_after, uint32_t disabled)
{
    Text explain = {0};
    Diag diag = {0};
    PipelineOptions options = {.disabled = disabled,
                               .stop_after = stop_after,
                               .verify = true,
                               .explain = &explain,
                               .after_pass = after_pass,
                               .after_context = run};
    bool ok = pipeline_run(module, &options, &diag);
    int last = 0;
    for (int pass = 0; pass < PASS_COUNT; pass++)
        last = options.statistics[pass].ran ? pass : last;
    if (!ok)
        fail(run, pass_table[last].name, "%s", diag.message);
    if (explain.bytes)
        tally_rules(run->tally, explain.bytes);
    text_free(&explain);
    return ok && !run->failed;
}

// Passes up to one of them, then the rest on what the text of the module reads back as.
static void run_graph(uint64_t seed, Tally *tally)
{
    Run run = {.seed = seed, .chance = {~seed}, .tally = tally};
    run.tensors.arena = &run.arena;
    Module *module = generate_module(seed, PATTERNS_FEW, false, &run.arena);
    generate_steps(seed, module, &run.steps);
    module_print(module, &run.before);
    Diag diag = {0};
    if (!module_verify(module, &diag))
        fail(&run, "none", "%s", diag.message);
    check_reads_back(&run, &run.before, "none");
    uint32_t disabled = any_disabled(&run, module);
    tally_generated(tally, module, &run.steps, disabled);
    PassId stop = (PassId)chance_between(&run.chance, 0, PASS_COUNT);
    if (!run.failed &&
        evaluate(&run, generate_module(seed, PATTERNS_FEW, true, &run.arena), &run.expected,
                 "none") &&
        run_passes(&run, module, stop, disabled)) {
        if (stop < PASS_COUNT)
            module = module_parse(run.before.bytes, "random.ir", &run.arena, &diag);
        if (!module)
            fail(&run, pass_table[stop].name, "%s", diag.message);
        else if (stop == PASS_COUNT || run_passes(&run, module, PASS_COUNT, disabled))
            tally_ops(tally, module);
    }
    for (int32_t i = 0; i < run.expected.count; i++)
        tally->finite += isfinite(run.expected.items[i]);
    tally->outputs += run.expected.count;
    text_free(&run.before);
    arena_free(&run.arena);
}

// Many values, and nothing evaluated: what memplan makes of more than a few blocks.
static void plan_graph(uint64_t seed, Tally *tally)
{
    Run run = {.seed = seed, .tally = tally};
    Module *module = generate_module(seed, PATTERNS_MANY, true, &run.arena);
    PipelineOptions options = {.stop_after = PASS_COUNT, .verify = true};
    Diag diag = {0};
    module_print(module, &run.before);
    Text text = {0};
    if (!pipeline_run(module, &options, &diag)) {
        fail(&run, "of a planned graph", "%s", diag.message);
    } else {
        module_print(module, &text);
        check_memory(&run, &text, &tally->planned);
    }
    text_free(&text);
    text_free(&run.before);
    arena_free(&run.arena);
}

int main(int count, char **arguments)
{
    int64_t graphs = count > 1 ? atoll(arguments[1]) : REQUIRED_GRAPHS;
    uint64_t first = count > 2 ? strtoull(arguments[2], NULL, 10) : 1;
    Tally tally = {0};
    for (int64_t i = 0; i < graphs; i++)
        run_graph(first + (uint64_t)i, &tally);
    for (int64_t i = 0; i < PLANNED_GRAPHS; i++)
        plan_graph(first + (uint64_t)i, &tally);
    return tally_print(&tally, graphs, graphs >= REQUIRED_GRAPHS) ? EXIT_SUCCESS : EXIT_FAILURE;
}
