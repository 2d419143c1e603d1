// lower: the last step, from a planned Module to the flat structs of a Plan.
#ifndef PASSES_LOWER_H
#define PASSES_LOWER_H

#include "passes/passes.h"
#include "runtime/plan.h"

typedef struct LowerFile {
    const char *path;
    uint64_t bytes;
    int64_t modified_ns;
} LowerFile;

// Where a tensor lies: `file` is an index.
typedef struct LowerTensor {
    uint32_t file;
    uint64_t offset, bytes;
} LowerTensor;

// Where the weights come from and what the plan says of its making.
typedef struct LowerSource {
    const char *architecture, *command, *compiler;
    const LowerFile *files;
    uint32_t file_count; // 0: a shape without weights; the plan can be written but not run
    WeightsIn weights_in;
    const Vocabulary *vocabulary; // NULL: none
    const Setting *settings;
    uint32_t setting_count;
    // The place of a tensor in the files; false if it is not there.
    bool (*find_tensor)(void *context, const char *name, LowerTensor *tensor);
    void *context;
} LowerSource;

// Memory of the arena. `module` is at LEVEL_PLANNED; NULL makes a plan that holds the vocabulary
// only.
Plan *lower_module(const Module *module, const LowerSource *source, Arena *arena, Diag *diag);

#endif
