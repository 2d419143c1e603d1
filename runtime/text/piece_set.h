// Which pieces plain text may become: never control, unknown or byte pieces by their spelling.
#ifndef RUNTIME_TEXT_PIECE_SET_H
#define RUNTIME_TEXT_PIECE_SET_H

#include "graph/base/vocabulary.h"

static inline bool piece_set_is_text(const Vocabulary *vocabulary, int32_t id)
{
    uint8_t type = vocabulary->types[id];
    return type == PIECE_NORMAL || type == PIECE_USER || type == PIECE_UNUSED;
}

// The id of such a piece, TOKEN_NONE if there is none.
static inline int32_t piece_set_find_text(const Vocabulary *vocabulary, const char *bytes,
                                          int32_t length)
{
    int32_t id = vocabulary_find(vocabulary, bytes, length);
    return id != TOKEN_NONE && piece_set_is_text(vocabulary, id) ? id : TOKEN_NONE;
}

#endif
