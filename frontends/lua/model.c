// The table `model`: what the script can ask about the model file; `vector`, which makes a weight
// of numbers that the script computes.
//
// Weights are checked where the script names them: the file's shape against the shape that the
// script expects, so that a wrong file fails at the line that reads it. A shape without weights has
// no tensors to check against; it answers for the names that files of its architecture have
// (weightless_names).
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <lauxlib.h>

#include "frontends/lua/builder.h"
#include "frontends/lua/closest.h"

enum { KEY_BYTES_MAX = 256, ARRAY_DEPTH_MAX = 8, VECTOR_NUMBERS_MAX = 65536 };

static const int64_t WEIGHT_ELEMENTS_MAX = (int64_t)1 << 40;

// --- hyperparameters

static void push_meta(lua_State *lua, const MetaValue *value, int depth)
{
    switch (value->kind) {
    case META_BOOL: lua_pushboolean(lua, value->boolean); return;
    case META_INT: lua_pushinteger(lua, value->integer); return;
    case META_UINT:
        if (value->natural > INT64_MAX)
            luaL_error(lua, "a hyperparameter does not fit a Lua integer");
        lua_pushinteger(lua, (lua_Integer)value->natural);
        return;
    case META_FLOAT: lua_pushnumber(lua, value->real); return;
    case META_TEXT: lua_pushlstring(lua, value->text.bytes, (size_t)value->text.length); return;
    case META_ARRAY: break;
    }
    if (depth == ARRAY_DEPTH_MAX)
        luaL_error(lua, "a hyperparameter nests arrays too deeply");
    luaL_checkstack(lua, 4, NULL);
    lua_newtable(lua);
    for (int64_t i = 0; i < value->array.count; i++) {
        push_meta(lua, &value->array.items[i], depth + 1);
        lua_rawseti(lua, -2, i + 1);
    }
}

// The value of "ARCHITECTURE.key", else of "key" itself.
static const MetaValue *find_key(const ModelFile *file, const char *key)
{
    char full[KEY_BYTES_MAX];
    int length = snprintf(full, sizeof full, "%s.%s", file->architecture, key);
    const MetaValue *value = length < KEY_BYTES_MAX ? model_file_meta(file, full) : NULL;
    return value ? value : model_file_meta(file, key);
}

static const char *key_at(const void *context, int64_t index)
{
    return ((const ModelFile *)context)->metadata[index].key;
}

// hp:get("rope.freq_base", 10000)
static int hyperparameters_get(lua_State *lua)
{
    const ModelFile *file = builder_of(lua)->file;
    if (!lua_istable(lua, 1) || lua_type(lua, 2) != LUA_TSTRING)
        return luaL_error(lua, "get: hyperparameters:get(\"key\", default) was expected");
    const MetaValue *value = find_key(file, lua_tostring(lua, 2));
    lua_settop(lua, 3);
    if (value)
        push_meta(lua, value, 0);
    return 1;
}

// hp.block_count, hp["attention.head_count"]
static int hyperparameters_field(lua_State *lua)
{
    const ModelFile *file = builder_of(lua)->file;
    const char *key = luaL_tolstring(lua, 2, NULL);
    if (strcmp(key, "get") == 0) {
        lua_pushlightuserdata(lua, builder_of(lua));
        lua_pushcclosure(lua, hyperparameters_get, 1);
        return 1;
    }
    const MetaValue *value = find_key(file, key);
    if (value) {
        push_meta(lua, value, 0);
        return 1;
    }
    char full[KEY_BYTES_MAX], closest[400];
    snprintf(full, sizeof full, "%s.%s", file->architecture, key);
    closest_names(full, key_at, file, file->metadata_count, closest, sizeof closest);
    return luaL_error(lua, "hyperparameter \"%s\" is not in %s%s", full, file->path, closest);
}

// --- weights

typedef struct WeightlessName {
    const char *name; // after "blk.N." if in_block
    bool in_block;
    const char *architecture; // NULL: any
} WeightlessName;

