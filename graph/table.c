#include "graph/table.h"

static void insert(Table *table, uint64_t hash, void *item)
{
    uint32_t mask = table->capacity - 1, slot = (uint32_t)hash & mask;
    while (table->items[slot])
        slot = (slot + 1) & mask;
    table->hashes[slot] = hash;
    table->items[slot] = item;
}

void table_add(Arena *arena, Table *table, uint64_t hash, void *item)
{
    if (table->count * 2 >= table->capacity) {
        Table old = *table;
        table->capacity = old.capacity ? old.capacity * 2 : 64;
        table->hashes = ARENA_ARRAY(arena, uint64_t, table->capacity);
        table->items = ARENA_ARRAY(arena, void *, table->capacity);
        for (uint32_t slot = 0; slot < old.capacity; slot++)
            if (old.items[slot])
                insert(table, old.hashes[slot], old.items[slot]);
    }
    insert(table, hash, item);
    table->count++;
}

void *table_next(const Table *table, uint64_t hash, uint32_t *probe)
{
    uint32_t mask = table->capacity - 1;
    while (*probe < table->capacity) {
        uint32_t slot = ((uint32_t)hash + (*probe)++) & mask;
        if (!table->items[slot])
            return NULL;
        if (table->hashes[slot] == hash)
            return table->items[slot];
    }
    return NULL;
}
