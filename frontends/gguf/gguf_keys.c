// The keys of a GGUF file of a model that comes in another format: gguf_keys.def, and what follows
// from several keys. Of the ways to stretch rotary positions GGUF knows linear and yarn by keys;
// llama3 and longrope become tensors of factors (gguf_convention.c).
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "frontends/gguf/gguf_convention.h"

typedef struct KeyRow {
    const char *from; // "": the canonical key of the same name
    const char *architectures, *name, *type;
} KeyRow;

static const KeyRow key_rows[] = {
#define GGUF_ARCHITECTURE(here, there)
#define GGUF_KEY(architectures, name, type) {"", architectures, name, #type},
#define GGUF_CONFIG(from, name, type) {from, "", name, #type},
#define GGUF_SAMPLING(from, to, type)
#include "frontends/gguf/gguf_keys.def"
#undef GGUF_ARCHITECTURE
#undef GGUF_KEY
#undef GGUF_CONFIG
#undef GGUF_SAMPLING
};

static const struct {
    const char *here, *there;
} architecture_rows[] = {
#define GGUF_ARCHITECTURE(here, there) {here, there},
#define GGUF_KEY(architectures, name, type)
#define GGUF_CONFIG(from, name, type)
#define GGUF_SAMPLING(from, to, type)
#include "frontends/gguf/gguf_keys.def"
#undef GGUF_ARCHITECTURE
#undef GGUF_KEY
#undef GGUF_CONFIG
#undef GGUF_SAMPLING
};

static const struct {
    const char *from, *to, *type;
} sampling_rows[] = {
#define GGUF_ARCHITECTURE(here, there)
#define GGUF_KEY(architectures, name, type)
#define GGUF_CONFIG(from, name, type)
#define GGUF_SAMPLING(from, to, type) {"generation_config." from, "general.sampling." to, #type},
#include "frontends/gguf/gguf_keys.def"
#undef GGUF_ARCHITECTURE
#undef GGUF_KEY
#undef GGUF_CONFIG
#undef GGUF_SAMPLING
};

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

const char *gguf_architecture(const char *architecture)
{
    for (size_t i = 0; i < COUNT_OF(architecture_rows); i++)
        if (strcmp(architecture_rows[i].here, architecture) == 0)
            return architecture_rows[i].there;
    return architecture;
}

const MetaValue *gguf_find(const Convention *convention, const char *name)
{
    return model_file_meta(convention->file, arena_format(convention->arena, "%s.%s",
                                                          convention->file->architecture, name));
}

static bool is_number(const MetaValue *value)
{
    return value->kind == META_UINT || value->kind == META_INT || value->kind == META_FLOAT;
}

double gguf_real(const MetaValue *value, double fallback)
{
    if (!value || !is_number(value))
        return fallback;
    return value->kind == META_UINT  ? (double)value->natural
           : value->kind == META_INT ? (double)value->integer
                                     : value->real;
}

static void put_name(const Convention *convention, const char *name, MetaValue value)
{
    gguf_put_key(convention->contents, convention->arena,
                 arena_format(convention->arena, "%s.%s", convention->architecture, name), value);
}

static MetaValue real_value(double real)
{
    return (MetaValue){.kind = META_FLOAT, .type_name = "f32", .real = real};
}

// One number a layer. gguf-py writes lists of whole numbers as i32.
static MetaValue numbers_value(const Convention *convention, const MetaValue *from)
{
    MetaValue *items = ARENA_ARRAY(convention->arena, MetaValue, from->array.count);
    for (int64_t i = 0; i < from->array.count; i++)
        items[i] = (MetaValue){.kind = META_INT,
                               .type_name = "i32",
                               .integer = (int32_t)gguf_real(&from->array.items[i], 0)};
    return (MetaValue){
        .kind = META_ARRAY, .type_name = "array", .array = {items, from->array.count, "i32"}};
}

