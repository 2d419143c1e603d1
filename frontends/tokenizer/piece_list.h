// Pieces as readers of Hugging Face's and SentencePiece's files meet them: by id, in any order,
// some of them told twice.
#ifndef FRONTENDS_TOKENIZER_PIECE_LIST_H
#define FRONTENDS_TOKENIZER_PIECE_LIST_H

#include "frontends/tokenizer/vocabulary_maker.h"

typedef struct ListedPiece {
    PieceText text;
    float score;
    uint8_t type;   // 0: nothing was told of this id
    bool added;     // is an added token
    uint32_t flags; // ADDED_ of an added token
} ListedPiece;

typedef struct PieceList {
    VocabularyMaker *maker;
    const struct cJSON *extra; // added tokens by id that stand beside the file, NULL if none
    ListedPiece *items;
    int64_t count, capacity, told; // told: ids that something was told of
} PieceList;

// The text is copied. False with a message when the id is absurd or was told already.
bool piece_list_set(PieceList *list, int64_t id, PieceText text, float score, uint8_t type);
// An added token, which may name an id that was told. It is of type control if it is special, else
// user-defined.
bool piece_list_add(PieceList *list, int64_t id, PieceText text, uint32_t flags);
// Lays the pieces out and adds the added tokens; ids that nothing was told of become empty unused
// pieces.
bool piece_list_lay(PieceList *list);

#endif
