// Byte-pair encoding: the word becomes a list of symbols (characters, or bytes where the vocabulary
// is byte-level), and neighbours are merged, the best first, the leftmost of equals, until no merge
// is left. What is best is all that differs between families: SentencePiece and tiktoken take the
// joint piece of the highest score, Hugging Face's BPE the earliest in a list of pairs. Both become
// a number that sorts, so there is one heap and one loop. Symbols that end without a piece become
// byte pieces `<0xXX>` or the unknown token.
//
// Rules of our own. A byte that belongs to no UTF-8 character is a symbol by itself. Merging and
// falling back never produce control, unknown or byte pieces by their spelling: text that spells
// "<s>" is not a control token unless the caller parses special tokens.
//
// A merge can never cross two characters that no piece holds side by side, so the word is cut there
// and each stretch is merged alone: same result, heaps that stay in the first-level cache. That
// matters where there is no pre-tokenizer and a "word" is the whole text. The set of such pairs is
// a table of bits by hash; a collision only makes a stretch longer. The worst case, a text without
// cuts, is still O(n log n).
//
// Stretches repeat: a direct-mapped table of those seen in this call saves most of the work. A
// table that calls share would need a lock, and memory that outlives them.
#include "runtime/text/bpe.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "graph/base/hash.h"
#include "runtime/text/merge_table.h"
#include "runtime/text/piece_set.h"
#include "runtime/text/utf8.h"

enum { PAIR_BITS = 20, MEMO_TEXT = 28, MEMO_IDS = 8, MEMO_SLOTS_MAX = 8192 };

struct Bpe {
    const Vocabulary *vocabulary;
    MergeTable merges;                      // VOCABULARY_MERGES
    int32_t byte_pieces[256];               // fallbacks; TOKEN_NONE where there is none
    int32_t byte_symbols[256];              // byte-level: the piece that is this byte
    uint64_t pairs[(1u << PAIR_BITS) / 64]; // characters that some piece holds side by side
};

typedef struct Symbol {
    int32_t begin, length;  // bytes of the word; length 0: merged to the left
    int32_t previous, next; // neighbours, -1 at the ends
    int32_t id;             // TOKEN_NONE: no piece
} Symbol;

typedef struct Proposal {
    uint32_t order;              // least first
    int32_t left, right, length; // length of both when proposed: tells a stale proposal
    int32_t result;
} Proposal;

typedef struct Memo {
    uint8_t length, count; // length 0: free
    char text[MEMO_TEXT];
    int32_t ids[MEMO_IDS];
} Memo;

struct BpeScratch {
    Symbol *symbols;
    Proposal *heap; // best first
    int32_t symbol_count, heap_count;
    size_t symbol_capacity; // the heap holds three times as many
    bool after_unknown;     // the last id pushed in this word is the unknown token
    Memo *memos;
    uint32_t memo_mask;
};

