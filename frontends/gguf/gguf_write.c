// The layout of a GGUF file, version 3. It is fixed before any data is written, so the data can be
// streamed in order and nothing is patched afterwards.
//
// A value is written in the type that its type_name says. `general.alignment` is never written: 32
// is what a reader takes without it.
#include "frontends/gguf/gguf_write.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

enum { VERSION = 3 };

typedef struct ValueType {
    const char *name;
    uint32_t bytes;
} ValueType;

static const ValueType value_types[] = {
#define VALUE_TYPE(name, kind, bytes) {#name, bytes},
#include "frontends/gguf/value_types.def"
#undef VALUE_TYPE
};

static uint32_t type_number(const char *name)
{
    uint32_t number = 0;
    while (strcmp(value_types[number].name, name) != 0) {
        number++;
        assert(number < sizeof value_types / sizeof *value_types);
    }
    return number;
}

static void put_u32(Text *out, uint32_t value)
{
    text_append(out, (const char *)&value, sizeof value);
}

static void put_u64(Text *out, uint64_t value)
{
    text_append(out, (const char *)&value, sizeof value);
}

static void put_text(Text *out, const char *bytes, size_t length)
{
    put_u64(out, length);
    text_append(out, bytes, length);
}

static void put_float(Text *out, double value, uint32_t bytes)
{
    float single = (float)value;
    const void *from = bytes == sizeof single ? (const void *)&single : &value;
    text_append(out, from, bytes);
}

static void put_value(Text *out, const MetaValue *value)
{
    uint32_t bytes = value_types[type_number(value->type_name)].bytes;
    switch (value->kind) {
    case META_BOOL: text_append(out, value->boolean ? "\1" : "\0", 1); break;
    case META_INT:
    case META_UINT: text_append(out, (const char *)&value->natural, bytes); break;
    case META_FLOAT: put_float(out, value->real, bytes); break;
    case META_TEXT: put_text(out, value->text.bytes, (size_t)value->text.length); break;
    case META_ARRAY:
        // An empty list of JSON is one of nothing: any type will do.
        put_u32(out, type_number(value->array.item_type ? value->array.item_type : "u32"));
        put_u64(out, (uint64_t)value->array.count);
        for (int64_t i = 0; i < value->array.count; i++)
            put_value(out, &value->array.items[i]);
    }
}

// Sets offsets from the beginning of the data; the table holds those.
static bool place(GgufTensor *tensor, const char *path, uint64_t *end, Diag *diag)
{
    int64_t rows = 1, columns = tensor->rank ? tensor->shape[tensor->rank - 1] : 1;
    for (int32_t i = 0; i + 1 < tensor->rank; i++)
        rows *= tensor->shape[i];
    if (strlen(tensor->name) > GGUF_NAME_BYTES_MAX)
        return diag_fail(diag, (Where){.file = path},
                         "tensor \"%s\": GGUF files have names of at most %d bytes", tensor->name,
                         GGUF_NAME_BYTES_MAX);
    tensor->bytes = (uint64_t)(rows * dtype_row_bytes(tensor->dtype, columns));
    tensor->offset = *end;
    *end += (tensor->bytes + GGUF_ALIGNMENT - 1) / GGUF_ALIGNMENT * GGUF_ALIGNMENT;
    return true;
}

static void put_tensor(Text *out, const GgufTensor *tensor)
{
    put_text(out, tensor->name, strlen(tensor->name));
    put_u32(out, (uint32_t)tensor->rank);
    for (int32_t i = tensor->rank - 1; i >= 0; i--)
        put_u64(out, (uint64_t)tensor->shape[i]);
    put_u32(out, (uint32_t)dtype_table[tensor->dtype].gguf_type);
    put_u64(out, tensor->offset);
}

bool gguf_print_header(GgufContents *contents, const char *path, Text *out, Diag *diag)
{
    text_append(out, "GGUF", 4);
    put_u32(out, VERSION);
    put_u64(out, (uint64_t)contents->tensors.count);
    put_u64(out, (uint64_t)contents->metadata.count);
    for (int32_t i = 0; i < contents->metadata.count; i++) {
        const Metadata *entry = &contents->metadata.items[i];
        put_text(out, entry->key, strlen(entry->key));
        put_u32(out, type_number(entry->value.type_name));
        put_value(out, &entry->value);
    }
    uint64_t end = 0;
    for (int32_t i = 0; i < contents->tensors.count; i++) {
        if (!place(&contents->tensors.items[i], path, &end, diag))
            return false;
        put_tensor(out, &contents->tensors.items[i]);
    }
    while (out->length % GGUF_ALIGNMENT)
        text_append(out, "", 1);
    for (int32_t i = 0; i < contents->tensors.count; i++)
        contents->tensors.items[i].offset += out->length;
    return true;
}
