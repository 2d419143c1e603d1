// "Did you mean": the names nearest to one that was not found.
#ifndef FRONTENDS_LUA_CLOSEST_H
#define FRONTENDS_LUA_CLOSEST_H

#include <stddef.h>
#include <stdint.h>

// Name number `index` of whatever is searched; NULL: to be passed over.
typedef const char *NameAt(const void *context, int64_t index);

// Writes `; closest: "a", "b"` into the buffer, at most three names, nearest first and else in
// order; "" if none is near.
void closest_names(const char *wanted, NameAt *name_at, const void *context, int64_t count,
                   char *buffer, size_t buffer_bytes);

#endif
