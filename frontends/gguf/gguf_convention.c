// Weights of a model of any format as llama.cpp's converter writes them: the rows of llama's q and
// k permuted to adjacent pairs; factors of rotary frequencies as tensors. All else that a converter
// does (the 1 in gemma's norms, q over k over v, stacked experts) the canonical weights have.
//
// A tensor of the model that becomes no weight is an error: what is left out must be known to be of
// no use (buffers, and a head that is the embedding).
#include "frontends/gguf/gguf_convention.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "frontends/gguf/gguf.h"
#include "frontends/gguf/gguf_mix.h"
#include "graph/graph.h"

static bool fail(const Convention *convention, const char *name, const char *what)
{
    return diag_fail(convention->diag, (Where){.file = convention->file->path},
                     "tensor \"%.128s\": %s", name, what);
}

// --- rotary factors

static void put_factors(const Convention *convention, const char *name, const float *factors,
                        int64_t count)
{
    GgufTensor tensor = {
        .name = name, .dtype = DTYPE_f32, .wanted = DTYPE_f32, .rank = 1, .shape = {count}};
    tensor.recipe = recipe_values(convention->arena, factors, count);
    vector_push(convention->arena, &convention->contents->tensors, tensor);
}

const char *gguf_scaling(const Convention *convention)
{
    const MetaValue *type = gguf_find(convention, "rope.scaling.type");
    if (!type || type->kind != META_TEXT)
        return "";
    const char *text =
        arena_copy_text(convention->arena, type->text.bytes, (size_t)type->text.length);
    return strcmp(text, "none") == 0 ? "" : text;
}

// Llama 3: long wavelengths are stretched by `factor`, short ones not, those between in between.
// Computed in float as the converter does; it is data of the file, not of a run.
static bool put_llama3_factors(const Convention *convention)
{
    double heads = gguf_real(gguf_find(convention, "attention.head_count"), 1);
    double size = gguf_real(gguf_find(convention, "attention.key_length"),
                            gguf_real(gguf_find(convention, "embedding_length"), 0) / heads);
    double base = gguf_real(gguf_find(convention, "rope.freq_base"), 10000);
    double factor = gguf_real(gguf_find(convention, "rope.scaling.factor"), 8);
    double low = gguf_real(gguf_find(convention, "rope.scaling.low_freq_factor"), 1);
    double high = gguf_real(gguf_find(convention, "rope.scaling.high_freq_factor"), 4);
    double context = gguf_real(gguf_find(convention, "rope.scaling.original_context_length"), 8192);
    int64_t count = (int64_t)size / 2;
    if (!(size >= 2 && size <= DIM_MAX && factor > 0 && low != high))
        return diag_fail(convention->diag, (Where){.file = convention->file->path},
                         "rope scaling llama3: factors or the size of heads make no sense");
    float *factors = ARENA_ARRAY(convention->arena, float, count);
    for (int64_t i = 0; i < count; i++) {
        float frequency = 1.0f / powf((float)base, (float)(2 * i) / (float)size);
        float wavelength = (float)(2 * M_PI) / frequency;
        float smooth = ((float)context / wavelength - (float)low) / (float)(high - low);
        factors[i] = 1 / ((1 - smooth) / (float)factor + smooth);
        if ((double)wavelength < context / high)
            factors[i] = 1;
        else if ((double)wavelength > context / low)
            factors[i] = (float)factor;
    }
    put_factors(convention, "rope_freqs.weight", factors, count);
    return true;
}

static bool put_list(const Convention *convention, const char *key, const char *name)
{
    const MetaValue *list = gguf_find(convention, key);
    if (!list || list->kind != META_ARRAY || list->array.count < 1)
        return diag_fail(convention->diag, (Where){.file = convention->file->path},
                         "rope scaling longrope needs %s", key);
    float *factors = ARENA_ARRAY(convention->arena, float, list->array.count);
    for (int64_t i = 0; i < list->array.count; i++)
        factors[i] = (float)gguf_real(&list->array.items[i], 0);
    put_factors(convention, name, factors, list->array.count);
    return true;
}

static bool put_scaling_tensors(const Convention *convention)
{
    const char *type = gguf_scaling(convention);
    if (strcmp(type, "llama3") == 0)
        return put_llama3_factors(convention);
    if (strcmp(type, "longrope") != 0)
        return true;
    return put_list(convention, "rope.scaling.long_factor", "rope_factors_long.weight") &&
           put_list(convention, "rope.scaling.short_factor", "rope_factors_short.weight");
}

