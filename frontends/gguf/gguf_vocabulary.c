// The canonical vocabulary from GGUF metadata (keys: `tokenizer.ggml.*`, defaults: llama.cpp).
//
// tokenizer.ggml.model decides: `llama` is SentencePiece, `gpt2` byte-level BPE with the
// pre-tokenizer that tokenizer.ggml.pre names, `t5` a unigram model; any other kind leaves
// has_vocabulary false, so that such a file can still be inspected. What is there must be
// whole: arrays agree in length, ids are pieces, both halves of every merge are pieces.
//
// A default id that the vocabulary is too small for means "none"; an id in the file must fit.
#include <inttypes.h>
#include <string.h>

#include "frontends/gguf/gguf.h"
#include "frontends/tokenizer/pre_tokenizers.h"
#include "frontends/tokenizer/vocabulary_maker.h"

typedef struct Source {
    const ModelFile *file;
    Vocabulary *vocabulary;
    Arena *arena;
    Diag *diag;
    VocabularyMaker maker;
} Source;

typedef struct Defaults {
    const char *model;
    VocabularyKind kind;
    int32_t bos, eos, unknown, padding;
    bool add_bos, add_eos, add_space_prefix;
} Defaults;

#define KEY(name) "tokenizer.ggml." name

#define fail_key(source, found, format, ...)                                                       \
    diag_fail((source)->diag, (Where){.file = (source)->file->path},                               \
              "key \"%s\": " format " (at byte %" PRIu64 ")", (found)->key, ##__VA_ARGS__,         \
              (found)->file_offset)

static const Metadata *find_key(const Source *source, const char *key)
{
    int64_t position = name_index_find(&source->file->metadata_index, key);
    return position < 0 ? NULL : &source->file->metadata[position];
}

static bool fail_missing(const Source *source, const char *key)
{
    return diag_fail(source->diag, (Where){.file = source->file->path},
                     "the vocabulary has no key \"%s\"", key);
}

// Checks that the key is an array whose items are of a kind; arrays of a file are of one type each.
static bool check_array(const Source *source, const Metadata *found, MetaKind kind,
                        const char *what)
{
    const MetaValue *value = &found->value;
    if (value->kind != META_ARRAY)
        return fail_key(source, found, "must be an array of %s, not %s", what, value->type_name);
    if (value->array.count && value->array.items->kind != kind)
        return fail_key(source, found, "must be an array of %s, not of %s", what,
                        value->array.items->type_name);
    return true;
}

static bool check_count(const Source *source, const Metadata *found)
{
    if (found->value.array.count != source->vocabulary->count)
        return fail_key(source, found, "has %" PRId64 " items, but there are %" PRId32 " tokens",
                        found->value.array.count, source->vocabulary->count);
    return true;
}

// Lays all pieces one after another.
static bool read_pieces(Source *source)
{
    const Metadata *found = find_key(source, KEY("tokens"));
    if (!found)
        return fail_missing(source, KEY("tokens"));
    if (!check_array(source, found, META_TEXT, "strings"))
        return false;
    const MetaValue *items = found->value.array.items;
    int64_t count = found->value.array.count, total = 0;
    for (int64_t i = 0; i < count; i++)
        total += items[i].text.length;
    if (count == 0 || count >= INT32_MAX || total > UINT32_MAX)
        return fail_key(source, found,
                        "%" PRId64 " tokens of %" PRId64 " bytes are not a vocabulary", count,
                        total);
    PieceText *pieces = ARENA_ARRAY(source->arena, PieceText, count);
    for (int64_t i = 0; i < count; i++)
        pieces[i] = (PieceText){items[i].text.bytes, (size_t)items[i].text.length};
    return maker_lay_pieces(&source->maker, pieces, count);
}

static bool read_scores(Source *source)
{
    float *scores = ARENA_ARRAY(source->arena, float, source->vocabulary->count);
    source->vocabulary->scores = scores;
    const Metadata *found = find_key(source, KEY("scores"));
    if (!found)
        return true;
    if (!check_array(source, found, META_FLOAT, "floats") || !check_count(source, found))
        return false;
    for (int32_t i = 0; i < source->vocabulary->count; i++) {
        scores[i] = (float)found->value.array.items[i].real;
        // Merging compares scores: a NaN would make the order of merges depend on the algorithm.
        if (scores[i] != scores[i])
            return fail_key(source, found, "the score of token %" PRId32 " is not a number", i);
    }
    return true;
}