// The value in the type of the file. Readers of models checked kinds and ranges.
static bool make_value(const Convention *convention, const char *key, const MetaValue *from,
                       const char *type, MetaValue *value)
{
    if (strcmp(type, "f32") == 0 && is_number(from)) {
        *value = real_value(gguf_real(from, 0));
    } else if (strcmp(type, "u32") == 0 && from->kind == META_ARRAY) {
        *value = numbers_value(convention, from);
    } else if (strcmp(type, "bool") == 0 && from->kind == META_BOOL) {
        *value = gguf_value_bool(from->boolean);
    } else if (strcmp(type, "string") == 0 && from->kind == META_TEXT) {
        *value = *from;
    } else if (type[1] == '3' && strcmp(type, "f32") != 0 && from->kind == META_UINT &&
               from->natural <= INT32_MAX) {
        *value = gguf_value_u32(from->natural);
        value->type_name = type;
    } else {
        return diag_fail(convention->diag, (Where){.file = convention->file->path},
                         "%s: GGUF files hold a %s there", key, type);
    }
    return true;
}

// Whether a word of `list` is `word`; an empty list has every word.
static bool lists(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = list; (at = strstr(at, word)); at += length)
        if ((at == list || at[-1] == ' ') && (at[length] == ' ' || !at[length]))
            return true;
    return !*list;
}

static bool has_key(const Convention *convention, const char *name)
{
    const char *key = arena_format(convention->arena, "%s.%s", convention->architecture, name);
    for (int32_t i = 0; i < convention->contents->metadata.count; i++)
        if (strcmp(convention->contents->metadata.items[i].key, key) == 0)
            return true;
    return false;
}

static bool put_rows(const Convention *convention)
{
    for (size_t i = 0; i < COUNT_OF(key_rows); i++) {
        const KeyRow *row = &key_rows[i];
        const MetaValue *from = *row->from ? model_file_meta(convention->file, row->from)
                                           : gguf_find(convention, row->name);
        MetaValue value;
        if (!from || has_key(convention, row->name) ||
            !lists(row->architectures, convention->architecture))
            continue;
        if (!make_value(convention, row->name, from, row->type, &value))
            return false;
        put_name(convention, row->name, value);
    }
    return true;
}

static bool is_text(const MetaValue *value, const char *text)
{
    return value->kind == META_TEXT && value->text.length == (int64_t)strlen(text) &&
           memcmp(value->text.bytes, text, strlen(text)) == 0;
}

// Which layers see a window only, where a config lists what each layer is.
static bool put_windows(const Convention *convention)
{
    const MetaValue *types = model_file_meta(convention->file, "layer_types");
    if (!types || types->kind != META_ARRAY || !gguf_find(convention, "attention.sliding_window"))
        return true;
    MetaValue *items = ARENA_ARRAY(convention->arena, MetaValue, types->array.count);
    for (int64_t i = 0; i < types->array.count; i++) {
        const MetaValue *type = &types->array.items[i];
        items[i] = gguf_value_bool(is_text(type, "sliding_attention"));
        if (!items[i].boolean && !is_text(type, "full_attention"))
            return diag_fail(convention->diag, (Where){.file = convention->file->path},
                             "layer_types: layer %" PRId64
                             " is neither sliding_attention nor full_attention: GGUF files know no "
                             "other",
                             i);
    }
    put_name(convention, "attention.sliding_window_pattern",
             (MetaValue){.kind = META_ARRAY,
                         .type_name = "array",
                         .array = {items, types->array.count, "bool"}});
    return true;
}

static bool put_sampling(const Convention *convention)
{
    for (size_t i = 0; i < COUNT_OF(sampling_rows); i++) {
        const MetaValue *from = model_file_meta(convention->file, sampling_rows[i].from);
        MetaValue value;
        if (!from)
            continue;
        if (!make_value(convention, sampling_rows[i].from, from, sampling_rows[i].type, &value))
            return false;
        gguf_put_key(convention->contents, convention->arena, sampling_rows[i].to, value);
    }
    return true;
}

// Keys that the converter writes also where a config leaves the default.
static void put_defaults(const Convention *convention)
{
    const char *architecture = convention->architecture;
    bool is_phi3 = strcmp(architecture, "phi3") == 0;
    double heads = gguf_real(gguf_find(convention, "attention.head_count"), 1);
    double size = gguf_real(gguf_find(convention, "attention.key_length"),
                            gguf_real(gguf_find(convention, "embedding_length"), 0) / heads);
    if (lists("llama smollm3 phi3 gptneox", architecture) &&
        !gguf_find(convention, "rope.dimension_count"))
        put_name(convention, "rope.dimension_count", gguf_value_u32((uint64_t)size));
    if (is_phi3 && !gguf_find(convention, "attention.sliding_window"))
        put_name(convention, "attention.sliding_window", gguf_value_u32(0));
    if (is_phi3) {
        double context = gguf_real(gguf_find(convention, "context_length"), 0);
        context = gguf_real(gguf_find(convention, "rope.scaling.original_context_length"), context);
        put_name(convention, "rope.scaling.original_context_length",
                 gguf_value_u32((uint64_t)context));
    }
}

