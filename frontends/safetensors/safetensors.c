// The safetensors format: u64 length of a header, the header (JSON: name to dtype, shape, begin and
// end), data. The ranges of a file's tensors tile its data exactly, as the format demands: neither
// a hole nor an overlap can hide anything. Tensors may begin anywhere; nothing reads them as
// aligned.
//
// A type that we cannot compute with is no error here: a file may hold tensors nobody asks for.
#include "frontends/safetensors/safetensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH_BYTES = 8, TENSORS_MAX = 1 << 22 };

typedef struct StoredType {
    const char *name;
    DType dtype; // DTYPE_COUNT: known by size only
    uint64_t bytes;
} StoredType;

static const StoredType stored_types[] = {
    {"F64", DTYPE_f64, 8},           {"F32", DTYPE_f32, 4},
    {"F16", DTYPE_f16, 2},           {"BF16", DTYPE_bf16, 2},
    {"I64", DTYPE_i64, 8},           {"I32", DTYPE_i32, 4},
    {"I16", DTYPE_i16, 2},           {"I8", DTYPE_i8, 1},
    {"U64", DTYPE_COUNT, 8},         {"U32", DTYPE_COUNT, 4},
    {"U16", DTYPE_COUNT, 2},         {"U8", DTYPE_COUNT, 1},
    {"BOOL", DTYPE_COUNT, 1},        {"F8_E4M3", DTYPE_COUNT, 1},
    {"F8_E5M2", DTYPE_COUNT, 1},     {"F8_E8M0", DTYPE_COUNT, 1},
    {"F8_E4M3FNUZ", DTYPE_COUNT, 1}, {"F8_E5M2FNUZ", DTYPE_COUNT, 1},
    {"C64", DTYPE_COUNT, 8},
};

typedef struct Reader {
    ModelFile *file;
    const ModelPart *part;
    int32_t number; // of the part
    uint64_t data_at, data_bytes;
    FileTensors *tensors;
    Arena *arena;
    Diag *diag;
} Reader;

bool safetensors_is(const void *bytes, uint64_t count)
{
    return count > LENGTH_BYTES && ((const char *)bytes)[LENGTH_BYTES] == '{';
}

static Where where_of(const Reader *reader)
{
    return (Where){.file = reader->part->path};
}

static bool fail_tensor(const Reader *reader, const char *name, const char *what)
{
    return diag_fail(reader->diag, where_of(reader), "tensor \"%.128s\": %s", name, what);
}

static const StoredType *type_of(const char *name)
{
    for (size_t i = 0; i < sizeof stored_types / sizeof *stored_types; i++)
        if (strcmp(stored_types[i].name, name) == 0)
            return &stored_types[i];
    return NULL;
}

static bool read_shape(const Reader *reader, FileTensor *tensor, const cJSON *shape,
                       uint64_t *elements)
{
    *elements = 1;
    for (const cJSON *item = shape->child; item; item = item->next) {
        int64_t size;
        if (!json_whole(item, 0, &size))
            return fail_tensor(reader, tensor->name, "a size in its shape is no whole number");
        if (tensor->rank == TENSOR_RANK_MAX)
            return fail_tensor(reader, tensor->name, "more than 8 dimensions");
        if (__builtin_mul_overflow(*elements, (uint64_t)size, elements))
            return fail_tensor(reader, tensor->name, "its shape overflows 64 bits");
        tensor->shape[tensor->rank++] = size;
    }
    return true;
}

// Sets dtype, place and bytes; the range lies in the data.
static bool read_range(const Reader *reader, FileTensor *tensor, const cJSON *offsets,
                       uint64_t elements)
{
    int64_t begin, end;
    const StoredType *type = type_of(tensor->type_name);
    uint64_t bytes = 0;
    if (cJSON_GetArraySize(offsets) != 2 || !json_whole(offsets->child, 0, &begin) ||
        !json_whole(offsets->child->next, 0, &end) || begin > end)
        return fail_tensor(reader, tensor->name,
                           "data_offsets are not two whole numbers in ascending order");
    if ((uint64_t)end > reader->data_bytes)
        return fail_tensor(reader, tensor->name,
                           "its data end past the file; is the file cut short?");
    if (type &&
        (__builtin_mul_overflow(elements, type->bytes, &bytes) || bytes != (uint64_t)(end - begin)))
        return diag_fail(reader->diag, where_of(reader),
                         "tensor \"%.128s\": %" PRIu64 " elements of %s do not fill %" PRId64
                         " bytes",
                         tensor->name, elements, type->name, end - begin);
    tensor->dtype = type ? type->dtype : DTYPE_COUNT;
    tensor->file_offset = reader->data_at + (uint64_t)begin;
    tensor->bytes = (uint64_t)(end - begin);
    if (tensor->dtype != DTYPE_COUNT)
        tensor->data = (const char *)reader->part->mapping + tensor->file_offset;
    return true;
}

