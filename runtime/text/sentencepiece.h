// SentencePiece byte-pair encoding of raw text: from a run of bytes without special tokens to ids.
#ifndef RUNTIME_TEXT_SENTENCEPIECE_H
#define RUNTIME_TEXT_SENTENCEPIECE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "graph/base/diag.h"
#include "graph/base/vocabulary.h"
#include "runtime/text/tokenizer.h"

typedef struct Sentencepiece Sentencepiece;
typedef struct MergeScratch MergeScratch;

// NULL with a message when a byte piece is malformed or memory runs out.
Sentencepiece *sentencepiece_new(const Vocabulary *vocabulary, Diag *diag);
void sentencepiece_free(Sentencepiece *model);

// Working memory of one encode call, reused over its fragments.
MergeScratch *merge_scratch_new(Diag *diag);
void merge_scratch_free(MergeScratch *scratch);

// Appends the ids of the text (at most TOKENIZER_TEXT_MAX bytes), with a space before it if asked
// for.
bool sentencepiece_encode(const Sentencepiece *model, const char *text, size_t length,
                          bool space_before, MergeScratch *scratch, TokenList *out, Diag *diag);

// The byte that a piece like "<0x0A>" names; false if the piece is not of that form.
bool sentencepiece_piece_byte(const Vocabulary *vocabulary, int32_t id, uint8_t *byte);

#endif
