// Split models: NAME-00001-of-00003.gguf and so on, each a GGUF file with its own tensors; the
// first has the model's metadata. They are opened by the first, and only whole: every part says
// which it is, of how many, and how many tensors all of them hold.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "frontends/gguf/gguf.h"

enum { PARTS_MAX = 99999, SUFFIX_BYTES = 20 }; // "-00001-of-00003.gguf"

// A key that is a whole number up to `most`; `fallback` where it is not there.
static bool read_count(const ModelFile *file, const char *key, int64_t fallback, int64_t most,
                       int64_t *count, Diag *diag)
{
    const MetaValue *value = model_file_meta(file, key);
    *count = fallback;
    if (!value)
        return true;
    bool whole = value->kind == META_UINT || value->kind == META_INT;
    // A negative number is a huge unsigned one here.
    if (!whole || value->natural > (uint64_t)most)
        return diag_fail(diag, (Where){.file = file->path},
                         "key \"%s\" must be a whole number up to %" PRId64, key, most);
    *count = (int64_t)value->natural;
    return true;
}

// The path of part `number` (from 0), made from that of the first; NULL where that has not the
// form.
static const char *part_path(const char *first, int64_t number, int64_t count, Arena *arena)
{
    char expected[SUFFIX_BYTES + 1];
    size_t length = strlen(first);
    snprintf(expected, sizeof expected, "-00001-of-%05d.gguf", (int)count);
    if (length < SUFFIX_BYTES || strcmp(first + length - SUFFIX_BYTES, expected) != 0)
        return NULL;
    return arena_format(arena, "%.*s-%05d-of-%05d.gguf", (int)(length - SUFFIX_BYTES), first,
                        (int)number + 1, (int)count);
}

static bool check_part(const ModelFile *part, int64_t number, int64_t count, Diag *diag)
{
    int64_t said_number, said_count;
    if (!read_count(part, "split.no", -1, PARTS_MAX, &said_number, diag) ||
        !read_count(part, "split.count", -1, PARTS_MAX, &said_count, diag))
        return false;
    return (said_number == number && said_count == count) ||
           diag_fail(diag, (Where){.file = part->path},
                     "this must be part %" PRId64 " of %" PRId64 ", but split.no is %" PRId64
                     " and split.count is %" PRId64,
                     number + 1, count, said_number, said_count);
}

typedef Vector(FileTensor) FileTensors;

static bool add_tensors(ModelFile *file, FileTensors *tensors, const ModelFile *part, Arena *arena,
                        Diag *diag)
{
    for (int64_t i = 0; i < part->tensor_count; i++) {
        FileTensor tensor = part->tensors[i];
        tensor.part = file->parts.count - 1;
        if (!name_index_append(arena, &file->tensor_index, tensor.name, tensors->count))
            return diag_fail(diag, (Where){.file = part->path},
                             "tensor \"%s\" stands in another part too", tensor.name);
        vector_push(arena, tensors, tensor);
    }
    return true;
}

static bool add_part(ModelFile *file, FileTensors *tensors, int64_t number, int64_t count,
                     Arena *arena, Diag *diag)
{
    const char *path = part_path(file->path, number, count, arena);
    if (!path)
        return diag_fail(diag, (Where){.file = file->path},
                         "the first part of %" PRId64 " must be called NAME-00001-of-%05d.gguf",
                         count, (int)count);
    if (!model_file_map(file, path, arena, diag))
        return false;
    ModelFile part = {.path = path};
    vector_push(arena, &part.parts, file->parts.items[file->parts.count - 1]);
    return gguf_read_part(&part, arena, diag) && check_part(&part, number, count, diag) &&
           add_tensors(file, tensors, &part, arena, diag);
}

bool gguf_join_parts(ModelFile *file, Arena *arena, Diag *diag)
{
    int64_t number, count, total;
    FileTensors tensors = {0};
    if (!read_count(file, "split.no", 0, PARTS_MAX, &number, diag) ||
        !read_count(file, "split.count", 1, PARTS_MAX, &count, diag) ||
        !read_count(file, "split.tensors.count", -1, INT32_MAX, &total, diag))
        return false;
    if (count < 2)
        return true;
    if (number != 0)
        return diag_fail(diag, (Where){.file = file->path},
                         "this is part %" PRId64 " of %" PRId64 " of a model; open part 1",
                         number + 1, count);
    for (int64_t i = 0; i < file->tensor_count; i++)
        vector_push(arena, &tensors, file->tensors[i]);
    for (int64_t i = 1; i < count; i++)
        if (!add_part(file, &tensors, i, count, arena, diag))
            return false;
    file->tensors = tensors.items;
    file->tensor_count = tensors.count;
    return total < 0 || total == file->tensor_count ||
           diag_fail(diag, (Where){.file = file->path},
                     "its parts hold %" PRId64 " tensors, split.tensors.count is %" PRId64,
                     file->tensor_count, total);
}
