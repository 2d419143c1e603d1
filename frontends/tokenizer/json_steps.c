// The steps of a tokenizer.json: each type of normalizer, pre_tokenizer and decoder becomes rows of
// text_steps.def. Types that are not in the tables below are refused by name.
//
// ByteLevel maps bytes to GPT-2's alphabet; our pieces are decoded to bytes instead, so all that is
// left of it are its space and its pattern. A step behind it in a sequence is run on the text, not
// on the alphabet: that differs only for patterns that match Latin-1 signs as bytes of others.
#include <string.h>

#include "frontends/tokenizer/pre_tokenizers.h"
#include "frontends/tokenizer/readers.h"

typedef bool ReadStep(VocabularyMaker *maker, const cJSON *step);

typedef struct StepType {
    const char *name;
    ReadStep *read;
} StepType;

#define NOTHING PIECE_TEXT("")
#define MEMBER(object, name) cJSON_GetObjectItemCaseSensitive(object, name)

static bool read_step(VocabularyMaker *maker, const cJSON *step, const char *stage,
                      const StepType *types, size_t count)
{
    const char *type = json_text(step, "type");
    if (!step || cJSON_IsNull(step))
        return true;
    for (size_t i = 0; type && i < count; i++)
        if (strcmp(types[i].name, type) == 0)
            return types[i].read(maker, step);
    return maker_fail(maker, "%s %.40s is not supported", stage, type ? type : "without type");
}

static bool read_list(VocabularyMaker *maker, const cJSON *list, ReadStep *read)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        if (!read(maker, item))
            return false;
    }
    return true;
}

// A pattern is {"String": text} or {"Regex": expression}.
static bool read_pattern(const VocabularyMaker *maker, const cJSON *step, PieceText *text,
                         bool *is_text)
{
    const cJSON *pattern = MEMBER(step, "pattern");
    const cJSON *string = MEMBER(pattern, "String"), *regex = MEMBER(pattern, "Regex");
    *is_text = cJSON_IsString(string);
    *text = json_piece(*is_text ? string : regex);
    return *is_text || cJSON_IsString(regex) || maker_fail(maker, "a step has no pattern");
}

// --- normalizers

static ReadStep read_normaliser;

#define PLAIN(function, kind)                                                                      \
    static bool function(VocabularyMaker *maker, const cJSON *step)                                \
    {                                                                                              \
        (void)step;                                                                                \
        maker_add_step(maker, kind, 0, NOTHING, NOTHING);                                          \
        return true;                                                                               \
    }
PLAIN(read_nfc, TEXT_NFC)
PLAIN(read_nfd, TEXT_NFD)
PLAIN(read_nfkc, TEXT_NFKC)
PLAIN(read_nfkd, TEXT_NFKD)
PLAIN(read_lowercase, TEXT_LOWERCASE)
PLAIN(read_strip_accents, TEXT_STRIP_ACCENTS)

static bool read_nothing(VocabularyMaker *maker, const cJSON *step)
{
    (void)maker, (void)step;
    return true;
}

static bool read_strip(VocabularyMaker *maker, const cJSON *step)
{
    uint32_t flags = (json_flag(step, "strip_left", true) ? TEXT_LEFT : 0u) |
                     (json_flag(step, "strip_right", true) ? TEXT_RIGHT : 0u);
    maker_add_step(maker, TEXT_STRIP, flags, NOTHING, NOTHING);
    return true;
}

static bool read_prepend(VocabularyMaker *maker, const cJSON *step)
{
    maker_add_step(maker, TEXT_PREPEND, 0, json_piece(MEMBER(step, "prepend")), NOTHING);
    return true;
}

static bool read_replace(VocabularyMaker *maker, const cJSON *step)
{
    PieceText pattern;
    bool is_text;
    if (!read_pattern(maker, step, &pattern, &is_text))
        return false;
    maker_add_step(maker, is_text ? TEXT_REPLACE : TEXT_REPLACE_PATTERN, 0, pattern,
                   json_piece(MEMBER(step, "content")));
    return true;
}

static bool read_precompiled(VocabularyMaker *maker, const cJSON *step)
{
    PieceText map;
    const cJSON *text = MEMBER(step, "precompiled_charsmap");
    if (!cJSON_IsString(text) || !base64_read(maker->arena, json_piece(text), &map))
        return maker_fail(maker, "the precompiled_charsmap is not base64");
    if (map.length)
        maker_add_step(maker, TEXT_CHARSMAP, 0, map, NOTHING);
    return true;
}

static bool read_normalisers(VocabularyMaker *maker, const cJSON *step)
{
    return read_list(maker, MEMBER(step, "normalizers"), read_normaliser);
}