static bool check_name(const Reader *reader, const char *name)
{
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return diag_fail(reader->diag, where_of(reader),
                             "a tensor's name holds a control byte");
    return *name || diag_fail(reader->diag, where_of(reader), "a tensor has no name");
}

static const char *copy(Arena *arena, const char *text)
{
    return arena_copy_text(arena, text, strlen(text));
}

static bool read_entry(Reader *reader, const cJSON *entry)
{
    const cJSON *dtype = NULL, *shape = NULL, *offsets = NULL;
    uint64_t elements;
    for (const cJSON *item = entry->child; item; item = item->next) {
        dtype = strcmp(item->string, "dtype") == 0 ? item : dtype;
        shape = strcmp(item->string, "shape") == 0 ? item : shape;
        offsets = strcmp(item->string, "data_offsets") == 0 ? item : offsets;
    }
    if (!check_name(reader, entry->string))
        return false;
    if (!cJSON_IsObject(entry) || !cJSON_IsString(dtype) || !cJSON_IsArray(shape) ||
        !cJSON_IsArray(offsets))
        return fail_tensor(reader, entry->string, "dtype, shape and data_offsets were expected");
    FileTensor tensor = {.name = copy(reader->arena, entry->string),
                         .type_name = copy(reader->arena, dtype->valuestring),
                         .part = reader->number};
    if (!read_shape(reader, &tensor, shape, &elements) ||
        !read_range(reader, &tensor, offsets, elements))
        return false;
    if (reader->tensors->count == TENSORS_MAX)
        return diag_fail(reader->diag, where_of(reader), "more than %d tensors", TENSORS_MAX);
    if (!name_index_append(reader->arena, &reader->file->tensor_index, tensor.name,
                           reader->tensors->count))
        return fail_tensor(reader, tensor.name, "stands in another part of the model too");
    vector_push(reader->arena, reader->tensors, tensor);
    return true;
}

static int by_place(const void *a, const void *b)
{
    const FileTensor *first = *(const FileTensor *const *)a,
                     *second = *(const FileTensor *const *)b;
    if (first->file_offset != second->file_offset)
        return first->file_offset < second->file_offset ? -1 : 1;
    return (first->bytes > second->bytes) - (first->bytes < second->bytes);
}

// The part's tensors, the last of the list, tile its data.
static bool check_tiling(const Reader *reader, int32_t first)
{
    int32_t count = reader->tensors->count - first;
    const FileTensor **sorted = ARENA_ARRAY(reader->arena, const FileTensor *, count);
    for (int32_t i = 0; i < count; i++)
        sorted[i] = &reader->tensors->items[first + i];
    qsort(sorted, (size_t)count, sizeof *sorted, by_place);
    uint64_t at = reader->data_at;
    for (int32_t i = 0; i < count; i++) {
        if (sorted[i]->file_offset != at)
            return fail_tensor(reader, sorted[i]->name,
                               sorted[i]->file_offset > at
                                   ? "there is a hole before its data"
                                   : "its data overlap those of another tensor");
        at += sorted[i]->bytes;
    }
    return at == reader->part->bytes ||
           diag_fail(reader->diag, where_of(reader),
                     "%" PRIu64 " bytes after the last tensor belong to none",
                     reader->part->bytes - at);
}

static bool read_entries(Reader *reader, const cJSON *header)
{
    int32_t first = reader->tensors->count;
    if (!cJSON_IsObject(header))
        return diag_fail(reader->diag, where_of(reader), "the header is not a JSON object");
    for (const cJSON *entry = header->child; entry; entry = entry->next)
        if (strcmp(entry->string, "__metadata__") != 0 && !read_entry(reader, entry))
            return false;
    return check_tiling(reader, first);
}

bool safetensors_read_tensors(ModelFile *file, int32_t part, FileTensors *tensors, Arena *arena,
                              Diag *diag)
{
    Reader reader = {.file = file,
                     .part = &file->parts.items[part],
                     .number = part,
                     .tensors = tensors,
                     .arena = arena,
                     .diag = diag};
    uint64_t length = 0, bytes = reader.part->bytes;
    if (bytes >= LENGTH_BYTES)
        memcpy(&length, reader.part->mapping, LENGTH_BYTES);
    if (bytes < LENGTH_BYTES || length > bytes - LENGTH_BYTES)
        return diag_fail(diag, where_of(&reader),
                         "a header of %" PRIu64 " bytes does not fit in this file of %" PRIu64
                         " bytes; is it a safetensors file, and whole?",
                         length, bytes);
    if (!safetensors_is(reader.part->mapping, bytes))
        return diag_fail(diag, where_of(&reader), "the header does not begin with {");
    cJSON *header = json_parse(reader.part->path, (const char *)reader.part->mapping + LENGTH_BYTES,
                               length, diag);
    reader.data_at = LENGTH_BYTES + length;
    reader.data_bytes = bytes - reader.data_at;
    bool good = header && read_entries(&reader, header);
    cJSON_Delete(header);
    return good;
}
