// From tensors as Hugging Face's libraries write them to weights under the names of GGUF: names.def
// is the table, here are the matching and the recipes that undo each convention. A tensor that no
// row names is left under its own name, for scripts that ask for it.
//
// Two tensors for one weight are refused. The embedding is always token_embd.weight; where it is
// the head too there is no output.weight, under whichever name the file stores it.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "frontends/safetensors/safetensors.h"
#include "graph/graph.h"

typedef enum Convention { SAME, COLUMNS, PER_HEAD, EXPERT, GATE_UP } Convention;

typedef struct NameRow {
    const char *architecture, *from, *to;
    Convention convention;
} NameRow;

static const char *const prefixes[] = {
#define PREFIX(text) text,
#define NAME(architecture, from, to, convention)
#define NORM_PLUS_ONE(architecture)
#include "frontends/safetensors/names.def"
#undef PREFIX
#undef NAME
#undef NORM_PLUS_ONE
};

static const NameRow name_rows[] = {
#define PREFIX(text)
#define NAME(architecture, from, to, convention) {architecture, from, to, convention},
#define NORM_PLUS_ONE(architecture)
#include "frontends/safetensors/names.def"
#undef PREFIX
#undef NAME
#undef NORM_PLUS_ONE
};

static const char *const norms_plus_one[] = {
#define PREFIX(text)
#define NAME(architecture, from, to, convention)
#define NORM_PLUS_ONE(architecture) architecture,
#include "frontends/safetensors/names.def"
#undef PREFIX
#undef NAME
#undef NORM_PLUS_ONE
};

// What a tensor is: layer and expert are numbers of its name, kept as text.
typedef struct Match {
    const NameRow *row;
    const char *numbers[2];
    int lengths[2];
    const char *suffix; // ".weight" or ".bias"
} Match;

typedef struct Expert {
    const char *weight; // the stacked weight's name
    int32_t number;
    const FileTensor *tensor;
} Expert;

typedef struct Namer {
    ModelFile *file;
    bool plus_one;
    Vector(Expert) experts;
    Arena *arena;
    Diag *diag;
} Namer;

static bool fail(const Namer *namer, const FileTensor *tensor, const char *what)
{
    Where where = {.file = namer->file->parts.items[tensor->part].path};
    return diag_fail(namer->diag, where, "tensor \"%.128s\": %s", tensor->name, what);
}

// --- names

static bool match_pattern(const char *pattern, const char *name, size_t length, Match *match)
{
    const char *end = name + length;
    int numbers = 0;
    for (; *pattern; pattern++) {
        if (*pattern != '%') {
            if (name == end || *name++ != *pattern)
                return false;
            continue;
        }
        const char *begin = name;
        while (name < end && *name >= '0' && *name <= '9')
            name++;
        if (name == begin || name - begin > 5 || (*begin == '0' && name - begin > 1))
            return false;
        match->numbers[numbers] = begin;
        match->lengths[numbers++] = (int)(name - begin);
    }
    return name == end;
}

static bool match_rows(const Namer *namer, const char *name, size_t length, Match *match)
{
    for (size_t i = 0; i < sizeof name_rows / sizeof *name_rows; i++) {
        match->row = &name_rows[i];
        bool ours = !*match->row->architecture ||
                    strcmp(match->row->architecture, namer->file->architecture) == 0;
        if (ours && match_pattern(match->row->from, name, length, match))
            return true;
    }
    return false;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

static bool match_name(const Namer *namer, const char *name, Match *match)
{
    size_t length = strlen(name);
    *match = (Match){.suffix = ".weight"};
    if (ends_with(name, ".bias"))
        match->suffix = ".bias";
    if (ends_with(name, match->suffix))
        length -= strlen(match->suffix);
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        size_t skipped = strlen(prefixes[i]);
        if (skipped < length && !memcmp(name, prefixes[i], skipped) &&
            match_rows(namer, name + skipped, length - skipped, match))
            return true;
    }
    return false;
}

