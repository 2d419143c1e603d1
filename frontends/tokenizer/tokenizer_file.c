// Which file of a folder holds the tokenizer, and what tokenizer_config.json adds to it.
//
// tokenizer.json says most and is taken first; then tokenizer.model; then vocab.json with
// merges.txt. tokenizer_config.json names the special tokens, says whether begin and end ids are
// added (which stands above the post-processor of tokenizer.json, as in transformers), lists added
// tokens for the formats that have none, and may hold the chat template, unless
// chat_template.jinja does. A tokenizer.model is SentencePiece's or tiktoken's: the first byte
// tells (a field of pieces, or base64).
#include "frontends/tokenizer/tokenizer_file.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frontends/tokenizer/readers.h"

typedef struct Folder {
    const char *path;
    ModelFile *file;
    VocabularyMaker maker;
    PieceList list;
    cJSON *config; // NULL where there is none
} Folder;

static void begin(Folder *folder, const char *path, ModelFile *file, Arena *arena, Diag *diag)
{
    *folder = (Folder){.path = path, .file = file};
    folder->maker = (VocabularyMaker){
        .vocabulary = &file->vocabulary, .arena = arena, .diag = diag, .path = path};
    folder->list.maker = &folder->maker;
    file->vocabulary = (Vocabulary){.bos = TOKEN_NONE,
                                    .eos = TOKEN_NONE,
                                    .unknown = TOKEN_NONE,
                                    .padding = TOKEN_NONE,
                                    .pre_tokenizer = "",
                                    .chat_template = ""};
}

static PieceText part_text(const ModelFile *file, int32_t part)
{
    return (PieceText){file->parts.items[part].mapping, (size_t)file->parts.items[part].bytes};
}

static const char *path_of(const Folder *folder, const char *name)
{
    return arena_format(folder->maker.arena, "%s/%s", folder->path, name);
}

static bool has_file(const Folder *folder, const char *name)
{
    return access(path_of(folder, name), F_OK) == 0;
}

// Maps a file of the folder; messages are about it from now on.
static bool map_file(Folder *folder, const char *name, PieceText *text)
{
    const char *path = path_of(folder, name);
    folder->maker.path = path;
    if (!model_file_map(folder->file, path, folder->maker.arena, folder->maker.diag))
        return false;
    *text = part_text(folder->file, folder->file->parts.count - 1);
    return true;
}

static cJSON *map_json(Folder *folder, const char *name)
{
    PieceText text;
    return map_file(folder, name, &text) ? json_read(&folder->maker, text) : NULL;
}

static bool is_json(PieceText text)
{
    size_t at = 0;
    while (at < text.length && memchr(" \t\r\n", text.bytes[at], 4))
        at++;
    return at < text.length && text.bytes[at] == '{';
}

static bool is_tiktoken(PieceText text)
{
    const char *line = memchr(text.bytes, '\n', text.length < 512 ? text.length : 512);
    return line && text.length > 4 && text.bytes[0] != '\n' &&
           memchr(text.bytes, ' ', (size_t)(line - text.bytes));
}

static bool read_model_text(Folder *folder, PieceText text)
{
    if (is_json(text)) {
        cJSON *root = json_read(&folder->maker, text);
        bool done = root && tokenizer_json_read(&folder->list, root);
        cJSON_Delete(root);
        return done;
    }
    return is_tiktoken(text) ? tiktoken_read(&folder->list, text)
                             : sentencepiece_model_read(&folder->list, text);
}

static bool read_model_file(Folder *folder, const char *name)
{
    PieceText text;
    return map_file(folder, name, &text) && read_model_text(folder, text);
}

static bool read_merges_files(Folder *folder)
{
    PieceText merges;
    cJSON *vocab = map_json(folder, "vocab.json");
    bool done = vocab && map_file(folder, "merges.txt", &merges) &&
                merges_text_read(&folder->list, vocab, merges,
                                 json_text(folder->config, "tokenizer_class"));
    cJSON_Delete(vocab);
    return done;
}

// --- tokenizer_config.json

static void read_special(const Folder *folder, const char *name, int32_t *id)
{
    const cJSON *token = cJSON_GetObjectItemCaseSensitive(folder->config, name);
    if (cJSON_IsObject(token))
        token = cJSON_GetObjectItemCaseSensitive(token, "content");
    const char *text = cJSON_GetStringValue(token);
    int32_t found =
        text ? vocabulary_find(&folder->file->vocabulary, text, (int64_t)strlen(text)) : TOKEN_NONE;
    if (found != TOKEN_NONE)
        *id = found;
}

