// From name to position in an array: the one lookup of tensors and metadata, which may be
// thousands. The names are not copied; they must outlive the index.
#ifndef FRONTENDS_NAME_INDEX_H
#define FRONTENDS_NAME_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "graph/base/arena.h"

typedef struct NameSlot {
    const char *name; // NULL: free
    int64_t position;
} NameSlot;

// A zeroed index is empty; name_index_add wants room made by name_index_new.
typedef struct NameIndex {
    uint64_t mask, count;
    NameSlot *slots; // mask + 1, at most half of them taken
} NameIndex;

// Room for `count` names.
NameIndex name_index_new(Arena *arena, int64_t count);
// False, and nothing changes, if the name is there already.
bool name_index_add(NameIndex *index, const char *name, int64_t position);
// The same for names whose number nobody knows beforehand: room is made in the arena.
bool name_index_append(Arena *arena, NameIndex *index, const char *name, int64_t position);
// The position of the name, -1 if there is none.
int64_t name_index_find(const NameIndex *index, const char *name);

#endif
