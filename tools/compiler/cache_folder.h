// The folder of the compile cache: plans, the weights files they share, and parts of what is being
// written. What it may hold, what it holds, and what leaves it.
#ifndef TOOLS_COMPILER_CACHE_FOLDER_H
#define TOOLS_COMPILER_CACHE_FOLDER_H

#include "graph/base/arena.h"
#include "graph/base/diag.h"
#include "graph/base/text.h"

// $XDG_CACHE_HOME/graphc, else ~/.cache/graphc, made if it is missing; NULL when there is none.
const char *cache_folder(Arena *arena);
// The bytes that the folder may hold: $GRAPHC_CACHE_BYTES, else 16 GiB.
bool cache_folder_limit(uint64_t *bytes, Diag *diag);
// Removes, until the folder is within the limit, the plans that were not used for longest; then
// weights that no plan needs, and parts whose writer is gone. What is in use stays: what somebody
// has opened, or has asked for within the last minute and may be about to open.
void cache_folder_prune(const char *folder, uint64_t limit, Arena *arena);
// Removes all that nobody has opened.
void cache_folder_clear(const char *folder, Arena *arena);
// A line an entry, the last used first, and the sum.
void cache_folder_list(const char *folder, uint64_t limit, Arena *arena, Text *out);

#endif
