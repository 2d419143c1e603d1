// Added tokens: pieces that are cut out of a text before the encoder sees it.
#ifndef RUNTIME_TEXT_SPECIAL_H
#define RUNTIME_TEXT_SPECIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "graph/base/diag.h"
#include "graph/base/vocabulary.h"
#include "runtime/text/normalise.h"

typedef struct Specials Specials;

// The added tokens that are looked for in raw text, or (normaliser not NULL) those that are looked
// for in normalised text, as they are when normalised. NULL with a message on failure.
Specials *specials_new(const Vocabulary *vocabulary, const Normaliser *normaliser, Diag *diag);
void specials_free(Specials *specials);
bool specials_is_empty(const Specials *specials);

// A stretch of the text: raw text (id TOKEN_NONE) or an added token.
typedef struct Fragment {
    size_t begin, length;
    int32_t id;
} Fragment;

typedef struct FragmentList {
    Fragment *items;
    size_t count, capacity;
} FragmentList;

// Fills an empty list with fragments that cover the text in order; none is empty. The leftmost
// longest token wins. Special ones are found only if `parse_special`. Free with fragment_list_free,
// after a failure too.
bool specials_split(const Specials *specials, const char *text, size_t length, bool parse_special,
                    FragmentList *out, Diag *diag);
void fragment_list_free(FragmentList *list);

#endif
