// What --verify feeds a module: seeded steps, and random tensors for models without weights.
#ifndef PASSES_VERIFY_INPUTS_H
#define PASSES_VERIFY_INPUTS_H

#include "passes/eval.h"

// Steps in the order in which they run; later ones read the keys and values of earlier ones.
typedef struct VerifyInputs {
    const EvalInputs *steps;
    int32_t count;
    int64_t sequences, pages; // of the store, as eval_new takes them
    int64_t most_tokens;      // the largest T
    bool few;                 // shortened, since a token costs many multiplications
} VerifyInputs;

// A function of the module's options and of its first graph alone, so that a run that is resumed
// from text gets the same steps. Memory of the arena. False with a message when the module cannot
// be fed (rows of a matrix picked by something else than %token).
bool verify_inputs_make(const Module *module, Arena *arena, VerifyInputs *inputs, Diag *diag);

// Random row-major bytes of a file tensor, a function of its name and type; values are scaled so
// that products with them keep their size, vectors are near one. Memory of the arena; asking twice
// makes them twice.
const void *verify_random_tensor(Arena *arena, const Recipe *tensor);

#endif
