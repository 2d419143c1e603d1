// Added tokens are grouped by length, longest group first, sorted by bytes within a group. One walk
// over the text: a table of first bytes passes over most positions; at the others the groups are
// searched, longest first. The cost there is the number of distinct lengths (ten or so in real
// vocabularies), not of tokens.
//
// Leftmost longest is what Hugging Face and SentencePiece do. llama.cpp takes longer tokens first
// over the whole text, which differs only where the tail of one token is the head of another.
#include "runtime/text/special.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "runtime/text/tokenizer.h"
#include "runtime/text/utf8.h"

typedef struct Piece {
    size_t begin, length; // in the bytes of all pieces
    const char *bytes;
    int32_t id;
    uint32_t flags;
} Piece;

typedef struct Group {
    size_t length, first, count; // pieces[first .. first + count) have this length
} Group;

struct Specials {
    Buffer bytes;
    Piece *pieces;
    size_t piece_count;
    Group *groups;
    size_t group_count;
    bool begins[256]; // which bytes a piece begins with
};

static int compare_pieces(const void *left, const void *right)
{
    const Piece *a = left, *b = right;
    if (a->length != b->length)
        return a->length > b->length ? -1 : 1;
    int order = memcmp(a->bytes, b->bytes, a->length);
    return order ? order : (a->id > b->id) - (a->id < b->id);
}

static bool collect_piece(Specials *specials, const Vocabulary *vocabulary, const AddedToken *added,
                          const Normaliser *normaliser, NormaliseScratch *scratch, Diag *diag)
{
    const char *text = vocabulary->bytes + vocabulary->offsets[added->id];
    size_t length = vocabulary->offsets[added->id + 1] - vocabulary->offsets[added->id];
    if (normaliser && !normaliser_apply(normaliser, scratch, false, &text, &length, diag))
        return false;
    if (length == 0)
        return true;
    specials->pieces[specials->piece_count++] =
        (Piece){specials->bytes.length, length, NULL, added->id, added->flags};
    return buffer_append(&specials->bytes, text, length, diag);
}

static bool collect_pieces(Specials *specials, const Vocabulary *vocabulary,
                           const Normaliser *normaliser, Diag *diag)
{
    NormaliseScratch scratch = {.patterns = pattern_scratch_new(diag)};
    bool done = scratch.patterns != NULL;
    for (int32_t i = 0; done && i < vocabulary->added_count; i++) {
        const AddedToken *added = &vocabulary->added[i];
        if (!(added->flags & ADDED_NORMALISED) == !normaliser)
            done = collect_piece(specials, vocabulary, added, normaliser, &scratch, diag);
    }
    pattern_scratch_free(scratch.patterns);
    buffer_free(&scratch.buffers[0]);
    buffer_free(&scratch.buffers[1]);
    for (size_t i = 0; i < specials->piece_count; i++)
        specials->pieces[i].bytes = specials->bytes.bytes + specials->pieces[i].begin;
    if (specials->piece_count)
        qsort(specials->pieces, specials->piece_count, sizeof *specials->pieces, compare_pieces);
    return done;
}

static void group_pieces(Specials *specials)
{
    Group *group = NULL;
    for (size_t i = 0; i < specials->piece_count; i++) {
        const Piece *piece = &specials->pieces[i];
        if (!group || group->length != piece->length) {
            group = &specials->groups[specials->group_count++];
            *group = (Group){.length = piece->length, .first = i};
        }
        group->count++;
        specials->begins[(uint8_t)piece->bytes[0]] = true;
    }
}

Specials *specials_new(const Vocabulary *vocabulary, const Normaliser *normaliser, Diag *diag)
{
    Specials *specials = calloc(1, sizeof *specials);
    size_t room = (size_t)vocabulary->added_count + 1;
    if (specials) {
        specials->pieces = calloc(room, sizeof *specials->pieces);
        specials->groups = calloc(room, sizeof *specials->groups);
    }
    if (!specials || !specials->pieces || !specials->groups) {
        tokenizer_fail_memory(diag);
        specials_free(specials);
        return NULL;
    }
    if (!collect_pieces(specials, vocabulary, normaliser, diag)) {
        specials_free(specials);
        return NULL;
    }
    group_pieces(specials);
    return specials;
}