static bool read_normaliser(VocabularyMaker *maker, const cJSON *step)
{
    static const StepType types[] = {
        {"NFC", read_nfc},
        {"NFD", read_nfd},
        {"NFKC", read_nfkc},
        {"NFKD", read_nfkd},
        {"Lowercase", read_lowercase},
        {"StripAccents", read_strip_accents},
        {"Strip", read_strip},
        {"Prepend", read_prepend},
        {"Replace", read_replace},
        {"Precompiled", read_precompiled},
        {"Sequence", read_normalisers},
    };
    return read_step(maker, step, "normalizer", types, sizeof types / sizeof *types);
}

// --- pre-tokenizers

static ReadStep read_pre_tokenizer;

static void add_split(VocabularyMaker *maker, PieceText pattern, uint32_t flags)
{
    maker_add_step(maker, TEXT_SPLIT, flags, pattern, NOTHING);
}

static bool read_behaviour(const VocabularyMaker *maker, const cJSON *step, uint32_t *flags)
{
    static const char *const names[SPLIT_BEHAVIOUR_COUNT] = {
        [SPLIT_ISOLATED] = "Isolated",
        [SPLIT_REMOVED] = "Removed",
        [SPLIT_MERGED_WITH_PREVIOUS] = "MergedWithPrevious",
        [SPLIT_MERGED_WITH_NEXT] = "MergedWithNext",
        [SPLIT_CONTIGUOUS] = "Contiguous",
    };
    const char *name = json_text(step, "behavior");
    for (uint32_t i = 0; name && i < SPLIT_BEHAVIOUR_COUNT; i++)
        if (strcmp(names[i], name) == 0) {
            *flags = i;
            return true;
        }
    return maker_fail(maker, "a pre_tokenizer has the behavior %.40s, which is not known",
                      name ? name : "(none)");
}

// A literal text as an expression.
static PieceText quote_text(VocabularyMaker *maker, PieceText text)
{
    char *out = arena_alloc(maker->arena, text.length * 2 + 1);
    size_t made = 0;
    for (size_t i = 0; i < text.length; i++) {
        if (strchr("\\^$.[]|()?*+{}#-", text.bytes[i]))
            out[made++] = '\\';
        out[made++] = text.bytes[i];
    }
    return (PieceText){out, made};
}

static bool read_split(VocabularyMaker *maker, const cJSON *step)
{
    PieceText pattern;
    bool is_text;
    uint32_t flags;
    if (!read_pattern(maker, step, &pattern, &is_text) || !read_behaviour(maker, step, &flags))
        return false;
    flags |= json_flag(step, "invert", false) ? TEXT_INVERT : 0u;
    add_split(maker, is_text ? quote_text(maker, pattern) : pattern, flags);
    return true;
}

static bool read_byte_level(VocabularyMaker *maker, const cJSON *step)
{
    if (json_flag(step, "add_prefix_space", true))
        maker_add_step(maker, TEXT_PREFIX_SPACE, 0, NOTHING, NOTHING);
    if (json_flag(step, "use_regex", true))
        pre_tokenizer_add(pre_tokenizer_find("gpt-2"), maker);
    maker->vocabulary->byte_level = true;
    return true;
}

static bool read_digits(VocabularyMaker *maker, const cJSON *step)
{
    bool single = json_flag(step, "individual_digits", false);
    add_split(maker, single ? PIECE_TEXT("\\p{N}") : PIECE_TEXT("\\p{N}+"), SPLIT_ISOLATED);
    return true;
}

static bool read_punctuation(VocabularyMaker *maker, const cJSON *step)
{
    uint32_t flags = SPLIT_ISOLATED;
    if (MEMBER(step, "behavior") && !read_behaviour(maker, step, &flags))
        return false;
    add_split(maker, PIECE_TEXT("[\\p{P}!-/:-@\\[-`{-~]"), flags);
    return true;
}

static bool read_whitespace(VocabularyMaker *maker, const cJSON *step)
{
    (void)step;
    add_split(
        maker,
        PIECE_TEXT("[\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}]+|[^\\s\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}]+"),
        SPLIT_REMOVED | TEXT_INVERT);
    return true;
}

static bool read_whitespace_split(VocabularyMaker *maker, const cJSON *step)
{
    (void)step;
    add_split(maker, PIECE_TEXT("\\s"), SPLIT_REMOVED);
    return true;
}

// The scheme of a Metaspace; old files have a flag instead.
static const char *prepend_scheme(const cJSON *step)
{
    const char *scheme = json_text(step, "prepend_scheme");
    return scheme ? scheme : json_flag(step, "add_prefix_space", true) ? "always" : "never";
}

