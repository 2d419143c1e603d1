// The globals of a model script that are not ops: states, names, outputs, step inputs.
//
// An undefined global is an error that offers the closest names, since a mistyped constructor is
// the commonest mistake and "attempt to call a nil value" does not help.
#include <string.h>

#include <lauxlib.h>

#include "frontends/lua/builder.h"
#include "frontends/lua/closest.h"

enum { OPERATIONS_MAX = 100000, NAME_BYTES_MAX = 100, STATE_SIZE_MAX = 65536 };

// As scripts call them: `table` is Lua's library.
static const char *const input_globals[INPUT_COUNT] = {
    [INPUT_TOKEN] = "token", [INPUT_POS] = "pos",     [INPUT_SEQ] = "seq",
    [INPUT_ROW] = "row",     [INPUT_TABLE] = "pages", [INPUT_LENGTH] = "length",
};

Builder *builder_of(lua_State *lua)
{
    return lua_touserdata(lua, lua_upvalueindex(1));
}

void builder_count(lua_State *lua, Builder *builder)
{
    if (++builder->operations > OPERATIONS_MAX)
        luaL_error(lua, "the script builds more than %d things (an endless loop?)", OPERATIONS_MAX);
}

static SourceLocation location_of(Builder *builder, Where where)
{
    if (!where.file)
        return (SourceLocation){0};
    for (int32_t i = 0; i < builder->scripts.count; i++)
        if (builder->scripts.items[i].path == where.file)
            return (SourceLocation){builder->scripts.items[i].base_name, where.line};
    const char *slash = strrchr(where.file, '/');
    const char *name = slash ? slash + 1 : where.file;
    name = arena_copy_text(builder->module->arena, name, strlen(name));
    vector_push(builder->module->arena, &builder->scripts, ((ScriptFile){where.file, name}));
    return (SourceLocation){name, where.line};
}

SourceLocation builder_location(lua_State *lua, Builder *builder)
{
    return location_of(builder, lua_host_where(lua));
}

SourceLocation builder_script_location(lua_State *lua, Builder *builder)
{
    return location_of(builder, lua_host_where_in(lua, builder->script));
}

void set_function(lua_State *lua, Builder *builder, const char *name, lua_CFunction function)
{
    lua_pushlightuserdata(lua, builder);
    lua_pushcclosure(lua, function, 1);
    lua_setfield(lua, -2, name);
}

const char *push_given(lua_State *lua, int index)
{
    int type = lua_type(lua, index);
    if (type == LUA_TNUMBER || type == LUA_TBOOLEAN)
        return luaL_tolstring(lua, index, NULL);
    if (type == LUA_TSTRING)
        return lua_pushfstring(lua, "\"%s\"", lua_tostring(lua, index));
    return lua_pushstring(lua, luaL_typename(lua, index));
}

static bool is_known(const char *name, const char *const *known)
{
    while (*known && strcmp(*known, name) != 0)
        known++;
    return *known;
}

void check_fields(lua_State *lua, int index, const char *what, const char *const *known)
{
    // Lua's order differs from run to run, the message must not: the least unknown name is told.
    const char *unknown = NULL;
    for (lua_pushnil(lua); lua_next(lua, index); lua_pop(lua, 1)) {
        if (lua_type(lua, -2) != LUA_TSTRING)
            luaL_error(lua, "%s: what stands in {} needs a name: {name = value}", what);
        const char *name = lua_tostring(lua, -2);
        if (!is_known(name, known) && (!unknown || strcmp(name, unknown) < 0))
            unknown = name;
    }
    if (!unknown)
        return;
    luaL_Buffer names;
    luaL_buffinit(lua, &names);
    for (int i = 0; known[i]; i++) {
        luaL_addstring(&names, i ? ", " : "");
        luaL_addstring(&names, known[i]);
    }
    luaL_pushresult(&names);
    luaL_error(lua, "%s: \"%s\" is not known here; known: %s", what, unknown,
               *known ? lua_tostring(lua, -1) : "nothing");
}

int64_t check_count_field(lua_State *lua, int index, const char *what, const char *name,
                          int64_t most)
{
    int whole = 0;
    lua_getfield(lua, index, name);
    lua_Integer count = lua_tointegerx(lua, -1, &whole);
    if (lua_type(lua, -1) != LUA_TNUMBER || !whole || count < 1 || count > most)
        luaL_error(lua, "%s: %s is %s: a whole number from 1 to %I was expected", what, name,
                   push_given(lua, -1), (LUAI_UACINT)most);
    lua_pop(lua, 1);
    return count;
}

// --- names

// A copy of the name at `index` in the module's arena.
static const char *check_name(lua_State *lua, Builder *builder, const char *what, int index)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    size_t length = 0;
    if (lua_type(lua, index) != LUA_TSTRING)
        luaL_error(lua, "%s: argument %d is %s: a name was expected", what, index,
                   push_given(lua, index));
    const char *name = lua_tolstring(lua, index, &length);
    if (length == 0 || length > NAME_BYTES_MAX || strspn(name, letters) != length)
        luaL_error(lua, "%s: \"%s\" is not a name: 1 to %d letters, digits and _ . - only", what,
                   name, NAME_BYTES_MAX);
    builder_count(lua, builder);
    return arena_copy_text(builder->module->arena, name, length);
}

const NamedValue *named_find(const NamedValues *values, const char *name)
{
    int64_t position = name_index_find(&values->positions, name);
    return position < 0 ? NULL : &values->items[position];
}

