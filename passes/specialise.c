// One graph per range of T. The phases share weights and states and differ in activation layouts,
// tiles and loops only; the runtime runs the first whose bound holds the step.
#include "passes/passes.h"

typedef struct PhaseRow {
    const char *name;
    int64_t bound_t; // 0: the largest T of the plan (-b)
} PhaseRow;

// Ascending. A row is dropped when the plan's largest T is not above the row before.
static const PhaseRow phases[] = {{"decode", 1}, {"prefill", 0}};
enum { PHASE_COUNT = sizeof phases / sizeof *phases };

bool pass_specialise(PassContext *context)
{
    Module *module = context->module;
    if (module->graphs.count != 1)
        return diag_fail(context->diag, (Where){0},
                         "a module of level %s has one graph, this one has %d",
                         level_names[module->level], module->graphs.count);
    Graph *built = module->graphs.items[0];
    module->graphs.count = 0;
    int64_t last_bound = 0;
    for (int i = 0; i < PHASE_COUNT; i++) {
        int64_t bound = phases[i].bound_t ? phases[i].bound_t : module->options.batch;
        if (bound > module->options.batch)
            bound = module->options.batch;
        if (bound <= last_bound)
            continue;
        Graph *graph = graph_clone(built, phases[i].name);
        graph->bound_t = last_bound = bound;
        context->matches++;
    }
    return true;
}