static void put_real(const Convention *convention, const char *from, const char *to)
{
    const MetaValue *value = gguf_find(convention, from);
    if (value)
        put_name(convention, to, real_value(gguf_real(value, 0)));
}

// What stretches attention where positions are stretched by longrope (Phi3Config's own rule).
static double longrope_attention(const Convention *convention)
{
    double context = gguf_real(gguf_find(convention, "context_length"), 1);
    double original =
        gguf_real(gguf_find(convention, "rope.scaling.original_context_length"), context);
    double factor = gguf_real(gguf_find(convention, "rope.scaling.factor"), context / original);
    double usual = factor > 1 && original > 1 ? sqrt(1 + log(factor) / log(original)) : 1;
    return gguf_real(gguf_find(convention, "rope.scaling.attn_factor"), usual);
}

static bool put_scaling(const Convention *convention)
{
    const char *type = gguf_scaling(convention);
    if (strcmp(type, "longrope") == 0)
        put_name(convention, "rope.scaling.attn_factor",
                 real_value(longrope_attention(convention)));
    // Dynamic scaling changes nothing within the model's context.
    if (!*type || lists("llama3 longrope dynamic", type))
        return true;
    if (strcmp(type, "linear") != 0 && strcmp(type, "yarn") != 0)
        return diag_fail(convention->diag, (Where){.file = convention->file->path},
                         "rope scaling \"%s\" has no form in GGUF files; linear, yarn, llama3 and "
                         "longrope have",
                         type);
    put_name(convention, "rope.scaling.type", gguf_value_text(type));
    put_real(convention, "rope.scaling.factor", "rope.scaling.factor");
    if (strcmp(type, "linear") == 0)
        return true;
    double original = gguf_real(gguf_find(convention, "rope.scaling.original_context_length"), 0);
    put_name(convention, "rope.scaling.original_context_length",
             gguf_value_u32((uint64_t)original));
    put_real(convention, "rope.scaling.attn_factor", "rope.scaling.yarn_attn_factor");
    put_real(convention, "rope.scaling.yarn_beta_fast", "rope.scaling.yarn_beta_fast");
    put_real(convention, "rope.scaling.yarn_beta_slow", "rope.scaling.yarn_beta_slow");
    return true;
}

// "656K", "4x7.2B": parameters of a model, or of one with a single expert.
static const char *size_label(const Convention *convention)
{
    static const struct {
        double least, unit;
        char letter;
    } units[] = {{1e12, 1e12, 'T'}, {1e9, 1e9, 'B'}, {1e6, 1e6, 'M'}, {0, 1e3, 'K'}};
    double count = 0, experts = 0;
    int unit = 0;
    for (int32_t i = 0; i < convention->contents->tensors.count; i++) {
        const GgufTensor *tensor = &convention->contents->tensors.items[i];
        bool stacked = tensor->rank == 3 && strstr(tensor->name, "_exps.");
        experts = stacked ? (double)tensor->shape[0] : experts;
        count += (double)(tensor->recipe->rows * tensor->recipe->columns) /
                 (stacked ? (double)tensor->shape[0] : 1);
    }
    while (count <= units[unit].least && units[unit].least > 0)
        unit++;
    double scaled = count / units[unit].unit;
    const char *size = arena_format(convention->arena, "%.*f%c",
                                    scaled < 0.5   ? 2
                                    : scaled < 9.5 ? 1
                                                   : 0,
                                    scaled, units[unit].letter);
    return experts > 0 ? arena_format(convention->arena, "%.0fx%s", experts, size) : size;
}

static void put_text(const Convention *convention, const char *key, const char *text)
{
    gguf_put_key(convention->contents, convention->arena, key, gguf_value_text(text));
}

bool gguf_put_model_keys(const Convention *convention)
{
    put_text(convention, "general.architecture", convention->architecture);
    put_text(convention, "general.type", "model");
    if (!put_sampling(convention))
        return false;
    put_text(convention, "general.name", convention->file->name);
    put_text(convention, "general.size_label", size_label(convention));
    if (!put_windows(convention) || !put_rows(convention))
        return false;
    put_defaults(convention);
    return put_scaling(convention);
}
