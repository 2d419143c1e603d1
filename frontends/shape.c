// Shapes without weights: one row a model, turned into the metadata that its GGUF file would have,
// so that scripts cannot tell the difference until they ask for a tensor.
//
// A shape has no vocabulary and no tensors. Its weight type applies to matrices; which tensors
// exist is the script's knowledge, `tied` tells it whether the head is the embedding.
#include "frontends/shape.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "frontends/metadata.h"
#include "graph/base/text.h"

typedef struct ShapeRow {
    const char *name, *architecture;
    uint32_t layers, embedding, heads, kv_heads, feed_forward, vocabulary, context;
    float rms_epsilon, rope_base;
    bool tied;
} ShapeRow;

static const ShapeRow shape_rows[] = {
    {"tinyllama-1.1b", "llama", 22, 2048, 32, 4, 5632, 32000, 2048, 1e-5f, 1e4f, false},
    {"qwen2-0.5b", "qwen2", 24, 896, 14, 2, 4864, 151936, 32768, 1e-6f, 1e6f, true},
    {"stories15m", "llama", 6, 288, 6, 6, 768, 32000, 256, 1e-5f, 1e4f, true},
    {"llama-2-7b", "llama", 32, 4096, 32, 32, 11008, 32000, 4096, 1e-5f, 1e4f, false},
    // Small ones, to be given other dimensions.
    {"llama", "llama", 2, 256, 4, 2, 768, 32000, 2048, 1e-5f, 1e4f, false},
    {"qwen2", "qwen2", 2, 256, 4, 2, 768, 151936, 2048, 1e-6f, 1e6f, true},
};

// Dimensions that a path can set; each from 1 to `most`.
static const struct {
    const char *name;
    size_t offset;
    uint32_t most;
} dimensions[] = {
    {"layers", offsetof(ShapeRow, layers), 1024},
    {"embd", offsetof(ShapeRow, embedding), 1 << 16},
    {"heads", offsetof(ShapeRow, heads), 1024},
    {"kv_heads", offsetof(ShapeRow, kv_heads), 1024},
    {"ff", offsetof(ShapeRow, feed_forward), 1 << 18},
    {"vocab", offsetof(ShapeRow, vocabulary), 1 << 20},
    {"ctx", offsetof(ShapeRow, context), 1 << 20},
};

enum {
    SHAPE_ROWS = sizeof shape_rows / sizeof *shape_rows,
    DIMENSIONS = sizeof dimensions / sizeof *dimensions
};

static const char prefix[] = "shape:";

bool shape_is(const char *path)
{
    return strncmp(path, prefix, sizeof prefix - 1) == 0;
}

// A piece of the path between commas.
typedef struct Part {
    const char *begin;
    int length;
} Part;

static Part next_part(const char **rest)
{
    Part part = {*rest, (int)strcspn(*rest, ",")};
    *rest += part.length;
    if (**rest)
        (*rest)++;
    return part;
}

static const ShapeRow *find_row(Part name, Where where, Diag *diag)
{
    Text known = {0};
    for (int i = 0; i < SHAPE_ROWS; i++) {
        const char *row_name = shape_rows[i].name;
        if (strlen(row_name) == (size_t)name.length &&
            !memcmp(row_name, name.begin, strlen(row_name))) {
            text_free(&known);
            return &shape_rows[i];
        }
        text_print(&known, "%s%s", i ? ", " : "", row_name);
    }
    diag_fail(diag, where, "no shape is called \"%.*s\"; known are %s", name.length, name.begin,
              known.bytes);
    text_free(&known);
    return NULL;
}

static bool set_type(ModelFile *file, const ShapeRow *row, const char *name, Diag *diag)
{
    Where where = {.file = file->path};
    DType dtype = dtype_from_name(name);
    if (dtype == DTYPE_COUNT || dtype_table[dtype].gguf_type < 0 ||
        dtype_table[dtype].kind == DTYPE_KIND_INT)
        return diag_fail(diag, where,
                         "\"%s\" is not a weight type (try f32, f16, q8_0, q4_0, q6_k)", name);
    uint32_t block = (uint32_t)dtype_table[dtype].block_elements;
    if (row->embedding % block || row->feed_forward % block)
        return diag_fail(diag, where,
                         "rows of %u and %u elements do not fit %s, whose blocks hold %u; "
                         "choose a type with smaller blocks",
                         row->embedding, row->feed_forward, name, block);
    file->weightless_type = dtype;
    return true;
}

