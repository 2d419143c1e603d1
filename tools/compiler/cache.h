// The compile cache: plans under a name that is a hash of everything they were made from, and the
// weights files that plans share under a name that is a hash of everything that decides their
// bytes.
#ifndef TOOLS_COMPILER_CACHE_H
#define TOOLS_COMPILER_CACHE_H

#include "tools/compiler/compile.h"

// The path of a plan of the compile's inputs and options, in memory of its arena; made unless it is
// in the cache. Where the cache cannot be used (or --no-cache asks for it) the plan is a temporary
// file, which the caller of graphc removes. False with a message when the plan cannot be made.
bool cache_plan(Compile *compile, const char **path, bool *temporary, Diag *diag);
// --cache: lists the cache on stdout (""), or shrinks it to its limit ("prune"), or empties it
// ("clear").
bool cache_manage(const char *what, Diag *diag);

#endif
