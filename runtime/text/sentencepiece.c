// SentencePiece BPE (Kudo & Richardson 2018; the merge order of llama.cpp's "SPM"): spaces become
// U+2581, the text becomes a list of characters, and the neighbours whose joint piece has the
// highest score are merged, the leftmost of equals first, until no two neighbours form a piece.
// What is left without a piece becomes its byte pieces `<0xXX>`, or the unknown token.
//
// Rules of our own. A byte that belongs to no UTF-8 character is a symbol by itself. Merging and
// falling back never produce control, unknown or byte pieces by their spelling: text that spells
// "<s>" is not a control token unless the caller parses special tokens.
//
// A merge can never cross two characters that no piece holds side by side, so the text is cut there
// and each stretch, mostly a word, is merged alone: same result, heaps that stay in the first-level
// cache. The set of such pairs is a table of bits by hash; a collision only makes a stretch longer.
// The worst case, a text without cuts, is still O(n log n).
#include "runtime/text/sentencepiece.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/text/special.h"
#include "runtime/text/utf8.h"

enum { PAIR_BITS = 20, BYTE_PIECE_LENGTH = 6 };

struct Sentencepiece {
    const Vocabulary *vocabulary;
    int32_t byte_ids[256];                  // TOKEN_NONE where the vocabulary has no byte piece
    uint64_t pairs[(1u << PAIR_BITS) / 64]; // characters that some piece holds side by side
};

typedef struct Symbol {
    int32_t begin, length;  // bytes of the normalised text; length 0: merged to the left
    int32_t previous, next; // neighbours, -1 at the ends
} Symbol;

typedef struct Merge {
    float score;
    int32_t left, right, length; // length of both when proposed: tells a stale proposal
} Merge;

struct MergeScratch {
    char *text; // the normalised fragment
    size_t text_capacity;
    Symbol *symbols;
    Merge *heap; // best first
    int32_t symbol_count, heap_count;
    size_t symbol_capacity; // the heap holds three times as many
};

bool sentencepiece_piece_byte(const Vocabulary *vocabulary, int32_t id, uint8_t *byte)
{
    const char *piece = vocabulary->bytes + vocabulary->offsets[id];
    if (vocabulary->offsets[id + 1] - vocabulary->offsets[id] != BYTE_PIECE_LENGTH ||
        memcmp(piece, "<0x", 3) != 0 || piece[5] != '>')
        return false;
    unsigned value = 0;
    for (int i = 3; i < 5; i++) {
        char digit = piece[i];
        if (digit >= '0' && digit <= '9')
            value = value * 16 + (unsigned)(digit - '0');
        else if (digit >= 'A' && digit <= 'F')
            value = value * 16 + (unsigned)(digit - 'A' + 10);
        else
            return false;
    }
    *byte = (uint8_t)value;
    return true;
}

static bool is_text_piece(const Vocabulary *vocabulary, int32_t id)
{
    const uint32_t types =
        PIECE_SET(PIECE_NORMAL) | PIECE_SET(PIECE_USER) | PIECE_SET(PIECE_UNUSED);
    return vocabulary->types[id] < 32 && types >> vocabulary->types[id] & 1;
}

// The id of a piece that plain text may become.
static int32_t find_text_piece(const Vocabulary *vocabulary, const char *bytes, int32_t length)
{
    int32_t id = vocabulary_find(vocabulary, bytes, length);
    return id != TOKEN_NONE && is_text_piece(vocabulary, id) ? id : TOKEN_NONE;
}

// Bytes of the symbol that stands at the beginning: a character, or a byte that belongs to none.
static int32_t measure_symbol(const char *bytes, size_t room)
{
    int length = utf8_measure(bytes, room);
    return length > 0 ? length : 1;
}

static uint32_t hash_pair(const char *bytes, int32_t left, int32_t right)
{
    uint32_t first = 0, second = 0;
    memcpy(&first, bytes, (size_t)left);
    memcpy(&second, bytes + left, (size_t)right);
    uint64_t key = (uint64_t)first << 32 | second;
    return (uint32_t)(key * 0x9e3779b97f4a7c15u >> (64 - PAIR_BITS));
}

static void note_pairs(Sentencepiece *model, const char *piece, size_t length)
{
    int32_t left = length ? measure_symbol(piece, length) : 0;
    while ((size_t)left < length) {
        int32_t right = measure_symbol(piece + left, length - (size_t)left);
        uint32_t bit = hash_pair(piece, left, right);
        model->pairs[bit / 64] |= (uint64_t)1 << bit % 64;
        piece += left;
        length -= (size_t)left;
        left = right;
    }
}

