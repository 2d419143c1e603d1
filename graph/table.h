// A hash table of pointers in an arena: who asks brings the hash and compares the items.
//
// Equal items may be added twice; nothing is ever taken out (who needs that starts a new table).
#ifndef GRAPH_TABLE_H
#define GRAPH_TABLE_H

#include <stdint.h>

#include "graph/base/arena.h"

typedef struct Table {
    uint64_t *hashes;
    void **items; // NULL: free
    uint32_t count, capacity;
} Table;

void table_add(Arena *arena, Table *table, uint64_t hash, void *item);
// The items added with this hash, one a call, then NULL. `*probe` is 0 at the first call.
void *table_next(const Table *table, uint64_t hash, uint32_t *probe);

#endif
