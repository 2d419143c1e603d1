// Text to token ids. A Tokenizer is built once over a vocabulary, never changes, and may be used by
// several threads at once; all memory of an encode lives for that call.
#ifndef RUNTIME_TEXT_TOKENIZER_H
#define RUNTIME_TEXT_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "graph/base/diag.h"
#include "graph/base/vocabulary.h"

typedef struct Tokenizer Tokenizer;

// Token ids in malloced memory; zero to begin with.
typedef struct TokenList {
    int32_t *ids;
    int64_t count, capacity;
} TokenList;

bool token_list_push(TokenList *list, int32_t id, Diag *diag);
void token_list_free(TokenList *list);

typedef struct EncodeOptions {
    bool add_special;   // begin-of-text and end-of-text ids, as far as the vocabulary asks for them
    bool parse_special; // recognise special added tokens in the text, e.g. "<s>"
} EncodeOptions;

// The longest text that is encoded at once, and the longest it may become when it is normalised;
// the indices of a call are 32 bits wide.
#define TOKENIZER_TEXT_MAX ((size_t)256 << 20)
#define TOKENIZER_WORD_MAX ((size_t)1 << 30)

// NULL with a message when the vocabulary is missing, inconsistent, or has a pattern that is
// not understood. The vocabulary is borrowed and must have been checked (ids in range, lookup with
// a free slot).
Tokenizer *tokenizer_new(const Vocabulary *vocabulary, Diag *diag);
void tokenizer_free(Tokenizer *tokenizer);
const Vocabulary *tokenizer_vocabulary(const Tokenizer *tokenizer);

// Appends the ids of the text, which may hold any bytes. A byte that belongs to no UTF-8 character
// is a symbol of its own: no normalisation or pattern sees it, words end before and behind it, and
// it becomes the piece of that byte, or where there is none the unknown token. Fails, leaving `out`
// as it was, when memory runs out, the text is too long, or a character has neither a piece, nor
// byte pieces, nor an unknown token to stand for it.
bool tokenizer_encode(const Tokenizer *tokenizer, const char *text, size_t length,
                      EncodeOptions options, TokenList *out, Diag *diag);

// For the parts of the tokenizer: reports that memory ran out; returns false.
bool tokenizer_fail_memory(Diag *diag);

#endif