static void named_add(Arena *arena, NamedValues *values, NamedValue named)
{
    name_index_append(arena, &values->positions, named.name, values->count);
    vector_push(arena, values, named);
}

// The name (argument 1) and the computed value (argument 2) of named() and output().
static NamedValue check_named_value(lua_State *lua, Builder *builder, const char *what)
{
    NamedValue named = {.name = check_name(lua, builder, what, 1),
                        .value = to_value(lua, 2),
                        .where = lua_host_where(lua)};
    if (!named.value)
        luaL_error(lua, "%s: \"%s\" is %s: a value was expected", what, named.name,
                   push_given(lua, 2));
    if (named.value->kind != VALUE_RESULT)
        luaL_error(lua, "%s: \"%s\" is not computed: it is a weight, a state or an input", what,
                   named.name);
    return named;
}

// x = named("l0.attn", x)
static int script_named(lua_State *lua)
{
    Builder *builder = builder_of(lua);
    NamedValue named = check_named_value(lua, builder, "named");
    const NamedValue *before = named_find(&builder->named, named.name);
    if (before && before->value != named.value)
        return luaL_error(lua, "named: \"%s\" is the name of another value (line %d)", named.name,
                          before->where.line);
    if (!before)
        named_add(builder->module->arena, &builder->named, named);
    // Equal computations are one value: it keeps its first name, the others still lead to it.
    if (!named.value->name)
        named.value->name = named.name;
    lua_settop(lua, 2);
    return 1;
}

// output("logits", x)
static int script_output(lua_State *lua)
{
    Builder *builder = builder_of(lua);
    NamedValue output = check_named_value(lua, builder, "output");
    const NamedValue *before = named_find(&builder->outputs, output.name);
    if (before)
        return luaL_error(lua, "output: \"%s\" is set already (line %d)", output.name,
                          before->where.line);
    if (strncmp(output.name, "tap.", 4) == 0)
        return luaL_error(lua, "output: \"%s\": names that begin with tap. are kept for taps",
                          output.name);
    named_add(builder->module->arena, &builder->outputs, output);
    graph_add_output(builder->graph, output.name, output.value);
    return 0;
}

// --- states

static const char *check_state_name(lua_State *lua, Builder *builder, int index)
{
    const char *name = check_name(lua, builder, "kv_state", index);
    if (name_index_find(&builder->state_positions, name) >= 0)
        luaL_error(lua, "kv_state: there is a state \"%s\" already", name);
    return name;
}

static void push_state(lua_State *lua, Builder *builder, State *state)
{
    Module *module = builder->module;
    name_index_append(module->arena, &builder->state_positions, state->name,
                      module->states.count - 1);
    push_value(lua, graph_state(builder->graph, state));
}

// keys, values = kv_state("k0", "v0", {heads = kv_heads, dim = head_dim})
static int script_kv_state(lua_State *lua)
{
    static const char *const fields[] = {"heads", "dim", NULL};
    Builder *builder = builder_of(lua);
    Module *module = builder->module;
    lua_settop(lua, 3);
    if (!lua_istable(lua, 3))
        return luaL_error(lua, "kv_state: {heads = …, dim = …} was expected after two names");
    check_fields(lua, 3, "kv_state", fields);
    int32_t heads = (int32_t)check_count_field(lua, 3, "kv_state", "heads", STATE_SIZE_MAX);
    int32_t dim = (int32_t)check_count_field(lua, 3, "kv_state", "dim", STATE_SIZE_MAX);
    const char *keys = check_state_name(lua, builder, 1);
    const char *values = check_state_name(lua, builder, 2);
    if (strcmp(keys, values) == 0)
        return luaL_error(lua, "kv_state: keys and values need two names");
    push_state(lua, builder, module_add_state(module, keys, STATE_KEYS, heads, dim));
    push_state(lua, builder, module_add_state(module, values, STATE_VALUES, heads, dim));
    return 2;
}

// --- globals

static const char *const other_globals[] = {"model",  "kv_state", "named",
                                            "output", "vector",   "require"};
enum { OTHER_GLOBALS = sizeof other_globals / sizeof *other_globals };

static const char *global_name(const void *context, int64_t index)
{
    (void)context;
    if (index < OP_COUNT)
        return op_table[index].name;
    index -= OP_COUNT;
    if (index < INPUT_COUNT)
        return input_globals[index];
    return other_globals[index - INPUT_COUNT];
}

// Step inputs come into being when they are first read, so that a graph has only those it uses.
static int undefined_global(lua_State *lua)
{
    Builder *builder = builder_of(lua);
    const char *name = luaL_tolstring(lua, 2, NULL);
    for (int i = 0; i < INPUT_COUNT; i++) {
        if (strcmp(input_globals[i], name) == 0) {
            push_value(lua, graph_input(builder->graph, (StepInput)i));
            return 1;
        }
    }
    char closest[400];
    closest_names(name, global_name, NULL, OP_COUNT + INPUT_COUNT + OTHER_GLOBALS, closest,
                  sizeof closest);
    return luaL_error(lua, "\"%s\" is not defined%s", name, closest);
}

void install_script(lua_State *lua, Builder *builder)
{
    lua_pushglobaltable(lua);
    set_function(lua, builder, "kv_state", script_kv_state);
    set_function(lua, builder, "named", script_named);
    set_function(lua, builder, "output", script_output);
    lua_newtable(lua);
    set_function(lua, builder, "__index", undefined_global);
    lua_pushboolean(lua, false);
    lua_setfield(lua, -2, "__metatable");
    lua_setmetatable(lua, -2);
    lua_pop(lua, 1);
}