static const WeightlessName weightless_names[] = {
    {"token_embd.weight", false, NULL}, {"output_norm.weight", false, NULL},
    {"attn_norm.weight", true, NULL},   {"attn_q.weight", true, NULL},
    {"attn_k.weight", true, NULL},      {"attn_v.weight", true, NULL},
    {"attn_output.weight", true, NULL}, {"ffn_norm.weight", true, NULL},
    {"ffn_gate.weight", true, NULL},    {"ffn_up.weight", true, NULL},
    {"ffn_down.weight", true, NULL},    {"attn_q.bias", true, "qwen2"},
    {"attn_k.bias", true, "qwen2"},     {"attn_v.bias", true, "qwen2"},
};

// The part after "blk.N." of a block that the model has, else NULL.
static const char *name_in_block(const ModelFile *file, const char *name)
{
    unsigned block;
    int length = 0;
    const MetaValue *blocks = find_key(file, "block_count");
    if (sscanf(name, "blk.%5u.%n", &block, &length) != 1 || length == 0)
        return NULL;
    return blocks && blocks->kind == META_UINT && block < blocks->natural ? name + length : NULL;
}

static bool weightless_has(const ModelFile *file, const char *name)
{
    if (strcmp(name, "output.weight") == 0)
        return !file->weightless_tied;
    const char *inner = name_in_block(file, name);
    for (size_t i = 0; i < sizeof weightless_names / sizeof *weightless_names; i++) {
        const WeightlessName *known = &weightless_names[i];
        const char *part = known->in_block ? inner : name;
        if (part && strcmp(part, known->name) == 0)
            return !known->architecture || strcmp(known->architecture, file->architecture) == 0;
    }
    return false;
}

static bool find_weight_of(const Builder *builder, const char *name, FileWeight *weight)
{
    return model_file_weight(builder->file, name, builder->module->arena, weight);
}

static bool file_has(const Builder *builder, const char *name)
{
    FileWeight weight;
    return builder->file->weightless ? weightless_has(builder->file, name)
                                     : find_weight_of(builder, name, &weight);
}

static const char *tensor_at(const void *context, int64_t index)
{
    return ((const ModelFile *)context)->tensors[index].name;
}

static const char *check_weight_name(lua_State *lua, const char *what, int index)
{
    if (lua_type(lua, index) != LUA_TSTRING)
        luaL_error(lua, "%s: argument %d is %s: the name of a weight was expected", what, index,
                   push_given(lua, index));
    return lua_tostring(lua, index);
}

static void check_file_has(lua_State *lua, const Builder *builder, const char *name)
{
    const ModelFile *file = builder->file;
    char closest[400] = "";
    if (file_has(builder, name))
        return;
    if (!file->weightless)
        closest_names(name, tensor_at, file, file->tensor_count, closest, sizeof closest);
    luaL_error(lua, "weight \"%s\" is not in %s%s", name, file->path, closest);
}

// A shape of constants: what the script expects or the file has.
typedef struct Sizes {
    int32_t rank;
    int64_t sizes[TENSOR_RANK_MAX];
} Sizes;

static const char *push_sizes(lua_State *lua, const Sizes *sizes)
{
    char text[TENSOR_RANK_MAX * 24] = "[";
    size_t used = 1;
    for (int32_t i = 0; i < sizes->rank; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, i ? ",%lld" : "%lld",
                                 (long long)sizes->sizes[i]);
    return lua_pushfstring(lua, "%s]", text);
}

