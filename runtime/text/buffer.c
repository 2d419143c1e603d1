#include "runtime/text/buffer.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/text/tokenizer.h"

bool buffer_reserve(Buffer *buffer, size_t more, Diag *diag)
{
    if (more > TOKENIZER_WORD_MAX || buffer->length + more > TOKENIZER_WORD_MAX)
        return diag_fail(diag, (Where){0},
                         "text: normalised it has more than the %zu bytes that are encoded at once",
                         TOKENIZER_WORD_MAX);
    size_t needed = buffer->length + more;
    if (needed <= buffer->capacity && buffer->bytes)
        return true;
    size_t capacity = needed + needed / 2 + 64;
    char *bytes = realloc(buffer->bytes, capacity);
    if (!bytes)
        return tokenizer_fail_memory(diag);
    buffer->bytes = bytes;
    buffer->capacity = capacity;
    return true;
}

bool buffer_append(Buffer *buffer, const char *bytes, size_t length, Diag *diag)
{
    if (!buffer_reserve(buffer, length, diag))
        return false;
    if (length)
        memcpy(buffer->bytes + buffer->length, bytes, length);
    buffer->length += length;
    return true;
}

void buffer_free(Buffer *buffer)
{
    free(buffer->bytes);
    *buffer = (Buffer){0};
}
