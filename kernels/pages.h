// Where a position of a sequence lies in the paged store, and how SPLIT_GROUPS cuts work: the one
// place that knows, for the ops that write states and the one that reads them. Layouts: README.md.
#ifndef KERNELS_PAGES_H
#define KERNELS_PAGES_H

#include <assert.h>

#include "kernels/kernel.h"
#include "kernels/math.h"

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

// Number of the page that holds a position, negative if there is none.
static inline int32_t page_of(const KernelPages *pages, const int32_t *table, int32_t sequence,
                              int32_t position)
{
    return table[(int64_t)sequence * pages->pages_per_sequence + position / pages->page_tokens];
}

static inline char *state_page(const KernelOperand *state, const KernelPages *pages,
                               const int32_t *table, int32_t sequence, int32_t position)
{
    int32_t page = page_of(pages, table, sequence, position);
    assert(page >= 0);
    return (char *)state->data + page * pages->page_bytes;
}

// The group of 32 keys or values of one kv head that holds a position.
static inline char *state_group(const KernelOperand *state, const KernelPages *pages,
                                const int32_t *table, int32_t sequence, int32_t position,
                                int64_t kv_head, int64_t head_size)
{
    int64_t group = (kv_head * pages->page_tokens + position % pages->page_tokens) / KEY_GROUP;
    return state_page(state, pages, table, sequence, position) +
           layout_bytes(state->dtype, state->layout, group * KEY_GROUP,
                        state_columns(state->dtype, 1, head_size));
}

// In q8_0 a group is made of blocks of 32 keys by 32 dimensions: f16 scales of the keys, then 16
// lines of 32 pairs of quants. A pair is two dimensions of a key, or two keys' values of a
// dimension: what is summed lies side by side.
enum { STATE_BLOCK = 32, STATE_LINES = 16, STATE_LINE_BYTES = 64 };
enum { STATE_SCALES_BYTES = 64, STATE_BLOCK_BYTES = 64 + STATE_LINES * STATE_LINE_BYTES };

static inline float state_scale(const char *block, int32_t key)
{
    return f16_to_f32(((const uint16_t *)block)[key]);
}

static inline int8_t *state_quant(Layout layout, char *block, int32_t key, int64_t dimension)
{
    int64_t pair = layout == LAYOUT_k32 ? dimension : key;
    int64_t column = layout == LAYOUT_k32 ? key : dimension;
    int64_t at = pair / 2 * STATE_LINE_BYTES + 2 * column + pair % 2;
    return (int8_t *)block + STATE_SCALES_BYTES + at;
}

#endif
