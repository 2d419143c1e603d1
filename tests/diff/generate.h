// Random modules for tests: a seed gives a valid module whose patterns are those that passes look
// for, its steps, and the bytes of its weights.
#ifndef TESTS_DIFF_GENERATE_H
#define TESTS_DIFF_GENERATE_H

#include "passes/eval.h"

// A reproducible stream (splitmix64).
typedef struct Chance {
    uint64_t state;
} Chance;

uint64_t chance_bits(Chance *chance);
// least … most, both included.
int32_t chance_between(Chance *chance, int32_t least, int32_t most);
bool chance_in(Chance *chance, int32_t percent);

// The module of a seed, at level built or, one in six, at level numeric with fused ops from the
// start. `folded`: rows of weights are cut and joined by Recipes instead of ops; it means the same,
// and eval runs it from the start.
//
// `most_patterns`: before rows are gathered.
Module *generate_module(uint64_t seed, int32_t most_patterns, bool folded, Arena *arena);
// Whether the module has ops that move rows of weights, which eval cannot run before fold.
bool moves_weights(const Module *module);

enum {
    VOCABULARY = 24,
    PAGE_TOKENS = 32,
    SEQUENCES = 3,
    PAGES = 2, // of a sequence
    PATTERNS_FEW = 8,
    STEPS_MAX = 16,
    STEP_TOKENS = 32
};

typedef struct Steps {
    int32_t count;
    EvalInputs steps[STEPS_MAX];
    int32_t token[STEPS_MAX][STEP_TOKENS], pos[STEPS_MAX][STEP_TOKENS];
    int32_t seq[STEPS_MAX][STEP_TOKENS], row[STEPS_MAX][STEP_TOKENS];
    int32_t table[SEQUENCES * PAGES], length[SEQUENCES];
} Steps;

// If the module's batch holds them: sometimes a prompt in chunks to beyond the end of a page, then
// one over several sequences. Last, tokens one by one. Any number of rows is asked for, or none.
void generate_steps(uint64_t seed, const Module *module, Steps *steps);

enum { TENSORS_MAX = 1024 };

// Tensors of one seed, made when they are first asked for, by the number in their names.
typedef struct Tensors {
    Arena *arena;
    const void *bytes[TENSORS_MAX];
} Tensors;

// An EvalTensor: rows that are a function of the tensor's name and type. The context is a Tensors.
const void *generate_tensor(void *tensors, const Recipe *tensor);

#endif
