// A text being made while a call encodes: grows, and reports when it cannot.
#ifndef RUNTIME_TEXT_BUFFER_H
#define RUNTIME_TEXT_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

#include "graph/base/diag.h"

typedef struct Buffer {
    char *bytes;
    size_t length, capacity;
} Buffer;

// Room for `more` bytes behind the length. False with a message when memory runs out or the text
// becomes longer than TOKENIZER_WORD_MAX.
bool buffer_reserve(Buffer *buffer, size_t more, Diag *diag);
bool buffer_append(Buffer *buffer, const char *bytes, size_t length, Diag *diag);
void buffer_free(Buffer *buffer);

#endif