// "embd=512": 1 where it was set, 0 where it is no dimension, -1 with a message.
static int set_dimension(ShapeRow *row, const char *option, Where where, Diag *diag)
{
    for (int i = 0; i < DIMENSIONS; i++) {
        size_t length = strlen(dimensions[i].name);
        if (strncmp(option, dimensions[i].name, length) != 0 || option[length] != '=')
            continue;
        const char *digits = option + length + 1;
        char *end;
        unsigned long number = strtoul(digits, &end, 10);
        if (*digits < '0' || *digits > '9' || *end || number < 1 || number > dimensions[i].most) {
            diag_fail(diag, where, "%s: expected a number from 1 to %u", option,
                      dimensions[i].most);
            return -1;
        }
        *(uint32_t *)(void *)((char *)row + dimensions[i].offset) = (uint32_t)number;
        return 1;
    }
    return 0;
}

static bool check_heads(const ShapeRow *row, Where where, Diag *diag)
{
    if (row->embedding % (2 * row->heads) == 0 && row->heads % row->kv_heads == 0)
        return true;
    return diag_fail(diag, where,
                     "%u heads over %u kv heads do not share %u elements in even parts", row->heads,
                     row->kv_heads, row->embedding);
}

// Sets *type to the type's name, which is checked once the dimensions are known.
static bool apply_option(ModelFile *file, ShapeRow *row, Part part, const char **type, Arena *arena,
                         Diag *diag)
{
    Where where = {.file = file->path};
    const char *option = arena_copy_text(arena, part.begin, (size_t)part.length);
    int set = set_dimension(row, option, where, diag);
    if (set)
        return set > 0;
    if (!strncmp(option, "type=", 5)) {
        *type = option + 5;
        return true;
    }
    return diag_fail(diag, where,
                     "\"%s\" is not an option of a shape; known are type=TYPE and layers, embd, "
                     "heads, kv_heads, ff, vocab, ctx=N",
                     option);
}

static void add_metadata(ModelFile *file, const ShapeRow *row, Arena *arena)
{
    MetadataList list = {.file = file, .arena = arena};
    metadata_add(&list, "general.architecture", meta_text(row->architecture));
    metadata_add(&list, "general.name", meta_text(row->name));
    metadata_add_own(&list, "block_count", meta_count(row->layers));
    metadata_add_own(&list, "context_length", meta_count(row->context));
    metadata_add_own(&list, "embedding_length", meta_count(row->embedding));
    metadata_add_own(&list, "feed_forward_length", meta_count(row->feed_forward));
    metadata_add_own(&list, "attention.head_count", meta_count(row->heads));
    metadata_add_own(&list, "attention.head_count_kv", meta_count(row->kv_heads));
    metadata_add_own(&list, "rope.dimension_count", meta_count(row->embedding / row->heads));
    metadata_add_own(&list, "vocab_size", meta_count(row->vocabulary));
    metadata_add_own(&list, "attention.layer_norm_rms_epsilon", meta_real(row->rms_epsilon));
    metadata_add_own(&list, "rope.freq_base", meta_real(row->rope_base));
    metadata_keep(&list);
}

ModelFile *shape_open(const char *path, Arena *arena, Diag *diag)
{
    ModelFile *file = ARENA_NEW(arena, ModelFile);
    file->path = arena_copy_text(arena, path, strlen(path));
    const char *rest = file->path + sizeof prefix - 1;
    const ShapeRow *known = find_row(next_part(&rest), (Where){.file = file->path}, diag);
    if (!known)
        return NULL;
    ShapeRow row = *known;
    file->weightless = true;
    file->weightless_type = DTYPE_f16;
    file->weightless_tied = row.tied;
    const char *type = NULL;
    while (*rest)
        if (!apply_option(file, &row, next_part(&rest), &type, arena, diag))
            return NULL;
    if ((type && !set_type(file, &row, type, diag)) ||
        !check_heads(&row, (Where){.file = file->path}, diag))
        return NULL;
    file->name = row.name;
    file->architecture = row.architecture;
    add_metadata(file, &row, arena);
    return file;
}
