// Opening model files: which reader a path goes to, and the mapping, which belongs to the
// ModelFile.
//
// The format is told from the first bytes and never from the name. What we know of but do not read
// is refused by name, so that nobody has to guess from "bad magic" what the file was.
#include "frontends/model_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "frontends/gguf/gguf.h"
#include "frontends/llama2c/llama2c.h"
#include "frontends/safetensors/safetensors.h"
#include "frontends/shape.h"
#include "frontends/tokenizer/tokenizer_file.h"
#include "graph/graph.h"

#define SUPPORTED                                                                                  \
    "supported are GGUF files (versions 2 and 3), safetensors files, Hugging Face folders, "       \
    "llama2.c files (version 0), tokenizer.json, tokenizer.model and shape:NAME"

typedef struct ForeignFormat {
    const char *name;
    uint32_t at, length; // where the magic stands
    const char *magic;
} ForeignFormat;

static const ForeignFormat foreign_formats[] = {
    {"a big-endian or damaged GGUF file", 0, 4, "FUGG"},
    {"an old GGML file (ggjt), which GGUF replaced", 0, 4, "tjgg"},
    {"an old GGML file (ggmf), which GGUF replaced", 0, 4, "fmgg"},
    {"an old GGML file (ggml), which GGUF replaced", 0, 4, "lmgg"},
    {"a llama2.c file of version 1 or 2", 0, 4, "24ka"},
    {"a zip archive (a PyTorch checkpoint?)", 0, 4, "PK\x03\x04"},
    {"a Python pickle (a PyTorch checkpoint?)", 0, 2, "\x80\x02"},
    {"an HDF5 file", 0, 4, "\x89HDF"},
    {"a gzip archive; unpack it first", 0, 2, "\x1f\x8b"},
    {"a Git LFS pointer; fetch the file itself (git lfs pull)", 0, 12, "version http"},
};

static const ForeignFormat *find_foreign(const ModelPart *part)
{
    for (size_t i = 0; i < sizeof foreign_formats / sizeof *foreign_formats; i++) {
        const ForeignFormat *format = &foreign_formats[i];
        if (part->bytes >= format->at + format->length &&
            !memcmp((const char *)part->mapping + format->at, format->magic, format->length))
            return format;
    }
    return NULL;
}

static bool read_other(ModelFile *file, Arena *arena, Diag *diag)
{
    Where where = {.file = file->path};
    const ModelPart *part = &file->parts.items[0];
    const ForeignFormat *foreign = find_foreign(part);
    if (foreign)
        return diag_fail(diag, where, "this is %s; " SUPPORTED, foreign->name);
    if (tokenizer_is_file(part->mapping, part->bytes)) {
        file->name = file->path;
        file->architecture = "";
        return tokenizer_read_part(0, file, arena, diag);
    }
    return diag_fail(diag, where,
                     "not a model file we know (no magic \"GGUF\" at byte 0); " SUPPORTED);
}

// Maps the whole file, or explains why not. An empty file has no mapping and is refused here.
static bool map_descriptor(ModelPart *part, int descriptor, Where where, Diag *diag)
{
    struct stat status;
    if (fstat(descriptor, &status) != 0)
        return diag_fail(diag, where, "cannot be examined: %s", strerror(errno));
    if (S_ISDIR(status.st_mode))
        return diag_fail(diag, where, "this is a folder, a file was expected");
    if (!S_ISREG(status.st_mode))
        return diag_fail(diag, where, "not a regular file; " SUPPORTED);
    if (status.st_size == 0)
        return diag_fail(diag, where, "the file is empty");
    void *mapping = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (mapping == MAP_FAILED)
        return diag_fail(diag, where, "cannot be mapped: %s", strerror(errno));
    part->mapping = mapping;
    part->bytes = (uint64_t)status.st_size;
    part->modified_ns = (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec;
    return true;
}

bool model_file_map(ModelFile *file, const char *path, Arena *arena, Diag *diag)
{
    Where where = {.file = path};
    ModelPart part = {.path = arena_copy_text(arena, path, strlen(path))};
    // O_NONBLOCK: opening a pipe must not wait for a writer.
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return diag_fail(diag, where, "cannot be opened: %s", strerror(errno));
    bool mapped = map_descriptor(&part, descriptor, where, diag);
    close(descriptor);
    if (mapped)
        vector_push(arena, &file->parts, part);
    return mapped;
}

static bool read_file(ModelFile *file, Arena *arena, Diag *diag)
{
    const ModelPart *part = &file->parts.items[0];
    if (part->bytes < 4)
        return diag_fail(diag, (Where){.file = file->path},
                         "a file of %llu bytes is too short to be a model; " SUPPORTED,
                         (unsigned long long)part->bytes);
    if (memcmp(part->mapping, "GGUF", 4) == 0)
        return gguf_read(file, arena, diag) && gguf_read_vocabulary(file, arena, diag);
    if (safetensors_is(part->mapping, part->bytes))
        return safetensors_read_file(file, arena, diag);
    if (llama2c_is(part->mapping, part->bytes))
        return llama2c_read(file, arena, diag);
    return read_other(file, arena, diag);
}

// The path without slashes at its end, but for the root.
static const char *trimmed(const char *path, Arena *arena)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    return arena_copy_text(arena, path, length);
}

