#include "frontends/tokenizer/piece_list.h"

#include <inttypes.h>
#include <string.h>

enum { HOLES_MAX = 1 << 16 };

// The item of an id, with room made for it; NULL with a message.
static ListedPiece *reach(PieceList *list, int64_t id)
{
    if (id < 0 || id > 2 * list->told + HOLES_MAX) {
        maker_fail(list->maker, "token id %" PRId64 " among %" PRId64 " tokens is absurd", id,
                   list->told);
        return NULL;
    }
    if (id >= list->capacity) {
        int64_t capacity = id * 2 + 1024;
        ListedPiece *items = ARENA_ARRAY(list->maker->arena, ListedPiece, capacity);
        if (list->count)
            memcpy(items, list->items, (size_t)list->count * sizeof *items);
        list->items = items;
        list->capacity = capacity;
    }
    list->count = id >= list->count ? id + 1 : list->count;
    return &list->items[id];
}

static PieceText copy_text(PieceList *list, PieceText text)
{
    return (PieceText){arena_copy_text(list->maker->arena, text.bytes, text.length), text.length};
}

bool piece_list_set(PieceList *list, int64_t id, PieceText text, float score, uint8_t type)
{
    ListedPiece *item = reach(list, id);
    if (!item)
        return false;
    if (item->type != 0)
        return maker_fail(list->maker, "token id %" PRId64 " is given twice", id);
    if (score != score)
        return maker_fail(list->maker, "the score of token %" PRId64 " is not a number", id);
    *item = (ListedPiece){.text = copy_text(list, text), .score = score, .type = type};
    list->told++;
    return true;
}

bool piece_list_add(PieceList *list, int64_t id, PieceText text, uint32_t flags)
{
    ListedPiece *item = reach(list, id);
    if (!item)
        return false;
    list->told += item->type == 0;
    item->text = copy_text(list, text);
    item->added = true;
    item->flags = flags;
    if (item->type != PIECE_UNKNOWN)
        item->type = flags & ADDED_SPECIAL ? PIECE_CONTROL : PIECE_USER;
    return true;
}

bool piece_list_lay(PieceList *list)
{
    VocabularyMaker *maker = list->maker;
    PieceText *pieces = ARENA_ARRAY(maker->arena, PieceText, list->count);
    float *scores = ARENA_ARRAY(maker->arena, float, list->count);
    uint8_t *types = ARENA_ARRAY(maker->arena, uint8_t, list->count);
    for (int64_t i = 0; i < list->count; i++) {
        const ListedPiece *item = &list->items[i];
        pieces[i] = item->text;
        scores[i] = item->score;
        types[i] = item->type ? item->type : PIECE_UNUSED;
        if (item->added)
            maker_add_token(maker, (int32_t)i, item->flags);
    }
    if (!maker_lay_pieces(maker, pieces, list->count))
        return false;
    maker->vocabulary->scores = scores;
    maker->vocabulary->types = types;
    vocabulary_build_lookup(maker->vocabulary, maker->arena);
    return true;
}
