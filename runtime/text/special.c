// Special pieces are grouped by length, longest group first, sorted by bytes within a group. A
// group is one pass over the raw text that is left: a table of first bytes passes over most
// positions, a binary search decides the rest. The cost is text times distinct lengths (ten or so
// in real vocabularies), not text times pieces.
//
// Longest first over the whole text is llama.cpp's order. Taking the leftmost longest match in a
// single walk would be faster, but differs where a short piece overlaps the head of a longer one.
#include "runtime/text/special.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/text/tokenizer.h"

typedef struct Piece {
    const char *bytes;
    size_t length;
    int32_t id;
} Piece;

typedef struct Group {
    size_t length, first, count; // pieces[first .. first + count) have this length
    bool begins[256];            // which bytes one of them begins with
} Group;

struct Specials {
    Piece *pieces;
    size_t piece_count;
    Group *groups;
    size_t group_count;
};

static int compare_pieces(const void *left, const void *right)
{
    const Piece *a = left, *b = right;
    if (a->length != b->length)
        return a->length > b->length ? -1 : 1;
    int order = memcmp(a->bytes, b->bytes, a->length);
    return order ? order : (a->id > b->id) - (a->id < b->id);
}

static void collect_pieces(Specials *specials, const Vocabulary *vocabulary, uint32_t types)
{
    for (int32_t id = 0; id < vocabulary->count; id++) {
        size_t length = vocabulary->offsets[id + 1] - vocabulary->offsets[id];
        if (length > 0 && vocabulary->types[id] < 32 && types >> vocabulary->types[id] & 1)
            specials->pieces[specials->piece_count++] =
                (Piece){vocabulary->bytes + vocabulary->offsets[id], length, id};
    }
    if (specials->piece_count)
        qsort(specials->pieces, specials->piece_count, sizeof *specials->pieces, compare_pieces);
}

static size_t count_lengths(const Specials *specials)
{
    size_t count = 0;
    for (size_t i = 0; i < specials->piece_count; i++)
        count += i == 0 || specials->pieces[i].length != specials->pieces[i - 1].length;
    return count;
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
        group->begins[(uint8_t)piece->bytes[0]] = true;
    }
}

Specials *specials_new(const Vocabulary *vocabulary, uint32_t types, Diag *diag)
{
    Specials *specials = calloc(1, sizeof *specials);
    if (specials)
        specials->pieces = calloc((size_t)vocabulary->count + 1, sizeof *specials->pieces);
    if (specials && specials->pieces) {
        collect_pieces(specials, vocabulary, types);
        specials->groups = calloc(count_lengths(specials) + 1, sizeof *specials->groups);
    }
    if (!specials || !specials->groups) {
        tokenizer_fail_memory(diag);
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
    free(specials->pieces);
    free(specials->groups);
    free(specials);
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
static int32_t find_piece(const Specials *specials, const Group *group, const char *text)
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
    return found ? specials->pieces[low].id : TOKEN_NONE;
}

// Cuts the group's pieces out of one raw fragment.
static bool split_fragment(const Specials *specials, const Group *group, const char *text,
                           Fragment raw, FragmentList *out, Diag *diag)
{
    size_t at = raw.begin, end = raw.begin + raw.length, begin = at;
    while (end - at >= group->length) {
        int32_t id = TOKEN_NONE;
        if (group->begins[(uint8_t)text[at]])
            id = find_piece(specials, group, text + at);
        if (id == TOKEN_NONE) {
            at++;
            continue;
        }
        if (!push_fragment(out, (Fragment){begin, at - begin, TOKEN_NONE}, diag) ||
            !push_fragment(out, (Fragment){at, group->length, id}, diag))
            return false;
        begin = at += group->length;
    }
    return push_fragment(out, (Fragment){begin, end - begin, TOKEN_NONE}, diag);
}

static bool split_by_group(const Specials *specials, const Group *group, const char *text,
                           const FragmentList *in, FragmentList *out, Diag *diag)
{
    out->count = 0;
    for (size_t i = 0; i < in->count; i++) {
        Fragment fragment = in->items[i];
        bool pushed = fragment.id == TOKEN_NONE
                          ? split_fragment(specials, group, text, fragment, out, diag)
                          : push_fragment(out, fragment, diag);
        if (!pushed)
            return false;
    }
    return true;
}

bool specials_split(const Specials *specials, const char *text, size_t length, FragmentList *out,
                    Diag *diag)
{
    FragmentList next = {0};
    bool done = push_fragment(out, (Fragment){0, length, TOKEN_NONE}, diag);
    for (size_t i = 0; done && i < specials->group_count; i++) {
        done = split_by_group(specials, &specials->groups[i], text, out, &next, diag);
        FragmentList swap = *out;
        *out = next;
        next = swap;
    }
    fragment_list_free(&next);
    return done;
}
