// A file that appears whole or not at all: it is written under the name PATH.part and renamed.
//
// The part is also the lock of its path. Who writes holds an exclusive flock on it, which ends with
// the process however that ends, so a part that nobody has locked was left by a process that was
// killed; the next writer of the path takes it over.
#ifndef RUNTIME_NEW_FILE_H
#define RUNTIME_NEW_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "graph/base/diag.h"

typedef struct NewFile {
    const char *path;
    char part[4096];
    int file;
} NewFile;

#define NEW_FILE_SUFFIX ".part"

// An empty part. Waits while another process writes the same path: what it wrote stands there then.
bool new_file_begin(NewFile *file, const char *path, Diag *diag);
bool new_file_write(const NewFile *file, const void *bytes, uint64_t count, uint64_t offset,
                    Diag *diag);
// Either of these ends the file. Nothing is left behind where finishing fails.
bool new_file_finish(NewFile *file, Diag *diag);
void new_file_abandon(NewFile *file);

#endif
