// Open addressing with linear probing, the hash being XXH3 with seed 0. A file made so that its
// names collide costs time, never memory or a wrong answer; a random seed was left out because
// compiles must be repeatable step by step.
#include "frontends/name_index.h"

#include <assert.h>
#include <string.h>

#include "graph/base/hash.h"

NameIndex name_index_new(Arena *arena, int64_t count)
{
    uint64_t slots = 16;
    while (slots < (uint64_t)count * 2)
        slots *= 2;
    return (NameIndex){.mask = slots - 1, .slots = ARENA_ARRAY(arena, NameSlot, slots)};
}

static NameSlot *find_slot(const NameIndex *index, const char *name)
{
    uint64_t at = hash64(name, strlen(name), 0) & index->mask;
    while (index->slots[at].name && strcmp(index->slots[at].name, name) != 0)
        at = (at + 1) & index->mask;
    return &index->slots[at];
}

bool name_index_add(NameIndex *index, const char *name, int64_t position)
{
    assert(index->slots);
    NameSlot *slot = find_slot(index, name);
    if (slot->name)
        return false;
    *slot = (NameSlot){name, position};
    index->count++;
    return true;
}

bool name_index_append(Arena *arena, NameIndex *index, const char *name, int64_t position)
{
    if (!index->slots || (index->count + 1) * 2 > index->mask + 1) {
        NameIndex old = *index;
        *index = name_index_new(arena, (int64_t)old.count * 2 + 8);
        for (uint64_t i = 0; old.slots && i <= old.mask; i++)
            if (old.slots[i].name)
                name_index_add(index, old.slots[i].name, old.slots[i].position);
    }
    return name_index_add(index, name, position);
}

int64_t name_index_find(const NameIndex *index, const char *name)
{
    if (!index->slots)
        return -1;
    const NameSlot *slot = find_slot(index, name);
    return slot->name ? slot->position : -1;
}
