// What surrounds the encoder, in Hugging Face's order: added tokens that are looked for in raw text
// are cut out; each stretch between them is normalised; added tokens that are looked for in
// normalised text are cut out; what is left is cut into words, and each word is encoded. Begin and
// end ids stand around it all.
#include "runtime/text/tokenizer.h"

#include <stdlib.h>

#include "runtime/text/bpe.h"
#include "runtime/text/normalise.h"
#include "runtime/text/special.h"
#include "runtime/text/unigram.h"
#include "runtime/text/words.h"

struct Tokenizer {
    const Vocabulary *vocabulary;
    Bpe *bpe;         // or
    Unigram *unigram; // by the vocabulary's kind
    Normaliser *normaliser;
    WordSplitter *splitter;
    Specials *raw;        // added tokens that are looked for in raw text
    Specials *normalised; // and in normalised text
};

// One encode call.
typedef struct Encode {
    const Tokenizer *tokenizer;
    bool parse_special;
    BpeScratch *bpe;
    UnigramScratch *unigram;
    PatternScratch *patterns;
    NormaliseScratch normalise;
    WordScratch words;
    TokenList *out;
    Diag *diag;
} Encode;

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
    if (vocabulary->add_bos && vocabulary->bos == TOKEN_NONE)
        return diag_fail(diag, (Where){0},
                         "vocabulary: asks for a begin-of-text token but names none");
    if (vocabulary->add_eos && vocabulary->eos == TOKEN_NONE)
        return diag_fail(diag, (Where){0},
                         "vocabulary: asks for an end-of-text token but names none");
    return true;
}

static bool make_parts(Tokenizer *tokenizer, Diag *diag)
{
    const Vocabulary *vocabulary = tokenizer->vocabulary;
    bool unigram = vocabulary->kind == VOCABULARY_UNIGRAM;
    if (unigram)
        tokenizer->unigram = unigram_new(vocabulary, diag);
    else
        tokenizer->bpe = bpe_new(vocabulary, diag);
    tokenizer->normaliser = normaliser_new(vocabulary, diag);
    tokenizer->splitter = word_splitter_new(vocabulary, diag);
    tokenizer->raw = specials_new(vocabulary, NULL, diag);
    if (tokenizer->normaliser)
        tokenizer->normalised = specials_new(vocabulary, tokenizer->normaliser, diag);
    return (tokenizer->unigram || tokenizer->bpe) && tokenizer->normaliser && tokenizer->splitter &&
           tokenizer->raw && tokenizer->normalised;
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
    tokenizer->vocabulary = vocabulary;
    if (make_parts(tokenizer, diag))
        return tokenizer;
    tokenizer_free(tokenizer);
    return NULL;
}

void tokenizer_free(Tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    bpe_free(tokenizer->bpe);
    unigram_free(tokenizer->unigram);
    normaliser_free(tokenizer->normaliser);
    word_splitter_free(tokenizer->splitter);
    specials_free(tokenizer->raw);
    specials_free(tokenizer->normalised);
    free(tokenizer);
}

const Vocabulary *tokenizer_vocabulary(const Tokenizer *tokenizer)
{
    return tokenizer->vocabulary;
}

static bool begin_encode(Encode *encode, size_t length)
{
    encode->patterns = pattern_scratch_new(encode->diag);
    if (encode->tokenizer->unigram)
        encode->unigram = unigram_scratch_new(encode->diag);
    else
        encode->bpe = bpe_scratch_new(length, encode->diag);
    encode->normalise.patterns = encode->words.patterns = encode->patterns;
    return encode->patterns && (encode->unigram || encode->bpe);
}

static void end_encode(Encode *encode)
{
    buffer_free(&encode->normalise.buffers[0]);
    buffer_free(&encode->normalise.buffers[1]);
    word_scratch_free(&encode->words);
    pattern_scratch_free(encode->patterns);
    bpe_scratch_free(encode->bpe);
    unigram_scratch_free(encode->unigram);
}

// A stretch of normalised text without added tokens.
static bool encode_words(Encode *encode, const char *text, size_t length, bool at_start)
{
    const Tokenizer *tokenizer = encode->tokenizer;
    Words words;
    if (!word_splitter_run(tokenizer->splitter, &encode->words, text, length, at_start, &words,
                           encode->diag))
        return false;
    for (size_t i = 0; i < words.count; i++) {
        const char *word = words.text + words.items[i].begin;
        size_t bytes = words.items[i].length;
        bool done = tokenizer->unigram ? unigram_encode(tokenizer->unigram, word, bytes,
                                                        encode->unigram, encode->out, encode->diag)
                                       : bpe_encode(tokenizer->bpe, word, bytes, encode->bpe,
                                                    encode->out, encode->diag);
        if (!done)
            return false;
    }
    return true;
}

typedef bool EncodeStretch(Encode *encode, const char *text, size_t length, bool at_start);

// Cuts added tokens out and gives what is between them to `inner`.
static bool encode_between(Encode *encode, const Specials *specials, EncodeStretch *inner,
                           const char *text, size_t length, bool at_start)
{
    if (specials_is_empty(specials))
        return length == 0 || inner(encode, text, length, at_start);
    FragmentList fragments = {0};
    bool done =
        specials_split(specials, text, length, encode->parse_special, &fragments, encode->diag);
    for (size_t i = 0; done && i < fragments.count; i++) {
        const Fragment *fragment = &fragments.items[i];
        done = fragment->id != TOKEN_NONE ? token_list_push(encode->out, fragment->id, encode->diag)
                                          : inner(encode, text + fragment->begin, fragment->length,
                                                  at_start && fragment->begin == 0);
    }
    fragment_list_free(&fragments);
    return done;
}

static bool encode_raw(Encode *encode, const char *text, size_t length, bool at_start)
{
    return normaliser_apply(encode->tokenizer->normaliser, &encode->normalise, at_start, &text,
                            &length, encode->diag) &&
           encode_between(encode, encode->tokenizer->normalised, encode_words, text, length,
                          at_start);
}

static bool encode_text(const Tokenizer *tokenizer, const char *text, size_t length,
                        bool parse_special, TokenList *out, Diag *diag)
{
    Encode encode = {
        .tokenizer = tokenizer, .parse_special = parse_special, .out = out, .diag = diag};
    bool done = begin_encode(&encode, length) &&
                encode_between(&encode, tokenizer->raw, encode_raw, text, length, true);
    end_encode(&encode);
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
