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
