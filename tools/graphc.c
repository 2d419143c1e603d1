// graphc: from a model script and a model file to a plan, showing whatever one asks to see on the
// way. Results (dumps, tables, paths) go to stdout, talk to stderr; exit 0, 1 (bad input), 2
// (usage).
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/plan.h"
#include "tools/common/options.h"
#include "tools/common/version.h"
#include "tools/compiler/cache.h"
#include "tools/compiler/compile.h"
#include "tools/compiler/dump.h"
#include "tools/compiler/inspect.h"
#include "tools/compiler/repro.h"
#include "tools/compiler/verify.h"

static const char usage[] =
    "usage: graphc [options] MODEL.lua -w WEIGHTS.gguf     compile a model script\n"
    "       graphc [options] WEIGHTS.gguf                  the script is found by architecture\n"
    "       graphc [options] MODULE.ir [-w WEIGHTS.gguf]   go on from dumped text\n"
    "       graphc --dump PLAN.plan                        list a plan\n"
    "       graphc --mem PLAN.plan                         what it needs of memory\n"
    "       graphc --diff A.plan B.plan                    what differs\n";

static const char footer[] =
    "Examples\n"
    "  graphc --dump llama.lua -w model.gguf        the optimised plan as text\n"
    "  graphc llama.lua -w model.gguf -o m.plan     write it\n"
    "  graphc --dump=merge llama.lua -w shape:tinyllama-1.1b,type=q4_0\n"
    "  graphc --dump --format=html model.gguf > model.html\n";

static int report(const Diag *diag, int status)
{
    fprintf(stderr, "%s\n", diag->message);
    return status;
}

static int list_passes(void)
{
    for (int i = 0; i < PASS_COUNT; i++)
        printf("%-12s %-11s -> %-11s -O%d  %s\n", pass_table[i].name,
               level_names[pass_table[i].requires], level_names[pass_table[i].ensures],
               pass_table[i].least_opt, pass_table[i].why);
    return 0;
}

static void print_attributes(Op op)
{
    const AttributeInfo *info = op_table[op].attributes;
    for (int i = 0; info[i].name; i++) {
        static const char *const kinds[] = {"f32", "i32", "dtype", "epilogue", "style"};
        printf("    %s: %s", info[i].name, kinds[info[i].kind]);
        if (info[i].default_value == ATTRIBUTE_REQUIRED)
            printf(", required\n");
        else if (attribute_value_name(info[i].kind, (int32_t)info[i].default_value))
            printf(" = %s\n", attribute_value_name(info[i].kind, (int32_t)info[i].default_value));
        else
            printf(" = %g\n", info[i].default_value);
    }
}

static int list_ops(void)
{
    for (int op = 0; op < OP_COUNT; op++) {
        printf("%s: %s\n    %s\n", op_table[op].name, op_table[op].signature, op_table[op].meaning);
        print_attributes((Op)op);
    }
    return 0;
}

// Prints the text of a plan to stdout; `check` also reads all weight bytes.
static int show_plan(const char *path, bool check, Diag *diag)
{
    Plan *plan = plan_open(path, diag);
    if (!plan)
        return report(diag, 1);
    Text text = {0};
    bool ok = !check || plan_check_data(plan, diag);
    if (ok && check)
        text_print(&text, "%s: good\n", path);
    else if (ok)
        plan_print(plan, &text);
    if (ok)
        fwrite(text.bytes, 1, text.length, stdout);
    text_free(&text);
    plan_close(plan);
    return ok ? 0 : report(diag, 1);
}

// Whether an option asks for what happens between script and plan.
static bool looks_at_passes(const Options *options)
{
    return options->verify || options->explain || options->time_passes || options->stop_after ||
           options->disable || options->repro || options->rewrite_limit != OPTION_UNSET_INT;
}

static int list_plan(const Options *options, Diag *diag)
{
    const char *path = options->operands.items[0];
    if (options->format)
        diag_fail(diag, (Where){path, 0, 0}, "a plan is listed as text only: drop --format");
    else if (looks_at_passes(options) || options->output || options->model_file)
        diag_fail(diag, (Where){path, 0, 0},
                  "a plan is compiled already: --dump lists it, --mem, --diff and --check take it "
                  "too; drop the other options");
    else if (!options->mem)
        return show_plan(path, false, diag);
    else if (inspect_plan_memory(options, diag))
        return 0;
    return report(diag, 1);
}

