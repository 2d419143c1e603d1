// The canonical vocabulary as the keys `tokenizer.*` of a GGUF file. Three kinds have a form there:
// SentencePiece BPE ("llama", scores), byte-level BPE ("gpt2", merges and the name of a family of
// pre-tokenizers) and unigram ("t5"). What the file could not say is refused by name: a model with
// other ids than its tokenizer's is worse than none.
//
// A tokenizer.json writes SentencePiece BPE as merges. Their order gives the scores back: the piece
// that the earliest merge makes has the highest. Pieces that none makes follow in order of their
// ids, as a SentencePiece model has them.
#include <inttypes.h>
#include <string.h>

#include "frontends/gguf/gguf_convention.h"
#include "frontends/tokenizer/pre_tokenizers.h"

#define KEY(name) "tokenizer.ggml." name

static bool fail(const Convention *convention, const char *what)
{
    return diag_fail(convention->diag, (Where){.file = convention->file->path},
                     "tokenizer: %s: GGUF files have no form for it", what);
}

static void put(const Convention *convention, const char *key, MetaValue value)
{
    gguf_put_key(convention->contents, convention->arena, key, value);
}

static void put_array(const Convention *convention, const char *key, const MetaValue *items,
                      int64_t count)
{
    put(convention, key,
        (MetaValue){
            .kind = META_ARRAY, .type_name = "array", .array = {items, count, items->type_name}});
}

static MetaValue text_of(const char *bytes, int64_t length)
{
    return (MetaValue){.kind = META_TEXT, .type_name = "string", .text = {bytes, length}};
}

// --- pieces

// A piece as files spell it: in GPT-2's alphabet where it stands for bytes.
static MetaValue spelled(const Convention *convention, int32_t id)
{
    const Vocabulary *vocabulary = &convention->file->vocabulary;
    const char *piece = vocabulary->bytes + vocabulary->offsets[id];
    int64_t length = vocabulary->offsets[id + 1] - vocabulary->offsets[id];
    if (!vocabulary->byte_level || vocabulary->types[id] != PIECE_NORMAL)
        return text_of(piece, length);
    char *text = arena_alloc(convention->arena, 2 * (size_t)length + 1);
    return text_of(text, byte_alphabet_encode(piece, (size_t)length, text));
}

// Rows of the embedding beyond the pieces get names, as llama.cpp wants one for each.
static bool put_pieces(const Convention *convention, int64_t *count)
{
    const Vocabulary *vocabulary = &convention->file->vocabulary;
    FileWeight embedding;
    *count = vocabulary->count;
    if (model_file_weight(convention->file, "token_embd.weight", convention->arena, &embedding))
        *count = embedding.shape[0];
    if (*count < vocabulary->count)
        return diag_fail(convention->diag, (Where){.file = convention->file->path},
                         "the tokenizer has %" PRId32 " pieces, the embedding %" PRId64 " rows",
                         vocabulary->count, *count);
    MetaValue *pieces = ARENA_ARRAY(convention->arena, MetaValue, *count);
    for (int64_t i = 0; i < *count; i++)
        pieces[i] = i < vocabulary->count
                        ? spelled(convention, (int32_t)i)
                        : gguf_value_text(arena_format(convention->arena, "[PAD%" PRId64 "]", i));
    put_array(convention, KEY("tokens"), pieces, *count);
    return true;
}

static void put_types(const Convention *convention, int64_t count)
{
    const Vocabulary *vocabulary = &convention->file->vocabulary;
    MetaValue *types = ARENA_ARRAY(convention->arena, MetaValue, count);
    for (int64_t i = 0; i < count; i++)
        types[i] =
            (MetaValue){.kind = META_INT,
                        .type_name = "i32",
                        .integer = i < vocabulary->count ? vocabulary->types[i] : PIECE_UNUSED};
    put_array(convention, KEY("token_type"), types, count);
}

static void put_scores(const Convention *convention, const float *scores, int64_t count)
{
    enum { PADDING_SCORE = -10000 };
    MetaValue *items = ARENA_ARRAY(convention->arena, MetaValue, count);
    for (int64_t i = 0; i < count; i++)
        items[i] = (MetaValue){.kind = META_FLOAT,
                               .type_name = "f32",
                               .real = i < convention->file->vocabulary.count ? (double)scores[i]
                                                                              : PADDING_SCORE};
    put_array(convention, KEY("scores"), items, count);
}

static const float *scores_of_merges(const Convention *convention)
{
    const Vocabulary *vocabulary = &convention->file->vocabulary;
    float *scores = ARENA_ARRAY(convention->arena, float, vocabulary->count);
    bool *made = ARENA_ARRAY(convention->arena, bool, vocabulary->count);
    float next = 0;
    for (int32_t i = 0; i < vocabulary->merge_count; i++) {
        int32_t id = vocabulary->merges[i].result;
        if (!made[id])
            scores[id] = next--;
        made[id] = true;
    }
    for (int32_t id = 0; id < vocabulary->count; id++)
        if (!made[id] && vocabulary->types[id] == PIECE_NORMAL)
            scores[id] = next--;
    return scores;
}

static void put_merges(const Convention *convention)
{
    const Vocabulary *vocabulary = &convention->file->vocabulary;
    MetaValue *merges = ARENA_ARRAY(convention->arena, MetaValue, vocabulary->merge_count);
    for (int32_t i = 0; i < vocabulary->merge_count; i++) {
        MetaValue left = spelled(convention, vocabulary->merges[i].left);
        MetaValue right = spelled(convention, vocabulary->merges[i].right);
        merges[i] = gguf_value_text(arena_format(convention->arena, "%.*s %.*s",
                                                 (int)left.text.length, left.text.bytes,
                                                 (int)right.text.length, right.text.bytes));
    }
    if (vocabulary->merge_count)
        put_array(convention, KEY("merges"), merges, vocabulary->merge_count);
}