static bool read_types(Source *source)
{
    Vocabulary *vocabulary = source->vocabulary;
    uint8_t *types = ARENA_ARRAY(source->arena, uint8_t, vocabulary->count);
    vocabulary->types = types;
    memset(types, PIECE_NORMAL, (size_t)vocabulary->count);
    const Metadata *found = find_key(source, KEY("token_type"));
    if (!found)
        return true;
    // Converters write i32, some tools u32; below, a negative number is a huge one.
    bool natural = found->value.kind == META_ARRAY && found->value.array.count &&
                   found->value.array.items->kind == META_UINT;
    if (!check_array(source, found, natural ? META_UINT : META_INT, "whole numbers") ||
        !check_count(source, found))
        return false;
    for (int32_t i = 0; i < vocabulary->count; i++) {
        uint64_t type = found->value.array.items[i].natural;
        if (type < PIECE_NORMAL || type > PIECE_BYTE)
            return fail_key(source, found,
                            "token %" PRId32 " has type %" PRId64 " (1 to 6 are defined)", i,
                            (int64_t)type);
        types[i] = (uint8_t)type;
    }
    return true;
}

// One merge, "left right". Pieces hold no spaces, but the left one may begin with anything.
static bool read_merge(Source *source, const Metadata *found, int64_t rank)
{
    const MetaValue *merge = &found->value.array.items[rank];
    const char *text = merge->text.bytes;
    int64_t length = merge->text.length;
    const char *space = length > 1 ? memchr(text + 1, ' ', (size_t)length - 1) : NULL;
    int shown = length < 100 ? (int)length : 100;
    if (!space)
        return fail_key(source, found, "merge %" PRId64 " \"%.*s\" is not two pieces", rank, shown,
                        text);
    int64_t left = space - text;
    MergeProblem problem = maker_add_merge(&source->maker, (PieceText){text, (size_t)left},
                                           (PieceText){space + 1, (size_t)(length - left - 1)});
    if (problem != MERGE_GOOD)
        return fail_key(source, found, "merge %" PRId64 " \"%.*s\": %s", rank, shown, text,
                        maker_merge_problem(problem));
    return true;
}

static bool read_merges(Source *source)
{
    const Metadata *found = find_key(source, KEY("merges"));
    if (!found)
        return fail_missing(source, KEY("merges"));
    if (!check_array(source, found, META_TEXT, "strings"))
        return false;
    int64_t count = found->value.array.count;
    for (int64_t rank = 0; rank < count; rank++)
        if (!read_merge(source, found, rank))
            return false;
    return true;
}

static bool read_id(Source *source, const char *key, int32_t standard, int32_t *id)
{
    int32_t count = source->vocabulary->count;
    const Metadata *found = find_key(source, key);
    *id = standard < count ? standard : TOKEN_NONE;
    if (!found)
        return true;
    const MetaValue *value = &found->value;
    if (value->kind != META_UINT && value->kind != META_INT)
        return fail_key(source, found, "must be a whole number, not %s", value->type_name);
    if (value->natural >= (uint64_t)count)
        return fail_key(source, found, "token %" PRId64 " is not one of the %" PRId32 " tokens",
                        value->integer, count);
    *id = (int32_t)value->natural;
    return true;
}

static bool read_flag(Source *source, const char *key, bool standard, bool *flag)
{
    const Metadata *found = find_key(source, key);
    *flag = standard;
    if (!found)
        return true;
    if (found->value.kind != META_BOOL)
        return fail_key(source, found, "must be a bool, not %s", found->value.type_name);
    *flag = found->value.boolean;
    return true;
}

static bool read_text(Source *source, const char *key, const char **text)
{
    const Metadata *found = find_key(source, key);
    *text = "";
    if (!found)
        return true;
    const MetaValue *value = &found->value;
    if (value->kind != META_TEXT)
        return fail_key(source, found, "must be a string, not %s", value->type_name);
    if (memchr(value->text.bytes, 0, (size_t)value->text.length))
        return fail_key(source, found, "holds a zero byte");
    *text = arena_copy_text(source->arena, value->text.bytes, (size_t)value->text.length);
    return true;
}

static bool read_ends(Source *source)
{
    int32_t turn, message;
    if (!read_id(source, KEY("eot_token_id"), TOKEN_NONE, &turn) ||
        !read_id(source, KEY("eom_token_id"), TOKEN_NONE, &message))
        return false;
    maker_add_end(&source->maker, source->vocabulary->eos);
    maker_add_end(&source->maker, turn);
    maker_add_end(&source->maker, message);
    maker_add_known_ends(&source->maker);
    return true;
}

static bool read_charsmap(Source *source)
{
    const Metadata *found = find_key(source, KEY("precompiled_charsmap"));
    if (!found)
        return true;
    if (!check_array(source, found, META_UINT, "u8"))
        return false;
    int64_t count = found->value.array.count;
    char *bytes = ARENA_ARRAY(source->arena, char, count + 1);
    for (int64_t i = 0; i < count; i++)
        bytes[i] = (char)found->value.array.items[i].natural;
    if (count > 0)
        maker_add_step(&source->maker, TEXT_CHARSMAP, 0, (PieceText){bytes, (size_t)count},
                       PIECE_TEXT(""));
    return true;
}

