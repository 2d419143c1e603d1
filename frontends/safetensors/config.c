// config.json as metadata, twice: every value under its own name (objects give names with dots), so
// that a script for a new architecture can read all of it, and under the names of GGUF what
// config.def lists, so that one script reads both formats.
//
// A listed value of the wrong kind is an error; any other is the script's business. Numbers beyond
// 2^53 are floats here, whether the file wrote a point or not, and so never counts.
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "frontends/metadata.h"
#include "frontends/safetensors/safetensors.h"
#include "graph/graph.h"

typedef enum ConfigKind { SIZE, COUNT, REAL, REALS, FLAG, TEXT } ConfigKind;

typedef struct ConfigRow {
    const char *key, *name; // of the config, of GGUF
    ConfigKind kind;
} ConfigRow;

static const ConfigRow config_rows[] = {
#define ARCHITECTURE(model_type, name)
#define CONFIG(key, name, kind) {key, name, kind},
#define SCALING_TYPE(rope_type, name)
#include "frontends/safetensors/config.def"
#undef ARCHITECTURE
#undef CONFIG
#undef SCALING_TYPE
};

typedef struct Renaming {
    const char *from, *to;
} Renaming;

static const Renaming architectures[] = {
#define ARCHITECTURE(model_type, name) {model_type, name},
#define CONFIG(key, name, kind)
#define SCALING_TYPE(rope_type, name)
#include "frontends/safetensors/config.def"
#undef ARCHITECTURE
#undef CONFIG
#undef SCALING_TYPE
    {NULL, NULL}};

static const Renaming scaling_types[] = {
#define ARCHITECTURE(model_type, name)
#define CONFIG(key, name, kind)
#define SCALING_TYPE(rope_type, name) {rope_type, name},
#include "frontends/safetensors/config.def"
#undef ARCHITECTURE
#undef CONFIG
#undef SCALING_TYPE
    {NULL, NULL}};

typedef struct Config {
    MetadataList list;
    const char *path; // of the JSON file, for messages
    Arena *arena;
    Diag *diag;
} Config;

static bool fail(const Config *config, const char *key, const char *what)
{
    return diag_fail(config->diag, (Where){.file = config->path}, "%.128s: %s", key, what);
}

static const char *renamed(const Renaming *renamings, const char *name)
{
    while (renamings->from && strcmp(renamings->from, name) != 0)
        renamings++;
    return renamings->from ? renamings->to : name;
}

static bool add(Config *config, const char *key, MetaValue value)
{
    return metadata_add(&config->list, key, value) ||
           fail(config, key, "stands in the model's files twice");
}

// --- every value under its own name

static MetaValue number_value(const cJSON *number)
{
    int64_t whole;
    if (!json_whole(number, INT64_MIN, &whole))
        return (MetaValue){META_FLOAT, "number", .real = number->valuedouble};
    if (whole < 0)
        return (MetaValue){META_INT, "number", .integer = whole};
    return (MetaValue){META_UINT, "number", .natural = (uint64_t)whole};
}

static MetaValue value_of(const Config *config, const cJSON *value)
{
    if (cJSON_IsBool(value))
        return (MetaValue){META_BOOL, "bool", .boolean = cJSON_IsTrue(value)};
    if (cJSON_IsNumber(value))
        return number_value(value);
    if (cJSON_IsString(value))
        return meta_text(
            arena_copy_text(config->arena, value->valuestring, strlen(value->valuestring)));
    int64_t count = 0;
    MetaValue *items = ARENA_ARRAY(config->arena, MetaValue, cJSON_GetArraySize(value));
    for (const cJSON *item = value->child; item; item = item->next)
        items[count++] = value_of(config, item);
    return meta_array(items, count);
}

// Arrays are flat lists of values for scripts; those that hold objects or null have no name there.
static bool is_listable(const cJSON *value)
{
    if (cJSON_IsObject(value) || cJSON_IsNull(value))
        return false;
    for (const cJSON *item = value->child; item; item = item->next)
        if (!is_listable(item))
            return false;
    return true;
}

