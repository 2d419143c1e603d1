// A file that is mapped for reading, with a shared lock on it for as long: the cache removes no
// file that somebody has locked.
#ifndef RUNTIME_FILE_MAP_H
#define RUNTIME_FILE_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "graph/base/diag.h"

enum { FILE_MAP_ALIGNMENT = 2 << 20 };

// Zero: nothing is mapped.
typedef struct FileMap {
    const char *bytes; // at a multiple of FILE_MAP_ALIGNMENT; NULL for an empty file
    uint64_t length;
    int file;
} FileMap;

// False with a message, and nothing open, when it is no regular file or cannot be mapped.
bool file_map_open(FileMap *map, const char *path, Diag *diag);
void file_map_close(FileMap *map);

#endif