// Reads {columns}, {rows, columns} or {matrices, rows, columns} at `index`.
static Sizes check_sizes(lua_State *lua, const char *name, int index)
{
    Sizes sizes = {0};
    lua_Unsigned count = lua_istable(lua, index) ? lua_rawlen(lua, index) : 0;
    if (count < 1 || count > 3)
        luaL_error(lua,
                   "weight \"%s\": a shape was expected: {columns}, {rows, columns} or {matrices, "
                   "rows, columns}",
                   name);
    int64_t elements = 1;
    for (int i = 0; i < (int)count; i++) {
        int whole = 0;
        lua_rawgeti(lua, index, i + 1);
        sizes.sizes[i] = lua_tointegerx(lua, -1, &whole);
        if (lua_type(lua, -1) != LUA_TNUMBER || !whole || sizes.sizes[i] < 1 ||
            sizes.sizes[i] > INT32_MAX)
            luaL_error(lua,
                       "weight \"%s\": dimension %d of the shape is %s: a whole number from 1 was "
                       "expected",
                       name, i + 1, push_given(lua, -1));
        lua_pop(lua, 1);
        if (elements > WEIGHT_ELEMENTS_MAX / sizes.sizes[i])
            luaL_error(lua, "weight \"%s\": the shape is too large", name);
        elements *= sizes.sizes[i];
    }
    if (elements / sizes.sizes[count - 1] > INT32_MAX)
        luaL_error(lua, "weight \"%s\": the shape is too large", name);
    sizes.rank = (int32_t)count;
    return sizes;
}

static Sizes file_sizes(const FileWeight *weight)
{
    Sizes sizes = {.rank = weight->rank};
    for (int32_t i = 0; i < weight->rank; i++)
        sizes.sizes[i] = weight->shape[i];
    return sizes;
}

// A vector may be stored as one row, and the other way round.
static bool sizes_match(const Sizes *stored, const Sizes *expected)
{
    int32_t extra = stored->rank - expected->rank;
    const Sizes *longer = extra > 0 ? stored : expected;
    if (extra != 0 && !(extra * extra == 1 && longer->rank == 2 && longer->sizes[0] == 1))
        return false;
    int32_t rank = extra > 0 ? expected->rank : stored->rank;
    for (int32_t i = 1; i <= rank; i++)
        if (stored->sizes[stored->rank - i] != expected->sizes[expected->rank - i])
            return false;
    return true;
}

// The matrix in which a weight's matrices stand one below another; vectors as they are.
static Sizes as_matrix(Sizes sizes)
{
    if (sizes.rank == 3)
        return (Sizes){2, {sizes.sizes[0] * sizes.sizes[1], sizes.sizes[2]}};
    return sizes;
}

// The recipe of a weight of the file that the script expects to have these sizes.
static const Recipe *check_stored(lua_State *lua, const Builder *builder, const char *name,
                                  const Sizes *expected)
{
    const ModelFile *file = builder->file;
    FileWeight weight = {0};
    find_weight_of(builder, name, &weight);
    Sizes stored = file_sizes(&weight);
    if (!sizes_match(&stored, expected))
        luaL_error(lua, "weight \"%s\" is %s in %s, the script expects %s", name,
                   push_sizes(lua, &stored), file->path, push_sizes(lua, expected));
    if (!weight.recipe)
        luaL_error(lua, "weight \"%s\" in %s has the type %s, which is not supported", name,
                   file->path, weight.type_name);
    return weight.recipe;
}

static Weight *find_weight(const Builder *builder, const char *name)
{
    int64_t position = name_index_find(&builder->weight_positions, name);
    return position < 0 ? NULL : builder->module->weights.items[position];
}

static void builder_add_weight(lua_State *lua, Builder *builder, const Weight *weight)
{
    builder_count(lua, builder);
    name_index_append(builder->module->arena, &builder->weight_positions, weight->name,
                      builder->module->weights.count - 1);
}

// Matrices keep the file's type but for f64, which becomes f32; vectors are f32 as all arithmetic
// is.
static DType dtype_of(lua_State *lua, const char *name, const Recipe *recipe, bool vector)
{
    DType dtype = recipe_dtype(recipe);
    if (vector && dtype_table[dtype].kind != DTYPE_KIND_FLOAT)
        luaL_error(lua, "weight \"%s\" is a vector of %s: floats were expected", name,
                   dtype_table[dtype].name);
    return vector || dtype == DTYPE_f64 ? DTYPE_f32 : dtype;
}

