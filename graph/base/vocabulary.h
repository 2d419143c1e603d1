// The canonical vocabulary: what every frontend makes and every tokenizer reads. It knows no file
// format; all of it is flat, so that in a plan the pointers lead straight into the mapped file.
#ifndef GRAPH_BASE_VOCABULARY_H
#define GRAPH_BASE_VOCABULARY_H

#include <stdbool.h>
#include <stdint.h>

#include "graph/base/arena.h"
#include "graph/base/diag.h"

typedef enum VocabularyKind {
    VOCABULARY_NONE,
    VOCABULARY_SENTENCEPIECE, // BPE by scores, byte fallback, U+2581 for spaces
    VOCABULARY_BYTE_BPE, // GPT-2 style merges over bytes; refused by name until it is supported
} VocabularyKind;

// As in tokenizer.ggml.token_type and sentencepiece_model.proto.
typedef enum PieceType {
    PIECE_NORMAL = 1,
    PIECE_UNKNOWN = 2,
    PIECE_CONTROL = 3,
    PIECE_USER = 4,
    PIECE_UNUSED = 5,
    PIECE_BYTE = 6,
} PieceType;

enum { VOCABULARY_END_MAX = 16, TOKEN_NONE = -1 };

typedef struct Vocabulary {
    VocabularyKind kind;
    int32_t count;
    const char *bytes;       // all pieces, one after another, not NUL-terminated
    const uint32_t *offsets; // count + 1; piece i is bytes[offsets[i] .. offsets[i + 1])
    const float *scores;     // count
    const uint8_t *types;    // count, PieceType
    int32_t merge_count;     // byte-level BPE; pairs of piece ids in order of rank
    const int32_t *merges;   // 2 * merge_count
    // Open-addressing hash from piece to id: slot = hash64(piece, 0) & mask, linear probing, -1
    // free; of equal pieces the lowest id is found.
    uint32_t lookup_mask;
    const int32_t *lookup;              // lookup_mask + 1
    int32_t bos, eos, unknown, padding; // TOKEN_NONE where absent
    int32_t end_count;                  // every token that ends a generation (eos, eot, eom…)
    int32_t ends[VOCABULARY_END_MAX];
    bool add_bos, add_eos, add_space_prefix, remove_extra_whitespaces;
    const char *pre_tokenizer; // name of the pre-tokenizer family, "" if none
    const char *chat_template; // Jinja source, "" if none
} Vocabulary;

// Fills lookup and lookup_mask from the pieces, in memory of the arena.
void vocabulary_build_lookup(Vocabulary *vocabulary, Arena *arena);
// The id of a piece, TOKEN_NONE if there is none.
int32_t vocabulary_find(const Vocabulary *vocabulary, const char *piece, int64_t length);

#endif