static bool add_object(Config *config, const char *prefix, const cJSON *object)
{
    for (const cJSON *item = object->child; item; item = item->next) {
        const char *key = arena_format(config->arena, "%s%s", prefix, item->string);
        for (const char *c = key; *c; c++)
            if ((unsigned char)*c < 0x20 || *c == 0x7f)
                return fail(config, "a key", "it holds a control byte");
        if (cJSON_IsObject(item)) {
            if (!add_object(config, arena_format(config->arena, "%s.", key), item))
                return false;
        } else if (is_listable(item) && !add(config, key, value_of(config, item))) {
            return false;
        }
    }
    return true;
}

// --- what config.def lists

// Models of several kinds of input keep what belongs to text apart.
static const MetaValue *find(const Config *config, const char *key)
{
    const MetaValue *inner =
        metadata_find(&config->list, arena_format(config->arena, "text_config.%s", key));
    return inner ? inner : metadata_find(&config->list, key);
}

static const char *architecture(const Config *config)
{
    return config->list.file->architecture;
}

static const MetaValue *find_name(const Config *config, const char *name)
{
    return find(config, arena_format(config->arena, "%s.%s", architecture(config), name));
}

static bool add_name(Config *config, const char *name, MetaValue value)
{
    return metadata_add_own(&config->list, name, value) ||
           fail(config, name, "stands in the file under its name of GGUF too");
}

static bool is_number(const MetaValue *value)
{
    return value->kind == META_UINT || value->kind == META_INT || value->kind == META_FLOAT;
}

static double real_of(const MetaValue *value)
{
    return value->kind == META_UINT  ? (double)value->natural
           : value->kind == META_INT ? (double)value->integer
                                     : value->real;
}

static bool is_count(const MetaValue *value)
{
    return value->kind == META_UINT && value->natural <= INT32_MAX;
}

static bool all_are(const MetaValue *value, bool (*fits)(const MetaValue *))
{
    for (int64_t i = 0; value->kind == META_ARRAY && i < value->array.count; i++)
        if (!fits(&value->array.items[i]))
            return false;
    return value->kind == META_ARRAY;
}

static bool fits_kind(const MetaValue *value, ConfigKind kind)
{
    switch (kind) {
    case SIZE: return (is_count(value) && value->natural > 0) || all_are(value, is_count);
    case COUNT: return is_count(value) || all_are(value, is_count);
    case REAL: return is_number(value);
    case REALS: return all_are(value, is_number);
    case FLAG: return value->kind == META_BOOL;
    case TEXT: break;
    }
    return value->kind == META_TEXT;
}

static bool add_row(Config *config, const ConfigRow *row)
{
    static const char *const expected[] = {
        [SIZE] = "a whole number from 1 to 2147483647 (or one a layer) was expected",
        [COUNT] = "a whole number from 0 to 2147483647 (or one a layer) was expected",
        [REAL] = "a number was expected",
        [REALS] = "an array of numbers was expected",
        [FLAG] = "true or false was expected",
        [TEXT] = "a text was expected"};
    const MetaValue *value = find(config, row->key);
    if (!value || find_name(config, row->name))
        return true;
    if (!fits_kind(value, row->kind))
        return fail(config, row->key, expected[row->kind]);
    MetaValue named = *value;
    if (row->kind == REAL)
        named = (MetaValue){META_FLOAT, "number", .real = real_of(value)};
    if (row->kind == TEXT && strcmp(row->name, "rope.scaling.type") == 0)
        named = meta_text(renamed(scaling_types, value->text.bytes));
    return add_name(config, row->name, named);
}

// --- what follows from several keys

static double number_or(const MetaValue *value, double fallback)
{
    return value && is_number(value) ? real_of(value) : fallback;
}