static int show_info(const char *path, Diag *diag)
{
    if (plan_is_plan(path))
        return show_plan(path, false, diag);
    Arena arena = {0};
    ModelFile *file = model_file_open(path, &arena, diag);
    if (file) {
        model_file_print_info(file, stdout);
        model_file_close(file);
    }
    arena_free(&arena);
    return file ? 0 : report(diag, 1);
}

static bool parse_pipeline(const Options *options, PipelineOptions *pipeline, Diag *diag)
{
    *pipeline = (PipelineOptions){.stop_after = PASS_COUNT};
#ifndef NDEBUG
    pipeline->verify = true;
#endif
    if (options->stop_after &&
        (pipeline->stop_after = pass_from_name(options->stop_after)) == PASS_COUNT)
        return diag_fail(diag, (Where){0},
                         "--stop-after=%s: there is no such pass; --list-passes "
                         "names them",
                         options->stop_after);
    if (pipeline->stop_after < PASS_COUNT - 1 && (options->output || options->mem))
        return diag_fail(diag, (Where){0}, "%s needs the whole pipeline: drop --stop-after",
                         options->output ? "-o" : "--mem");
    pipeline->limit_rewrites = options->rewrite_limit != OPTION_UNSET_INT;
    pipeline->rewrite_limit = options->rewrite_limit;
    if (pipeline->limit_rewrites && pipeline->rewrite_limit < 0)
        return diag_fail(diag, (Where){0}, "--rewrite-limit wants a number from 0 on");
    const char *name = options->disable ? options->disable : "";
    while (*name) {
        char one[32] = {0};
        size_t length = strcspn(name, ",");
        memcpy(one, name, length < sizeof one - 1 ? length : sizeof one - 1);
        PassId pass = pass_from_name(one);
        if (pass == PASS_COUNT)
            return diag_fail(diag, (Where){0},
                             "--disable=%.*s: there is no such pass; --list-passes names them",
                             (int)length, name);
        pipeline->disabled |= 1u << pass;
        name += length + (name[length] == ',');
    }
    return true;
}

// A dump that would print nothing says why.
static bool check_dumped(const Dump *dump, const PipelineOptions *pipeline, const Module *module,
                         Diag *diag)
{
    if (dump->when != DUMP_PASS || pipeline->statistics[dump->pass].ran)
        return true;
    const PassInfo *info = &pass_table[dump->pass];
    const char *why = pipeline->disabled >> dump->pass & 1u   ? "--disable skips it"
                      : pipeline->stop_after < dump->pass     ? "--stop-after ends before it"
                      : module->options.opt < info->least_opt ? "-O skips it"
                                                              : "the text is past it";
    return diag_fail(diag, (Where){0}, "--dump=%s: the pass did not run: %s", info->name, why);
}

static void print_times(const PipelineOptions *pipeline)
{
    double all = 0;
    fprintf(stderr, "%-12s %9s %8s %8s %8s %14s %14s\n", "pass", "ms", "matches", "nodes", "after",
            "bytes", "after");
    for (int i = 0; i < PASS_COUNT; i++) {
        const PassStatistics *row = &pipeline->statistics[i];
        if (row->ran)
            fprintf(stderr, "%-12s %9.3f %8d %8d %8d %14lld %14lld\n", pass_table[i].name,
                    row->milliseconds, row->matches, row->nodes_before, row->nodes_after,
                    (long long)row->bytes_before, (long long)row->bytes_after);
        all += row->milliseconds;
    }
    fprintf(stderr, "%-12s %9.3f\n", "all", all);
}

static bool write_outputs(Compile *compile, Diag *diag)
{
    const Options *options = compile->options;
    if (!options->output)
        return true;
    const Plan *plan = compile_plan(compile, diag);
    return plan && compile_write(plan, options->output, diag);
}

// What looks at the module after every pass.
typedef struct Watchers {
    Dump dump;
    Repro *repro;
} Watchers;

static void watch_pass(void *context, PassId pass, const Module *module)
{
    Watchers *watchers = context;
    repro_add_stage(watchers->repro, pass_table[pass].name, module);
    dump_after(&watchers->dump, pass, module);
}

