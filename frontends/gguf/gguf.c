// Reading GGUF: bytes to metadata and tensors. Nothing here knows what a key means but
// `general.alignment`, which places the tensor data, and the names a ModelFile carries.
//
// Invariants: every byte is read through take(), which checks it against the file; every count is
// checked against what the rest of the file could hold at best before memory is asked for. Values
// in a file are unaligned, so they are copied out. Tensor data stays in the mapping.
//
// An unknown tensor type is no error here: a file may hold tensors that nobody asks for.
#include "frontends/gguf/gguf.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "values are copied as the file has them");

enum {
    ALIGNMENT_DEFAULT = 32,
    ALIGNMENT_MIN = 8,
    KEY_BYTES_MAX = 65535,
    TENSOR_NAME_BYTES_MAX = 64,
    RANK_MAX = 4,
    ARRAY_DEPTH_MAX = 4,
    // Every key and tensor begins with the length of its name. Counting more of the entry would
    // blame the count where a later length is what is wrong.
    ENTRY_BYTES_MIN = 8,
    // Elements of all arrays together, tensors, keys: far above any vocabulary, and half a gigabyte
    // of MetaValues at most, whatever the file claims.
    ITEMS_MAX = 1 << 24,
};

typedef enum ValueTag { TAG_TEXT = 8, TAG_ARRAY = 9, TAG_COUNT = 13 } ValueTag;

typedef struct ValueType {
    const char *name;
    MetaKind kind;
    uint32_t bytes; // of a number; of a string's length; of an array's type and count
} ValueType;

static const ValueType value_types[TAG_COUNT] = {
    {"u8", META_UINT, 1},      {"i8", META_INT, 1},    {"u16", META_UINT, 2},
    {"i16", META_INT, 2},      {"u32", META_UINT, 4},  {"i32", META_INT, 4},
    {"f32", META_FLOAT, 4},    {"bool", META_BOOL, 1}, {"string", META_TEXT, 8},
    {"array", META_ARRAY, 12}, {"u64", META_UINT, 8},  {"i64", META_INT, 8},
    {"f64", META_FLOAT, 8},
};

typedef struct Reader {
    const char *path;
    const unsigned char *bytes;
    uint64_t size, at;
    const char *subject, *subject_name; // "key" or "tensor", and its name once that is known
    int64_t subject_number, subject_count;
    uint64_t items; // array elements so far
    Arena *arena;
    Diag *diag;
} Reader;

// Reports what is wrong with the subject, and the byte of the file where it was found.
__attribute__((format(printf, 3, 4))) static bool fail(Reader *reader, uint64_t at,
                                                       const char *format, ...)
{
    char text[512], subject[192] = "";
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (reader->subject_name)
        snprintf(subject, sizeof subject, "%s \"%.128s\": ", reader->subject, reader->subject_name);
    else if (reader->subject)
        snprintf(subject, sizeof subject, "%s %" PRId64 " of %" PRId64 ": ", reader->subject,
                 reader->subject_number + 1, reader->subject_count);
    return diag_fail(reader->diag, (Where){.file = reader->path}, "%s%s (at byte %" PRIu64 ")",
                     subject, text, at);
}

static void set_subject(Reader *reader, const char *subject, int64_t number, int64_t count)
{
    reader->subject = subject;
    reader->subject_name = NULL;
    reader->subject_number = number;
    reader->subject_count = count;
}

static bool take(Reader *reader, void *value, uint64_t bytes, const char *what)
{
    if (reader->size - reader->at < bytes)
        return fail(reader, reader->at, "the file of %" PRIu64 " bytes ends inside %s",
                    reader->size, what);
    memcpy(value, reader->bytes + reader->at, (size_t)bytes);
    reader->at += bytes;
    return true;
}

static bool take_u32(Reader *reader, uint32_t *value, const char *what)
{
    *value = 0;
    return take(reader, value, sizeof *value, what);
}

static bool take_u64(Reader *reader, uint64_t *value, const char *what)
{
    *value = 0;
    return take(reader, value, sizeof *value, what);
}

// A string in place: u64 length, then bytes without a NUL.
static bool take_text(Reader *reader, const char **text, uint64_t *length, const char *what)
{
    uint64_t begin = reader->at;
    *text = NULL;
    if (!take_u64(reader, length, what))
        return false;
    if (*length > reader->size - reader->at)
        return fail(reader, begin,
                    "%s of %" PRIu64 " bytes does not fit in this file of %" PRIu64 " bytes", what,
                    *length, reader->size);
    *text = (const char *)reader->bytes + reader->at;
    reader->at += *length;
    return true;
}

