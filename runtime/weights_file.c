#include "runtime/weights_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/plan_file.h"
#include "runtime/weights.h"

#define WEIGHTS_MAGIC "graphcWT"

static Hash128 header_hash(const WeightsHeader *header)
{
    return hash128(header, offsetof(WeightsHeader, hash));
}

bool weights_file_path(const char *plan_path, Hash128 key, char path[WEIGHTS_PATH_MAX])
{
    const char *slash = strrchr(plan_path, '/');
    int folder = slash ? (int)(slash + 1 - plan_path) : 0;
    int length = snprintf(path, WEIGHTS_PATH_MAX, "%.*s%016llx%016llx" WEIGHTS_SUFFIX, folder,
                          plan_path, (unsigned long long)key.high, (unsigned long long)key.low);
    return length < WEIGHTS_PATH_MAX;
}

static bool check_header(const FileMap *map, Hash128 key, int64_t w_bytes, Where where, Diag *diag)
{
    WeightsHeader header;
    if (map->length < sizeof header)
        return diag_fail(diag, where, "the weights file is cut short: remove it");
    memcpy(&header, map->bytes, sizeof header);
    if (memcmp(header.magic, WEIGHTS_MAGIC, sizeof header.magic) != 0)
        return diag_fail(diag, where, "not a weights file (one begins with \"%s\"): remove it",
                         WEIGHTS_MAGIC);
    if (header.format != WEIGHTS_FORMAT || header.header_bytes != sizeof header)
        return diag_fail(diag, where,
                         "a weights file of format %u, this program reads format %d: remove it",
                         header.format, WEIGHTS_FORMAT);
    if (!plan_hash_equal(header.hash, header_hash(&header)))
        return diag_fail(diag, where, "the weights file's header is damaged: remove it");
    if (!plan_hash_equal(header.key, key) || header.w_bytes != (uint64_t)w_bytes)
        return diag_fail(diag, where, "holds other weights than its name says: remove it");
    if (map->length != PLAN_DATA_ALIGNMENT + header.w_bytes)
        return diag_fail(diag, where, "the weights file is cut short: remove it");
    return true;
}

bool weights_file_open(FileMap *map, const char *path, Hash128 key, int64_t w_bytes, Diag *diag)
{
    if (!file_map_open(map, path, diag))
        return false;
    if (check_header(map, key, w_bytes, (Where){.file = path}, diag))
        return true;
    file_map_close(map);
    return false;
}

const void *weights_file_data(const FileMap *map)
{
    return map->bytes + PLAN_DATA_ALIGNMENT;
}

bool weights_file_write(const Plan *plan, const NewFile *file, PlanProgress *progress,
                        void *context, Diag *diag)
{
    WeightsHeader header = {.magic = WEIGHTS_MAGIC,
                            .format = WEIGHTS_FORMAT,
                            .header_bytes = sizeof header,
                            .w_bytes = (uint64_t)plan->info.w_bytes,
                            .key = plan->info.weights_key};
    char *front = calloc(1, PLAN_DATA_ALIGNMENT);
    bool good = front != NULL ||
                diag_fail(diag, (Where){.file = file->path}, "out of memory for packing weights");
    good = good &&
           weights_write(plan, file, PLAN_DATA_ALIGNMENT, &header.data, progress, context, diag);
    header.hash = header_hash(&header);
    if (good)
        memcpy(front, &header, sizeof header);
    good = good && new_file_write(file, front, PLAN_DATA_ALIGNMENT, 0, diag);
    free(front);
    return good;
}
