// A folder: config.json says what the model is, model.safetensors.index.json which shard holds a
// tensor; without an index there is one file, model.safetensors. Every file that was read is a part
// of the model, so that who remembers a model remembers all of them.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frontends/safetensors/safetensors.h"
#include "frontends/tokenizer/tokenizer_file.h"

enum { SHARDS_MAX = 4096 };

bool safetensors_map_json(ModelFile *file, const char *folder, const char *name, cJSON **json,
                          Arena *arena, Diag *diag)
{
    const char *path = arena_format(arena, "%s/%s", folder, name);
    *json = NULL;
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return true;
    if (!model_file_map(file, path, arena, diag))
        return false;
    const ModelPart *part = &file->parts.items[file->parts.count - 1];
    *json = json_parse(path, part->mapping, part->bytes, diag);
    return *json;
}

// Shards stand in the folder itself: a name with a slash could lead anywhere.
static bool check_shard_name(const char *index, const cJSON *entry, Diag *diag)
{
    const char *name = cJSON_IsString(entry) ? entry->valuestring : "";
    size_t length = strlen(name);
    if (length > 12 && *name != '.' && !strchr(name, '/') &&
        strcmp(name + length - 12, ".safetensors") == 0)
        return true;
    return diag_fail(diag, (Where){.file = index},
                     "tensor \"%.128s\": \"%.128s\" is not the name of a .safetensors file in the "
                     "folder",
                     entry->string, name);
}

typedef struct Shard {
    const char *name;
    int32_t part; // -1: not read yet
} Shard;

typedef struct Shards {
    const char *folder, *index; // paths
    Vector(Shard) items;
    NameIndex positions;
    FileTensors tensors;
} Shards;

static bool list_shards(Shards *shards, const cJSON *map, Arena *arena, Diag *diag)
{
    for (const cJSON *entry = map->child; entry; entry = entry->next) {
        if (!check_shard_name(shards->index, entry, diag))
            return false;
        if (name_index_find(&shards->positions, entry->valuestring) >= 0)
            continue;
        if (shards->items.count == SHARDS_MAX)
            return diag_fail(diag, (Where){.file = shards->index}, "more than %d shards",
                             SHARDS_MAX);
        Shard shard = {arena_copy_text(arena, entry->valuestring, strlen(entry->valuestring)), -1};
        name_index_append(arena, &shards->positions, shard.name, shards->items.count);
        vector_push(arena, &shards->items, shard);
    }
    return true;
}

static bool read_shard(ModelFile *file, Shards *shards, Shard *shard, Arena *arena, Diag *diag)
{
    const char *path = arena_format(arena, "%s/%s", shards->folder, shard->name);
    shard->part = file->parts.count;
    return model_file_map(file, path, arena, diag) &&
           safetensors_read_tensors(file, shard->part, &shards->tensors, arena, diag);
}

// The index and the shards say the same: each tensor is where the index has it, and none is more.
static bool check_index(const ModelFile *file, const Shards *shards, const cJSON *map, Diag *diag)
{
    Where where = {.file = shards->index};
    for (const cJSON *entry = map->child; entry; entry = entry->next) {
        int64_t tensor = name_index_find(&file->tensor_index, entry->string);
        int64_t shard = name_index_find(&shards->positions, entry->valuestring);
        if (tensor < 0 || shards->tensors.items[tensor].part != shards->items.items[shard].part)
            return diag_fail(diag, where, "tensor \"%.128s\" is not in %.128s", entry->string,
                             entry->valuestring);
    }
    if (cJSON_GetArraySize(map) != shards->tensors.count)
        return diag_fail(diag, where, "the shards hold %d tensors, the index names %d",
                         shards->tensors.count, cJSON_GetArraySize(map));
    return true;
}

static bool read_sharded(ModelFile *file, Shards *shards, const cJSON *index, Arena *arena,
                         Diag *diag)
{
    const cJSON *map = cJSON_GetObjectItemCaseSensitive(index, "weight_map");
    if (!cJSON_IsObject(map) || !map->child)
        return diag_fail(diag, (Where){.file = shards->index},
                         "no weight_map that says which file holds a tensor");
    if (!list_shards(shards, map, arena, diag))
        return false;
    for (int32_t i = 0; i < shards->items.count; i++)
        if (!read_shard(file, shards, &shards->items.items[i], arena, diag))
            return false;
    return check_index(file, shards, map, diag);
}

static void keep_tensors(ModelFile *file, const FileTensors *tensors)
{
    file->tensors = tensors->items;
    file->tensor_count = tensors->count;
}

static bool read_tensors(ModelFile *file, Arena *arena, Diag *diag)
{
    static const char index_name[] = "model.safetensors.index.json";
    Shards shards = {.folder = file->path,
                     .index = arena_format(arena, "%s/%s", file->path, index_name)};
    Shard whole = {"model.safetensors", -1};
    cJSON *index;
    if (!safetensors_map_json(file, file->path, index_name, &index, arena, diag))
        return false;
    bool good = index ? read_sharded(file, &shards, index, arena, diag)
                      : read_shard(file, &shards, &whole, arena, diag);
    cJSON_Delete(index);
    keep_tensors(file, &shards.tensors);
    return good;
}

// The base name of the folder, wherever it was named from.
static const char *name_of(const char *path, Arena *arena)
{
    char *whole = realpath(path, NULL);
    const char *slash = strrchr(whole ? whole : path, '/');
    const char *name = arena_format(arena, "%s", slash ? slash + 1 : path);
    free(whole);
    return name;
}

bool safetensors_is_folder(const char *path, Arena *arena)
{
    return access(arena_format(arena, "%s/config.json", path), F_OK) == 0;
}

// A model without a tokenizer can still be fed token ids.
static bool read_vocabulary(ModelFile *file, const char *folder, Arena *arena, Diag *diag)
{
    return !tokenizer_is_in_folder(folder, arena) ||
           tokenizer_read_folder(folder, file, arena, diag);
}

bool safetensors_read_folder(ModelFile *file, Arena *arena, Diag *diag)
{
    file->name = name_of(file->path, arena);
    return safetensors_read_config(file, file->path, arena, diag) &&
           read_tensors(file, arena, diag) && safetensors_make_weights(file, arena, diag) &&
           read_vocabulary(file, file->path, arena, diag) &&
           safetensors_read_generation(file, arena, diag);
}

bool safetensors_read_file(ModelFile *file, Arena *arena, Diag *diag)
{
    const char *slash = strrchr(file->path, '/');
    const char *folder =
        slash ? arena_format(arena, "%.*s", (int)(slash - file->path), file->path) : ".";
    FileTensors tensors = {0};
    file->name = slash ? slash + 1 : file->path;
    if (!safetensors_read_tensors(file, 0, &tensors, arena, diag))
        return false;
    keep_tensors(file, &tensors);
    folder = *folder ? folder : "/";
    return safetensors_read_config(file, folder, arena, diag) &&
           safetensors_make_weights(file, arena, diag) &&
           read_vocabulary(file, folder, arena, diag) &&
           safetensors_read_generation(file, arena, diag);
}