// Bytes of the symbol that stands at the beginning.
static int32_t measure_symbol(const Bpe *model, const char *bytes, size_t room)
{
    if (model->vocabulary->byte_level)
        return 1;
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

static void note_pairs(Bpe *model, const char *piece, size_t length)
{
    int32_t left = length ? measure_symbol(model, piece, length) : 0;
    while ((size_t)left < length) {
        int32_t right = measure_symbol(model, piece + left, length - (size_t)left);
        uint32_t bit = hash_pair(piece, left, right);
        model->pairs[bit / 64] |= (uint64_t)1 << bit % 64;
        piece += left;
        length -= (size_t)left;
        left = right;
    }
}

static bool note_byte_piece(Bpe *model, int32_t id, Diag *diag)
{
    const Vocabulary *vocabulary = model->vocabulary;
    uint8_t byte;
    if (!vocabulary_piece_byte(vocabulary, id, &byte))
        return diag_fail(diag, (Where){0},
                         "vocabulary: piece %d is of type byte but is not written like <0x0A>: the "
                         "file is damaged, convert the model again",
                         id);
    if (model->byte_pieces[byte] == TOKEN_NONE)
        model->byte_pieces[byte] = id;
    return true;
}

static bool note_pieces(Bpe *model, Diag *diag)
{
    const Vocabulary *vocabulary = model->vocabulary;
    for (int i = 0; i < 256; i++) {
        char byte = (char)i;
        model->byte_pieces[i] = TOKEN_NONE;
        model->byte_symbols[i] = piece_set_find_text(vocabulary, &byte, 1);
    }
    for (int32_t id = 0; id < vocabulary->count; id++) {
        uint32_t begin = vocabulary->offsets[id];
        if (piece_set_is_text(vocabulary, id))
            note_pairs(model, vocabulary->bytes + begin, vocabulary->offsets[id + 1] - begin);
        else if (vocabulary->types[id] == PIECE_BYTE && !note_byte_piece(model, id, diag))
            return false;
    }
    return vocabulary->kind != VOCABULARY_MERGES ||
           merge_table_fill(&model->merges, vocabulary, diag);
}

Bpe *bpe_new(const Vocabulary *vocabulary, Diag *diag)
{
    Bpe *model = calloc(1, sizeof *model);
    if (!model) {
        tokenizer_fail_memory(diag);
        return NULL;
    }
    model->vocabulary = vocabulary;
    if (note_pieces(model, diag))
        return model;
    bpe_free(model);
    return NULL;
}

void bpe_free(Bpe *model)
{
    if (model)
        merge_table_free(&model->merges);
    free(model);
}

BpeScratch *bpe_scratch_new(size_t text_bytes, Diag *diag)
{
    uint32_t slots = 64;
    while (slots < MEMO_SLOTS_MAX && slots < text_bytes / 16)
        slots *= 2;
    BpeScratch *scratch = calloc(1, sizeof *scratch);
    if (scratch)
        scratch->memos = calloc(slots, sizeof *scratch->memos);
    if (!scratch || !scratch->memos) {
        tokenizer_fail_memory(diag);
        bpe_scratch_free(scratch);
        return NULL;
    }
    scratch->memo_mask = slots - 1;
    return scratch;
}

void bpe_scratch_free(BpeScratch *scratch)
{
    if (!scratch)
        return;
    free(scratch->symbols);
    free(scratch->heap);
    free(scratch->memos);
    free(scratch);
}

static bool reserve_symbols(BpeScratch *scratch, size_t count, Diag *diag)
{
    if (count <= scratch->symbol_capacity)
        return true;
    size_t capacity = scratch->symbol_capacity * 2 > count ? scratch->symbol_capacity * 2 : count;
    capacity = capacity < 32 ? 32 : capacity;
    Symbol *symbols = realloc(scratch->symbols, capacity * sizeof *symbols);
    if (symbols)
        scratch->symbols = symbols;
    Proposal *heap = realloc(scratch->heap, capacity * 3 * sizeof *heap);
    if (heap)
        scratch->heap = heap;
    if (!symbols || !heap)
        return tokenizer_fail_memory(diag);
    scratch->symbol_capacity = capacity;
    return true;
}

static bool merges_before(const Proposal *a, const Proposal *b)
{
    return a->order < b->order || (a->order == b->order && a->left < b->left);
}

static void push_proposal(BpeScratch *scratch, Proposal proposal)
{
    Proposal *heap = scratch->heap;
    int32_t at = scratch->heap_count++;
    while (at > 0 && merges_before(&proposal, &heap[(at - 1) / 2])) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = proposal;
}

static Proposal pop_proposal(BpeScratch *scratch)
{
    Proposal *heap = scratch->heap;
    Proposal best = heap[0], last = heap[--scratch->heap_count];
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

// Numbers that sort against the scores: the highest score is the least.
static uint32_t order_of_score(float score)
{
    uint32_t bits;
    score += 0.0f; // one zero
    memcpy(&bits, &score, sizeof bits);
    return bits >> 31 ? bits : ~(bits | 0x80000000u);
}

static void propose(const Bpe *model, const char *word, BpeScratch *scratch, int32_t left,
                    int32_t right)
{
    if (left < 0 || right < 0)
        return;
    const Symbol *a = &scratch->symbols[left], *b = &scratch->symbols[right];
    Proposal proposal = {.left = left, .right = right, .length = a->length + b->length};
    if (model->vocabulary->kind == VOCABULARY_MERGES) {
        const MergeEntry *entry = merge_table_find(&model->merges, a->id, b->id);
        if (!entry)
            return;
        proposal.order = entry->rank;
        proposal.result = entry->result;
    } else {
        proposal.result = piece_set_find_text(model->vocabulary, word + a->begin, proposal.length);
        if (proposal.result == TOKEN_NONE)
            return;
        proposal.order = order_of_score(model->vocabulary->scores[proposal.result]);
    }
    push_proposal(scratch, proposal);
}

static void merge_symbols(const Bpe *model, const char *word, BpeScratch *scratch)
{
    Symbol *symbols = scratch->symbols;
    for (int32_t i = 0; i + 1 < scratch->symbol_count; i++)
        propose(model, word, scratch, i, i + 1);
    while (scratch->heap_count > 0) {
        Proposal best = pop_proposal(scratch);
        Symbol *left = &symbols[best.left], *right = &symbols[best.right];
        if (left->length == 0 || right->length == 0 || left->length + right->length != best.length)
            continue;
        left->length = best.length;
        left->id = best.result;
        right->length = 0;
        left->next = right->next;
        if (right->next >= 0)
            symbols[right->next].previous = best.left;
        propose(model, word, scratch, left->previous, best.left);
        propose(model, word, scratch, best.left, left->next);
    }
}

static bool push_unknown(const Bpe *model, uint8_t byte, BpeScratch *scratch, TokenList *out,
                         Diag *diag)
{
    const Vocabulary *vocabulary = model->vocabulary;
    if (vocabulary->unknown == TOKEN_NONE)
        return diag_fail(diag, (Where){0},
                         "text: no piece of the vocabulary holds the byte 0x%02X, and there is no "
                         "unknown token: leave the character out",
                         (unsigned)byte);
    bool fused = scratch->after_unknown && vocabulary->fuse_unknown;
    scratch->after_unknown = true;
    return fused || token_list_push(out, vocabulary->unknown, diag);
}

// The ids of a symbol that has no piece: its byte pieces if all are there, else the unknown token.
static bool push_fallback(const Bpe *model, const char *bytes, int32_t length, BpeScratch *scratch,
                          TokenList *out, Diag *diag)
{
    for (int32_t i = 0; i < length; i++)
        if (model->byte_pieces[(uint8_t)bytes[i]] == TOKEN_NONE)
            return push_unknown(model, (uint8_t)bytes[i], scratch, out, diag);
    scratch->after_unknown = false;
    for (int32_t i = 0; i < length; i++)
        if (!token_list_push(out, model->byte_pieces[(uint8_t)bytes[i]], diag))
            return false;
    return true;
}

static bool push_symbols(const Bpe *model, const char *word, BpeScratch *scratch, TokenList *out,
                         Diag *diag)
{
    for (int32_t at = 0; at >= 0; at = scratch->symbols[at].next) {
        const Symbol *symbol = &scratch->symbols[at];
        if (symbol->id == TOKEN_NONE) {
            if (!push_fallback(model, word + symbol->begin, symbol->length, scratch, out, diag))
                return false;
            continue;
        }
        scratch->after_unknown = false;
        if (!token_list_push(out, symbol->id, diag))
            return false;
    }
    return true;
}

static int32_t symbol_id(const Bpe *model, const char *bytes, int32_t length)
{
    return model->vocabulary->byte_level ? model->byte_symbols[(uint8_t)*bytes]
                                         : piece_set_find_text(model->vocabulary, bytes, length);
}

// Where the stretch that begins at `begin` ends: the next place that no merge can cross.
static size_t find_cut(const Bpe *model, const char *word, size_t begin, size_t end)
{
    if (model->vocabulary->byte_level)
        return end;
    int32_t left = measure_symbol(model, word + begin, end - begin);
    size_t at = begin + (size_t)left;
    while (at < end) {
        int32_t right = measure_symbol(model, word + at, end - at);
        uint32_t bit = hash_pair(word + at - left, left, right);
        if (!(model->pairs[bit / 64] >> bit % 64 & 1))
            break;
        at += (size_t)right;
        left = right;
    }
    return at;
}

static bool read_symbols(const Bpe *model, const char *word, size_t begin, size_t end,
                         BpeScratch *scratch, Diag *diag)
{
    scratch->symbol_count = scratch->heap_count = 0;
    if (!reserve_symbols(scratch, end - begin, diag))
        return false;
    for (size_t at = begin; at < end;) {
        int32_t count = scratch->symbol_count++;
        int32_t length = measure_symbol(model, word + at, end - at);
        scratch->symbols[count] = (Symbol){(int32_t)at, length, count - 1, count + 1,
                                           symbol_id(model, word + at, length)};
        at += (size_t)length;
    }
    scratch->symbols[scratch->symbol_count - 1].next = -1;
    return true;
}

static bool encode_stretch(const Bpe *model, const char *word, size_t begin, size_t end,
                           BpeScratch *scratch, TokenList *out, Diag *diag)
{
    if (!read_symbols(model, word, begin, end, scratch, diag))
        return false;
    merge_symbols(model, word, scratch);
    return push_symbols(model, word, scratch, out, diag);
}

static Memo *find_memo(BpeScratch *scratch, const char *text, size_t length)
{
    return length > MEMO_TEXT ? NULL
                              : &scratch->memos[hash64(text, length, 0) & scratch->memo_mask];
}

// Unknown tokens depend on what stands before them, so words with one are not kept.
static void keep_memo(Memo *memo, const char *text, size_t length, const int32_t *ids,
                      int64_t count, int32_t unknown)
{
    if (count > MEMO_IDS)
        return;
    for (int64_t i = 0; i < count; i++)
        if (ids[i] == unknown)
            return;
    memo->length = (uint8_t)length;
    memo->count = (uint8_t)count;
    memcpy(memo->text, text, length);
    memcpy(memo->ids, ids, (size_t)count * sizeof *ids);
}

static bool push_memo(const Memo *memo, BpeScratch *scratch, TokenList *out, Diag *diag)
{
    scratch->after_unknown = false;
    for (int i = 0; i < memo->count; i++)
        if (!token_list_push(out, memo->ids[i], diag))
            return false;
    return true;
}

static bool encode_known_stretch(const Bpe *model, const char *word, size_t begin, size_t end,
                                 BpeScratch *scratch, TokenList *out, Diag *diag)
{
    const char *text = word + begin;
    size_t length = end - begin;
    Memo *memo = find_memo(scratch, text, length);
    if (memo && memo->length == length && memcmp(memo->text, text, length) == 0)
        return push_memo(memo, scratch, out, diag);
    int64_t before = out->count;
    if (!encode_stretch(model, word, begin, end, scratch, out, diag))
        return false;
    if (memo && out->count > before)
        keep_memo(memo, text, length, out->ids + before, out->count - before,
                  model->vocabulary->unknown);
    return true;
}

bool bpe_encode(const Bpe *model, const char *word, size_t length, BpeScratch *scratch,
                TokenList *out, Diag *diag)
{
    assert(length > 0 && length <= TOKENIZER_WORD_MAX);
    scratch->after_unknown = false;
    if (model->vocabulary->whole_words) {
        int32_t id = piece_set_find_text(model->vocabulary, word, (int32_t)length);
        if (id != TOKEN_NONE)
            return token_list_push(out, id, diag);
    }
    for (size_t at = 0; at < length;) {
        size_t end = find_cut(model, word, at, length);
        if (!encode_known_stretch(model, word, at, end, scratch, out, diag))
            return false;
        at = end;
    }
    return true;
}