static bool note_byte(Sentencepiece *model, int32_t id, Diag *diag)
{
    const Vocabulary *vocabulary = model->vocabulary;
    uint8_t byte;
    if (!sentencepiece_piece_byte(vocabulary, id, &byte))
        return diag_fail(diag, (Where){0},
                         "vocabulary: piece %d is of type byte but is not written like <0x0A>: the "
                         "file is damaged, convert the model again",
                         id);
    if (model->byte_ids[byte] == TOKEN_NONE)
        model->byte_ids[byte] = id;
    return true;
}

Sentencepiece *sentencepiece_new(const Vocabulary *vocabulary, Diag *diag)
{
    Sentencepiece *model = calloc(1, sizeof *model);
    if (!model) {
        tokenizer_fail_memory(diag);
        return NULL;
    }
    model->vocabulary = vocabulary;
    memset(model->byte_ids, 0xff, sizeof model->byte_ids);
    for (int32_t id = 0; id < vocabulary->count; id++) {
        uint32_t begin = vocabulary->offsets[id];
        if (is_text_piece(vocabulary, id)) {
            note_pairs(model, vocabulary->bytes + begin, vocabulary->offsets[id + 1] - begin);
        } else if (vocabulary->types[id] == PIECE_BYTE && !note_byte(model, id, diag)) {
            sentencepiece_free(model);
            return NULL;
        }
    }
    return model;
}

void sentencepiece_free(Sentencepiece *model)
{
    free(model);
}

MergeScratch *merge_scratch_new(Diag *diag)
{
    MergeScratch *scratch = calloc(1, sizeof *scratch);
    if (!scratch)
        tokenizer_fail_memory(diag);
    return scratch;
}

void merge_scratch_free(MergeScratch *scratch)
{
    if (!scratch)
        return;
    free(scratch->text);
    free(scratch->symbols);
    free(scratch->heap);
    free(scratch);
}

static bool reserve_text(MergeScratch *scratch, size_t bytes, Diag *diag)
{
    if (bytes <= scratch->text_capacity)
        return true;
    char *text = realloc(scratch->text, bytes);
    if (!text)
        return tokenizer_fail_memory(diag);
    scratch->text = text;
    scratch->text_capacity = bytes;
    return true;
}

static bool reserve_symbols(MergeScratch *scratch, size_t count, Diag *diag)
{
    if (count <= scratch->symbol_capacity)
        return true;
    size_t capacity = scratch->symbol_capacity * 2 > count ? scratch->symbol_capacity * 2 : count;
    Symbol *symbols = realloc(scratch->symbols, capacity * sizeof *symbols);
    if (symbols)
        scratch->symbols = symbols;
    Merge *heap = realloc(scratch->heap, capacity * 3 * sizeof *heap);
    if (heap)
        scratch->heap = heap;
    if (!symbols || !heap)
        return tokenizer_fail_memory(diag);
    scratch->symbol_capacity = capacity;
    return true;
}

// Writes the text with spaces as U+2581 into the scratch; returns its length, 0 when out of memory.
static size_t normalise(MergeScratch *scratch, const char *text, size_t length, bool space_before,
                        Diag *diag)
{
    size_t spaces = space_before;
    for (size_t i = 0; i < length; i++)
        spaces += text[i] == ' ';
    if (!reserve_text(scratch, length + spaces * UTF8_SPACE_BYTES, diag))
        return 0;
    char *out = scratch->text;
    if (space_before) {
        memcpy(out, UTF8_SPACE, UTF8_SPACE_BYTES);
        out += UTF8_SPACE_BYTES;
    }
    for (size_t i = 0; i < length; i++) {
        if (text[i] == ' ') {
            memcpy(out, UTF8_SPACE, UTF8_SPACE_BYTES);
            out += UTF8_SPACE_BYTES;
        } else {
            *out++ = text[i];
        }
    }
    return (size_t)(out - scratch->text);
}

static bool merges_before(const Merge *a, const Merge *b)
{
    return a->score > b->score || (a->score == b->score && a->left < b->left);
}

static void push_merge(MergeScratch *scratch, Merge merge)
{
    Merge *heap = scratch->heap;
    int32_t at = scratch->heap_count++;
    while (at > 0 && merges_before(&merge, &heap[(at - 1) / 2])) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = merge;
}

