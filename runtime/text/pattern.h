// Regular expressions of tokenizers, as Oniguruma (Hugging Face) reads them.
#ifndef RUNTIME_TEXT_PATTERN_H
#define RUNTIME_TEXT_PATTERN_H

#include <stddef.h>

#include "graph/base/diag.h"

typedef struct Pattern Pattern;
typedef struct PatternScratch PatternScratch;

// Compiled once, then read by every thread. NULL with a message that quotes the expression.
Pattern *pattern_new(const char *source, size_t length, Diag *diag);
void pattern_free(Pattern *pattern);

// Working memory of one encode call, for any pattern.
PatternScratch *pattern_scratch_new(Diag *diag);
void pattern_scratch_free(PatternScratch *scratch);

typedef enum PatternResult { PATTERN_FAILED, PATTERN_NONE, PATTERN_FOUND } PatternResult;

// The first match at or behind `at` in the text, which must be UTF-8 (and `at` not inside a
// character). Fails with a message when a match needs more steps or memory than is sane.
PatternResult pattern_find(const Pattern *pattern, PatternScratch *scratch, const char *text,
                           size_t length, size_t at, size_t *begin, size_t *end, Diag *diag);

#endif
