// What the fuzzers of tokenizer files share: a file that is accepted must make a vocabulary that a
// plan may hold, and a tokenizer over it must take any text.
#ifndef TESTS_FUZZ_TOKENIZER_BYTES_H
#define TESTS_FUZZ_TOKENIZER_BYTES_H

#include <stdlib.h>
#include <string.h>

#include "frontends/tokenizer/readers.h"
#include "frontends/tokenizer/tokenizer_file.h"
#include "graph/base/text.h"
#include "runtime/text/text_stream.h"
#include "runtime/text/tokenizer.h"
#include "tests/fuzz/bytes_file.h"

// Encodes and decodes; ids are in the vocabulary, and the text that comes back is UTF-8 of any
// kind.
static inline void round_trip(const Tokenizer *tokenizer, const char *text, size_t length)
{
    TokenList ids = {0};
    Diag diag = {0};
    Text out = {0};
    TextStream stream;
    bool done = tokenizer_encode(tokenizer, text, length, (EncodeOptions){true, true}, &ids, &diag);
    if (done == diag.failed || (!done && ids.count))
        abort();
    text_stream_begin(&stream, tokenizer, true, true);
    for (int64_t i = 0; i < ids.count; i++) {
        if (ids.ids[i] < 0 || ids.ids[i] >= tokenizer_vocabulary(tokenizer)->count)
            abort();
        text_stream_push(&stream, ids.ids[i], &out);
    }
    text_stream_end(&stream, &out);
    text_free(&out);
    token_list_free(&ids);
}

// Opens the file as model_file_open would and runs a few texts through it.
static inline void try_tokenizer_file(const uint8_t *data, size_t size)
{
    static const char text[] =
        "Hello  world, it's \xe2\x96\x81 12345\n\xc3\xa9\xff <s><|end|> a\xcc\x81";
    Arena arena = {0};
    Diag diag = {0};
    ModelFile *file = model_file_open(bytes_file(data, size), &arena, &diag);
    if ((file == NULL) != diag.failed)
        abort();
    if (file && file->has_vocabulary) {
        Tokenizer *tokenizer = tokenizer_new(&file->vocabulary, &diag);
        if (tokenizer) {
            round_trip(tokenizer, text, sizeof text - 1);
            round_trip(tokenizer, (const char *)data, size < 256 ? size : 256);
        }
        tokenizer_free(tokenizer);
    }
    model_file_close(file);
    arena_free(&arena);
}

#endif
