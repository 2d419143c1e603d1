// Viterbi over the places of a word. From each place that a path reaches, a trie lists the pieces
// that begin there; a character without a piece of its own may become the unknown token, at the
// lowest score less 10. Of equal sums the path found first stands. Sums are double as in Hugging
// Face's, float where the vocabulary says so, as in SentencePiece: rounding decides ties.
//
// The trie is a hash table from (node, byte) to node. A sorted list of pieces searched by narrowing
// needs no memory but takes a dozen cache misses a byte.
#include "runtime/text/unigram.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/text/piece_set.h"
#include "runtime/text/utf8.h"

static const double unknown_penalty = 10.0;

typedef struct TrieEdge {
    uint32_t parent; // 0: a free slot; the root is node 1
    uint32_t child;
    int32_t id; // the piece that ends here
    uint8_t byte;
} TrieEdge;

struct Unigram {
    const Vocabulary *vocabulary;
    TrieEdge *edges;
    uint32_t mask, edge_count;
    int32_t byte_pieces[256];
    double unknown_score;
};

typedef struct Place {
    double score; // of the best path that ends here
    size_t begin; // where its last piece begins
    int32_t id;
    bool reached;
} Place;

struct UnigramScratch {
    Place *places;
    size_t place_capacity;
    size_t *path; // ends of the best path's pieces, the last first
    size_t path_capacity;
};

static uint32_t edge_slot(const Unigram *model, uint32_t parent, uint8_t byte)
{
    uint64_t key = (uint64_t)parent << 8 | byte;
    return (uint32_t)(key * 0x9e3779b97f4a7c15u >> 32) & model->mask;
}

// The slot of the edge, or the free slot where it would go.
static TrieEdge *find_edge(const Unigram *model, uint32_t parent, uint8_t byte)
{
    uint32_t slot = edge_slot(model, parent, byte);
    while (model->edges[slot].parent != 0 &&
           (model->edges[slot].parent != parent || model->edges[slot].byte != byte))
        slot = (slot + 1) & model->mask;
    return &model->edges[slot];
}

static void add_piece(Unigram *model, int32_t id)
{
    const Vocabulary *vocabulary = model->vocabulary;
    uint32_t node = 1, end = vocabulary->offsets[id + 1];
    TrieEdge *edge = NULL;
    for (uint32_t at = vocabulary->offsets[id]; at < end; at++) {
        uint8_t byte = (uint8_t)vocabulary->bytes[at];
        edge = find_edge(model, node, byte);
        if (edge->parent == 0)
            *edge = (TrieEdge){node, 2 + model->edge_count++, TOKEN_NONE, byte};
        node = edge->child;
    }
    if (edge && edge->id == TOKEN_NONE)
        edge->id = id;
}

static bool is_encodable(const Vocabulary *vocabulary, int32_t id)
{
    return vocabulary->types[id] == PIECE_NORMAL || vocabulary->types[id] == PIECE_USER;
}

// At most one edge a byte of the pieces; half the slots stay free.
static bool reserve_edges(Unigram *model, Diag *diag)
{
    uint64_t bytes = 0, slots = 16;
    for (int32_t id = 0; id < model->vocabulary->count; id++)
        if (is_encodable(model->vocabulary, id))
            bytes += model->vocabulary->offsets[id + 1] - model->vocabulary->offsets[id];
    while (slots < bytes * 2 && slots < (uint64_t)1 << 32)
        slots *= 2;
    model->edges = calloc(slots, sizeof *model->edges);
    model->mask = (uint32_t)(slots - 1);
    return model->edges || tokenizer_fail_memory(diag);
}

static bool note_piece(Unigram *model, int32_t id, Diag *diag)
{
    uint8_t byte;
    if (is_encodable(model->vocabulary, id))
        add_piece(model, id);
    if (model->vocabulary->types[id] != PIECE_BYTE)
        return true;
    if (!vocabulary_piece_byte(model->vocabulary, id, &byte))
        return diag_fail(diag, (Where){0},
                         "vocabulary: piece %d is of type byte but is not written like <0x0A>", id);
    model->byte_pieces[byte] = id;
    return true;
}

static double lowest_score(const Vocabulary *vocabulary)
{
    float lowest = 0;
    for (int32_t id = 0; id < vocabulary->count; id++)
        if (vocabulary->types[id] == PIECE_NORMAL && vocabulary->scores[id] < lowest)
            lowest = vocabulary->scores[id];
    return (double)lowest;
}

Unigram *unigram_new(const Vocabulary *vocabulary, Diag *diag)
{
    Unigram *model = calloc(1, sizeof *model);
    if (!model) {
        tokenizer_fail_memory(diag);
        return NULL;
    }
    model->vocabulary = vocabulary;
    memset(model->byte_pieces, 0xff, sizeof model->byte_pieces);
    bool done = reserve_edges(model, diag);
    for (int32_t id = 0; done && id < vocabulary->count; id++)
        done = note_piece(model, id, diag);
    if (!done) {
        unigram_free(model);
        return NULL;
    }
    model->unknown_score = lowest_score(vocabulary) - unknown_penalty;
    return model;
}

