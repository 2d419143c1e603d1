// The detokenizer. All bytes go through one small buffer that lets whole characters pass, because
// byte pieces split characters over tokens. Bytes that are no text print as U+FFFD, one for each
// maximal subpart as the Unicode standard recommends; passing them raw, as llama.cpp does, would
// let one bad draw break the JSON or the terminal that the text is shown in.
#include "runtime/text/text_stream.h"

#include <string.h>

#include "runtime/text/utf8.h"

void text_stream_begin(TextStream *stream, const Tokenizer *tokenizer, bool show_special,
                       bool at_start)
{
    *stream =
        (TextStream){.tokenizer = tokenizer, .show_special = show_special, .at_start = at_start};
}

static void drop_pending(TextStream *stream, int count)
{
    stream->pending_count -= count;
    memmove(stream->pending, stream->pending + count, (size_t)stream->pending_count);
}

static void feed_byte(TextStream *stream, char byte, Text *out)
{
    stream->pending[stream->pending_count++] = byte;
    int length;
    while ((length = utf8_measure(stream->pending, (size_t)stream->pending_count)) != 0) {
        if (length > 0)
            text_append(out, stream->pending, (size_t)length);
        else
            text_append(out, UTF8_REPLACEMENT, UTF8_REPLACEMENT_BYTES);
        drop_pending(stream, length > 0 ? length : -length);
    }
}

static void feed_bytes(TextStream *stream, const char *bytes, size_t length, Text *out)
{
    for (size_t i = 0; i < length; i++)
        feed_byte(stream, bytes[i], out);
}

static bool begins_with(const char *bytes, size_t length, const char *what, size_t what_length)
{
    return what_length > 0 && length >= what_length && memcmp(bytes, what, what_length) == 0;
}

// Bytes of the dummy space that begins the text.
static size_t measure_strip(const TextStream *stream, const char *piece, size_t length)
{
    const Vocabulary *vocabulary = tokenizer_vocabulary(stream->tokenizer);
    for (int32_t i = 0; stream->at_start && i < vocabulary->step_count; i++) {
        const TextStep *step = &vocabulary->steps[i];
        if (step->kind == TEXT_DECODE_STRIP &&
            begins_with(piece, length, vocabulary->step_bytes + step->a.begin, step->a.length))
            return step->a.length;
    }
    return 0;
}

// Whether a piece of that length leaves the text at its start: a step may take the dummy spaces of
// every piece before the first that is more.
static bool goes_on(const TextStream *stream, const char *piece, size_t length)
{
    const Vocabulary *vocabulary = tokenizer_vocabulary(stream->tokenizer);
    for (int32_t i = 0; i < vocabulary->step_count; i++)
        if (vocabulary->steps[i].kind == TEXT_DECODE_STRIP &&
            vocabulary->steps[i].flags & TEXT_LEFT)
            return measure_strip(stream, piece, length) == length;
    return false;
}

// The replacement that begins at the bytes; NULL if none.
static const TextStep *find_replacement(const Vocabulary *vocabulary, const char *bytes,
                                        size_t length)
{
    for (int32_t i = vocabulary->step_count - 1; i >= 0; i--) {
        const TextStep *step = &vocabulary->steps[i];
        if (step->kind == TEXT_DECODE_REPLACE &&
            begins_with(bytes, length, vocabulary->step_bytes + step->a.begin, step->a.length))
            return step;
    }
    return NULL;
}

static void feed_piece(TextStream *stream, const char *piece, size_t length, Text *out)
{
    const Vocabulary *vocabulary = tokenizer_vocabulary(stream->tokenizer);
    for (size_t at = measure_strip(stream, piece, length); at < length;) {
        const TextStep *step = find_replacement(vocabulary, piece + at, length - at);
        if (step)
            feed_bytes(stream, vocabulary->step_bytes + step->b.begin, step->b.length, out);
        else
            feed_byte(stream, piece[at], out);
        at += step ? step->a.length : 1;
    }
}

void text_stream_push(TextStream *stream, int32_t id, Text *out)
{
    const Vocabulary *vocabulary = tokenizer_vocabulary(stream->tokenizer);
    if (id < 0 || id >= vocabulary->count) {
        feed_bytes(stream, UTF8_REPLACEMENT, UTF8_REPLACEMENT_BYTES, out);
        return;
    }
    const char *piece = vocabulary->bytes + vocabulary->offsets[id];
    size_t length = vocabulary->offsets[id + 1] - vocabulary->offsets[id];
    uint8_t type = vocabulary->types[id], byte;
    bool special = type == PIECE_CONTROL || type == PIECE_UNKNOWN;
    if (special && !stream->show_special)
        return;
    if (special)
        feed_bytes(stream, piece, length, out);
    else if (type == PIECE_BYTE && vocabulary_piece_byte(vocabulary, id, &byte))
        feed_byte(stream, (char)byte, out);
    else
        feed_piece(stream, piece, length, out);
    stream->at_start = stream->at_start && goes_on(stream, piece, length);
}

void text_stream_end(TextStream *stream, Text *out)
{
    if (stream->pending_count > 0)
        text_append(out, UTF8_REPLACEMENT, UTF8_REPLACEMENT_BYTES);
    stream->pending_count = 0;
    stream->at_start = false;
}
