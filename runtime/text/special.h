// Pieces that are cut out of a text before anything else looks at it: user-defined ones always,
// control and unknown ones when the caller parses special tokens.
#ifndef RUNTIME_TEXT_SPECIAL_H
#define RUNTIME_TEXT_SPECIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "graph/base/diag.h"
#include "graph/base/vocabulary.h"

typedef struct Specials Specials;

#define PIECE_SET(type) (1u << (type))

// The pieces whose type is in the set (bits PIECE_SET(type)); empty pieces are left out. NULL with
// a message when memory runs out.
Specials *specials_new(const Vocabulary *vocabulary, uint32_t types, Diag *diag);
void specials_free(Specials *specials);

// A stretch of the text: raw text (id TOKEN_NONE) or a special piece.
typedef struct Fragment {
    size_t begin, length;
    int32_t id;
} Fragment;

typedef struct FragmentList {
    Fragment *items;
    size_t count, capacity;
} FragmentList;

// Fills an empty list with fragments that cover the text in order; none is empty. Where pieces
// overlap, longer ones win over the whole text, among pieces of one length the leftmost. Free with
// fragment_list_free, after a failure too.
bool specials_split(const Specials *specials, const char *text, size_t length, FragmentList *out,
                    Diag *diag);
void fragment_list_free(FragmentList *list);

#endif
