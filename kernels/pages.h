// Where a position of a sequence lies in the paged store, and how SPLIT_GROUPS cuts work: the one
// place that knows, for the ops that write states and the one that reads them. Layouts: README.md.
#ifndef KERNELS_PAGES_H
#define KERNELS_PAGES_H

#include <assert.h>

#include "kernels/kernel.h"

// Tokens in a tile of SPLIT_GROUPS; KEY_GROUP keys lie side by side in k32 and never cross a page.
enum { GROUP_TOKENS = 8, KEY_GROUP = 32 };

static inline int64_t group_blocks(int64_t tokens)
{
    return (tokens + GROUP_TOKENS - 1) / GROUP_TOKENS;
}

// Tokens first … last-1 of one kv head.
typedef struct GroupTile {
    int64_t kv_head, first, last;
} GroupTile;

static inline GroupTile group_tile(int64_t tile, int64_t tokens)
{
    int64_t blocks = group_blocks(tokens), first = tile % blocks * GROUP_TOKENS;
    int64_t last = first + GROUP_TOKENS < tokens ? first + GROUP_TOKENS : tokens;
    return (GroupTile){tile / blocks, first, last};
}

static inline char *state_page(const KernelOperand *state, const KernelPages *pages,
                               const int32_t *table, int32_t sequence, int32_t position)
{
    int32_t page =
        table[(int64_t)sequence * pages->pages_per_sequence + position / pages->page_tokens];
    assert(page >= 0);
    return (char *)state->data + page * pages->page_bytes;
}

// Index of the first element of a head at a slot of a page; the elements are `*step` apart.
static inline int64_t state_element(Layout layout, const KernelPages *pages, int64_t kv_head,
                                    int32_t slot, int64_t head_size, int64_t *step)
{
    int64_t row = kv_head * pages->page_tokens + slot;
    *step = layout == LAYOUT_k32 ? KEY_GROUP : 1;
    if (layout == LAYOUT_k32)
        return row / KEY_GROUP * KEY_GROUP * head_size + row % KEY_GROUP;
    return row * head_size;
}

#endif