// The steps of SentencePiece models.
static bool read_spaces(Source *source, const Defaults *standard)
{
    bool dummy, squeeze;
    if (!read_charsmap(source) ||
        !read_flag(source, KEY("add_space_prefix"), standard->add_space_prefix, &dummy) ||
        !read_flag(source, KEY("remove_extra_whitespaces"), false, &squeeze))
        return false;
    if (squeeze)
        maker_add_step(&source->maker, TEXT_SQUEEZE, 0, PIECE_TEXT(""), PIECE_TEXT(""));
    maker_add_spaces(&source->maker, dummy, false);
    maker_add_space_decoder(&source->maker, dummy, squeeze);
    return true;
}

static bool read_family(Source *source, const PreTokenizer **family)
{
    const Metadata *found = find_key(source, KEY("pre"));
    if (!found)
        return fail_missing(source, KEY("pre"));
    *family = pre_tokenizer_find(source->vocabulary->pre_tokenizer);
    return *family || fail_key(source, found,
                               "pre-tokenizer \"%s\" is not known; the names are in "
                               "frontends/tokenizer/pre_tokenizers.def",
                               source->vocabulary->pre_tokenizer);
}

// Added tokens by their types: user-defined pieces always, control and unknown ones on request.
static void note_added(Source *source)
{
    const Vocabulary *vocabulary = source->vocabulary;
    for (int32_t id = 0; id < vocabulary->count; id++) {
        uint8_t type = vocabulary->types[id];
        if (type == PIECE_USER || type == PIECE_CONTROL || type == PIECE_UNKNOWN)
            maker_add_token(&source->maker, id, type == PIECE_USER ? 0 : ADDED_SPECIAL);
    }
}

static bool read_behaviour(Source *source, const Defaults *standard)
{
    Vocabulary *vocabulary = source->vocabulary;
    return read_id(source, KEY("bos_token_id"), standard->bos, &vocabulary->bos) &&
           read_id(source, KEY("eos_token_id"), standard->eos, &vocabulary->eos) &&
           read_id(source, KEY("unknown_token_id"), standard->unknown, &vocabulary->unknown) &&
           read_id(source, KEY("padding_token_id"), standard->padding, &vocabulary->padding) &&
           read_flag(source, KEY("add_bos_token"), standard->add_bos, &vocabulary->add_bos) &&
           read_flag(source, KEY("add_eos_token"), standard->add_eos, &vocabulary->add_eos) &&
           read_text(source, "tokenizer.chat_template", &vocabulary->chat_template) &&
           read_ends(source);
}

static bool read_merging(Source *source, Defaults *standard)
{
    const PreTokenizer *family = NULL;
    if (!read_family(source, &family) || !read_merges(source))
        return false;
    pre_tokenizer_add(family, &source->maker);
    maker_decode_bytes(&source->maker);
    standard->add_bos = family->flags & PRE_BOS;
    return true;
}

static bool read_vocabulary(Source *source, Defaults *standard)
{
    source->vocabulary->kind = standard->kind;
    if (!read_text(source, KEY("pre"), &source->vocabulary->pre_tokenizer) ||
        !read_pieces(source) || !read_scores(source) || !read_types(source))
        return false;
    bool merges = standard->kind == VOCABULARY_MERGES;
    if (!(merges ? read_merging(source, standard) : read_spaces(source, standard)))
        return false;
    note_added(source);
    if (!read_behaviour(source, standard))
        return false;
    maker_finish(&source->maker);
    return true;
}

bool gguf_read_vocabulary(ModelFile *file, Arena *arena, Diag *diag)
{
    static const Defaults known[] = {
        {"llama", VOCABULARY_SCORES, 1, 2, 0, TOKEN_NONE, true, false, true},
        {"gpt2", VOCABULARY_MERGES, TOKEN_NONE, TOKEN_NONE, TOKEN_NONE, TOKEN_NONE, false, false,
         false},
        {"t5", VOCABULARY_UNIGRAM, TOKEN_NONE, 1, 2, 0, false, true, true},
    };
    Source source = {.file = file, .vocabulary = &file->vocabulary, .arena = arena, .diag = diag};
    source.maker = (VocabularyMaker){
        .vocabulary = &file->vocabulary, .arena = arena, .diag = diag, .path = file->path};
    const char *model;
    if (!read_text(&source, KEY("model"), &model))
        return false;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        Defaults standard = known[i];
        if (strcmp(model, standard.model) != 0)
            continue;
        file->has_vocabulary = read_vocabulary(&source, &standard);
        return file->has_vocabulary;
    }
    return true;
}
