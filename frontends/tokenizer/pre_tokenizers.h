// The pre-tokenizers that GGUF files name under `tokenizer.ggml.pre`.
#ifndef FRONTENDS_TOKENIZER_PRE_TOKENIZERS_H
#define FRONTENDS_TOKENIZER_PRE_TOKENIZERS_H

#include <stdbool.h>

#include "frontends/tokenizer/vocabulary_maker.h"

enum { PRE_NFC = 1, PRE_WHOLE_WORDS = 2, PRE_BOS = 4, PRE_PATTERNS_MAX = 6 };

typedef struct PreTokenizer {
    const char *name;
    uint32_t flags; // PRE_
    const char *patterns[PRE_PATTERNS_MAX];
} PreTokenizer;

// NULL for a name that is not known.
const PreTokenizer *pre_tokenizer_find(const char *name);
// Adds its normaliser and its splits.
void pre_tokenizer_add(const PreTokenizer *family, VocabularyMaker *maker);
// The name of the first family that cuts words as the vocabulary does; NULL where none does.
const char *pre_tokenizer_name(const Vocabulary *vocabulary, Arena *arena);

#endif