static Merge pop_merge(MergeScratch *scratch)
{
    Merge *heap = scratch->heap;
    Merge best = heap[0], last = heap[--scratch->heap_count];
    int32_t at = 0, count = scratch->heap_count;
    for (;;) {
        int32_t child = 2 * at + 1;
        if (child >= count)
            break;
        if (child + 1 < count && merges_before(&heap[child + 1], &heap[child]))
            child++;
        if (!merges_before(&heap[child], &last))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = last;
    return best;
}

static void propose_merge(const Sentencepiece *model, MergeScratch *scratch, int32_t left,
                          int32_t right)
{
    if (left < 0 || right < 0)
        return;
    const Symbol *symbol = &scratch->symbols[left];
    int32_t length = symbol->length + scratch->symbols[right].length;
    int32_t id = find_text_piece(model->vocabulary, scratch->text + symbol->begin, length);
    if (id != TOKEN_NONE)
        push_merge(scratch, (Merge){model->vocabulary->scores[id], left, right, length});
}

static void merge_symbols(const Sentencepiece *model, MergeScratch *scratch)
{
    Symbol *symbols = scratch->symbols;
    while (scratch->heap_count > 0) {
        Merge merge = pop_merge(scratch);
        Symbol *left = &symbols[merge.left], *right = &symbols[merge.right];
        if (left->length == 0 || right->length == 0 || left->length + right->length != merge.length)
            continue;
        left->length = merge.length;
        right->length = 0;
        left->next = right->next;
        if (right->next >= 0)
            symbols[right->next].previous = merge.left;
        propose_merge(model, scratch, left->previous, merge.left);
        propose_merge(model, scratch, merge.left, left->next);
    }
}

// The ids of a symbol that has no piece: its byte pieces if all are there, else the unknown token.
static bool push_fallback(const Sentencepiece *model, const char *bytes, int32_t length,
                          TokenList *out, Diag *diag)
{
    int32_t known = 0;
    while (known < length && model->byte_ids[(uint8_t)bytes[known]] != TOKEN_NONE)
        known++;
    if (known < length && model->vocabulary->unknown == TOKEN_NONE)
        return diag_fail(diag, (Where){0},
                         "text: no piece of the vocabulary holds the byte 0x%02X, and there is no "
                         "unknown token: leave the character out",
                         (unsigned)(uint8_t)bytes[known]);
    if (known < length)
        return token_list_push(out, model->vocabulary->unknown, diag);
    for (int32_t i = 0; i < length; i++)
        if (!token_list_push(out, model->byte_ids[(uint8_t)bytes[i]], diag))
            return false;
    return true;
}

static bool push_symbols(const Sentencepiece *model, const MergeScratch *scratch, TokenList *out,
                         Diag *diag)
{
    for (int32_t at = 0; at >= 0; at = scratch->symbols[at].next) {
        const char *bytes = scratch->text + scratch->symbols[at].begin;
        int32_t length = scratch->symbols[at].length;
        int32_t id = find_text_piece(model->vocabulary, bytes, length);
        bool pushed = id != TOKEN_NONE ? token_list_push(out, id, diag)
                                       : push_fallback(model, bytes, length, out, diag);
        if (!pushed)
            return false;
    }
    return true;
}

// Reads symbols from `begin` up to the next place that no merge can cross.
static bool read_stretch(const Sentencepiece *model, MergeScratch *scratch, size_t begin,
                         size_t end, Diag *diag)
{
    size_t at = begin;
    bool joined = true;
    scratch->symbol_count = scratch->heap_count = 0;
    while (joined && at < end) {
        int32_t count = scratch->symbol_count;
        if (!reserve_symbols(scratch, (size_t)count + 1, diag))
            return false;
        int32_t length = measure_symbol(scratch->text + at, end - at);
        scratch->symbols[count] = (Symbol){(int32_t)at, length, count - 1, count + 1};
        scratch->symbol_count++;
        size_t next = at + (size_t)length;
        if (next < end) {
            int32_t right = measure_symbol(scratch->text + next, end - next);
            uint32_t bit = hash_pair(scratch->text + at, length, right);
            joined = model->pairs[bit / 64] >> bit % 64 & 1;
        }
        at = next;
    }
    scratch->symbols[scratch->symbol_count - 1].next = -1;
    return true;
}

bool sentencepiece_encode(const Sentencepiece *model, const char *text, size_t length,
                          bool space_before, MergeScratch *scratch, TokenList *out, Diag *diag)
{
    assert(length > 0 && length <= TOKENIZER_TEXT_MAX);
    size_t end = normalise(scratch, text, length, space_before, diag);
    if (end == 0)
        return false;
    for (size_t at = 0; at < end;) {
        if (!read_stretch(model, scratch, at, end, diag))
            return false;
        const Symbol *last = &scratch->symbols[scratch->symbol_count - 1];
        at = (size_t)last->begin + (size_t)last->length;
        for (int32_t i = 0; i + 1 < scratch->symbol_count; i++)
            propose_merge(model, scratch, i, i + 1);
        merge_symbols(model, scratch);
        if (!push_symbols(model, scratch, out, diag))
            return false;
    }
    return true;
}
