// tok….bin: i32 longest piece, then for each piece f32 score, i32 length, bytes. It holds no count:
// the model knows how many pieces there are, and whether the file ends after them tells whether it
// is the model's. Pieces are SentencePiece's with U+2581 written as a space, and line ends around
// <s> and </s>. llama2.c ends a text at either.
#include "frontends/llama2c/llama2c.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontends/gguf/gguf.h"
#include "frontends/metadata.h"

enum { UNKNOWN, BEGIN, END, FIRST_BYTE, BYTES = 256 };
enum { PIECE_HEADER_BYTES = 8 };

static const char underline[] = "\xe2\x96\x81"; // U+2581

typedef struct Reader {
    const char *at, *end;
    Arena *arena;
} Reader;

// The next piece in place; false at the end or where the file is none of this kind.
static bool next_piece(Reader *reader, float *score, const char **bytes, int32_t *length)
{
    if (reader->end - reader->at < PIECE_HEADER_BYTES)
        return false;
    memcpy(score, reader->at, sizeof *score);
    memcpy(length, reader->at + sizeof *score, sizeof *length);
    reader->at += PIECE_HEADER_BYTES;
    *bytes = reader->at;
    if (*length < 0 || *length > reader->end - reader->at)
        return false;
    reader->at += *length;
    return true;
}

static bool has_pieces(const ModelPart *part, int32_t pieces)
{
    const char *bytes, *begin = part->mapping;
    float score;
    int32_t length;
    Reader reader = {.at = begin + sizeof(int32_t), .end = begin + part->bytes};
    if (part->bytes < sizeof(int32_t))
        return false;
    for (int32_t i = 0; i < pieces; i++)
        if (!next_piece(&reader, &score, &bytes, &length))
            return false;
    return reader.at == reader.end;
}

// Spaces as U+2581 again.
static MetaValue spaced(Reader *reader, const char *bytes, int32_t length)
{
    size_t used = 0;
    char *text = arena_alloc(reader->arena, (size_t)length * (sizeof underline - 1));
    for (int32_t i = 0; i < length; i++) {
        if (bytes[i] == ' ') {
            memcpy(text + used, underline, sizeof underline - 1);
            used += sizeof underline - 1;
        } else {
            text[used++] = bytes[i];
        }
    }
    return (MetaValue){META_TEXT, "string", .text = {text, (int64_t)used}};
}

static MetaValue piece_text(Reader *reader, int32_t id, const char *bytes, int32_t length)
{
    if (id == BEGIN || id == END)
        return meta_text(id == BEGIN ? "<s>" : "</s>");
    return spaced(reader, bytes, length);
}

static uint64_t piece_type(int32_t id, const MetaValue *text)
{
    char byte[8];
    if (id == UNKNOWN)
        return PIECE_UNKNOWN;
    if (id == BEGIN || id == END)
        return PIECE_CONTROL;
    snprintf(byte, sizeof byte, "<0x%02X>", (unsigned)(id - FIRST_BYTE) % BYTES);
    bool is_byte =
        id < FIRST_BYTE + BYTES && text->text.length == 6 && !memcmp(text->text.bytes, byte, 6);
    return is_byte ? PIECE_BYTE : PIECE_NORMAL;
}

static void add_pieces(MetadataList *list, const ModelPart *part, int32_t pieces)
{
    const char *bytes, *begin = part->mapping;
    int32_t length;
    float score = 0;
    Reader reader = {begin + sizeof(int32_t), begin + part->bytes, list->arena};
    MetaValue *texts = ARENA_ARRAY(list->arena, MetaValue, pieces);
    MetaValue *scores = ARENA_ARRAY(list->arena, MetaValue, pieces);
    MetaValue *types = ARENA_ARRAY(list->arena, MetaValue, pieces);
    for (int32_t i = 0; i < pieces && next_piece(&reader, &score, &bytes, &length); i++) {
        texts[i] = piece_text(&reader, i, bytes, length);
        scores[i] = meta_real(score);
        types[i] = meta_count(piece_type(i, &texts[i]));
    }
    metadata_add(list, "tokenizer.ggml.model", meta_text("llama"));
    metadata_add(list, "tokenizer.ggml.tokens", meta_array(texts, pieces));
    metadata_add(list, "tokenizer.ggml.scores", meta_array(scores, pieces));
    metadata_add(list, "tokenizer.ggml.token_type", meta_array(types, pieces));
    metadata_add(list, "tokenizer.ggml.bos_token_id", meta_count(BEGIN));
    metadata_add(list, "tokenizer.ggml.eos_token_id", meta_count(END));
    metadata_add(list, "tokenizer.ggml.eot_token_id", meta_count(BEGIN));
    metadata_add(list, "tokenizer.ggml.unknown_token_id", meta_count(UNKNOWN));
}

// Makes the vocabulary of the file's last part, if that has so many pieces; by way of the metadata
// that a GGUF file would have.
static bool read_last_part(ModelFile *file, int32_t pieces, Arena *arena)
{
    Diag unexpected = {0};
    const ModelPart *part = &file->parts.items[file->parts.count - 1];
    ModelFile converted = {.path = part->path, .architecture = ""};
    MetadataList list = {.file = &converted, .arena = arena};
    if (pieces <= END || !has_pieces(part, pieces))
        return false;
    add_pieces(&list, part, pieces);
    metadata_keep(&list);
    if (!gguf_read_vocabulary(&converted, arena, &unexpected))
        return false;
    file->vocabulary = converted.vocabulary;
    file->has_vocabulary = converted.has_vocabulary;
    return true;
}

bool llama2c_read_tokenizer(ModelFile *file, Arena *arena)
{
    const MetaValue *pieces = model_file_meta(file, "llama.vocab_size");
    return pieces && pieces->kind == META_UINT && pieces->natural <= INT32_MAX &&
           read_last_part(file, (int32_t)pieces->natural, arena);
}

static int is_tokenizer(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return length > 7 && strncmp(entry->d_name, "tok", 3) == 0 &&
           strcmp(entry->d_name + length - 4, ".bin") == 0;
}

// Maps the file as a part; takes it back where it is not the tokenizer.
static bool try_tokenizer(ModelFile *file, const char *path, Arena *arena)
{
    Diag ignored = {0};
    if (!model_file_map(file, path, arena, &ignored))
        return false;
    if (llama2c_read_tokenizer(file, arena))
        return true;
    model_file_unmap(file);
    return false;
}

void llama2c_find_tokenizer(ModelFile *file, Arena *arena)
{
    const char *path = file->path, *slash = strrchr(path, '/');
    const char *folder = slash ? arena_format(arena, "%.*s/", (int)(slash - path), path) : "./";
    struct dirent **entries;
    int count = scandir(folder, &entries, is_tokenizer, alphasort);
    bool found = false;
    for (int i = 0; i < count; i++) {
        const char *name = arena_format(arena, "%s%s", folder, entries[i]->d_name);
        found = found || try_tokenizer(file, name, arena);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
}