// --- what surrounds the encoder

static bool is_slice(const Vocabulary *vocabulary, TextSlice slice, const char *text)
{
    return slice.length == strlen(text) &&
           memcmp(vocabulary->step_bytes + slice.begin, text, slice.length) == 0;
}

static void put_charsmap(const Convention *convention, TextSlice map)
{
    MetaValue *items = ARENA_ARRAY(convention->arena, MetaValue, map.length);
    const uint8_t *bytes = (const uint8_t *)convention->file->vocabulary.step_bytes + map.begin;
    for (uint32_t i = 0; i < map.length; i++)
        items[i] = (MetaValue){.kind = META_UINT, .type_name = "u8", .natural = bytes[i]};
    if (map.length)
        put_array(convention, KEY("precompiled_charsmap"), items, map.length);
}

// The steps of a SentencePiece model, whoever wrote them down.
static bool put_spaces(const Convention *convention)
{
    const Vocabulary *vocabulary = &convention->file->vocabulary;
    bool prefix = false, squeeze = false;
    for (int32_t i = 0; i < vocabulary->step_count; i++) {
        const TextStep *step = &vocabulary->steps[i];
        bool marks = is_slice(vocabulary, step->a, "\xe2\x96\x81");
        switch (step->kind) {
        case TEXT_CHARSMAP: put_charsmap(convention, step->a); break;
        case TEXT_SQUEEZE: squeeze = true; break;
        case TEXT_PREPEND: prefix = true; break;
        case TEXT_METASPACE: prefix |= (step->flags & (TEXT_PREPEND | TEXT_FIRST)) != 0; break;
        default:
            if (text_step_table[step->kind].stage != STAGE_DECODE &&
                !(step->kind == TEXT_REPLACE && is_slice(vocabulary, step->a, " ")) &&
                step->kind != TEXT_SPLIT)
                return fail(convention, text_step_table[step->kind].name);
        }
        if ((step->kind == TEXT_PREPEND || step->kind == TEXT_METASPACE) && !marks)
            return fail(convention, "spaces that are not written as U+2581");
    }
    if (!prefix)
        put(convention, KEY("add_space_prefix"), gguf_value_bool(false));
    if (squeeze)
        put(convention, KEY("remove_extra_whitespaces"), gguf_value_bool(true));
    return true;
}

static void put_kind(const Convention *convention, const char *model, const char *family)
{
    put(convention, KEY("model"), gguf_value_text(model));
    put(convention, KEY("pre"), gguf_value_text(family));
}

static bool put_byte_level(const Convention *convention)
{
    const Vocabulary *vocabulary = &convention->file->vocabulary;
    const char *family = vocabulary->pre_tokenizer;
    int64_t count;
    if (!*family)
        family = pre_tokenizer_name(vocabulary, convention->arena);
    if (!family)
        return fail(convention, "how words are cut is that of no family in pre_tokenizers.def");
    put_kind(convention, "gpt2", family);
    if (!put_pieces(convention, &count))
        return false;
    put_types(convention, count);
    put_merges(convention);
    return true;
}

static bool put_scored(const Convention *convention, const char *model, const float *scores)
{
    int64_t count;
    put_kind(convention, model, "default");
    if (!put_pieces(convention, &count))
        return false;
    put_scores(convention, scores, count);
    put_types(convention, count);
    return true;
}

static bool put_model(const Convention *convention)
{
    const Vocabulary *vocabulary = &convention->file->vocabulary;
    if (vocabulary->kind == VOCABULARY_MERGES && vocabulary->byte_level)
        return put_byte_level(convention);
    if (vocabulary->kind == VOCABULARY_MERGES)
        return put_scored(convention, "llama", scores_of_merges(convention)) &&
               put_spaces(convention);
    return put_scored(convention, vocabulary->kind == VOCABULARY_UNIGRAM ? "t5" : "llama",
                      vocabulary->scores) &&
           put_spaces(convention);
}

// The tokenizer's own id, else what config.json says.
static void put_id(const Convention *convention, const char *key, int32_t id, const char *config)
{
    const MetaValue *named = model_file_meta(convention->file, config);
    int32_t count = convention->file->vocabulary.count;
    if (id == TOKEN_NONE && named && named->kind == META_UINT && named->natural < (uint64_t)count)
        id = (int32_t)named->natural;
    if (id != TOKEN_NONE)
        put(convention, key, gguf_value_u32((uint64_t)id));
}

bool gguf_put_tokenizer(const Convention *convention)
{
    const Vocabulary *vocabulary = &convention->file->vocabulary;
    if (!convention->file->has_vocabulary) {
        put(convention, KEY("model"), gguf_value_text("none"));
        return true;
    }
    if (!put_model(convention))
        return false;
    put_id(convention, KEY("bos_token_id"), vocabulary->bos, "bos_token_id");
    put_id(convention, KEY("eos_token_id"), vocabulary->eos, "eos_token_id");
    put_id(convention, KEY("unknown_token_id"), vocabulary->unknown, "unk_token_id");
    put_id(convention, KEY("padding_token_id"), vocabulary->padding, "pad_token_id");
    put(convention, KEY("add_bos_token"), gguf_value_bool(vocabulary->add_bos));
    put(convention, KEY("add_eos_token"), gguf_value_bool(vocabulary->add_eos));
    if (*vocabulary->chat_template)
        put(convention, "tokenizer.chat_template", gguf_value_text(vocabulary->chat_template));
    return true;
}
