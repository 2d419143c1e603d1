// A weights file: region w apart from the plans that use it, which may be many (other targets,
// batches, types of keys and values). Its name is the key of what the weights were made from; a
// plan holds the key, and looks for the file in its own folder.
//
// File: WeightsHeader, zeros up to 2 MiB, region w. The header is checked at open, the hash of the
// weights on demand (plan_check_data).
#ifndef RUNTIME_WEIGHTS_FILE_H
#define RUNTIME_WEIGHTS_FILE_H

#include "runtime/file_map.h"
#include "runtime/new_file.h"
#include "runtime/plan.h"

enum { WEIGHTS_FORMAT = 1, WEIGHTS_PATH_MAX = 4096 };
#define WEIGHTS_SUFFIX ".weights"

typedef struct WeightsHeader {
    char magic[8]; // "graphcWT"
    uint32_t format, header_bytes;
    uint64_t w_bytes;
    Hash128 key;
    Hash128 data; // of region w
    Hash128 hash; // of all before it
} WeightsHeader;

// The path of the file of that key beside a plan; false when it is too long.
bool weights_file_path(const char *plan_path, Hash128 key, char path[WEIGHTS_PATH_MAX]);
// Maps the file; a message where it is missing or not the one that was asked for.
bool weights_file_open(FileMap *map, const char *path, Hash128 key, int64_t w_bytes, Diag *diag);
const void *weights_file_data(const FileMap *map);
// Runs the recipes of a plan that was built, on all CPUs, into a file that was begun.
bool weights_file_write(const Plan *plan, const NewFile *file, PlanProgress *progress,
                        void *context, Diag *diag);

#endif