void specials_free(Specials *specials)
{
    if (!specials)
        return;
    buffer_free(&specials->bytes);
    free(specials->pieces);
    free(specials->groups);
    free(specials);
}

bool specials_is_empty(const Specials *specials)
{
    return specials->piece_count == 0;
}

static bool push_fragment(FragmentList *list, Fragment fragment, Diag *diag)
{
    if (fragment.length == 0)
        return true;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 16;
        Fragment *items = realloc(list->items, capacity * sizeof *items);
        if (!items)
            return tokenizer_fail_memory(diag);
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = fragment;
    return true;
}

void fragment_list_free(FragmentList *list)
{
    free(list->items);
    *list = (FragmentList){0};
}

// The piece of the group that stands at `text`, of equal pieces the one with the lowest id.
static const Piece *find_in_group(const Specials *specials, const Group *group, const char *text)
{
    size_t low = group->first, high = group->first + group->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (memcmp(specials->pieces[middle].bytes, text, group->length) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < group->first + group->count &&
                 memcmp(specials->pieces[low].bytes, text, group->length) == 0;
    return found ? &specials->pieces[low] : NULL;
}

static const Piece *find_piece(const Specials *specials, const char *text, size_t room)
{
    for (size_t i = 0; i < specials->group_count; i++) {
        const Group *group = &specials->groups[i];
        const Piece *piece = group->length <= room ? find_in_group(specials, group, text) : NULL;
        if (piece)
            return piece;
    }
    return NULL;
}

static bool is_word_character(const char *bytes, size_t room)
{
    int measured = utf8_measure(bytes, room);
    if (measured <= 0)
        return false;
    switch (utf8proc_category((utf8proc_int32_t)utf8_decode(bytes, measured))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC: return true;
    default: return false;
    }
}

// Where the character that ends at `end` begins.
static size_t character_before(const char *text, size_t end)
{
    size_t begin = end - 1;
    while (begin > 0 && end - begin < 4 && !utf8_is_boundary(text, end, begin))
        begin--;
    return utf8_measure(text + begin, end - begin) == (int)(end - begin) ? begin : end - 1;
}

static bool stands_alone(const char *text, size_t length, size_t begin, size_t end)
{
    if (end < length && is_word_character(text + end, length - end))
        return false;
    if (begin == 0)
        return true;
    size_t before = character_before(text, begin);
    return !is_word_character(text + before, begin - before);
}

static bool is_space_at(const char *text, size_t begin, size_t end)
{
    int measured = utf8_measure(text + begin, end - begin);
    return measured > 0 && utf8_is_space(utf8_decode(text + begin, measured));
}

// Widens [*begin, *end) by the white space that the token takes along, not before `done`.
static void take_space(const Piece *piece, const char *text, size_t length, size_t done,
                       size_t *begin, size_t *end)
{
    while ((piece->flags & ADDED_LSTRIP) && *begin > done) {
        size_t before = character_before(text, *begin);
        if (before < done || !is_space_at(text, before, *begin))
            break;
        *begin = before;
    }
    while ((piece->flags & ADDED_RSTRIP) && *end < length && is_space_at(text, *end, length))
        *end += utf8_step(text + *end, length - *end);
}

bool specials_split(const Specials *specials, const char *text, size_t length, bool parse_special,
                    FragmentList *out, Diag *diag)
{
    size_t done = 0, at = 0;
    while (specials->piece_count && at < length) {
        const Piece *piece = specials->begins[(uint8_t)text[at]]
                                 ? find_piece(specials, text + at, length - at)
                                 : NULL;
        if (!piece) {
            at++;
            continue;
        }
        size_t begin = at, end = at + piece->length;
        at = end;
        if (((piece->flags & ADDED_SPECIAL) && !parse_special) ||
            ((piece->flags & ADDED_WORD) && !stands_alone(text, length, begin, end)))
            continue;
        take_space(piece, text, length, done, &begin, &end);
        if (!push_fragment(out, (Fragment){done, begin - done, TOKEN_NONE}, diag) ||
            !push_fragment(out, (Fragment){begin, end - begin, piece->id}, diag))
            return false;
        done = at = end;
    }
    return push_fragment(out, (Fragment){done, length - done, TOKEN_NONE}, diag);
}