static Weight *make_weight(lua_State *lua, Builder *builder, const char *name,
                           const Sizes *expected)
{
    const ModelFile *file = builder->file;
    const Recipe *recipe = NULL;
    const Sizes matrix = as_matrix(*expected), *sizes = &matrix;
    int64_t columns = sizes->sizes[sizes->rank - 1];
    DType dtype = sizes->rank == 1 ? DTYPE_f32 : file->weightless_type;
    if (!file->weightless) {
        recipe = check_stored(lua, builder, name, expected);
        dtype = dtype_of(lua, name, recipe, sizes->rank == 1);
    }
    if (columns % dtype_table[dtype].block_elements != 0)
        luaL_error(lua, "weight \"%s\": rows of %I elements do not fit %s, whose blocks hold %d",
                   name, (LUAI_UACINT)columns, dtype_table[dtype].name,
                   dtype_table[dtype].block_elements);
    Shape shape = {.rank = sizes->rank};
    for (int32_t i = 0; i < sizes->rank; i++)
        shape.dims[i] = dim_constant(sizes->sizes[i]);
    Module *module = builder->module;
    if (!recipe)
        recipe = recipe_tensor(module->arena, name, dtype, sizes->rank == 2 ? sizes->sizes[0] : 1,
                               columns);
    Weight *weight = module_add_weight(module, name, dtype, shape, recipe);
    builder_add_weight(lua, builder, weight);
    return weight;
}

// model.weight("token_embd.weight", {vocabulary, n}); {experts, rows, columns} gives the value
// [experts * rows, columns].
static int model_weight(lua_State *lua)
{
    Builder *builder = builder_of(lua);
    const char *name = check_weight_name(lua, "weight", 1);
    check_file_has(lua, builder, name);
    Sizes sizes = check_sizes(lua, name, 2);
    Weight *weight = find_weight(builder, name);
    if (!weight)
        weight = make_weight(lua, builder, name, &sizes);
    Sizes read = {.rank = weight->shape.rank}, matrix = as_matrix(sizes);
    for (int32_t i = 0; i < read.rank; i++)
        read.sizes[i] = weight->shape.dims[i].constant;
    if (read.rank != matrix.rank || !sizes_match(&read, &matrix))
        return luaL_error(lua, "weight \"%s\" was read as %s before, now the script expects %s",
                          name, push_sizes(lua, &read), push_sizes(lua, &sizes));
    push_value(lua, graph_weight(builder->graph, weight));
    return 1;
}

// Numbers of the table at `index` as f32.
static const float *check_numbers(lua_State *lua, Builder *builder, const char *name, int index,
                                  int64_t *count)
{
    *count = lua_istable(lua, index) ? (int64_t)lua_rawlen(lua, index) : 0;
    if (*count < 1 || *count > VECTOR_NUMBERS_MAX)
        luaL_error(lua, "vector: \"%s\": a table of 1 to %d numbers was expected", name,
                   VECTOR_NUMBERS_MAX);
    float *numbers = ARENA_ARRAY(builder->module->arena, float, *count);
    for (int64_t i = 0; i < *count; i++) {
        lua_rawgeti(lua, index, i + 1);
        double number = lua_type(lua, -1) == LUA_TNUMBER ? lua_tonumber(lua, -1) : NAN;
        if (!(fabs(number) <= (double)FLT_MAX))
            luaL_error(lua, "vector: \"%s\": element %d is %s: a number that fits f32 was expected",
                       name, (int)i + 1, push_given(lua, -1));
        numbers[i] = (float)number;
        lua_pop(lua, 1);
    }
    return numbers;
}

