// Placing blocks of memory whose lifetimes are known: memplan's algorithm, on its own.
#ifndef PASSES_PLACE_H
#define PASSES_PLACE_H

#include <stdint.h>

#include "graph/base/arena.h"

// Bytes that are in use in the epochs first_epoch … last_epoch (0 or more).
typedef struct Block {
    int64_t bytes; // above 0
    int32_t first_epoch, last_epoch;
    int64_t offset; // the answer
} Block;

typedef struct Placement {
    int64_t peak;       // bytes of the arena
    int64_t bound;      // the largest sum of bytes alive in one epoch: no placement needs less
    int64_t quick_peak; // before any search
    int32_t searched;   // placements that the search tried
} Placement;

// Gives every block an offset such that blocks alive in one epoch do not overlap. Deterministic: a
// function of the blocks and their order. Working memory comes from the arena.
// Where the quick orders miss the bound by more than 2 %, a bounded search goes on.
Placement place_blocks(int32_t count, Block *const *blocks, Arena *arena);

// The bound alone.
int64_t place_bound(int32_t count, Block *const *blocks, Arena *arena);

#endif