// A key or tensor name, copied so that it ends with a NUL. Control bytes are refused: names are C
// strings from here on, and are printed.
static bool take_name(Reader *reader, const char **name, uint64_t longest, const char *what)
{
    const char *text;
    uint64_t length, begin = reader->at;
    if (!take_text(reader, &text, &length, what))
        return false;
    if (length == 0 || length > longest)
        return fail(reader, begin, "%s of %" PRIu64 " bytes; it must have 1 to %" PRIu64, what,
                    length, longest);
    for (uint64_t i = 0; i < length; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return fail(reader, begin + 8 + i, "%s holds the control byte 0x%02x", what,
                        (unsigned)(unsigned char)text[i]);
    *name = reader->subject_name = arena_copy_text(reader->arena, text, (size_t)length);
    return true;
}

static bool take_number(Reader *reader, MetaValue *value, const ValueType *type)
{
    uint64_t raw = 0, begin = reader->at;
    if (!take(reader, &raw, type->bytes, type->name))
        return false;
    unsigned unused_bits = 64 - 8 * type->bytes;
    float single;
    switch (type->kind) {
    case META_BOOL:
        if (raw > 1)
            return fail(reader, begin, "a bool must be 0 or 1, not %" PRIu64, raw);
        value->boolean = raw == 1;
        return true;
    case META_INT: value->integer = (int64_t)(raw << unused_bits) >> unused_bits; return true;
    case META_FLOAT:
        if (type->bytes == sizeof single) {
            memcpy(&single, &raw, sizeof single);
            value->real = (double)single;
        } else {
            memcpy(&value->real, &raw, sizeof value->real);
        }
        return true;
    default: value->natural = raw; return true;
    }
}

static bool take_type(Reader *reader, uint32_t *tag)
{
    uint64_t begin = reader->at;
    if (!take_u32(reader, tag, "a value type"))
        return false;
    if (*tag >= TAG_COUNT)
        return fail(reader, begin, "value type %" PRIu32 " is unknown (0 to %d are defined)", *tag,
                    TAG_COUNT - 1);
    return true;
}

static bool take_value(Reader *reader, MetaValue *value, uint32_t tag, int depth);

static bool take_array(Reader *reader, MetaValue *value, int depth)
{
    uint32_t tag;
    uint64_t count, begin = reader->at;
    if (depth == ARRAY_DEPTH_MAX)
        return fail(reader, begin, "arrays are nested deeper than %d", ARRAY_DEPTH_MAX);
    if (!take_type(reader, &tag) || !take_u64(reader, &count, "an array's length"))
        return false;
    if (count > (reader->size - reader->at) / value_types[tag].bytes)
        return fail(reader, begin,
                    "an array of %" PRIu64 " %s does not fit in this file of %" PRIu64 " bytes",
                    count, value_types[tag].name, reader->size);
    if (count > ITEMS_MAX - reader->items)
        return fail(reader, begin, "more than %d array elements in one file", ITEMS_MAX);
    reader->items += count;
    MetaValue *items = ARENA_ARRAY(reader->arena, MetaValue, count);
    for (uint64_t i = 0; i < count; i++)
        if (!take_value(reader, &items[i], tag, depth + 1))
            return false;
    value->array.items = items;
    value->array.count = (int64_t)count;
    return true;
}

static bool take_value(Reader *reader, MetaValue *value, uint32_t tag, int depth)
{
    const ValueType *type = &value_types[tag];
    value->kind = type->kind;
    value->type_name = type->name;
    if (tag == TAG_ARRAY)
        return take_array(reader, value, depth);
    if (tag != TAG_TEXT)
        return take_number(reader, value, type);
    uint64_t length;
    if (!take_text(reader, &value->text.bytes, &length, "a string"))
        return false;
    value->text.length = (int64_t)length;
    return true;
}

// A table's length from the header, checked against the smallest entries that could follow.
static bool take_count(Reader *reader, int64_t *count, const char *what)
{
    uint64_t number, begin = reader->at;
    if (!take_u64(reader, &number, "the header"))
        return false;
    if (number > (reader->size - reader->at) / ENTRY_BYTES_MIN)
        return fail(reader, begin, "%" PRIu64 " %s do not fit in this file of %" PRIu64 " bytes",
                    number, what, reader->size);
    if (number > ITEMS_MAX)
        return fail(reader, begin, "more than %d %s in one file", ITEMS_MAX, what);
    *count = (int64_t)number;
    return true;
}

static bool read_header(Reader *reader, ModelFile *file)
{
    uint32_t version;
    if (reader->size < 4 || memcmp(reader->bytes, "GGUF", 4) != 0)
        return fail(reader, 0, "no magic \"GGUF\": this is not a GGUF file");
    reader->at = 4;
    if (!take_u32(reader, &version, "the header"))
        return false;
    if (version == 1)
        return fail(reader, 4,
                    "GGUF version 1 is not supported, only 2 and 3; convert the model again");
    // The version's bytes swapped: no real version is that high.
    if (version != 0 && (version & 0xffff) == 0)
        return fail(reader, 4,
                    "big-endian GGUF files are not supported, only little-endian ones; "
                    "convert this one with gguf-convert-endian");
    if (version != 2 && version != 3)
        return fail(reader, 4, "GGUF version %" PRIu32 " is not supported, only 2 and 3", version);
    return take_count(reader, &file->tensor_count, "tensors") &&
           take_count(reader, &file->metadata_count, "keys");
}

static bool read_metadata(Reader *reader, ModelFile *file)
{
    Metadata *metadata = ARENA_ARRAY(reader->arena, Metadata, file->metadata_count);
    file->metadata = metadata;
    file->metadata_index = name_index_new(reader->arena, file->metadata_count);
    for (int64_t i = 0; i < file->metadata_count; i++) {
        uint32_t tag;
        uint64_t begin = reader->at;
        metadata[i].file_offset = begin;
        set_subject(reader, "key", i, file->metadata_count);
        if (!take_name(reader, &metadata[i].key, KEY_BYTES_MAX, "the name"))
            return false;
        if (!name_index_add(&file->metadata_index, metadata[i].key, i))
            return fail(reader, begin, "stands in the file twice");
        if (!take_type(reader, &tag) || !take_value(reader, &metadata[i].value, tag, 0))
            return false;
    }
    reader->subject = reader->subject_name = NULL;
    return true;
}

// The key, which becomes the subject of messages, or NULL.
static const Metadata *find_key(Reader *reader, const ModelFile *file, const char *key)
{
    int64_t position = name_index_find(&file->metadata_index, key);
    if (position < 0)
        return NULL;
    reader->subject = "key";
    reader->subject_name = key;
    return &file->metadata[position];
}

// general.alignment; ggml asks for a power of two, the format for a multiple of 8.
static bool read_alignment(Reader *reader, const ModelFile *file, uint64_t *alignment)
{
    const Metadata *found = find_key(reader, file, "general.alignment");
    *alignment = ALIGNMENT_DEFAULT;
    if (!found)
        return true;
    if (found->value.kind != META_UINT)
        return fail(reader, found->file_offset, "must be an unsigned number, not %s",
                    found->value.type_name);
    *alignment = found->value.natural;
    if (*alignment < ALIGNMENT_MIN || *alignment > UINT32_MAX || (*alignment & (*alignment - 1)))
        return fail(reader, found->file_offset,
                    "alignment %" PRIu64 " must be a power of two and a multiple of %d", *alignment,
                    ALIGNMENT_MIN);
    return true;
}

static bool fail_tensor_size(Reader *reader, uint64_t at, const uint64_t *sizes, uint32_t rank)
{
    char text[128] = "1";
    int used = 0;
    for (uint32_t i = 0; i < rank; i++)
        used += snprintf(text + used, sizeof text - (size_t)used, "%s%" PRIu64, i ? " x " : "",
                         sizes[i]);
    return fail(reader, at, "%s elements do not fit in this file of %" PRIu64 " bytes", text,
                reader->size);
}

// Fills shape and bytes from the file's dimensions, which run from the innermost outwards.
static bool set_tensor_shape(Reader *reader, FileTensor *tensor, const uint64_t *sizes, uint64_t at)
{
    uint64_t elements = 1, row = tensor->rank ? sizes[0] : 1;
    uint32_t rank = (uint32_t)tensor->rank;
    for (uint32_t i = 0; i < rank; i++) {
        if (sizes[i] == 0)
            return fail(reader, at, "dimension %" PRIu32 " is 0", i);
        if (__builtin_mul_overflow(elements, sizes[i], &elements) || elements > INT64_MAX)
            return fail_tensor_size(reader, at, sizes, rank);
        tensor->shape[rank - 1 - i] = (int64_t)sizes[i];
    }
    if (tensor->dtype == DTYPE_COUNT)
        return true;
    const DTypeInfo *info = &dtype_table[tensor->dtype];
    uint64_t block = (uint64_t)info->block_elements;
    if (row % block)
        return fail(reader, at,
                    "rows of %" PRIu64 " elements are not whole blocks of %s (%" PRIu64 ")", row,
                    info->name, block);
    if (__builtin_mul_overflow(elements / block, (uint64_t)info->block_bytes, &tensor->bytes) ||
        tensor->bytes > reader->size)
        return fail_tensor_size(reader, at, sizes, rank);
    return true;
}

// One tensor's entry; its file_offset is still relative to the data, which begins after all
// entries.
static bool read_tensor(Reader *reader, FileTensor *tensor, uint64_t alignment)
{
    uint32_t rank, type;
    uint64_t sizes[RANK_MAX] = {0}, rank_at = reader->at;
    if (!take_u32(reader, &rank, "the rank"))
        return false;
    if (rank > RANK_MAX)
        return fail(reader, rank_at, "%" PRIu32 " dimensions; at most %d are allowed", rank,
                    RANK_MAX);
    for (uint32_t i = 0; i < rank; i++)
        if (!take_u64(reader, &sizes[i], "the dimensions"))
            return false;
    if (!take_u32(reader, &type, "the tensor type"))
        return false;
    tensor->dtype = dtype_from_gguf(type);
    tensor->type_name = tensor->dtype == DTYPE_COUNT
                            ? arena_format(reader->arena, "number %" PRIu32, type)
                            : dtype_table[tensor->dtype].name;
    tensor->rank = (int32_t)rank;
    if (!set_tensor_shape(reader, tensor, sizes, rank_at))
        return false;
    uint64_t offset_at = reader->at;
    if (!take_u64(reader, &tensor->file_offset, "the offset"))
        return false;
    if (tensor->file_offset % alignment)
        return fail(reader, offset_at,
                    "offset %" PRIu64 " is not a multiple of the alignment %" PRIu64,
                    tensor->file_offset, alignment);
    return true;
}

static bool read_tensors(Reader *reader, ModelFile *file, FileTensor *tensors, uint64_t alignment)
{
    for (int64_t i = 0; i < file->tensor_count; i++) {
        uint64_t begin = reader->at;
        set_subject(reader, "tensor", i, file->tensor_count);
        if (!take_name(reader, &tensors[i].name, TENSOR_NAME_BYTES_MAX, "the name"))
            return false;
        if (!name_index_add(&file->tensor_index, tensors[i].name, i))
            return fail(reader, begin, "stands in the file twice");
        if (!read_tensor(reader, &tensors[i], alignment))
            return false;
    }
    return true;
}

// Turns offsets into places in the file, now that the beginning of the data is known.
static bool place_tensors(Reader *reader, ModelFile *file, FileTensor *tensors, uint64_t alignment)
{
    uint64_t padding = (alignment - reader->at % alignment) % alignment;
    uint64_t begin = reader->at + padding;
    for (int64_t i = 0; i < file->tensor_count; i++) {
        FileTensor *tensor = &tensors[i];
        reader->subject_name = tensor->name;
        if (begin > reader->size || tensor->file_offset > reader->size - begin ||
            tensor->bytes > reader->size - begin - tensor->file_offset)
            return fail(reader, begin,
                        "data of %" PRIu64 " bytes at offset %" PRIu64
                        " ends past the file of %" PRIu64 " bytes; is the file cut short?",
                        tensor->bytes, tensor->file_offset, reader->size);
        tensor->file_offset += begin;
        if (tensor->dtype != DTYPE_COUNT)
            tensor->data = reader->bytes + tensor->file_offset;
    }
    reader->subject = reader->subject_name = NULL;
    return true;
}

// A key that must be text where it stands; "" where it does not.
static bool read_text_key(Reader *reader, const ModelFile *file, const char *key, const char **text)
{
    const Metadata *found = find_key(reader, file, key);
    *text = "";
    if (!found)
        return true;
    const MetaValue *value = &found->value;
    if (value->kind != META_TEXT)
        return fail(reader, found->file_offset, "must be a string, not %s", value->type_name);
    if (memchr(value->text.bytes, 0, (size_t)value->text.length))
        return fail(reader, found->file_offset, "holds a zero byte");
    *text = arena_copy_text(reader->arena, value->text.bytes, (size_t)value->text.length);
    return true;
}

static bool read_identity(Reader *reader, ModelFile *file)
{
    if (!read_text_key(reader, file, "general.architecture", &file->architecture) ||
        !read_text_key(reader, file, "general.name", &file->name))
        return false;
    if (!*file->name) {
        const char *slash = strrchr(file->path, '/');
        file->name = slash ? slash + 1 : file->path;
    }
    return true;
}

bool gguf_read_part(ModelFile *file, Arena *arena, Diag *diag)
{
    Reader reader = {.path = file->path,
                     .bytes = file->parts.items[0].mapping,
                     .size = file->parts.items[0].bytes,
                     .arena = arena,
                     .diag = diag};
    uint64_t alignment;
    if (!read_header(&reader, file) || !read_metadata(&reader, file) ||
        !read_alignment(&reader, file, &alignment))
        return false;
    FileTensor *tensors = ARENA_ARRAY(arena, FileTensor, file->tensor_count);
    file->tensors = tensors;
    file->tensor_index = name_index_new(arena, file->tensor_count);
    return read_tensors(&reader, file, tensors, alignment) &&
           place_tensors(&reader, file, tensors, alignment) && read_identity(&reader, file);
}

bool gguf_read(ModelFile *file, Arena *arena, Diag *diag)
{
    return gguf_read_part(file, arena, diag) && gguf_join_parts(file, arena, diag) &&
           gguf_make_weights(file, arena, diag);
}