// The weight's name: the layer where % stands first, `part` where it stands again.
static const char *weight_name(const Namer *namer, const Match *match, const char *part)
{
    const char *layer = strchr(match->row->to, '%');
    if (!layer)
        return arena_format(namer->arena, "%s%s", match->row->to, match->suffix);
    const char *again = strchr(layer + 1, '%');
    int middle = again ? (int)(again - layer - 1) : (int)strlen(layer + 1);
    return arena_format(namer->arena, "%.*s%.*s%.*s%s%s%s", (int)(layer - match->row->to),
                        match->row->to, match->lengths[0], match->numbers[0], middle, layer + 1,
                        again ? part : "", again ? again + 1 : "", match->suffix);
}

// --- recipes

static bool add_weight(Namer *namer, FileWeight weight, const FileTensor *tensor)
{
    ModelFile *file = namer->file;
    if (!name_index_append(namer->arena, &file->weight_index, weight.name, file->weights.count))
        return fail(namer, tensor, "another tensor is the same weight");
    vector_push(namer->arena, &file->weights, weight);
    return true;
}

static bool is_float(const FileTensor *tensor)
{
    return tensor->dtype != DTYPE_COUNT && dtype_table[tensor->dtype].kind == DTYPE_KIND_FLOAT;
}

static bool add_columns(Namer *namer, FileWeight weight, const FileTensor *tensor)
{
    if (tensor->rank != 2)
        return add_weight(namer, weight, tensor);
    weight.shape[0] = tensor->shape[1];
    weight.shape[1] = tensor->shape[0];
    weight.recipe =
        weight.recipe && is_float(tensor) ? recipe_transpose(namer->arena, weight.recipe) : NULL;
    return add_weight(namer, weight, tensor);
}

static bool add_per_head(Namer *namer, FileWeight weight, const FileTensor *tensor)
{
    const char *key =
        arena_format(namer->arena, "%s.attention.head_count", namer->file->architecture);
    const MetaValue *heads = model_file_meta(namer->file, key);
    int64_t count = heads && heads->kind == META_UINT ? (int64_t)heads->natural : 0;
    if (count < 1 || tensor->rank < 1 || tensor->rank > 2 || tensor->shape[0] % (3 * count) ||
        tensor->shape[0] < 1)
        return fail(namer, tensor, "its rows are not q, k and v of num_attention_heads heads");
    if (weight.recipe)
        weight.recipe =
            model_file_permute(tensor, count, 3, tensor->shape[0] / (3 * count), namer->arena);
    return add_weight(namer, weight, tensor);
}

// [experts, gate over up, columns] as two weights [experts, rows, columns].
static bool add_gate_up(Namer *namer, const Match *match, const FileTensor *tensor)
{
    static const char *const parts[] = {"gate", "up"};
    FileWeight weight = model_file_tensor_weight(tensor, namer->arena);
    if (tensor->rank != 3 || tensor->shape[1] % 2 || tensor->shape[0] * tensor->shape[1] < 1)
        return fail(namer, tensor, "[experts, 2 x rows, columns] was expected");
    const Recipe *both = weight.recipe;
    int64_t rows = tensor->shape[0] * tensor->shape[1] / 2;
    weight.shape[1] /= 2;
    if (both)
        both = recipe_permute(namer->arena, both, tensor->shape[0], 2, weight.shape[1]);
    for (int i = 0; i < 2; i++) {
        weight.name = weight_name(namer, match, parts[i]);
        if (both)
            weight.recipe = recipe_slice(namer->arena, both, i * rows, (i + 1) * rows);
        if (!add_weight(namer, weight, tensor))
            return false;
    }
    return true;
}

static bool add_expert(Namer *namer, const Match *match, const FileTensor *tensor)
{
    Expert expert = {.weight = weight_name(namer, match, ""), .tensor = tensor};
    if (tensor->rank != 2 || tensor->shape[0] < 1)
        return fail(namer, tensor, "an expert's weight must be a matrix");
    for (int i = 0; i < match->lengths[1]; i++)
        expert.number = expert.number * 10 + (match->numbers[1][i] - '0');
    vector_push(namer->arena, &namer->experts, expert);
    return true;
}

