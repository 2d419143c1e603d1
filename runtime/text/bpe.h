// Byte-pair encoding of one word: from bytes to ids, by scores or by a list of merges.
#ifndef RUNTIME_TEXT_BPE_H
#define RUNTIME_TEXT_BPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "graph/base/diag.h"
#include "graph/base/vocabulary.h"
#include "runtime/text/tokenizer.h"

typedef struct Bpe Bpe;
typedef struct BpeScratch BpeScratch;

// NULL with a message when a byte piece is malformed or memory runs out.
Bpe *bpe_new(const Vocabulary *vocabulary, Diag *diag);
void bpe_free(Bpe *model);

// Working memory of one encode call, reused over its words; `text_bytes` is how much will come.
BpeScratch *bpe_scratch_new(size_t text_bytes, Diag *diag);
void bpe_scratch_free(BpeScratch *scratch);

// Appends the ids of the word (1 … TOKENIZER_WORD_MAX bytes).
bool bpe_encode(const Bpe *model, const char *word, size_t length, BpeScratch *scratch,
                TokenList *out, Diag *diag);

#endif
