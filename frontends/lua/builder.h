// What the parts of the model language share while one script runs. Every C function that a script
// can call has the builder as upvalue 1 (light userdata).
#ifndef FRONTENDS_LUA_BUILDER_H
#define FRONTENDS_LUA_BUILDER_H

#include "frontends/lua/lua_frontend.h"
#include "frontends/name_index.h"

// A value under a name that the script gave it, and where.
typedef struct NamedValue {
    const char *name;
    Value *value;
    Where where;
} NamedValue;

// Found by name, listed in the order of the script.
typedef struct NamedValues {
    NamedValue *items;
    int32_t count, capacity;
    NameIndex positions;
} NamedValues;

typedef struct ScriptFile {
    const char *path, *base_name;
} ScriptFile;

typedef struct Builder {
    LuaHost *host;
    const char *script; // path of the model's own script, which may require others
    const ModelFile *file;
    Module *module; // its arena holds everything here
    Graph *graph;
    NamedValues named;                           // by named()
    NamedValues outputs;                         // by output()
    NameIndex weight_positions, state_positions; // in the module
    Vector(ScriptFile) scripts;
    int32_t operations; // calls that added something; capped, for the arena knows no limit
} Builder;

Builder *builder_of(lua_State *lua);
// Counts one thing that the script adds to the module; raises when there are too many.
void builder_count(lua_State *lua, Builder *builder);
// The innermost script line; the file is its base name, so that plans do not depend on folders.
SourceLocation builder_location(lua_State *lua, Builder *builder);
// The line of the model's own script that led there.
SourceLocation builder_script_location(lua_State *lua, Builder *builder);

// --- values.c

// Writes "f32[T,2048]".
void value_describe(const Value *value, char *buffer, size_t buffer_bytes);
void push_value(lua_State *lua, Value *value);
// The value at the index, NULL if it is something else.
Value *to_value(lua_State *lua, int index);
// Makes the values' metatable (operators, methods) and the global constructors, one an op.
void install_values(lua_State *lua, Builder *builder);

// --- model.c: the table `model`, `vector`
void install_model(lua_State *lua, Builder *builder);

// --- script.c: kv_state, named, output, step inputs, and what an undefined global says
void install_script(lua_State *lua, Builder *builder);
// NULL if there is none of that name.
const NamedValue *named_find(const NamedValues *values, const char *name);

// Sets field `name` of the table on the top of the stack to a C function with the builder.
void set_function(lua_State *lua, Builder *builder, const char *name, lua_CFunction function);
// How messages write a value that was not expected: numbers and texts as they are, else the type.
const char *push_given(lua_State *lua, int index);
// Raises unless every key of the table at `index` is in `known` (NULL ends it).
void check_fields(lua_State *lua, int index, const char *what, const char *const *known);
// A whole number from 1 to `most` in field `name` of the table at `index`; raises if it is not.
int64_t check_count_field(lua_State *lua, int index, const char *what, const char *name,
                          int64_t most);

#endif