// factors = vector("rope_factors", {1, 1.5, 4})
static int script_vector(lua_State *lua)
{
    Builder *builder = builder_of(lua);
    const char *name = check_weight_name(lua, "vector", 1);
    int64_t count;
    const float *numbers = check_numbers(lua, builder, name, 2, &count);
    if (find_weight(builder, name) || file_has(builder, name))
        return luaL_error(lua, "vector: there is a weight \"%s\" already", name);
    Module *module = builder->module;
    Weight *weight = module_add_weight(module, name, DTYPE_f32, (Shape){1, {dim_constant(count)}},
                                       recipe_values(module->arena, numbers, count));
    builder_add_weight(lua, builder, weight);
    push_value(lua, graph_weight(builder->graph, weight));
    return 1;
}

// model.has("output.weight")
static int model_has(lua_State *lua)
{
    lua_pushboolean(lua, file_has(builder_of(lua), check_weight_name(lua, "has", 1)));
    return 1;
}

// local rows, columns = model.shape("token_embd.weight")
static int model_shape(lua_State *lua)
{
    const Builder *builder = builder_of(lua);
    const char *name = check_weight_name(lua, "shape", 1);
    if (builder->file->weightless)
        return luaL_error(lua, "shape: %s has no tensors whose shape could be asked",
                          builder->file->path);
    check_file_has(lua, builder, name);
    FileWeight weight = {0};
    find_weight_of(builder, name, &weight);
    for (int32_t i = 0; i < weight.rank; i++)
        lua_pushinteger(lua, weight.shape[i]);
    return weight.rank;
}

// --- the rest of the table

// model.describe {context = hp.context_length, vocabulary = vocabulary}
static int model_describe(lua_State *lua)
{
    static const char *const fields[] = {"context", "vocabulary", NULL};
    Builder *builder = builder_of(lua);
    lua_settop(lua, 1);
    if (!lua_istable(lua, 1))
        return luaL_error(lua, "describe: {context = …, vocabulary = …} was expected");
    check_fields(lua, 1, "describe", fields);
    int64_t context = check_count_field(lua, 1, "describe", "context", INT32_MAX);
    int64_t vocabulary = check_count_field(lua, 1, "describe", "vocabulary", INT32_MAX);
    const ModelFile *file = builder->file;
    if (file->has_vocabulary && file->vocabulary.count > vocabulary)
        return luaL_error(lua, "describe: vocabulary is %d, but the tokenizer of %s has %d pieces",
                          (int)vocabulary, file->path, (int)file->vocabulary.count);
    builder->module->context_length = context;
    builder->module->vocabulary_size = vocabulary;
    return 0;
}

static int unknown_field(lua_State *lua)
{
    return luaL_error(lua, "model has no field \"%s\"", luaL_tolstring(lua, 2, NULL));
}

// Gives the table on the top of the stack an __index function and hides the metatable.
static void set_index(lua_State *lua, Builder *builder, lua_CFunction function)
{
    lua_newtable(lua);
    set_function(lua, builder, "__index", function);
    lua_pushboolean(lua, false);
    lua_setfield(lua, -2, "__metatable");
    lua_setmetatable(lua, -2);
}

static void set_text(lua_State *lua, const char *name, const char *text)
{
    lua_pushstring(lua, text);
    lua_setfield(lua, -2, name);
}

void install_model(lua_State *lua, Builder *builder)
{
    const ModelFile *file = builder->file;
    lua_newtable(lua);
    set_text(lua, "name", file->name);
    set_text(lua, "architecture", file->architecture);
    set_function(lua, builder, "weight", model_weight);
    set_function(lua, builder, "has", model_has);
    set_function(lua, builder, "shape", model_shape);
    set_function(lua, builder, "describe", model_describe);
    lua_newtable(lua);
    set_index(lua, builder, hyperparameters_field);
    lua_setfield(lua, -2, "hyperparameters");
    set_index(lua, builder, unknown_field);
    lua_setglobal(lua, "model");
    lua_pushglobaltable(lua);
    set_function(lua, builder, "vector", script_vector);
    lua_pop(lua, 1);
}
