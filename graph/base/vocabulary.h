// The canonical vocabulary: what every frontend makes and every tokenizer reads. It knows no file
// format; all of it is flat, so that in a plan the pointers lead straight into the mapped file.
#ifndef GRAPH_BASE_VOCABULARY_H
#define GRAPH_BASE_VOCABULARY_H

#include <stdbool.h>
#include <stdint.h>

#include "graph/base/arena.h"
#include "graph/base/text.h"

typedef enum VocabularyKind {
    VOCABULARY_NONE,
    VOCABULARY_SCORES,  // BPE: the neighbours whose joint piece has the highest score merge first
    VOCABULARY_MERGES,  // BPE: a list of merges, the earliest first
    VOCABULARY_UNIGRAM, // the segmentation with the highest sum of scores
    VOCABULARY_KIND_COUNT
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

// What surrounds the encoder is a list of steps (text_steps.def).
typedef enum TextStepKind {
#define STEP(name, stage, flags) TEXT_##name,
#include "graph/base/text_steps.def"
#undef STEP
    TEXT_STEP_COUNT
} TextStepKind;

typedef enum TextStage { STAGE_NORMALISE, STAGE_SPLIT, STAGE_DECODE } TextStage;

// What SPLIT does with a match of its pattern; with TEXT_INVERT, with what lies between matches.
typedef enum SplitBehaviour {
    SPLIT_ISOLATED,
    SPLIT_REMOVED,
    SPLIT_MERGED_WITH_PREVIOUS,
    SPLIT_MERGED_WITH_NEXT,
    SPLIT_CONTIGUOUS,
    SPLIT_BEHAVIOUR_COUNT
} SplitBehaviour;

enum {
    TEXT_BEHAVIOUR = 7, // a SplitBehaviour
    TEXT_INVERT = 8,
    TEXT_LEFT = 16,
    TEXT_RIGHT = 32,
    TEXT_BEFORE = 64, // METASPACE also before every word, with TEXT_FIRST before the first only
    TEXT_FIRST = 128, // PREPEND: only where the text begins, not after a special token
    TEXT_CUT = 256,   // METASPACE begins a word at every space
};

typedef struct TextSlice {
    uint32_t begin, length; // in step_bytes
} TextSlice;

typedef struct TextStep {
    uint32_t kind, flags; // TextStepKind, TEXT_ bits
    TextSlice a, b;
} TextStep;

// A piece that is cut out of the text before anything else sees it.
enum {
    ADDED_SPECIAL = 1,     // only where the caller parses special tokens
    ADDED_LSTRIP = 2,      // takes white space before it along
    ADDED_RSTRIP = 4,      // and behind it
    ADDED_WORD = 8,        // not inside a word
    ADDED_NORMALISED = 16, // looked for in the normalised text
    ADDED_FLAGS = 31
};

typedef struct AddedToken {
    int32_t id;
    uint32_t flags;
} AddedToken;

// One merge: two pieces and the piece they make.
typedef struct Merge {
    int32_t left, right, result;
} Merge;

enum { VOCABULARY_END_MAX = 16, TOKEN_NONE = -1 };

typedef struct Vocabulary {
    VocabularyKind kind;
    int32_t count;
    // All pieces, one after another, not NUL-terminated; what a byte-level file writes in GPT-2's
    // alphabet stands here as the bytes it means.
    const char *bytes;
    const uint32_t *offsets; // count + 1; piece i is bytes[offsets[i] .. offsets[i + 1])
    const float *scores;     // count
    const uint8_t *types;    // count, PieceType
    int32_t merge_count;     // VOCABULARY_MERGES
    const Merge *merges;     // in order of rank
    int32_t step_count;
    const TextStep *steps; // stage by stage
    uint32_t step_byte_count;
    const char *step_bytes;
    int32_t added_count;
    const AddedToken *added; // ascending ids
    // Open-addressing hash from piece to id: slot = hash64(piece, 0) & mask, linear probing, -1
    // free; of equal pieces a normal one is found, else the lowest id.
    uint32_t lookup_mask;
    const int32_t *lookup;              // lookup_mask + 1
    int32_t bos, eos, unknown, padding; // TOKEN_NONE where absent
    int32_t end_count;                  // every token that ends a generation (eos, eot, eom…)
    int32_t ends[VOCABULARY_END_MAX];
    bool add_bos, add_eos;
    bool byte_level;           // BPE begins with bytes, not with characters
    bool whole_words;          // a word that is a piece is not merged (ignore_merges)
    bool fuse_unknown;         // neighbours without a piece become one unknown token
    bool single_precision;     // Unigram adds scores as floats, as SentencePiece does
    const char *pre_tokenizer; // name of GGUF's pre-tokenizer family, "" if none
    const char *chat_template; // Jinja source, "" if none
} Vocabulary;

typedef struct TextStepRow {
    const char *name;
    TextStage stage;
    uint32_t flags; // that it may carry
} TextStepRow;
extern const TextStepRow text_step_table[TEXT_STEP_COUNT];

// Fills lookup and lookup_mask from the pieces, in memory of the arena.
void vocabulary_build_lookup(Vocabulary *vocabulary, Arena *arena);
// The id of a piece, TOKEN_NONE if there is none.
int32_t vocabulary_find(const Vocabulary *vocabulary, const char *piece, int64_t length);
// The byte that a piece like "<0x0A>" names; false if the piece is not of that form.
bool vocabulary_piece_byte(const Vocabulary *vocabulary, int32_t id, uint8_t *byte);
// "BPE by merges (qwen2), 151936 pieces, 151387 merges, steps NFC SPLIT": one line, not ended.
void vocabulary_print(const Vocabulary *vocabulary, Text *out);

#endif
