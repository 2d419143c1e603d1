// What a GGUF file of a model holds: its keys, its tensors in order, the type of each.
//
// A GGUF file follows llama.cpp's conventions already: its tensors are taken as they are stored,
// and its keys with them, but for those that tell of the file itself.
#include "frontends/gguf/gguf_export.h"

#include <string.h>

#include "frontends/gguf/gguf_convention.h"

#include "graph/graph.h"

enum { QUANTIZATION_VERSION = 2 };

void gguf_put_key(GgufContents *contents, Arena *arena, const char *key, MetaValue value)
{
    Metadata entry = {.key = key, .value = value};
    vector_push(arena, &contents->metadata, entry);
}

MetaValue gguf_value_u32(uint64_t number)
{
    return (MetaValue){.kind = META_UINT, .type_name = "u32", .natural = number};
}

MetaValue gguf_value_bool(bool truth)
{
    return (MetaValue){.kind = META_BOOL, .type_name = "bool", .boolean = truth};
}

MetaValue gguf_value_text(const char *text)
{
    return (MetaValue){
        .kind = META_TEXT, .type_name = "string", .text = {text, (int64_t)strlen(text)}};
}

bool gguf_ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && memcmp(text + length - tail, end, tail) == 0;
}

static bool copy_tensor(const ModelFile *file, const FileTensor *tensor, Arena *arena,
                        GgufContents *contents, Diag *diag)
{
    int64_t columns = tensor->rank ? tensor->shape[tensor->rank - 1] : 1, rows = 1;
    if (tensor->dtype == DTYPE_COUNT)
        return diag_fail(diag, (Where){.file = file->path},
                         "tensor \"%s\" has type %s, which graphquant does not know", tensor->name,
                         tensor->type_name);
    for (int32_t i = 0; i + 1 < tensor->rank; i++)
        rows *= tensor->shape[i];
    GgufTensor copy = {.name = tensor->name,
                       .dtype = tensor->dtype,
                       .wanted = tensor->dtype,
                       .rank = tensor->rank};
    memcpy(copy.shape, tensor->shape, sizeof copy.shape);
    copy.recipe = recipe_tensor(arena, tensor->name, tensor->dtype, rows, columns);
    vector_push(arena, &contents->tensors, copy);
    return true;
}

// Keys of the file that is read, not of the model.
static bool is_of_the_file(const char *key)
{
    static const char *const keys[] = {"general.alignment", "general.quantization_version",
                                       "general.file_type", "split."};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strncmp(key, keys[i], strlen(keys[i])) == 0)
            return true;
    return false;
}

static bool copy_file(const ModelFile *file, Arena *arena, GgufContents *contents, Diag *diag)
{
    for (int64_t i = 0; i < file->metadata_count; i++)
        if (!is_of_the_file(file->metadata[i].key))
            gguf_put_key(contents, arena, file->metadata[i].key, file->metadata[i].value);
    for (int64_t i = 0; i < file->tensor_count; i++)
        if (!copy_tensor(file, &file->tensors[i], arena, contents, diag))
            return false;
    return true;
}

// The mix whose number tells of the type that most elements of matrices have, NULL if none does.
static const GgufMix *mix_of(const GgufContents *contents)
{
    uint64_t elements[DTYPE_COUNT] = {0};
    DType most = DTYPE_f32;
    for (int32_t i = 0; i < contents->tensors.count; i++) {
        const GgufTensor *tensor = &contents->tensors.items[i];
        if (tensor->rank > 1)
            elements[tensor->dtype] += (uint64_t)(tensor->recipe->rows * tensor->recipe->columns);
        if (elements[tensor->dtype] > elements[most])
            most = tensor->dtype;
    }
    return gguf_mix_of_type(most);
}

static void put_file_type(const ModelFile *file, const GgufMix *mix, Arena *arena,
                          GgufContents *contents)
{
    const MetaValue *was = model_file_meta(file, "general.file_type");
    const GgufMix *told = mix ? mix : mix_of(contents);
    if (was && !mix)
        gguf_put_key(contents, arena, "general.file_type", *was);
    else if (told)
        gguf_put_key(contents, arena, "general.file_type", gguf_value_u32(told->file_type));
    gguf_put_key(contents, arena, "general.quantization_version",
                 gguf_value_u32(QUANTIZATION_VERSION));
}

bool gguf_export(const ModelFile *file, const GgufMix *mix, bool pure, Arena *arena,
                 GgufContents *contents, Diag *diag)
{
    *contents = (GgufContents){0};
    Convention convention = {file, gguf_architecture(file->architecture), arena, contents, diag};
    bool is_gguf = file->parts.count && memcmp(file->parts.items[0].mapping, "GGUF", 4) == 0;
    if (is_gguf ? !copy_file(file, arena, contents, diag)
                : !gguf_put_tensors(&convention) || !gguf_put_model_keys(&convention))
        return false;
    if (mix)
        gguf_mix_apply(file, mix, pure, contents);
    put_file_type(file, mix, arena, contents);
    return is_gguf || gguf_put_tokenizer(&convention);
}
