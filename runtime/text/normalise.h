// The normalising steps of a vocabulary: from a stretch of raw text to the text that is cut into
// words.
#ifndef RUNTIME_TEXT_NORMALISE_H
#define RUNTIME_TEXT_NORMALISE_H

#include <stdbool.h>
#include <stddef.h>

#include "graph/base/diag.h"
#include "graph/base/vocabulary.h"
#include "runtime/text/buffer.h"
#include "runtime/text/pattern.h"

typedef struct Normaliser Normaliser;

// NULL with a message when a step cannot be made ready.
Normaliser *normaliser_new(const Vocabulary *vocabulary, Diag *diag);
void normaliser_free(Normaliser *normaliser);

// Two buffers that the steps write in turn.
typedef struct NormaliseScratch {
    Buffer buffers[2];
    PatternScratch *patterns;
} NormaliseScratch;

// Makes *text (and *length) the normalised text, in a buffer of the scratch or, where no step
// changes anything, as it was. at_start: the stretch begins the whole text.
bool normaliser_apply(const Normaliser *normaliser, NormaliseScratch *scratch, bool at_start,
                      const char **text, size_t *length, Diag *diag);

#endif
