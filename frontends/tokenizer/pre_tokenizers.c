// The table is pre_tokenizers.def. A name that is not in it is refused: wrong words give wrong ids
// without any sign of it.
#include "frontends/tokenizer/pre_tokenizers.h"

#include <string.h>

static const PreTokenizer table[] = {
#define PRE(name, flags, ...) {name, flags, {__VA_ARGS__}},
#include "frontends/tokenizer/pre_tokenizers.def"
#undef PRE
};

const PreTokenizer *pre_tokenizer_find(const char *name)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

static bool same_slice(const Vocabulary *a, TextSlice in_a, const Vocabulary *b, TextSlice in_b)
{
    return in_a.length == in_b.length &&
           (in_a.length == 0 ||
            memcmp(a->step_bytes + in_a.begin, b->step_bytes + in_b.begin, in_a.length) == 0);
}

// Whether both have the same steps up to those of decoding.
static bool same_words(const Vocabulary *a, const Vocabulary *b)
{
    int32_t i = 0;
    for (; i < a->step_count && text_step_table[a->steps[i].kind].stage != STAGE_DECODE; i++)
        if (i >= b->step_count || a->steps[i].kind != b->steps[i].kind ||
            a->steps[i].flags != b->steps[i].flags ||
            !same_slice(a, a->steps[i].a, b, b->steps[i].a) ||
            !same_slice(a, a->steps[i].b, b, b->steps[i].b))
            return false;
    return i == b->step_count && a->whole_words == b->whole_words;
}

const char *pre_tokenizer_name(const Vocabulary *vocabulary, Arena *arena)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        Vocabulary words = {0};
        VocabularyMaker maker = {.vocabulary = &words, .arena = arena};
        pre_tokenizer_add(&table[i], &maker);
        words.steps = maker.steps.items;
        words.step_count = maker.steps.count;
        words.step_bytes = maker.step_bytes.items;
        if (same_words(vocabulary, &words))
            return table[i].name;
    }
    return NULL;
}

void pre_tokenizer_add(const PreTokenizer *family, VocabularyMaker *maker)
{
    if (family->flags & PRE_NFC)
        maker_add_step(maker, TEXT_NFC, 0, PIECE_TEXT(""), PIECE_TEXT(""));
    for (int i = 0; i < PRE_PATTERNS_MAX && family->patterns[i]; i++)
        maker_add_step(maker, TEXT_SPLIT, SPLIT_ISOLATED,
                       (PieceText){family->patterns[i], strlen(family->patterns[i])},
                       PIECE_TEXT(""));
    maker->vocabulary->whole_words |= (family->flags & PRE_WHOLE_WORDS) != 0;
}
