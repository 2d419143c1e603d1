#include "graph/base/vocabulary.h"

#include <string.h>

#include "graph/base/hash.h"

static bool piece_is(const Vocabulary *vocabulary, int32_t id, const char *piece, int64_t length)
{
    uint32_t begin = vocabulary->offsets[id];
    return vocabulary->offsets[id + 1] - begin == length &&
           (length == 0 || memcmp(vocabulary->bytes + begin, piece, (size_t)length) == 0);
}

// The slot that holds the piece, or the free slot where it would go.
static uint32_t find_slot(const Vocabulary *vocabulary, const char *piece, int64_t length)
{
    uint32_t mask = vocabulary->lookup_mask;
    uint32_t slot = (uint32_t)hash64(piece, (size_t)length, 0) & mask;
    while (vocabulary->lookup[slot] >= 0 &&
           !piece_is(vocabulary, vocabulary->lookup[slot], piece, length))
        slot = (slot + 1) & mask;
    return slot;
}

void vocabulary_build_lookup(Vocabulary *vocabulary, Arena *arena)
{
    uint32_t slots = 16;
    while (slots < (uint32_t)vocabulary->count * 2u)
        slots *= 2;
    int32_t *lookup = ARENA_ARRAY(arena, int32_t, slots);
    memset(lookup, 0xff, slots * sizeof *lookup);
    vocabulary->lookup = lookup;
    vocabulary->lookup_mask = slots - 1;
    for (int32_t id = 0; id < vocabulary->count; id++) {
        uint32_t begin = vocabulary->offsets[id];
        uint32_t slot =
            find_slot(vocabulary, vocabulary->bytes + begin, vocabulary->offsets[id + 1] - begin);
        if (lookup[slot] < 0)
            lookup[slot] = id;
    }
}

int32_t vocabulary_find(const Vocabulary *vocabulary, const char *piece, int64_t length)
{
    return vocabulary->lookup[find_slot(vocabulary, piece, length)];
}
