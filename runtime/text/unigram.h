// The unigram language model (Kudo 2018): of all ways to cut a word into pieces, the one with the
// highest sum of scores.
#ifndef RUNTIME_TEXT_UNIGRAM_H
#define RUNTIME_TEXT_UNIGRAM_H

#include <stdbool.h>
#include <stddef.h>

#include "graph/base/diag.h"
#include "graph/base/vocabulary.h"
#include "runtime/text/tokenizer.h"

typedef struct Unigram Unigram;
typedef struct UnigramScratch UnigramScratch;

// NULL with a message when a byte piece is malformed or memory runs out.
Unigram *unigram_new(const Vocabulary *vocabulary, Diag *diag);
void unigram_free(Unigram *model);

UnigramScratch *unigram_scratch_new(Diag *diag);
void unigram_scratch_free(UnigramScratch *scratch);

// Appends the ids of the word (1 … TOKENIZER_WORD_MAX bytes).
bool unigram_encode(const Unigram *model, const char *word, size_t length, UnigramScratch *scratch,
                    TokenList *out, Diag *diag);

#endif