static void read_adds(const Folder *folder)
{
    Vocabulary *vocabulary = &folder->file->vocabulary;
    vocabulary->add_bos = vocabulary->bos != TOKEN_NONE &&
                          json_flag(folder->config, "add_bos_token", vocabulary->add_bos);
    vocabulary->add_eos = vocabulary->eos != TOKEN_NONE &&
                          json_flag(folder->config, "add_eos_token", vocabulary->add_eos);
}

// A template, or a list of {name, template} of which "default" is meant.
static const char *find_template(const cJSON *templates)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, templates)
    {
        const char *name = json_text(item, "name");
        if (name && strcmp(name, "default") == 0)
            return json_text(item, "template");
    }
    return cJSON_GetStringValue(templates);
}

static bool read_chat_template(Folder *folder)
{
    const char *text =
        find_template(cJSON_GetObjectItemCaseSensitive(folder->config, "chat_template"));
    PieceText mapped;
    if (has_file(folder, "chat_template.jinja")) {
        if (!map_file(folder, "chat_template.jinja", &mapped))
            return false;
        if (memchr(mapped.bytes, 0, mapped.length))
            return maker_fail(&folder->maker, "holds a zero byte");
    } else {
        mapped = text ? (PieceText){text, strlen(text)} : PIECE_TEXT("");
    }
    folder->file->vocabulary.chat_template =
        arena_copy_text(folder->maker.arena, mapped.bytes, mapped.length);
    return true;
}

static bool finish(Folder *folder)
{
    Vocabulary *vocabulary = &folder->file->vocabulary;
    maker_add_end(&folder->maker, vocabulary->eos);
    maker_finish(&folder->maker);
    maker_add_known_ends(&folder->maker);
    folder->file->has_vocabulary = true;
    return true;
}

static bool read_vocabulary(Folder *folder)
{
    if (has_file(folder, "tokenizer.json"))
        return read_model_file(folder, "tokenizer.json");
    if (has_file(folder, "tokenizer.model"))
        return read_model_file(folder, "tokenizer.model");
    if (has_file(folder, "vocab.json") && has_file(folder, "merges.txt"))
        return read_merges_files(folder);
    return maker_fail(&folder->maker, "the folder holds no tokenizer: neither tokenizer.json nor "
                                      "tokenizer.model nor vocab.json with merges.txt");
}

static bool read_folder(Folder *folder)
{
    if (has_file(folder, "tokenizer_config.json")) {
        folder->config = map_json(folder, "tokenizer_config.json");
        if (!folder->config)
            return false;
    }
    folder->maker.path = folder->path;
    folder->list.extra = cJSON_GetObjectItemCaseSensitive(folder->config, "added_tokens_decoder");
    if (!read_vocabulary(folder))
        return false;
    Vocabulary *vocabulary = &folder->file->vocabulary;
    read_special(folder, "bos_token", &vocabulary->bos);
    read_special(folder, "eos_token", &vocabulary->eos);
    read_special(folder, "unk_token", &vocabulary->unknown);
    read_special(folder, "pad_token", &vocabulary->padding);
    read_adds(folder);
    return read_chat_template(folder) && finish(folder);
}

bool tokenizer_is_in_folder(const char *path, Arena *arena)
{
    Folder folder = {.path = path, .maker = {.arena = arena}};
    return has_file(&folder, "tokenizer.json") || has_file(&folder, "tokenizer.model") ||
           (has_file(&folder, "vocab.json") && has_file(&folder, "merges.txt"));
}

bool tokenizer_read_folder(const char *path, ModelFile *file, Arena *arena, Diag *diag)
{
    Folder folder;
    begin(&folder, path, file, arena, diag);
    bool done = read_folder(&folder);
    cJSON_Delete(folder.config);
    return done;
}

bool tokenizer_is_file(const char *bytes, size_t length)
{
    PieceText text = {bytes, length};
    return is_json(text) || (length > 0 && bytes[0] == '\n') || is_tiktoken(text);
}

bool tokenizer_read_part(int32_t part, ModelFile *file, Arena *arena, Diag *diag)
{
    Folder folder;
    begin(&folder, file->parts.items[part].path, file, arena, diag);
    return read_model_text(&folder, part_text(file, part)) && finish(&folder);
}
