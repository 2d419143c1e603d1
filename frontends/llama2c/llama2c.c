// A llama2.c checkpoint as the GGUF file that a converter would make of it: the same names, keys
// and pairs of adjacent rows in q and k, so that what reads those serves here too.
//
// The header is i32 dim, hidden, layers, heads, kv heads, pieces (negative: the head is stored
// apart), context. Each kind of weight follows for all layers together; two tables of angles that
// llama2.c itself no longer reads stand before the head.
#include "frontends/llama2c/llama2c.h"

#include <inttypes.h>
#include <string.h>

#include "frontends/gguf/gguf.h"
#include "frontends/metadata.h"

enum { HEADER_BYTES = 28, SIZE_MAX_PLAUSIBLE = 1 << 24, LAYERS_MAX = 4096 };

typedef struct Header {
    int32_t columns, hidden, layers, heads, kv_heads, pieces, context;
} Header;

_Static_assert(sizeof(Header) == HEADER_BYTES, "the header is copied as it stands");

typedef struct Blob {
    ModelFile *file;
    uint64_t at; // bytes from the start of the file
    Vector(FileTensor) tensors;
    Arena *arena;
} Blob;

static bool is_plausible(int32_t size)
{
    return size > 0 && size <= SIZE_MAX_PLAUSIBLE;
}

bool llama2c_is(const void *bytes, uint64_t count)
{
    Header header;
    if (count < HEADER_BYTES)
        return false;
    memcpy(&header, bytes, sizeof header);
    bool sizes = is_plausible(header.columns) && is_plausible(header.hidden) &&
                 is_plausible(header.layers) && header.layers <= LAYERS_MAX &&
                 is_plausible(header.heads) && is_plausible(header.kv_heads) &&
                 is_plausible(header.context) && header.pieces != INT32_MIN &&
                 is_plausible(header.pieces < 0 ? -header.pieces : header.pieces);
    return sizes && header.columns % (2 * header.heads) == 0 && header.heads % header.kv_heads == 0;
}

// The next rows × columns numbers are the tensor; rows 0: a vector.
static void add_tensor(Blob *blob, const char *name, int64_t rows, int64_t columns)
{
    FileTensor tensor = {.name = name,
                         .dtype = DTYPE_f32,
                         .type_name = dtype_table[DTYPE_f32].name,
                         .rank = rows ? 2 : 1,
                         .shape = {rows ? rows : columns, rows ? columns : 0},
                         .file_offset = blob->at,
                         .bytes = (uint64_t)(rows ? rows : 1) * (uint64_t)columns * sizeof(float)};
    tensor.data = (const char *)blob->file->parts.items[0].mapping + blob->at;
    blob->at += tensor.bytes;
    vector_push(blob->arena, &blob->tensors, tensor);
}

static void add_layers(Blob *blob, const Header *header, const char *part, int64_t rows,
                       int64_t columns)
{
    for (int32_t layer = 0; layer < header->layers; layer++)
        add_tensor(blob, arena_format(blob->arena, "blk.%d.%s.weight", layer, part), rows, columns);
}

static void add_tensors(Blob *blob, const Header *header)
{
    int64_t n = header->columns, hidden = header->hidden, size = n / header->heads;
    int64_t kv_rows = header->kv_heads * size;
    int64_t pieces = header->pieces < 0 ? -(int64_t)header->pieces : header->pieces;
    add_tensor(blob, "token_embd.weight", pieces, n);
    add_layers(blob, header, "attn_norm", 0, n);
    add_layers(blob, header, "attn_q", n, n);
    add_layers(blob, header, "attn_k", kv_rows, n);
    add_layers(blob, header, "attn_v", kv_rows, n);
    add_layers(blob, header, "attn_output", n, n);
    add_layers(blob, header, "ffn_norm", 0, n);
    add_layers(blob, header, "ffn_gate", hidden, n);
    add_layers(blob, header, "ffn_down", n, hidden);
    add_layers(blob, header, "ffn_up", hidden, n);
    add_tensor(blob, "output_norm.weight", 0, n);
    blob->at += (uint64_t)header->context * (uint64_t)size * sizeof(float);
    if (header->pieces < 0)
        add_tensor(blob, "output.weight", pieces, n);
}

static void add_metadata(MetadataList *list, const Header *header)
{
    uint64_t pieces = (uint64_t)(header->pieces < 0 ? -(int64_t)header->pieces : header->pieces);
    metadata_add(list, "general.architecture", meta_text(list->file->architecture));
    metadata_add_own(list, "vocab_size", meta_count(pieces));
    metadata_add_own(list, "block_count", meta_count((uint64_t)header->layers));
    metadata_add_own(list, "context_length", meta_count((uint64_t)header->context));
    metadata_add_own(list, "embedding_length", meta_count((uint64_t)header->columns));
    metadata_add_own(list, "feed_forward_length", meta_count((uint64_t)header->hidden));
    metadata_add_own(list, "attention.head_count", meta_count((uint64_t)header->heads));
    metadata_add_own(list, "attention.head_count_kv", meta_count((uint64_t)header->kv_heads));
    metadata_add_own(list, "attention.layer_norm_rms_epsilon", meta_real(1e-5f));
    metadata_add_own(list, "rope.freq_base", meta_real(1e4f));
}

static bool read_tensors(ModelFile *file, const Header *header, Arena *arena, Diag *diag)
{
    Blob blob = {.file = file, .at = HEADER_BYTES, .arena = arena};
    add_tensors(&blob, header);
    if (blob.at != file->parts.items[0].bytes)
        return diag_fail(diag, (Where){.file = file->path},
                         "a llama2.c file of %d layers of %d and %d columns has %" PRIu64
                         " bytes, this one %" PRIu64 "; is it one of version 0, and whole?",
                         header->layers, header->columns, header->hidden, blob.at,
                         file->parts.items[0].bytes);
    file->tensors = blob.tensors.items;
    file->tensor_count = blob.tensors.count;
    file->tensor_index = name_index_new(arena, file->tensor_count);
    for (int64_t i = 0; i < file->tensor_count; i++)
        name_index_add(&file->tensor_index, file->tensors[i].name, i);
    return true;
}

bool llama2c_read(ModelFile *file, Arena *arena, Diag *diag)
{
    Header header;
    MetadataList list = {.file = file, .arena = arena};
    memcpy(&header, file->parts.items[0].mapping, sizeof header);
    const char *slash = strrchr(file->path, '/');
    file->name = slash ? slash + 1 : file->path;
    file->architecture = "llama";
    add_metadata(&list, &header);
    if (!read_tensors(file, &header, arena, diag))
        return false;
    metadata_keep(&list);
    llama2c_find_tokenizer(file, arena);
    return gguf_make_weights(file, arena, diag);
}
