// What every reader of a vocabulary needs to lay it out flat.
#ifndef FRONTENDS_TOKENIZER_VOCABULARY_MAKER_H
#define FRONTENDS_TOKENIZER_VOCABULARY_MAKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "graph/base/arena.h"
#include "graph/base/diag.h"
#include "graph/base/vocabulary.h"

typedef struct VocabularyMaker {
    Vocabulary *vocabulary;
    Arena *arena;
    Diag *diag;
    const char *path; // for messages
    Vector(TextStep) steps;
    Vector(AddedToken) added;
    Vector(Merge) merges;
    Vector(char) step_bytes;
} VocabularyMaker;

typedef struct PieceText {
    const char *bytes;
    size_t length;
} PieceText;

#define PIECE_TEXT(literal) ((PieceText){literal, sizeof(literal) - 1})

// A message about the file; returns false.
bool maker_fail(const VocabularyMaker *maker, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// Lays all pieces one after another, all of type normal and score 0, and makes the lookup, which is
// made again by maker_finish. False with a message when there are none or too many.
bool maker_lay_pieces(VocabularyMaker *maker, const PieceText *pieces, int64_t count);

void maker_add_step(VocabularyMaker *maker, TextStepKind kind, uint32_t flags, PieceText a,
                    PieceText b);
void maker_add_token(VocabularyMaker *maker, int32_t id, uint32_t flags);

typedef enum MergeProblem {
    MERGE_GOOD,
    MERGE_NO_LEFT,
    MERGE_NO_RIGHT,
    MERGE_NO_RESULT
} MergeProblem;

// The next merge, of pieces as the file spells them.
MergeProblem maker_add_merge(VocabularyMaker *maker, PieceText left, PieceText right);
const char *maker_merge_problem(MergeProblem problem);

// Rewrites the normal pieces from GPT-2's alphabet to the bytes they mean; what is not written in
// it stays as it is, of type unused. After all merges.
void maker_decode_bytes(VocabularyMaker *maker);

// The steps of SentencePiece: spaces are written as U+2581, one is put before the text (`dummy`;
// with first_only, not after special tokens) and taken away again.
void maker_add_spaces(VocabularyMaker *maker, bool dummy, bool first_only);
// The steps by which pieces become text again; after all others. squeezed: the text had no spaces
// at its start, so all of them go.
void maker_add_space_decoder(VocabularyMaker *maker, bool dummy, bool squeezed);

void maker_add_end(VocabularyMaker *maker, int32_t id);
// Files often name one end only, while the chat template closes turns with another: adds the pieces
// that are known to do so.
void maker_add_known_ends(VocabularyMaker *maker);

// Gives the vocabulary what was collected. Last.
void maker_finish(VocabularyMaker *maker);

// Decodes one piece of GPT-2's alphabet into `out` (as long as the piece); the bytes it has, -1 if
// it is not written in that alphabet.
int64_t byte_alphabet_decode(const char *piece, size_t length, char *out);
// The reverse: writes the bytes in that alphabet into `out` (twice as long); the bytes it has.
int64_t byte_alphabet_encode(const char *bytes, size_t length, char *out);

#endif
