// lower: the last step, from a planned Module to the flat structs of a Plan.
#ifndef PASSES_LOWER_H
#define PASSES_LOWER_H

#include "passes/passes.h"
#include "runtime/plan.h"

// Where the weights come from and what the plan says of its making.
typedef struct LowerSource {
    const char *architecture, *command, *compiler;
    const char *file_path; // NULL: a shape without weights; the plan can be written but not run
    uint64_t file_bytes;
    int64_t file_modified_ns;
    WeightsIn weights_in;
    const Vocabulary *vocabulary; // NULL: none
    // The place of a tensor in the file; false if it is not there.
    bool (*find_tensor)(void *context, const char *name, uint64_t *offset, uint64_t *bytes);
    void *context;
} LowerSource;

// Memory of the arena. `module` is at LEVEL_PLANNED; NULL makes a plan that holds the vocabulary
// only.
Plan *lower_module(const Module *module, const LowerSource *source, Arena *arena, Diag *diag);

#endif
