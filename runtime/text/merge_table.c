// Twice as many slots as merges, linear probing: 8 MB for the 280,000 merges of Llama 3, filled in
// some 10 ms when a tokenizer is made. A table in the plan would save that and double its size.
#include "runtime/text/merge_table.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/text/piece_set.h"
#include "runtime/text/tokenizer.h"

bool merge_table_fill(MergeTable *table, const Vocabulary *vocabulary, Diag *diag)
{
    uint32_t slots = 16;
    while (slots < (uint32_t)vocabulary->merge_count * 2u)
        slots *= 2;
    table->slots = malloc(slots * sizeof *table->slots);
    if (!table->slots)
        return tokenizer_fail_memory(diag);
    memset(table->slots, 0xff, slots * sizeof *table->slots);
    table->mask = slots - 1;
    for (int32_t rank = 0; rank < vocabulary->merge_count; rank++) {
        const Merge *merge = &vocabulary->merges[rank];
        if (!piece_set_is_text(vocabulary, merge->result) ||
            merge_table_find(table, merge->left, merge->right))
            continue;
        uint32_t slot = merge_table_slot(table, merge->left, merge->right);
        while (table->slots[slot].left != TOKEN_NONE)
            slot = (slot + 1) & table->mask;
        table->slots[slot] = (MergeEntry){merge->left, merge->right, (uint32_t)rank, merge->result};
    }
    return true;
}

void merge_table_free(MergeTable *table)
{
    free(table->slots);
}