static bool is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

bool model_file_read_tokenizer(ModelFile *file, const char *path, Arena *arena, Diag *diag)
{
    file->has_vocabulary = false;
    if (is_folder(path))
        return tokenizer_read_folder(path, file, arena, diag);
    if (!model_file_map(file, path, arena, diag))
        return false;
    return llama2c_read_tokenizer(file, arena) ||
           tokenizer_read_part(file->parts.count - 1, file, arena, diag);
}

// A folder without config.json may hold a tokenizer alone.
static bool read_path(ModelFile *file, Arena *arena, Diag *diag)
{
    if (!is_folder(file->path))
        return model_file_map(file, file->path, arena, diag) && read_file(file, arena, diag);
    if (safetensors_is_folder(file->path, arena))
        return safetensors_read_folder(file, arena, diag);
    if (!tokenizer_is_in_folder(file->path, arena))
        return diag_fail(diag, (Where){.file = file->path},
                         "this folder holds neither config.json nor a tokenizer, so it is no "
                         "Hugging Face model");
    file->name = file->path;
    file->architecture = "";
    return tokenizer_read_folder(file->path, file, arena, diag);
}

ModelFile *model_file_open(const char *path, Arena *arena, Diag *diag)
{
    if (shape_is(path))
        return shape_open(path, arena, diag);
    ModelFile *file = ARENA_NEW(arena, ModelFile);
    file->path = trimmed(path, arena);
    if (read_path(file, arena, diag))
        return file;
    model_file_close(file);
    return NULL;
}

void model_file_unmap(ModelFile *file)
{
    const ModelPart *part = &file->parts.items[--file->parts.count];
    munmap((void *)(uintptr_t)part->mapping, (size_t)part->bytes);
}

void model_file_close(ModelFile *file)
{
    while (file && file->parts.count)
        model_file_unmap(file);
}

const FileTensor *model_file_tensor(const ModelFile *file, const char *name)
{
    int64_t position = name_index_find(&file->tensor_index, name);
    return position < 0 ? NULL : &file->tensors[position];
}

const MetaValue *model_file_meta(const ModelFile *file, const char *key)
{
    int64_t position = name_index_find(&file->metadata_index, key);
    return position < 0 ? NULL : &file->metadata[position].value;
}

uint64_t model_file_header_bytes(const ModelFile *file, int32_t part)
{
    uint64_t header = file->parts.items[part].bytes;
    for (int64_t i = 0; i < file->tensor_count; i++)
        if (file->tensors[i].part == part && file->tensors[i].file_offset < header)
            header = file->tensors[i].file_offset;
    return header;
}

bool model_file_weight(const ModelFile *file, const char *name, Arena *arena, FileWeight *weight)
{
    int64_t position = name_index_find(&file->weight_index, name);
    if (position >= 0) {
        *weight = file->weights.items[position];
        return true;
    }
    const FileTensor *tensor = model_file_tensor(file, name);
    if (!tensor)
        return false;
    *weight = model_file_tensor_weight(tensor, arena);
    return true;
}

FileWeight model_file_tensor_weight(const FileTensor *tensor, Arena *arena)
{
    FileWeight weight = {
        .name = tensor->name, .rank = tensor->rank, .type_name = tensor->type_name};
    int64_t rows = 1;
    for (int32_t i = 0; i < tensor->rank; i++) {
        weight.shape[i] = tensor->shape[i];
        rows *= i + 1 < tensor->rank ? tensor->shape[i] : 1;
    }
    if (tensor->dtype != DTYPE_COUNT && tensor->rank > 0 && rows > 0)
        weight.recipe = recipe_tensor(arena, tensor->name, tensor->dtype, rows,
                                      tensor->shape[tensor->rank - 1]);
    return weight;
}

// A vector is taken as rows of one number.
const Recipe *model_file_permute(const FileTensor *tensor, int64_t m, int64_t n, int64_t inner,
                                 Arena *arena)
{
    bool vector = tensor->rank == 1;
    const Recipe *recipe = recipe_tensor(arena, tensor->name, tensor->dtype, tensor->shape[0],
                                         vector ? 1 : tensor->shape[1]);
    recipe = recipe_permute(arena, recipe, m, n, inner);
    return vector ? recipe_transpose(arena, recipe) : recipe;
}
