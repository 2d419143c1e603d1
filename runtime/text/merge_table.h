// From a pair of pieces to their merge: a hash table that is filled once and read by every thread.
#ifndef RUNTIME_TEXT_MERGE_TABLE_H
#define RUNTIME_TEXT_MERGE_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "graph/base/diag.h"
#include "graph/base/vocabulary.h"

typedef struct MergeEntry {
    int32_t left, right; // left TOKEN_NONE: a free slot
    uint32_t rank;
    int32_t result;
} MergeEntry;

typedef struct MergeTable {
    MergeEntry *slots;
    uint32_t mask;
} MergeTable;

// Merges that make a piece which text must not become are left out; of equal pairs the earliest
// counts. False with a message when memory runs out.
bool merge_table_fill(MergeTable *table, const Vocabulary *vocabulary, Diag *diag);
void merge_table_free(MergeTable *table);

static inline uint32_t merge_table_slot(const MergeTable *table, int32_t left, int32_t right)
{
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    return (uint32_t)(key * 0x9e3779b97f4a7c15u >> 32) & table->mask;
}

// NULL where the two do not merge.
static inline const MergeEntry *merge_table_find(const MergeTable *table, int32_t left,
                                                 int32_t right)
{
    if (left == TOKEN_NONE || right == TOKEN_NONE)
        return NULL;
    uint32_t slot = merge_table_slot(table, left, right);
    for (;; slot = (slot + 1) & table->mask) {
        const MergeEntry *entry = &table->slots[slot];
        if (entry->left == TOKEN_NONE)
            return NULL;
        if (entry->left == left && entry->right == right)
            return entry;
    }
}

#endif
