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
#include "frontends/shape.h"

#define SUPPORTED "supported are GGUF files (versions 2 and 3) and shape:NAME"

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
    {"a safetensors file", 8, 2, "{\""},
    {"a zip archive (a PyTorch checkpoint?)", 0, 4, "PK\x03\x04"},
    {"a Python pickle (a PyTorch checkpoint?)", 0, 2, "\x80\x02"},
    {"an HDF5 file", 0, 4, "\x89HDF"},
    {"a gzip archive; unpack it first", 0, 2, "\x1f\x8b"},
    {"a Git LFS pointer; fetch the file itself (git lfs pull)", 0, 12, "version http"},
};

static bool refuse_foreign(const ModelFile *file, Where where, Diag *diag)
{
    for (size_t i = 0; i < sizeof foreign_formats / sizeof *foreign_formats; i++) {
        const ForeignFormat *format = &foreign_formats[i];
        if (file->mapping_bytes >= format->at + format->length &&
            !memcmp((const char *)file->mapping + format->at, format->magic, format->length))
            return diag_fail(diag, where, "this is %s; " SUPPORTED, format->name);
    }
    return diag_fail(diag, where,
                     "not a model file we know (no magic \"GGUF\" at byte 0); " SUPPORTED);
}

// Maps the whole file, or explains why not. An empty file has no mapping and is refused here.
static bool map_descriptor(ModelFile *file, int descriptor, Where where, Diag *diag)
{
    struct stat status;
    if (fstat(descriptor, &status) != 0)
        return diag_fail(diag, where, "cannot be examined: %s", strerror(errno));
    if (S_ISDIR(status.st_mode))
        return diag_fail(
            diag, where,
            "this is a folder (Hugging Face folders are not supported yet); " SUPPORTED);
    if (!S_ISREG(status.st_mode))
        return diag_fail(diag, where, "not a regular file; " SUPPORTED);
    if (status.st_size < 4)
        return diag_fail(diag, where, "a file of %lld bytes is too short to be a model; " SUPPORTED,
                         (long long)status.st_size);
    void *mapping = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (mapping == MAP_FAILED)
        return diag_fail(diag, where, "cannot be mapped: %s", strerror(errno));
    file->mapping = mapping;
    file->mapping_bytes = (uint64_t)status.st_size;
    return true;
}

static bool map_file(ModelFile *file, Diag *diag)
{
    Where where = {.file = file->path};
    // O_NONBLOCK: opening a pipe must not wait for a writer.
    int descriptor = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return diag_fail(diag, where, "cannot be opened: %s", strerror(errno));
    bool mapped = map_descriptor(file, descriptor, where, diag);
    close(descriptor);
    return mapped;
}

static bool read_file(ModelFile *file, Arena *arena, Diag *diag)
{
    if (memcmp(file->mapping, "GGUF", 4) != 0)
        return refuse_foreign(file, (Where){.file = file->path}, diag);
    return gguf_read(file, arena, diag) && gguf_read_vocabulary(file, arena, diag);
}

ModelFile *model_file_open(const char *path, Arena *arena, Diag *diag)
{
    if (shape_is(path))
        return shape_open(path, arena, diag);
    ModelFile *file = ARENA_NEW(arena, ModelFile);
    file->path = arena_copy_text(arena, path, strlen(path));
    if (map_file(file, diag) && read_file(file, arena, diag))
        return file;
    model_file_close(file);
    return NULL;
}

void model_file_close(ModelFile *file)
{
    if (!file || !file->mapping)
        return;
    munmap((void *)(uintptr_t)file->mapping, (size_t)file->mapping_bytes);
    file->mapping = NULL;
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
