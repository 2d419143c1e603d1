// Opens, prints to stdout, closes. What is printed is computed from Plan structs alone, the same
// for a file and for a module that was lowered a moment ago.
#include "tools/compiler/inspect.h"

#include <stdio.h>
#include <string.h>

#include "tools/common/exec_options.h"
#include "tools/compiler/memory_map.h"
#include "tools/compiler/plan_diff.h"

static bool print_memory(const Plan *plan, const Options *options, Diag *diag)
{
    ExecOptions exec;
    MemoryForm form;
    Text text = {0};
    bool ok = memory_form_parse(options->mem, &form, diag) &&
              exec_options_choose(options, &exec, diag) &&
              memory_map_print(plan, &exec, form, &text, diag);
    if (ok)
        fwrite(text.bytes, 1, text.length, stdout);
    text_free(&text);
    return ok;
}

bool inspect_plan_memory(const Options *options, Diag *diag)
{
    Plan *plan = plan_open(options->operands.items[0], diag);
    bool ok = plan && print_memory(plan, options, diag);
    if (plan)
        plan_close(plan);
    return ok;
}

// Weights of a shape would be embedded, or not, as those of a file are.
static Plan *lower_shape(Compile *compile, Diag *diag)
{
    const char *mode = compile->options->weights;
    LowerSource source = {.architecture = compile->file ? compile->file->architecture : "",
                          .command = compile_command(compile),
                          .compiler = ""};
    Plan *plan = lower_module(compile->module, &source, &compile->arena, diag);
    if (plan)
        plan->info.weights_in =
            !mode || strcmp(mode, "embed") == 0 ? WEIGHTS_IN_PLAN : WEIGHTS_IN_MODEL;
    return plan;
}

bool inspect_compile_memory(Compile *compile, Diag *diag)
{
    if (!compile->module || compile->module->level != LEVEL_PLANNED)
        return diag_fail(diag, (Where){0},
                         "--mem needs the whole pipeline: drop --stop-after and --vocab-only");
    bool shape = !compile->file || compile->file->weightless;
    Plan *plan = shape ? lower_shape(compile, diag) : compile_plan(compile, diag);
    return plan && print_memory(plan, compile->options, diag);
}

int inspect_diff(const Options *options, Diag *diag)
{
    Text text = {0};
    if (options->diff.count != 2 || options->operands.count) {
        diag_fail(diag, (Where){0}, "--diff compares two plans: --diff A.plan B.plan");
        return -1;
    }
    Plan *a = plan_open(options->diff.items[0], diag);
    Plan *b = a ? plan_open(options->diff.items[1], diag) : NULL;
    bool ok = b && plan_diff(a, b, &text, diag);
    int status = !ok ? -1 : text.length ? 1 : 0;
    if (ok)
        fwrite(text.bytes ? text.bytes : "", 1, text.length, stdout);
    text_free(&text);
    if (a)
        plan_close(a);
    if (b)
        plan_close(b);
    return status;
}
