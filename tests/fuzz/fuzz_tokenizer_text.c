// Any bytes through a byte-level vocabulary with a pattern: what is text comes back as it was.
#include "tests/fuzz/tokenizer_bytes.h"

#include "runtime/text/utf8.h"

static const char begin[] =
    "{\"model\":{\"type\":\"BPE\",\"merges\":[\"a b\",\"ab ab\",\"\xc4\xa0 a\"],\"vocab\":{"
    "\"ab\":256,\"abab\":257,\"\xc4\xa0"
    "a\":258";
static const char end[] =
    "}},\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},"
    "\"added_tokens\":[{\"id\":259,\"content\":\"<x>\",\"special\":true}]}";

// All 256 bytes in GPT-2's alphabet.
static void put_alphabet(Text *json)
{
    for (int code = 0x21, id = 0; id < 256; code++) {
        char piece[3] = {(char)code, 0, 0}, byte[4];
        if (code >= 0x80) {
            piece[0] = (char)(0xc0 | code >> 6);
            piece[1] = (char)(0x80 | (code & 0x3f));
        }
        if (byte_alphabet_decode(piece, strlen(piece), byte) != 1)
            continue;
        text_print(json, ",");
        text_quote(json, piece, strlen(piece));
        text_print(json, ":%d", id++);
    }
}

static Tokenizer *make_tokenizer(void)
{
    static Arena arena;
    Text json = {0};
    Diag diag = {0};
    text_print(&json, "%s", begin);
    put_alphabet(&json);
    text_print(&json, "%s", end);
    ModelFile *file =
        model_file_open(bytes_file((const uint8_t *)json.bytes, json.length), &arena, &diag);
    text_free(&json);
    if (!file) {
        fprintf(stderr, "%s\n", diag.message);
        abort();
    }
    return tokenizer_new(&file->vocabulary, &diag);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static Tokenizer *tokenizer;
    if (!tokenizer)
        tokenizer = make_tokenizer();
    TokenList ids = {0};
    Diag diag = {0};
    Text out = {0};
    TextStream stream;
    const char *text = (const char *)data;
    if (!tokenizer_encode(tokenizer, text, size, (EncodeOptions){false, true}, &ids, &diag))
        abort();
    text_stream_begin(&stream, tokenizer, true, true);
    for (int64_t i = 0; i < ids.count; i++)
        text_stream_push(&stream, ids.ids[i], &out);
    text_stream_end(&stream, &out);
    if (utf8_valid_prefix(text, size) == size &&
        (out.length != size || (size && memcmp(out.bytes, text, size) != 0)))
        abort();
    text_free(&out);
    token_list_free(&ids);
    return 0;
}