// --- weights

// From halves to adjacent pairs. A vector is permuted as rows of one number.
static bool permute_back(const Convention *convention, const FileWeight *weight,
                         const Recipe **recipe)
{
    int64_t half;
    if (weight->rank < 1 || weight->rank > 2)
        return fail(convention, weight->name, "a matrix or a vector was expected");
    if (!gguf_permuted_half(convention->file, weight->name, weight->shape[0], &half,
                            convention->diag))
        return false;
    if (weight->rank == 2) {
        *recipe = recipe_permute(convention->arena, *recipe, 2, half, 1);
        return true;
    }
    if ((*recipe)->kind != RECIPE_TENSOR || dtype_table[(*recipe)->dtype].kind != DTYPE_KIND_FLOAT)
        return fail(convention, weight->name, "a vector as the file stores it was expected");
    *recipe = model_file_permute(model_file_tensor(convention->file, (*recipe)->tensor), 2, half, 1,
                                 convention->arena);
    return true;
}

static void mark(const Convention *convention, const Recipe *recipe, bool *used)
{
    for (int32_t i = 0; i < recipe->child_count; i++)
        mark(convention, recipe->children[i], used);
    if (recipe->kind == RECIPE_TENSOR)
        used[name_index_find(&convention->file->tensor_index, recipe->tensor)] = true;
}

static bool put_weight(const Convention *convention, const FileWeight *weight, bool *used)
{
    GgufTensor tensor = {.name = weight->name, .rank = weight->rank, .recipe = weight->recipe};
    if (!tensor.recipe)
        return diag_fail(convention->diag, (Where){.file = convention->file->path},
                         "tensor \"%.128s\" has type %s, which graphquant does not read",
                         weight->name, weight->type_name);
    if (weight->rank > GGUF_RANK_MAX)
        return fail(convention, weight->name, "GGUF files have at most 4 dimensions");
    if (gguf_is_permuted(convention->architecture, weight->name) &&
        !permute_back(convention, weight, &tensor.recipe))
        return false;
    memcpy(tensor.shape, weight->shape, sizeof tensor.shape);
    tensor.dtype = tensor.wanted =
        gguf_is_matrix(weight->name, weight->rank) ? recipe_dtype(tensor.recipe) : DTYPE_f32;
    vector_push(convention->arena, &convention->contents->tensors, tensor);
    mark(convention, tensor.recipe, used);
    return true;
}

static bool is_of_no_use(const ModelFile *file, const char *name)
{
    static const char *const endings[] = {".attn.bias", ".attn.masked_bias", ".attention.bias",
                                          ".attention.masked_bias", ".rotary_emb.inv_freq"};
    static const char *const heads[] = {"lm_head.weight", "embed_out.weight"};
    const MetaValue *tied = model_file_meta(file, "tie_word_embeddings");
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (gguf_ends_with(name, endings[i]))
            return true;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        if (tied && tied->kind == META_BOOL && tied->boolean && gguf_ends_with(name, heads[i]))
            return true;
    return false;
}

// Readers whose tensors have GGUF's names already list as weights only those that a recipe makes.
static bool has_our_name(const char *name)
{
    static const char *const beginnings[] = {"blk.", "token_embd.", "position_embd.", "output.",
                                             "output_norm."};
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++)
        if (strncmp(name, beginnings[i], strlen(beginnings[i])) == 0)
            return true;
    return false;
}

static bool put_rest(const Convention *convention, const FileTensor *tensor, bool *used)
{
    if (has_our_name(tensor->name)) {
        FileWeight weight = model_file_tensor_weight(tensor, convention->arena);
        return put_weight(convention, &weight, used);
    }
    return is_of_no_use(convention->file, tensor->name) ||
           fail(convention, tensor->name,
                "it has no name in GGUF files; names.def lists those that have");
}

bool gguf_put_tensors(const Convention *convention)
{
    const ModelFile *file = convention->file;
    bool *used = ARENA_ARRAY(convention->arena, bool, file->tensor_count);
    if (!put_scaling_tensors(convention))
        return false;
    for (int32_t i = 0; i < file->weights.count; i++)
        if (!put_weight(convention, &file->weights.items[i], used))
            return false;
    for (int64_t i = 0; i < file->tensor_count; i++)
        if (!used[i] && !put_rest(convention, &file->tensors[i], used))
            return false;
    return true;
}