static bool read_metaspace(VocabularyMaker *maker, const cJSON *step)
{
    const char *scheme = prepend_scheme(step);
    uint32_t flags = json_flag(step, "split", true) ? TEXT_CUT : 0u;
    if (strcmp(scheme, "always") == 0)
        flags |= TEXT_BEFORE;
    else if (strcmp(scheme, "first") == 0)
        flags |= TEXT_BEFORE | TEXT_FIRST;
    else if (strcmp(scheme, "never") != 0)
        return maker_fail(maker, "Metaspace has the prepend_scheme %.40s, which is not known",
                          scheme);
    PieceText mark = json_piece(MEMBER(step, "replacement"));
    if (mark.length == 0)
        return maker_fail(maker, "Metaspace has no replacement");
    maker_add_step(maker, TEXT_METASPACE, flags, mark, NOTHING);
    return true;
}

static bool read_pre_tokenizers(VocabularyMaker *maker, const cJSON *step)
{
    return read_list(maker, MEMBER(step, "pretokenizers"), read_pre_tokenizer);
}

static bool read_pre_tokenizer(VocabularyMaker *maker, const cJSON *step)
{
    static const StepType types[] = {
        {"ByteLevel", read_byte_level},  {"Split", read_split},
        {"Digits", read_digits},         {"Punctuation", read_punctuation},
        {"Whitespace", read_whitespace}, {"WhitespaceSplit", read_whitespace_split},
        {"Metaspace", read_metaspace},   {"Sequence", read_pre_tokenizers},
    };
    return read_step(maker, step, "pre_tokenizer", types, sizeof types / sizeof *types);
}

// --- decoders

static ReadStep read_decoder;

static bool read_decode_replace(VocabularyMaker *maker, const cJSON *step)
{
    PieceText pattern;
    bool is_text;
    if (!read_pattern(maker, step, &pattern, &is_text))
        return false;
    if (!is_text || pattern.length == 0)
        return maker_fail(maker,
                          "a decoder that replaces matches of an expression is not supported");
    maker_add_step(maker, TEXT_DECODE_REPLACE, 0, pattern, json_piece(MEMBER(step, "content")));
    return true;
}

// What a piece holds where the decoders before have made `text` of it.
static PieceText before_replacements(const VocabularyMaker *maker, PieceText text)
{
    for (int32_t i = 0; i < maker->steps.count; i++) {
        const TextStep *step = &maker->steps.items[i];
        if (step->kind == TEXT_DECODE_REPLACE && step->b.length == text.length &&
            memcmp(maker->step_bytes.items + step->b.begin, text.bytes, text.length) == 0)
            return (PieceText){maker->step_bytes.items + step->a.begin, step->a.length};
    }
    return text;
}

static bool read_decode_strip(VocabularyMaker *maker, const cJSON *step)
{
    const cJSON *start = MEMBER(step, "start"), *stop = MEMBER(step, "stop");
    bool once = cJSON_IsNumber(start) && start->valuedouble == 1;
    if (!once || (cJSON_IsNumber(stop) && stop->valuedouble != 0))
        return maker_fail(maker, "a Strip decoder other than of one character at the start is not "
                                 "supported");
    maker_add_step(maker, TEXT_DECODE_STRIP, 0,
                   before_replacements(maker, json_piece(MEMBER(step, "content"))), NOTHING);
    return true;
}

static bool read_decode_metaspace(VocabularyMaker *maker, const cJSON *step)
{
    PieceText mark = json_piece(MEMBER(step, "replacement"));
    if (mark.length == 0)
        return maker_fail(maker, "Metaspace has no replacement");
    maker_add_step(maker, TEXT_DECODE_REPLACE, 0, mark, PIECE_TEXT(" "));
    if (strcmp(prepend_scheme(step), "never") != 0)
        maker_add_step(maker, TEXT_DECODE_STRIP, 0, mark, NOTHING);
    return true;
}

static bool read_decoders(VocabularyMaker *maker, const cJSON *step)
{
    return read_list(maker, MEMBER(step, "decoders"), read_decoder);
}

static bool read_decoder(VocabularyMaker *maker, const cJSON *step)
{
    // Bytes are put together anyway, and pieces one after another.
    static const StepType types[] = {
        {"ByteLevel", read_nothing},  {"ByteFallback", read_nothing},
        {"Fuse", read_nothing},       {"Replace", read_decode_replace},
        {"Strip", read_decode_strip}, {"Metaspace", read_decode_metaspace},
        {"Sequence", read_decoders},
    };
    return read_step(maker, step, "decoder", types, sizeof types / sizeof *types);
}

bool json_steps_read(VocabularyMaker *maker, const cJSON *root)
{
    if (!read_normaliser(maker, MEMBER(root, "normalizer")) ||
        !read_pre_tokenizer(maker, MEMBER(root, "pre_tokenizer")) ||
        !read_decoder(maker, MEMBER(root, "decoder")))
        return false;
    if (maker->vocabulary->byte_level)
        maker_decode_bytes(maker);
    return true;
}