void unigram_free(Unigram *model)
{
    if (model)
        free(model->edges);
    free(model);
}

UnigramScratch *unigram_scratch_new(Diag *diag)
{
    UnigramScratch *scratch = calloc(1, sizeof *scratch);
    if (!scratch)
        tokenizer_fail_memory(diag);
    return scratch;
}

void unigram_scratch_free(UnigramScratch *scratch)
{
    if (!scratch)
        return;
    free(scratch->places);
    free(scratch->path);
    free(scratch);
}

static bool reserve_places(UnigramScratch *scratch, size_t count, Diag *diag)
{
    if (count > scratch->place_capacity) {
        Place *places = realloc(scratch->places, count * sizeof *places);
        if (!places)
            return tokenizer_fail_memory(diag);
        scratch->places = places;
        scratch->place_capacity = count;
    }
    memset(scratch->places, 0, count * sizeof *scratch->places);
    return true;
}

static void reach(const Unigram *model, Place *places, size_t from, size_t to, int32_t id,
                  double score)
{
    double sum = places[from].score + score;
    if (model->vocabulary->single_precision)
        sum = (double)(float)sum;
    if (!places[to].reached || sum > places[to].score)
        places[to] = (Place){sum, from, id, true};
}

// SentencePiece prefers user-defined pieces to nearly any other way to cut them: a tenth a byte but
// for the first (as its version 0.2 measures; no score of the model is above 0).
static double piece_score(const Unigram *model, int32_t id, size_t length)
{
    if (model->vocabulary->types[id] == PIECE_USER)
        return 0.1 * (double)(length - 1);
    return (double)model->vocabulary->scores[id];
}

static void reach_from(const Unigram *model, const char *word, size_t length, Place *places,
                       size_t from)
{
    size_t character = utf8_step(word + from, length - from);
    uint32_t node = 1;
    bool has_character = false;
    for (size_t at = from; at < length; at++) {
        const TrieEdge *edge = find_edge(model, node, (uint8_t)word[at]);
        if (edge->parent == 0)
            break;
        node = edge->child;
        if (edge->id == TOKEN_NONE)
            continue;
        size_t bytes = at + 1 - from;
        has_character |= bytes == character;
        reach(model, places, from, at + 1, edge->id, piece_score(model, edge->id, bytes));
    }
    if (!has_character)
        reach(model, places, from, from + character, TOKEN_NONE, model->unknown_score);
}

static bool read_path(UnigramScratch *scratch, size_t length, size_t *count, Diag *diag)
{
    *count = 0;
    for (size_t at = length; at > 0; at = scratch->places[at].begin) {
        if (*count == scratch->path_capacity) {
            size_t capacity = *count ? *count * 2 : 64;
            size_t *path = realloc(scratch->path, capacity * sizeof *path);
            if (!path)
                return tokenizer_fail_memory(diag);
            scratch->path = path;
            scratch->path_capacity = capacity;
        }
        scratch->path[(*count)++] = at;
    }
    return true;
}

static bool has_byte_pieces(const Unigram *model, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (model->byte_pieces[(uint8_t)bytes[i]] == TOKEN_NONE)
            return false;
    return true;
}

// The ids of a character without a piece.
static bool push_unknown(const Unigram *model, const char *bytes, size_t length, bool after_unknown,
                         TokenList *out, Diag *diag)
{
    if (has_byte_pieces(model, bytes, length)) {
        for (size_t i = 0; i < length; i++)
            if (!token_list_push(out, model->byte_pieces[(uint8_t)bytes[i]], diag))
                return false;
        return true;
    }
    if (after_unknown && model->vocabulary->fuse_unknown)
        return true;
    if (model->vocabulary->unknown == TOKEN_NONE)
        return diag_fail(diag, (Where){0},
                         "text: no piece of the vocabulary holds the byte 0x%02X, and there is no "
                         "unknown token: leave the character out",
                         (unsigned)(uint8_t)*bytes);
    return token_list_push(out, model->vocabulary->unknown, diag);
}

bool unigram_encode(const Unigram *model, const char *word, size_t length, UnigramScratch *scratch,
                    TokenList *out, Diag *diag)
{
    assert(length > 0 && length <= TOKENIZER_WORD_MAX);
    size_t count;
    if (!reserve_places(scratch, length + 1, diag))
        return false;
    scratch->places[0].reached = true;
    for (size_t from = 0; from < length; from++)
        if (scratch->places[from].reached)
            reach_from(model, word, length, scratch->places, from);
    if (!read_path(scratch, length, &count, diag))
        return false;
    bool after_unknown = false;
    while (count-- > 0) {
        const Place *place = &scratch->places[scratch->path[count]];
        size_t bytes = scratch->path[count] - place->begin;
        bool unknown = place->id == TOKEN_NONE;
        bool pushed =
            unknown ? push_unknown(model, word + place->begin, bytes, after_unknown, out, diag)
                    : token_list_push(out, place->id, diag);
        if (!pushed)
            return false;
        after_unknown = unknown;
    }
    return true;
}
