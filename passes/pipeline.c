// The driver of the pipeline. It alone knows about order, levels, -O, disabling, stopping, timing
// and verifying; passes only edit. Passes are rows of passes.def, the pipeline exists once.
#include "passes/passes.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

const PassInfo pass_table[PASS_COUNT] = {
#define PASS(name, requires, ensures, least_opt, why)                                              \
    {#name, LEVEL_##requires, LEVEL_##ensures, least_opt, why, pass_##name},
#include "passes/passes.def"
#undef PASS
};

PassId pass_from_name(const char *name)
{
    int pass = 0;
    while (pass < PASS_COUNT && strcmp(pass_table[pass].name, name) != 0)
        pass++;
    return (PassId)pass;
}

static double now_milliseconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec * 1e-6;
}

static int32_t module_nodes(const Module *module)
{
    int32_t nodes = 0;
    for (int32_t i = 0; i < module->graphs.count; i++)
        nodes += module->graphs.items[i]->node_count;
    return nodes;
}

static int64_t value_traffic(const Value *value, const int64_t symbols[SYMBOL_COUNT])
{
    return layout_bytes(value->dtype, value->layout, shape_rows(&value->shape, symbols),
                        shape_columns(&value->shape, symbols)) *
           (1 + value_use_count(value));
}

// The last graph is that of the largest T.
static int64_t module_traffic(const Module *module)
{
    const int64_t symbols[SYMBOL_COUNT] = {module->options.batch, 1, 1, 1};
    int64_t bytes = 0;
    if (module->graphs.count == 0)
        return 0;
    const Graph *graph = module->graphs.items[module->graphs.count - 1];
    for (const Node *node = graph->first; node; node = node->next)
        for (int32_t i = 0; i < node->result_count; i++)
            bytes += value_traffic(node->results[i], symbols);
    return bytes;
}

static bool pass_is_due(const PassInfo *info, PassId pass, const Module *module,
                        const PipelineOptions *options)
{
    bool raises = info->ensures > info->requires;
    if (module->level != info->requires)
        return false;
    return raises || (module->options.opt >= info->least_opt && !(options->disabled >> pass & 1u));
}

static bool run_one(Module *module, PassId pass, PipelineOptions *options, Diag *diag)
{
    const PassInfo *info = &pass_table[pass];
    PassStatistics *statistics = &options->statistics[pass];
    Arena scratch = {0};
    PassContext context = {.module = module,
                           .target = target_from_name(module->options.target),
                           .scratch = &scratch,
                           .explain = options->explain,
                           .options = options,
                           .pass = pass,
                           .diag = diag};
    statistics->ran = true;
    statistics->nodes_before = module_nodes(module);
    statistics->bytes_before = module_traffic(module);
    double begin = now_milliseconds();
    bool ok = info->run(&context);
    statistics->milliseconds = now_milliseconds() - begin;
    statistics->nodes_after = module_nodes(module);
    statistics->bytes_after = module_traffic(module);
    statistics->matches = context.matches;
    arena_free(&scratch);
    if (!ok)
        return false;
    module->level = info->ensures;
    if (options->verify && !module_verify(module, diag))
        return false;
    if (options->after_pass)
        options->after_pass(options->after_context, pass, module);
    return !options->check || options->check(options->check_context, pass, module, diag);
}

bool pipeline_run(Module *module, PipelineOptions *options, Diag *diag)
{
    for (int pass = 0; pass < PASS_COUNT; pass++) {
        const PassInfo *info = &pass_table[pass];
        if (options->disabled >> pass & 1u && info->ensures > info->requires)
            return diag_fail(diag, (Where){0},
                             "pass %s cannot be disabled: everything after it "
                             "needs what it decides",
                             info->name);
    }
    if (options->check && !options->check(options->check_context, PASS_COUNT, module, diag))
        return false;
    for (int pass = 0; pass < PASS_COUNT; pass++) {
        if (pass_is_due(&pass_table[pass], (PassId)pass, module, options) &&
            !run_one(module, (PassId)pass, options, diag))
            return false;
        if ((PassId)pass == options->stop_after)
            break;
    }
    return true;
}

const char *node_place(const Node *node, Arena *arena)
{
    if (!node || !node->locations.count)
        return "?";
    const SourceLocation *location = &node->locations.items[0];
    return arena_format(arena, "%s:%d", location->file, location->line);
}

void pass_explain(PassContext *context, const char *rule, const Node *node, const char *format, ...)
{
    if (!context->explain)
        return;
    text_print(context->explain, "%s %s: %s: ", pass_table[context->pass].name, rule,
               node_place(node, context->scratch));
    va_list arguments;
    va_start(arguments, format);
    text_vprint(context->explain, format, arguments);
    va_end(arguments);
    text_append(context->explain, "\n", 1);
}

KernelQuery node_query(const Node *node, Target target)
{
    KernelQuery query = {.op = node->op,
                         .target = target,
                         .post = op_post(node->op, &node->attributes),
                         .epilogue = op_epilogue(node->op, &node->attributes)};
    for (int32_t i = 0; i < node->operand_count; i++) {
        const Value *value = node->operands[i].value;
        if (value->kind == VALUE_STATE || (value->kind == VALUE_WEIGHT && value->shape.rank > 1)) {
            query.stored |= 1u << value->dtype;
            query.layouts |= 1u << value->layout;
        } else if (value->kind != VALUE_WEIGHT && value->dtype != DTYPE_i32) {
            query.inputs |= 1u << value->dtype;
        }
    }
    return query;
}

bool node_is_dotted(const Node *node, int32_t index)
{
    return op_table[node->op].traits & OP_DOTS && index > 0 &&
           node->operands[index].value->dtype != DTYPE_i32;
}

static void print_set(Text *out, uint32_t set)
{
    const char *separator = "";
    for (int dtype = 0; dtype < DTYPE_COUNT; dtype++)
        if (set >> dtype & 1u) {
            text_print(out, "%s%s", separator, dtype_table[dtype].name);
            separator = "+";
        }
}

void no_kernel_print(Text *out, const KernelQuery *query)
{
    text_print(out, "no kernel for %s of ", op_table[query->op].name);
    print_set(out, query->inputs);
    if (query->stored) {
        text_print(out, query->inputs ? " with stored " : "stored ");
        print_set(out, query->stored);
    }
    if (query->epilogue != EPILOGUE_none)
        text_print(out, " with epilogue %s", epilogue_names[query->epilogue]);
    if (query->post != DTYPE_f32)
        text_print(out, " to %s", dtype_table[query->post].name);
    if (!query->inputs && !query->stored && query->post == DTYPE_f32)
        text_print(out, "these types");
    text_print(out, " on target %s", target_names[query->target]);
}
