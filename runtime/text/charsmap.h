// SentencePiece's precompiled normalisation: a map from character sequences to texts.
#ifndef RUNTIME_TEXT_CHARSMAP_H
#define RUNTIME_TEXT_CHARSMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "graph/base/diag.h"
#include "runtime/text/buffer.h"

// Slices of the vocabulary's bytes; nothing to free.
typedef struct Charsmap {
    const uint8_t *units; // 4 bytes each, perhaps unaligned
    uint32_t unit_count;
    const char *texts; // NUL-terminated, one after another
    size_t text_bytes;
} Charsmap;

// False with a message when the bytes are no such map.
bool charsmap_open(Charsmap *map, const char *bytes, size_t length, Diag *diag);

// Appends the text with every longest key replaced; bytes that are no UTF-8 pass as they are.
bool charsmap_apply(const Charsmap *map, const char *text, size_t length, Buffer *out, Diag *diag);

#endif
