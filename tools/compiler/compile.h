// From paths and options to a Module and a Plan: what graphc does whatever it prints.
#ifndef TOOLS_COMPILER_COMPILE_H
#define TOOLS_COMPILER_COMPILE_H

#include "frontends/model_file.h"
#include "graph/base/luahost.h"
#include "passes/lower.h"
#include "passes/passes.h"
#include "tools/common/options.h"

enum { REGISTRY_MAX = 16 };

typedef struct Compile {
    const Options *options;
    Arena arena;
    const char *registry[REGISTRY_MAX]; // folders of model scripts, in the order of search
    int registry_count;
    const char *script;      // the Lua file, NULL for graph text
    const char *module_text; // path of the graph text, NULL for a script
    ModelFile *file;         // NULL for graph text without -w
    ModuleOptions module_options;
    FileList scripts; // every Lua file that was read
    Module *module;
} Compile;

// Finds the inputs that the operands and options name: a script or graph text, a model file. Reads
// the model file, runs nothing.
bool compile_open(Compile *compile, const Options *options, Diag *diag);
void compile_close(Compile *compile);
// Runs the script (or parses the text): the module before the first pass.
bool compile_build(Compile *compile, Diag *diag);
// Builds the module unless that is done, then runs the pipeline.
bool compile_module(Compile *compile, PipelineOptions *pipeline, Diag *diag);
// Lowers the module (or, with --vocab-only, the vocabulary) to a plan in the compile's arena.
Plan *compile_plan(Compile *compile, Diag *diag);
// Writes the plan, with a progress bar when a person watches.
bool compile_write(const Plan *plan, const char *path, Diag *diag);
// The bar that shows how far packing is, NULL when nobody watches; `shown` is its context.
PlanProgress *compile_progress(int *shown);
// The options that make the plan again, as the shell takes them.
const char *compile_command(Compile *compile);

#endif