static bool add_tensor(Namer *namer, const Match *match, const FileTensor *tensor, const char *name)
{
    FileWeight weight = model_file_tensor_weight(tensor, namer->arena);
    weight.name = name;
    switch (match->row->convention) {
    case COLUMNS: return add_columns(namer, weight, tensor);
    case PER_HEAD: return add_per_head(namer, weight, tensor);
    case EXPERT: return add_expert(namer, match, tensor);
    case GATE_UP: return add_gate_up(namer, match, tensor);
    case SAME: break;
    }
    if (namer->plus_one && ends_with(name, "norm.weight") && weight.recipe)
        weight.recipe = is_float(tensor) ? recipe_add(namer->arena, weight.recipe, 1) : NULL;
    return add_weight(namer, weight, tensor);
}

static int by_weight_and_number(const void *a, const void *b)
{
    const Expert *first = a, *second = b;
    int order = strcmp(first->weight, second->weight);
    return order ? order : (first->number > second->number) - (first->number < second->number);
}

// Stacks the `count` experts of one weight, in the order of their numbers.
static bool stack_experts(Namer *namer, const Expert *experts, int32_t count)
{
    const FileTensor *first = experts->tensor;
    const Recipe **recipes = ARENA_ARRAY(namer->arena, const Recipe *, count);
    FileWeight weight = model_file_tensor_weight(first, namer->arena);
    for (int32_t i = 0; i < count; i++) {
        const FileTensor *tensor = experts[i].tensor;
        if (experts[i].number != i)
            return fail(namer, tensor, "the expert before it is missing, or stands twice");
        if (tensor->dtype != first->dtype || tensor->shape[0] != first->shape[0] ||
            tensor->shape[1] != first->shape[1])
            return fail(namer, tensor, "its type or shape is not that of the first expert");
        recipes[i] = model_file_tensor_weight(tensor, namer->arena).recipe;
    }
    weight.name = experts->weight;
    weight.rank = 3;
    weight.shape[0] = count;
    weight.shape[1] = first->shape[0];
    weight.shape[2] = first->shape[1];
    if (weight.recipe)
        weight.recipe = recipe_concat(namer->arena, count, recipes);
    return add_weight(namer, weight, first);
}

static bool stack_all(Namer *namer)
{
    Expert *experts = namer->experts.items;
    int32_t count = namer->experts.count, end;
    if (count)
        qsort(experts, (size_t)count, sizeof *experts, by_weight_and_number);
    for (int32_t begin = 0; begin < count; begin = end) {
        for (end = begin; end < count && !strcmp(experts[end].weight, experts[begin].weight);)
            end++;
        if (!stack_experts(namer, experts + begin, end - begin))
            return false;
    }
    return true;
}

// --- all of them

static const char embedding_name[] = "token_embd.weight", head_name[] = "output.weight";

static bool is_tied(const ModelFile *file)
{
    const MetaValue *tied = model_file_meta(file, "tie_word_embeddings");
    return tied && tied->kind == META_BOOL && tied->boolean;
}

static bool has_embedding(const Namer *namer)
{
    Match match;
    for (int64_t i = 0; i < namer->file->tensor_count; i++)
        if (match_name(namer, namer->file->tensors[i].name, &match) &&
            strcmp(weight_name(namer, &match, ""), embedding_name) == 0)
            return true;
    return false;
}

bool safetensors_make_weights(ModelFile *file, Arena *arena, Diag *diag)
{
    Namer namer = {.file = file, .arena = arena, .diag = diag};
    for (size_t i = 0; i < sizeof norms_plus_one / sizeof *norms_plus_one; i++)
        namer.plus_one = namer.plus_one || !strcmp(norms_plus_one[i], file->architecture);
    bool embedding = has_embedding(&namer), tied = is_tied(file);
    for (int64_t i = 0; i < file->tensor_count; i++) {
        Match match;
        if (!match_name(&namer, file->tensors[i].name, &match))
            continue;
        const char *name = weight_name(&namer, &match, "");
        bool head = strcmp(name, head_name) == 0;
        if (head && embedding && tied)
            continue;
        if (!add_tensor(&namer, &match, &file->tensors[i],
                        head && !embedding ? embedding_name : name))
            return false;
    }
    return stack_all(&namer);
}
