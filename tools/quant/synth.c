// The tensors of a synthetic model and their values.
//
// Values are exact arithmetic on integers from a hash, so every machine makes the same file. A
// matrix is about normal (a sum of four uniform numbers) with a deviation that keeps the size of
// what flows through it, and one column in 64 is eight times as large: outliers are what makes
// quantisation hard. Rejected: one deviation everywhere, which quantises better than any trained
// model.
#include "tools/quant/synth.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "frontends/gguf/gguf_export.h"
#include "frontends/shape.h"
#include "graph/base/hash.h"
#include "runtime/sample.h"

typedef struct Sizes {
    int64_t layers, embedding, keys, feed_forward, vocabulary;
} Sizes;

// One row a tensor: its name (with %d: one a layer), rows (0: a vector) and columns as offsets of
// Sizes, and which models have it.
typedef struct TensorRow {
    const char *name;
    size_t rows, columns;
    enum { IN_ALL, IN_QWEN2, IN_UNTIED } in;
} TensorRow;

#define SIZE(field) offsetof(Sizes, field)
#define VECTOR SIZE(layers) // no tensor has as many rows as there are layers

static const TensorRow tensor_rows[] = {
    {"token_embd.weight", SIZE(vocabulary), SIZE(embedding), IN_ALL},
    {"blk.%d.attn_norm.weight", VECTOR, SIZE(embedding), IN_ALL},
    {"blk.%d.attn_q.weight", SIZE(embedding), SIZE(embedding), IN_ALL},
    {"blk.%d.attn_q.bias", VECTOR, SIZE(embedding), IN_QWEN2},
    {"blk.%d.attn_k.weight", SIZE(keys), SIZE(embedding), IN_ALL},
    {"blk.%d.attn_k.bias", VECTOR, SIZE(keys), IN_QWEN2},
    {"blk.%d.attn_v.weight", SIZE(keys), SIZE(embedding), IN_ALL},
    {"blk.%d.attn_v.bias", VECTOR, SIZE(keys), IN_QWEN2},
    {"blk.%d.attn_output.weight", SIZE(embedding), SIZE(embedding), IN_ALL},
    {"blk.%d.ffn_norm.weight", VECTOR, SIZE(embedding), IN_ALL},
    {"blk.%d.ffn_gate.weight", SIZE(feed_forward), SIZE(embedding), IN_ALL},
    {"blk.%d.ffn_up.weight", SIZE(feed_forward), SIZE(embedding), IN_ALL},
    {"blk.%d.ffn_down.weight", SIZE(embedding), SIZE(feed_forward), IN_ALL},
    {"output_norm.weight", VECTOR, SIZE(embedding), IN_ALL},
    {"output.weight", SIZE(vocabulary), SIZE(embedding), IN_UNTIED},
};

enum { TENSOR_ROWS = sizeof tensor_rows / sizeof *tensor_rows };

static int64_t size_at(const Sizes *sizes, size_t offset)
{
    return *(const int64_t *)(const void *)((const char *)sizes + offset);
}

static int64_t number_of(const ModelFile *model, const char *name, Arena *arena)
{
    const char *key = arena_format(arena, "%s.%s", model->architecture, name);
    return (int64_t)model_file_meta(model, key)->natural;
}

static Sizes sizes_of(const ModelFile *model, Arena *arena)
{
    int64_t embedding = number_of(model, "embedding_length", arena);
    return (Sizes){
        .layers = number_of(model, "block_count", arena),
        .embedding = embedding,
        .keys = embedding / number_of(model, "attention.head_count", arena) *
                number_of(model, "attention.head_count_kv", arena),
        .feed_forward = number_of(model, "feed_forward_length", arena),
        .vocabulary = number_of(model, "vocab_size", arena),
    };
}

static bool is_layered(const TensorRow *row)
{
    return strncmp(row->name, "blk.%d", 6) == 0;
}

typedef struct TensorList {
    Vector(FileTensor) items;
} TensorList;

static void add_tensor(TensorList *list, const TensorRow *row, const Sizes *sizes, int64_t layer,
                       Arena *arena)
{
    FileTensor tensor = {.name = row->name, .dtype = DTYPE_f32, .type_name = "F32", .rank = 1};
    if (is_layered(row))
        tensor.name = arena_format(arena, "blk.%" PRId64 "%s", layer, row->name + 6);
    if (row->rows != VECTOR)
        tensor.shape[tensor.rank++ - 1] = size_at(sizes, row->rows);
    tensor.shape[tensor.rank - 1] = size_at(sizes, row->columns);
    vector_push(arena, &list->items, tensor);
}

// In order of the table, the layers one after another in the place of its layered rows.
static void add_tensors(TensorList *list, const ModelFile *model, const Sizes *sizes, Arena *arena)
{
    bool qwen2 = strcmp(model->architecture, "qwen2") == 0;
    for (int first = 0, end; first < TENSOR_ROWS; first = end) {
        for (end = first + 1;
             end < TENSOR_ROWS && is_layered(&tensor_rows[end]) && is_layered(&tensor_rows[first]);)
            end++;
        int64_t layers = is_layered(&tensor_rows[first]) ? sizes->layers : 1;
        for (int64_t layer = 0; layer < layers; layer++)
            for (int i = first; i < end; i++)
                if ((tensor_rows[i].in != IN_QWEN2 || qwen2) &&
                    (tensor_rows[i].in != IN_UNTIED || !model->weightless_tied))
                    add_tensor(list, &tensor_rows[i], sizes, layer, arena);
    }
}

ModelFile *synth_open(const char *shape, Arena *arena, Diag *diag)
{
    ModelFile *model = shape_open(arena_format(arena, "shape:%s", shape), arena, diag);
    TensorList list = {0};
    if (!model)
        return NULL;
    Sizes sizes = sizes_of(model, arena);
    add_tensors(&list, model, &sizes, arena);
    model->weightless = false;
    model->tensors = list.items.items;
    model->tensor_count = list.items.count;
    model->tensor_index = name_index_new(arena, model->tensor_count);
    for (int64_t i = 0; i < model->tensor_count; i++)
        name_index_add(&model->tensor_index, model->tensors[i].name, (int32_t)i);
    return synth_make_vocabulary(model, sizes.vocabulary, arena, diag) ? model : NULL;
}

// About normal with deviation 1, from 64 random bits.
static float normal_of(uint64_t bits)
{
    int32_t sum = (int32_t)(bits & 0xffff) + (int32_t)(bits >> 16 & 0xffff) +
                  (int32_t)(bits >> 32 & 0xffff) + (int32_t)(bits >> 48) - 131070;
    return (float)sum * (1.7320508f / 65536.0f);
}

void synth_row(const Recipe *tensor, int64_t row, float *out)
{
    uint64_t seed = hash64(tensor->tensor, strlen(tensor->tensor), 1);
    Random random = random_seed(hash64(&row, sizeof row, seed));
    int64_t columns = tensor->columns;
    bool norm = gguf_ends_with(tensor->tensor, "_norm.weight"),
         bias = gguf_ends_with(tensor->tensor, ".bias");
    float mean = norm ? 1 : 0;
    float deviation = norm || bias ? 0.125f : 1.0f / sqrtf((float)columns);
    for (int64_t i = 0; i < columns; i++)
        out[i] = mean + deviation * normal_of(random_next(&random));
    // The columns of outliers are those of the tensor.
    for (int64_t i = (int64_t)(seed % 64); !norm && !bias && i < columns; i += 64)
        out[i] *= 8;
}
