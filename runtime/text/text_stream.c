// The detokenizer. All bytes go through one small buffer that lets whole characters pass, because
// byte pieces split characters over tokens. Bytes that are no text print as U+FFFD, one for each
// maximal subpart as the Unicode standard recommends; passing them raw, as llama.cpp does, would
// let one bad draw break the JSON or the terminal that the text is shown in.
#include "runtime/text/text_stream.h"

#include <string.h>

#include "runtime/text/sentencepiece.h"
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

static bool is_space_symbol(const char *bytes, size_t length)
{
    return length >= UTF8_SPACE_BYTES && memcmp(bytes, UTF8_SPACE, UTF8_SPACE_BYTES) == 0;
}

static void feed_piece(TextStream *stream, const char *piece, size_t length, bool strip_space,
                       Text *out)
{
    size_t at = strip_space && is_space_symbol(piece, length) ? UTF8_SPACE_BYTES : 0;
    while (at < length) {
        bool space = is_space_symbol(piece + at, length - at);
        feed_byte(stream, space ? ' ' : piece[at], out);
        at += space ? UTF8_SPACE_BYTES : 1;
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
    if (special || type == PIECE_USER)
        feed_bytes(stream, piece, length, out);
    else if (type == PIECE_BYTE && sentencepiece_piece_byte(vocabulary, id, &byte))
        feed_byte(stream, (char)byte, out);
    else
        feed_piece(stream, piece, length, stream->at_start && vocabulary->add_space_prefix, out);
    stream->at_start = false;
}

void text_stream_end(TextStream *stream, Text *out)
{
    if (stream->pending_count > 0)
        text_append(out, UTF8_REPLACEMENT, UTF8_REPLACEMENT_BYTES);
    stream->pending_count = 0;
    stream->at_start = false;
}