static bool run_compile(Compile *compile, Repro *repro, Diag *diag)
{
    const Options *options = compile->options;
    PipelineOptions pipeline;
    Watchers watchers = {.repro = repro};
    Text explain = {0};
    if (!parse_pipeline(options, &pipeline, diag) || !dump_parse(options, &watchers.dump, diag))
        return false;
    pipeline.after_pass = watch_pass;
    pipeline.after_context = &watchers;
    pipeline.explain = options->explain ? &explain : NULL;
    bool ok = options->vocab_only || compile_build(compile, diag);
    repro_add_scripts(repro, compile);
    if (ok && !options->vocab_only) {
        repro_add_stage(repro, "built", compile->module);
        dump_begin(&watchers.dump, compile->module);
        ok = options->verify ? compile_verified(compile, &pipeline, diag)
                             : compile_module(compile, &pipeline, diag);
    }
    dump_end(&watchers.dump, compile, ok);
    if (explain.length)
        fwrite(explain.bytes, 1, explain.length, stdout);
    text_free(&explain);
    if (ok && options->time_passes)
        print_times(&pipeline);
    ok = ok && check_dumped(&watchers.dump, &pipeline, compile->module, diag);
    ok = ok && (!options->mem || inspect_compile_memory(compile, diag));
    return ok && write_outputs(compile, diag);
}

static bool run_cached(Compile *compile, Diag *diag)
{
    const char *path;
    bool temporary;
    if (!compile->file)
        return diag_fail(diag, (Where){compile->module_text, 0, 0},
                         "is neither a plan nor a model file or folder that can be read");
    if (!cache_plan(compile, &path, &temporary, diag))
        return false;
    printf("%s\n%s", path, temporary ? "temporary\n" : "");
    return true;
}

// Options that say nothing to each other are refused, not ignored.
static bool check_combination(const Options *options, Diag *diag)
{
    bool looks = options->dump || options->mem || looks_at_passes(options);
    if (options->cached && (looks || options->output))
        return diag_fail(diag, (Where){0},
                         "--cached only finds or makes a plan: drop -o and the "
                         "options that look inside");
    if (options->cache && (options->cached || options->operands.count || options->model_file))
        return diag_fail(diag, (Where){0}, "--cache is about the cache alone: drop the model");
    if (options->vocab_only && looks)
        return diag_fail(diag, (Where){0},
                         "--vocab-only compiles no graph: drop the options that "
                         "look inside");
    bool sizes = options->context != OPTION_UNSET_INT || options->threads != OPTION_UNSET_INT ||
                 options->sequences != OPTION_UNSET_INT;
    if (sizes && !options->mem)
        return diag_fail(diag, (Where){0},
                         "-c, -t and --sequences are of a run: graphc takes them "
                         "with --mem");
    return true;
}

static int compile_command_line(const Options *options, int argc, char **argv)
{
    Compile compile;
    Repro repro;
    Diag diag = {0}, incomplete = {0};
    if (!repro_begin(&repro, options, argc, argv, &diag))
        return report(&diag, 1);
    bool ok = compile_open(&compile, options, &diag);
    repro_add_inputs(&repro, &compile);
    ok = ok &&
         (options->cached ? run_cached(&compile, &diag) : run_compile(&compile, &repro, &diag));
    compile_close(&compile);
    if (!ok)
        report(&diag, 1);
    if (!repro_end(&repro, ok ? NULL : diag.message, &incomplete))
        return report(&incomplete, 1);
    return ok ? 0 : 1;
}

int main(int argc, char **argv)
{
    Options options;
    Diag diag = {0};
    if (!options_parse(PROGRAM_GRAPHC, argc, argv, &options, &diag))
        return report(&diag, 2);
    if (options.help) {
        options_print_help(PROGRAM_GRAPHC, usage, footer);
        return 0;
    }
    if (!check_combination(&options, &diag))
        return report(&diag, 2);
    if (options.version)
        return printf("graphc %s\n", GRAPHC_VERSION) < 0;
    if (options.list_passes)
        return list_passes();
    if (options.list_ops)
        return list_ops();
    if (options.info)
        return show_info(options.info, &diag);
    if (options.diff.count) {
        int status = inspect_diff(&options, &diag);
        return status < 0 ? report(&diag, 2) : status;
    }
    if (options.cache)
        return cache_manage(options.cache, &diag) ? 0 : report(&diag, 1);
    if (options.check)
        return show_plan(options.check, true, &diag);
    if (options.operands.count == 1 && plan_is_plan(options.operands.items[0]))
        return list_plan(&options, &diag);
    if (!options.operands.count && !options.model_file) {
        fputs(usage, stderr);
        return 2;
    }
    return compile_command_line(&options, argc, argv);
}
