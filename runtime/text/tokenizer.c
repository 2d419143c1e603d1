// What surrounds the byte-pair encoder: special tokens cut out of the text, begin and end ids, and
// the dummy space, in llama.cpp's order. The dummy space goes before each stretch of raw text that
// stands at the beginning or after a special token.
#include "runtime/text/tokenizer.h"

#include <stdlib.h>

#include "runtime/text/sentencepiece.h"
#include "runtime/text/special.h"

struct Tokenizer {
    const Vocabulary *vocabulary;
    Sentencepiece *model;
    Specials *always; // user-defined pieces
    Specials *parsed; // and control and unknown pieces, when the caller parses special tokens
};

bool tokenizer_fail_memory(Diag *diag)
{
    return diag_fail(diag, (Where){0}, "tokenizer: out of memory");
}

bool token_list_push(TokenList *list, int32_t id, Diag *diag)
{
    if (list->count == list->capacity) {
        int64_t capacity = list->capacity ? list->capacity * 2 : 64;
        int32_t *ids = realloc(list->ids, (size_t)capacity * sizeof *ids);
        if (!ids)
            return tokenizer_fail_memory(diag);
        list->ids = ids;
        list->capacity = capacity;
    }
    list->ids[list->count++] = id;
    return true;
}

void token_list_free(TokenList *list)
{
    free(list->ids);
    *list = (TokenList){0};
}

static bool check_vocabulary(const Vocabulary *vocabulary, Diag *diag)
{
    if (vocabulary->kind == VOCABULARY_NONE)
        return diag_fail(diag, (Where){0}, "tokenizer: this model has no vocabulary");
    if (vocabulary->kind == VOCABULARY_BYTE_BPE)
        return diag_fail(diag, (Where){0},
                         "tokenizer: byte-level BPE vocabularies are not supported yet");
    if (vocabulary->remove_extra_whitespaces)
        return diag_fail(diag, (Where){0},
                         "tokenizer: vocabularies that remove extra whitespace are not supported");
    if (vocabulary->add_bos && vocabulary->bos == TOKEN_NONE)
        return diag_fail(diag, (Where){0},
                         "vocabulary: asks for a begin-of-text token but names none");
    if (vocabulary->add_eos && vocabulary->eos == TOKEN_NONE)
        return diag_fail(diag, (Where){0},
                         "vocabulary: asks for an end-of-text token but names none");
    return true;
}

Tokenizer *tokenizer_new(const Vocabulary *vocabulary, Diag *diag)
{
    if (!check_vocabulary(vocabulary, diag))
        return NULL;
    Tokenizer *tokenizer = calloc(1, sizeof *tokenizer);
    if (!tokenizer) {
        tokenizer_fail_memory(diag);
        return NULL;
    }
    const uint32_t user = PIECE_SET(PIECE_USER);
    const uint32_t parsed = user | PIECE_SET(PIECE_CONTROL) | PIECE_SET(PIECE_UNKNOWN);
    tokenizer->vocabulary = vocabulary;
    tokenizer->model = sentencepiece_new(vocabulary, diag);
    tokenizer->always = specials_new(vocabulary, user, diag);
    tokenizer->parsed = specials_new(vocabulary, parsed, diag);
    if (!tokenizer->model || !tokenizer->always || !tokenizer->parsed) {
        tokenizer_free(tokenizer);
        return NULL;
    }
    return tokenizer;
}

void tokenizer_free(Tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    sentencepiece_free(tokenizer->model);
    specials_free(tokenizer->always);
    specials_free(tokenizer->parsed);
    free(tokenizer);
}

const Vocabulary *tokenizer_vocabulary(const Tokenizer *tokenizer)
{
    return tokenizer->vocabulary;
}

static bool encode_fragments(const Tokenizer *tokenizer, const char *text,
                             const FragmentList *fragments, MergeScratch *scratch, TokenList *out,
                             Diag *diag)
{
    bool after_special = true;
    for (size_t i = 0; i < fragments->count; i++) {
        const Fragment *fragment = &fragments->items[i];
        bool special = fragment->id != TOKEN_NONE;
        bool space = tokenizer->vocabulary->add_space_prefix && after_special;
        bool pushed = special ? token_list_push(out, fragment->id, diag)
                              : sentencepiece_encode(tokenizer->model, text + fragment->begin,
                                                     fragment->length, space, scratch, out, diag);
        if (!pushed)
            return false;
        after_special = special;
    }
    return true;
}

static bool encode_text(const Tokenizer *tokenizer, const char *text, size_t length,
                        bool parse_special, TokenList *out, Diag *diag)
{
    FragmentList fragments = {0};
    const Specials *specials = parse_special ? tokenizer->parsed : tokenizer->always;
    MergeScratch *scratch = merge_scratch_new(diag);
    bool done = scratch && specials_split(specials, text, length, &fragments, diag) &&
                encode_fragments(tokenizer, text, &fragments, scratch, out, diag);
    merge_scratch_free(scratch);
    fragment_list_free(&fragments);
    return done;
}

bool tokenizer_encode(const Tokenizer *tokenizer, const char *text, size_t length,
                      EncodeOptions options, TokenList *out, Diag *diag)
{
    if (length > TOKENIZER_TEXT_MAX)
        return diag_fail(diag, (Where){0},
                         "text: %zu bytes are more than the %zu that are encoded at once", length,
                         TOKENIZER_TEXT_MAX);
    const Vocabulary *vocabulary = tokenizer->vocabulary;
    int64_t before = out->count;
    bool add_bos = options.add_special && vocabulary->add_bos;
    bool add_eos = options.add_special && vocabulary->add_eos;
    bool done = (!add_bos || token_list_push(out, vocabulary->bos, diag)) &&
                encode_text(tokenizer, text, length, options.parse_special, out, diag) &&
                (!add_eos || token_list_push(out, vocabulary->eos, diag));
    if (!done)
        out->count = before;
    return done;
}
