// The pipeline: its table, its driver, and what a pass may see.
#ifndef PASSES_PASSES_H
#define PASSES_PASSES_H

#include <stdbool.h>
#include <stdint.h>

#include "graph/graph.h"
#include "graph/table.h"
#include "kernels/kernel.h"

typedef enum PassId {
#define PASS(name, requires, ensures, least_opt, why) PASS_##name,
#include "passes/passes.def"
#undef PASS
    PASS_COUNT
} PassId;

// What every pass gets. `target` is module->options.target as an enum.
typedef struct PassContext {
    Module *module;
    Target target;
    Arena *scratch;                  // freed after the pass
    Text *explain;                   // NULL, or where fusions and choices are told, a line each
    Text *misses;                    // rules that nearly fired in this sweep (rules.c)
    Table rule_weights;              // those that rules of this pass made (rules.c)
    int32_t matches;                 // rewrites done, for statistics
    struct PipelineOptions *options; // counts and limits the rewrites of rules
    PassId pass;
    Diag *diag;
} PassContext;

// False with a message in context->diag when the module cannot be compiled (no kernel, say).
typedef bool PassRun(PassContext *context);

typedef struct PassInfo {
    const char *name;
    Level requires, ensures;
    int32_t least_opt;
    const char *why;
    PassRun *run;
} PassInfo;

extern const PassInfo pass_table[PASS_COUNT];

// PASS_COUNT when there is no such pass.
PassId pass_from_name(const char *name);

typedef struct PassStatistics {
    bool ran;
    double milliseconds;
    int32_t nodes_before, nodes_after, matches;
    // That a step of the largest T (one row asked for) writes to values and reads from them: each
    // result once, and once for every reader. Not weights and states.
    int64_t bytes_before, bytes_after;
} PassStatistics;

typedef struct PipelineOptions {
    uint32_t disabled; // bit set of PassId; a pass that ensures a new level cannot be disabled
    PassId stop_after; // PASS_COUNT: run all
    bool verify;       // structural verifier after every pass
    Text *explain;     // see PassContext
    // Called after every pass that ran (dumps).
    void (*after_pass)(void *context, PassId pass, const Module *module);
    void *after_context;
    // NULL, or called with PASS_COUNT before the first pass and after every pass that ran; false
    // with a message ends the compile.
    bool (*check)(void *context, PassId pass, Module *module, Diag *diag);
    void *check_context;
    bool limit_rewrites; // only the first rewrite_limit rewrites of rules, over all passes
    int64_t rewrite_limit;
    int64_t rewrites;                      // filled in: how many fired
    PassStatistics statistics[PASS_COUNT]; // filled in
} PipelineOptions;

// Runs the passes that the module's level and options ask for.
bool pipeline_run(Module *module, PipelineOptions *options, Diag *diag);

// --- helpers shared by passes

// "llama.lua:21" of a node for messages and --explain, "?" if it has none; memory of the arena.
const char *node_place(const Node *node, Arena *arena);
// Adds a line to --explain: "pass rule: place: text". No-op when nobody asked.
void pass_explain(PassContext *context, const char *rule, const Node *node, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
// What the catalogue is asked for a node: types, layouts (of weights laid out already), post.
KernelQuery node_query(const Node *node, Target target);
// Whether operand `index` is a matrix that meets the activations of an op of trait DOTS.
bool node_is_dotted(const Node *node, int32_t index);
// "no kernel for matmul of q8 with stored q8_0 to q8 on target avx2".
void no_kernel_print(Text *out, const KernelQuery *query);

#define PASS(name, requires, ensures, least_opt, why) PassRun pass_##name;
#include "passes/passes.def"
#undef PASS

#endif