// The part of each head that is rotated, where a config gives it as a fraction.
static bool add_rotated(Config *config)
{
    static const char *const keys[] = {"partial_rotary_factor", "rotary_pct",
                                       "rope_parameters.partial_rotary_factor"};
    const MetaValue *fraction = NULL;
    for (size_t i = 0; i < sizeof keys / sizeof *keys && !fraction; i++)
        fraction = find(config, keys[i]);
    double heads = number_or(find_name(config, "attention.head_count"), 0);
    double columns = number_or(find_name(config, "embedding_length"), 0);
    double size = number_or(find_name(config, "attention.key_length"),
                            heads > 0 ? floor(columns / heads) : 0);
    double rotated = floor(size * number_or(fraction, 1));
    if (!fraction || size == 0)
        return true;
    if (!(rotated >= 1 && rotated <= size))
        return fail(config, "partial_rotary_factor", "a number above 0 and up to 1 was expected");
    return add_name(config, "rope.dimension_count", meta_count((uint64_t)rotated));
}

static bool add_scale(Config *config)
{
    const MetaValue *scalar = find(config, "query_pre_attn_scalar");
    if (!scalar)
        return true;
    if (!is_number(scalar) || !(real_of(scalar) > 0))
        return fail(config, "query_pre_attn_scalar", "a number above 0 was expected");
    MetaValue value = {META_FLOAT, "number", .real = 1 / sqrt(real_of(scalar))};
    return add_name(config, "attention.scale", value);
}

// GPT-2 leaves out what is four times the embedding.
static bool add_hidden(Config *config)
{
    const MetaValue *columns = find_name(config, "embedding_length");
    if (strcmp(architecture(config), "gpt2") != 0 || !columns || !is_count(columns) ||
        find_name(config, "feed_forward_length"))
        return true;
    return add_name(config, "feed_forward_length", meta_count(4 * columns->natural));
}

static bool name_all(Config *config)
{
    const MetaValue *uses_window = find(config, "use_sliding_window");
    bool windowless = uses_window && uses_window->kind == META_BOOL && !uses_window->boolean;
    for (size_t i = 0; i < sizeof config_rows / sizeof *config_rows; i++) {
        bool unused = windowless && strcmp(config_rows[i].key, "sliding_window") == 0;
        if (!unused && !add_row(config, &config_rows[i]))
            return false;
    }
    return add_rotated(config) && add_scale(config) && add_hidden(config);
}

static bool read_architecture(Config *config)
{
    const MetaValue *type = find(config, "model_type");
    if (!type || type->kind != META_TEXT || type->text.length == 0)
        return fail(config, "model_type", "the text that names the architecture is missing");
    config->list.file->architecture = renamed(architectures, type->text.bytes);
    return add(config, "general.architecture", meta_text(architecture(config)));
}

// Adds the values of a JSON file of the folder; *found says whether it is there.
static bool read_json(Config *config, const char *folder, const char *name, const char *prefix,
                      bool *found)
{
    cJSON *json;
    config->path = arena_format(config->arena, "%s/%s", folder, name);
    if (!safetensors_map_json(config->list.file, folder, name, &json, config->arena, config->diag))
        return false;
    *found = json;
    bool good =
        !json || (cJSON_IsObject(json) ? add_object(config, prefix, json)
                                       : fail(config, "the file", "a JSON object was expected"));
    cJSON_Delete(json);
    return good;
}

bool safetensors_read_config(ModelFile *file, const char *folder, Arena *arena, Diag *diag)
{
    Config config = {.list = {.file = file, .arena = arena}, .arena = arena, .diag = diag};
    bool found, generation;
    file->architecture = "";
    if (!read_json(&config, folder, "config.json", "", &found) ||
        (found && (!read_architecture(&config) || !name_all(&config))) ||
        !read_json(&config, folder, "generation_config.json", "generation_config.", &generation))
        return false;
    metadata_keep(&config.list);
    return true;
}
