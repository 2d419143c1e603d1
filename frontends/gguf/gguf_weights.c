// What GGUF's converters do to the tensors of an architecture, undone: llama's converter permutes
// the rows of q and k from halves to adjacent pairs (llama.cpp, LlamaModel.permute), so that its
// runtime rotates neighbours. Here every model rotates halves.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "frontends/gguf/gguf.h"
#include "graph/graph.h"

enum { ARCHITECTURE_BYTES = 32 };

// "blk.3.attn_q.weight": the layer, and whether it is of q or of k.
static bool is_rotated(const char *name, unsigned *layer, bool *keys)
{
    char which = 0, rest[16] = "";
    if (sscanf(name, "blk.%5u.attn_%c.%15s", layer, &which, rest) != 3)
        return false;
    *keys = which == 'k';
    return (which == 'q' || which == 'k') && (!strcmp(rest, "weight") || !strcmp(rest, "bias"));
}

bool gguf_is_permuted(const char *architecture, const char *name)
{
    unsigned layer;
    bool keys, pairs = !strcmp(architecture, "llama") || !strcmp(architecture, "smollm3");
    return pairs && is_rotated(name, &layer, &keys);
}

// Heads of layer `layer`; 0 where the file does not say. The key may hold a number a layer.
static int64_t heads_of(const ModelFile *file, const char *key, unsigned layer)
{
    char full[ARCHITECTURE_BYTES + 40];
    snprintf(full, sizeof full, "%.*s.%s", ARCHITECTURE_BYTES, file->architecture, key);
    const MetaValue *value = model_file_meta(file, full);
    if (value && value->kind == META_ARRAY)
        value = layer < value->array.count ? &value->array.items[layer] : NULL;
    bool whole = value && (value->kind == META_UINT || value->kind == META_INT);
    return whole && value->natural <= INT32_MAX ? (int64_t)value->natural : 0;
}

bool gguf_permuted_half(const ModelFile *file, const char *name, int64_t rows, int64_t *half,
                        Diag *diag)
{
    unsigned layer = 0;
    bool keys = false;
    is_rotated(name, &layer, &keys);
    int64_t heads = heads_of(file, "attention.head_count", layer);
    int64_t kv_heads = heads_of(file, "attention.head_count_kv", layer);
    heads = keys && kv_heads ? kv_heads : heads;
    if (heads < 1 || rows < 1 || rows > DIM_MAX || rows % (2 * heads))
        return diag_fail(diag, (Where){.file = file->path},
                         "tensor \"%s\": %" PRId64 " rows are not %" PRId64
                         " heads (attention.head_count) of even size",
                         name, rows, heads);
    *half = rows / heads / 2;
    return true;
}

bool gguf_make_weights(ModelFile *file, Arena *arena, Diag *diag)
{
    file->weight_index = name_index_new(arena, file->tensor_count);
    for (int64_t i = 0; i < file->tensor_count; i++) {
        const FileTensor *tensor = &file->tensors[i];
        int64_t half, rows = tensor->shape[0];
        if (!gguf_is_permuted(file->architecture, tensor->name) || tensor->dtype == DTYPE_COUNT ||
            tensor->rank < 1 || tensor->rank > 2)
            continue;
        // A vector is permuted element by element, which blocks do not allow.
        bool floats = dtype_table[tensor->dtype].kind == DTYPE_KIND_FLOAT;
        if (!gguf_permuted_half(file, tensor->name, tensor->rank == 1 && !floats ? 0 : rows, &half,
                                diag))
            return false;
        FileWeight weight = {.name = tensor->name,
                             .rank = tensor->rank,
                             .shape = {rows, tensor->shape[1]},
                             .recipe = model_file_permute(tensor, half, 2, 1, arena),
                             .type_name = tensor->type_name};
        name_index_add(&file->weight_index, tensor->name, file->weights.count);
        vector_push(arena, &file->weights, weight);
    }
    return true;
}
