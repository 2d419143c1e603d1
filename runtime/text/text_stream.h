// Token ids to text, one at a time, so that a reply can be shown while it is made.
#ifndef RUNTIME_TEXT_TEXT_STREAM_H
#define RUNTIME_TEXT_TEXT_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "graph/base/text.h"
#include "runtime/text/tokenizer.h"

typedef struct TextStream {
    const Tokenizer *tokenizer;
    bool show_special, at_start;
    int pending_count;
    char pending[4]; // the beginning of a character whose other bytes have not come yet
} TextStream;

// show_special: control and unknown tokens print as their pieces, else as nothing. at_start: the
// tokens begin a text, so the dummy space that the vocabulary puts there is taken away again from
// the first token that is not silent.
void text_stream_begin(TextStream *stream, const Tokenizer *tokenizer, bool show_special,
                       bool at_start);

// Appends the whole characters that the token completes (often none, sometimes several tokens'
// worth). What is appended is valid UTF-8 whatever the tokens are: bytes that belong to no
// character print as U+FFFD, and so does an id outside the vocabulary (a head padded beyond it can
// draw one).
void text_stream_push(TextStream *stream, int32_t id, Text *out);

// Appends U+FFFD for a character that was never completed. The stream is then at its beginning
// again, but not at the start of a text.
void text_stream_end(TextStream *stream, Text *out);

#endif
