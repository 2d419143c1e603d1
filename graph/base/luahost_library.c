// What a script can call: Lua's libraries with functions removed, replaced or guarded; `require`.
//
// Two things would get past the hook that counts instructions and are closed: code that Lua runs
// without hooks (`__gc`, which setmetatable refuses, and xpcall's handler of an error that the hook
// raised, which is not called), and library functions that can loop without end inside one
// instruction (repeating "", moving 2^60 elements, patterns that backtrack).
//
// Order: `pairs` visits numbers ascending, then strings by their bytes, then false and true; `next`
// and math.random are removed, so that a script does the same in every run.
#include "graph/base/luahost_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lualib.h>

// --- require

static bool module_name_is_plain(const char *name, size_t length)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    return length > 0 && length < 200 && strspn(name, letters) == length;
}

static const char *find_module(LuaHost *host, const char *name)
{
    for (int i = 0; i < host->options.registry_count; i++) {
        const char *path = arena_format(host->arena, "%s/%s.lua", host->options.registry[i], name);
        if (access(path, F_OK) == 0)
            return path;
    }
    return NULL;
}

static void raise_not_found(lua_State *lua, const LuaHost *host, const char *name)
{
    luaL_Buffer folders;
    luaL_buffinit(lua, &folders);
    for (int i = 0; i < host->options.registry_count; i++) {
        luaL_addstring(&folders, i ? ", " : "");
        luaL_addstring(&folders, host->options.registry[i]);
    }
    luaL_pushresult(&folders);
    luaL_error(lua, "require: no %s.lua in the registry folders (%s)", name,
               host->options.registry_count ? lua_tostring(lua, -1) : "none are given");
}

// Upvalue 1: name -> what the module returned; false while it is being loaded.
static int script_require(lua_State *lua)
{
    LuaHost *host = lua_host_of(lua);
    size_t length;
    const char *name = luaL_checklstring(lua, 1, &length);
    if (!module_name_is_plain(name, length))
        return luaL_error(
            lua, "require: \"%s\" is not a module name: letters, digits and _ . - only", name);
    lua_settop(lua, 1);
    if (lua_getfield(lua, lua_upvalueindex(1), name) == LUA_TBOOLEAN && !lua_toboolean(lua, 2))
        return luaL_error(lua, "require: module \"%s\" requires itself", name);
    if (!lua_isnil(lua, 2))
        return 1;
    const char *path = find_module(host, name);
    if (!path)
        raise_not_found(lua, host, name);
    Source source = {.path = path};
    Diag diag = {0};
    if (!lua_host_read_source(host, &source, &diag))
        return luaL_error(lua, "require: %s", diag.message);
    lua_pushboolean(lua, false);
    lua_setfield(lua, lua_upvalueindex(1), name);
    lua_host_load_source(lua, &source);
    lua_call(lua, 0, 1);
    if (!lua_toboolean(lua, -1))
        lua_pushboolean(lua, true);
    lua_pushvalue(lua, -1);
    lua_setfield(lua, lua_upvalueindex(1), name);
    return 1;
}

// --- what replaces functions of the libraries

static int script_print(lua_State *lua)
{
    int count = lua_gettop(lua);
    for (int i = 1; i <= count; i++) {
        fprintf(stderr, "%s%s", i > 1 ? "\t" : "", luaL_tolstring(lua, i, NULL));
        lua_pop(lua, 1);
    }
    fputc('\n', stderr);
    return 0;
}

static int script_pcall(lua_State *lua)
{
    luaL_checkany(lua, 1);
    lua_pushboolean(lua, true);
    lua_insert(lua, 1);
    int status = lua_pcall(lua, lua_gettop(lua) - 2, LUA_MULTRET, 0);
    lua_host_raise_limit(lua, status);
    if (status == LUA_OK)
        return lua_gettop(lua);
    lua_pushboolean(lua, false);
    lua_insert(lua, -2);
    return 2;
}

// Upvalue 1: the script's handler.
static int call_handler(lua_State *lua)
{
    lua_settop(lua, 1);
    if (lua_host_of(lua)->passed)
        return 1;
    lua_pushvalue(lua, lua_upvalueindex(1));
    lua_insert(lua, 1);
    lua_call(lua, 1, 1);
    return 1;
}

// xpcall(function, handler, ...)
static int script_xpcall(lua_State *lua)
{
    luaL_checktype(lua, 2, LUA_TFUNCTION);
    lua_pushvalue(lua, 2);
    lua_pushcclosure(lua, call_handler, 1);
    lua_replace(lua, 2);
    lua_pushboolean(lua, true);
    lua_pushvalue(lua, 1);
    lua_rotate(lua, 3, 2);
    int status = lua_pcall(lua, lua_gettop(lua) - 4, LUA_MULTRET, 2);
    lua_host_raise_limit(lua, status);
    if (status == LUA_OK)
        return lua_gettop(lua) - 2;
    lua_pushboolean(lua, false);
    lua_insert(lua, -2);
    return 2;
}

// The guards check arguments, then call the library's own function, which is upvalue 1.
static int call_original(lua_State *lua)
{
    int arguments = lua_gettop(lua);
    lua_pushvalue(lua, lua_upvalueindex(1));
    lua_insert(lua, 1);
    lua_call(lua, arguments, LUA_MULTRET);
    return lua_gettop(lua);
}

static int guard_setmetatable(lua_State *lua)
{
    if (lua_istable(lua, 2)) {
        lua_pushliteral(lua, "__gc");
        if (lua_rawget(lua, 2) != LUA_TNIL)
            return luaL_error(lua, "setmetatable: __gc is not allowed in scripts");
        lua_pop(lua, 1);
    }
    return call_original(lua);
}

static int guard_rep(lua_State *lua)
{
    size_t length, separator = 0;
    luaL_checklstring(lua, 1, &length);
    luaL_optlstring(lua, 3, "", &separator);
    if (length + separator > 0)
        return call_original(lua);
    lua_pushliteral(lua, "");
    return 1;
}

// table.insert, remove, move: a `__len` could promise elements without end.
static int guard_table(lua_State *lua)
{
    if (luaL_getmetafield(lua, 1, "__len") != LUA_TNIL)
        return luaL_error(lua, "table functions do not take tables with __len");
    return call_original(lua);
}

static int guard_move(lua_State *lua)
{
    lua_Integer first = luaL_checkinteger(lua, 2), last = luaL_checkinteger(lua, 3);
    if (last >= first && (lua_Unsigned)last - (lua_Unsigned)first >= INT32_MAX / 32)
        return luaL_error(lua, "table.move: too many elements");
    return call_original(lua);
}

// An upper bound of the steps that matching may take: each repetition may end anywhere.
static double pattern_steps(const char *pattern, size_t pattern_length, double subject_length)
{
    double steps = *pattern == '^' ? 1 : subject_length + 1;
    for (size_t i = 0; i < pattern_length; i++) {
        if (pattern[i] == '%') {
            i++;
            if (pattern[i] == 'b' || (pattern[i] >= '0' && pattern[i] <= '9'))
                steps *= subject_length + 1;
        } else if (pattern[i] == '[') {
            // The first character of a set belongs to it, be it ']'.
            i += pattern[i + 1] == '^' ? 2 : 1;
            while (i + 1 < pattern_length && pattern[i + 1] != ']')
                i += pattern[i + 1] == '%' ? 2 : 1;
            i++;
        } else if (pattern[i] == '*' || pattern[i] == '+' || pattern[i] == '-') {
            steps *= subject_length + 1;
        } else if (pattern[i] == '?') {
            steps *= 2;
        }
    }
    return steps;
}

static int guard_pattern(lua_State *lua)
{
    size_t subject_length, pattern_length;
    luaL_checklstring(lua, 1, &subject_length);
    const char *pattern = luaL_checklstring(lua, 2, &pattern_length);
    if (pattern_steps(pattern, pattern_length, (double)subject_length) >
        lua_host_of(lua)->options.pattern_steps)
        return luaL_error(
            lua,
            "the pattern \"%s\" might take too long on a subject of %d bytes; use fewer "
            "repetitions or begin with ^",
            pattern, (int)subject_length);
    return call_original(lua);
}

// --- pairs in order

typedef struct SortKey {
    int type;             // of Lua: LUA_TNUMBER, LUA_TSTRING, LUA_TBOOLEAN
    lua_Integer position; // in the list of keys
    long double number;   // holds integers and floats exactly
    const char *bytes;    // kept alive by the list of keys
    size_t length;
} SortKey;

static int type_rank(int type)
{
    return type == LUA_TNUMBER ? 0 : type == LUA_TSTRING ? 1 : 2;
}

static int compare_keys(const void *left, const void *right)
{
    const SortKey *a = left, *b = right;
    if (a->type != b->type)
        return type_rank(a->type) - type_rank(b->type);
    if (a->type != LUA_TSTRING)
        return (a->number > b->number) - (a->number < b->number);
    int order = memcmp(a->bytes, b->bytes, a->length < b->length ? a->length : b->length);
    return order ? order : (a->length > b->length) - (a->length < b->length);
}

// Reads the key on the top of the stack.
static SortKey sort_key(lua_State *lua, lua_Integer position)
{
    SortKey key = {.type = lua_type(lua, -1), .position = position};
    if (key.type == LUA_TSTRING)
        key.bytes = lua_tolstring(lua, -1, &key.length);
    else if (key.type == LUA_TBOOLEAN)
        key.number = (long double)lua_toboolean(lua, -1);
    else if (lua_isinteger(lua, -1))
        key.number = (long double)lua_tointeger(lua, -1);
    else if (key.type == LUA_TNUMBER)
        key.number = (long double)lua_tonumber(lua, -1);
    else
        luaL_error(lua, "pairs: keys of type %s have no order; use numbers or strings",
                   luaL_typename(lua, -1));
    return key;
}

// Leaves a list of the keys of the table at index 1 on the stack; returns their number.
static lua_Integer list_keys(lua_State *lua)
{
    lua_Integer count = 0;
    lua_newtable(lua);
    int list = lua_gettop(lua);
    for (lua_pushnil(lua); lua_next(lua, 1); lua_pop(lua, 1)) {
        lua_pushvalue(lua, -2);
        lua_rawseti(lua, list, ++count);
    }
    return count;
}

// Upvalues: the table, its keys in order, how many of them were visited.
static int visit_next_pair(lua_State *lua)
{
    lua_Integer position = lua_tointeger(lua, lua_upvalueindex(3));
    for (;;) {
        lua_settop(lua, 0);
        position++;
        if (lua_rawgeti(lua, lua_upvalueindex(2), position) == LUA_TNIL)
            return 1;
        lua_pushvalue(lua, 1);
        // A key that the loop removed meanwhile is passed over.
        if (lua_rawget(lua, lua_upvalueindex(1)) != LUA_TNIL)
            break;
    }
    lua_pushinteger(lua, position);
    lua_replace(lua, lua_upvalueindex(3));
    return 2;
}

static int script_pairs(lua_State *lua)
{
    luaL_checktype(lua, 1, LUA_TTABLE);
    lua_settop(lua, 1);
    lua_Integer count = list_keys(lua);
    SortKey *keys = lua_newuserdatauv(lua, (size_t)(count ? count : 1) * sizeof *keys, 0);
    for (lua_Integer i = 0; i < count; i++) {
        lua_rawgeti(lua, 2, i + 1);
        keys[i] = sort_key(lua, i + 1);
        lua_pop(lua, 1);
    }
    qsort(keys, (size_t)count, sizeof *keys, compare_keys);
    lua_createtable(lua, (int)count, 0);
    for (lua_Integer i = 0; i < count; i++) {
        lua_rawgeti(lua, 2, keys[i].position);
        lua_rawseti(lua, 4, i + 1);
    }
    lua_pushvalue(lua, 1);
    lua_insert(lua, 4);
    lua_pushinteger(lua, 0);
    lua_pushcclosure(lua, visit_next_pair, 3);
    return 1;
}

// --- what there is

typedef struct Replacement {
    const char *library; // LUA_GNAME: the globals
    const char *name;
    lua_CFunction function; // NULL: removed
    bool guards;            // gets the original as upvalue 1
} Replacement;

static const Replacement replacements[] = {
    {LUA_GNAME, "collectgarbage", NULL, false},
    {LUA_GNAME, "dofile", NULL, false},
    {LUA_GNAME, "load", NULL, false},
    {LUA_GNAME, "loadfile", NULL, false},
    {LUA_GNAME, "next", NULL, false},
    {LUA_GNAME, "warn", NULL, false},
    {LUA_GNAME, "print", script_print, false},
    {LUA_GNAME, "pairs", script_pairs, false},
    {LUA_GNAME, "pcall", script_pcall, false},
    {LUA_GNAME, "xpcall", script_xpcall, false},
    {LUA_GNAME, "setmetatable", guard_setmetatable, true},
    {LUA_STRLIBNAME, "dump", NULL, false},
    {LUA_STRLIBNAME, "rep", guard_rep, true},
    {LUA_STRLIBNAME, "find", guard_pattern, true},
    {LUA_STRLIBNAME, "match", guard_pattern, true},
    {LUA_STRLIBNAME, "gmatch", guard_pattern, true},
    {LUA_STRLIBNAME, "gsub", guard_pattern, true},
    {LUA_TABLIBNAME, "insert", guard_table, true},
    {LUA_TABLIBNAME, "remove", guard_table, true},
    {LUA_TABLIBNAME, "move", guard_move, true},
    {LUA_MATHLIBNAME, "random", NULL, false},
    {LUA_MATHLIBNAME, "randomseed", NULL, false},
};

// Messages of library functions look their names up in the table of loaded libraries.
static void keep_name(lua_State *lua, const Replacement *replacement)
{
    luaL_getsubtable(lua, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_getfield(lua, -1, replacement->library);
    lua_pushvalue(lua, -3);
    lua_setfield(lua, -2, replacement->name);
    lua_pop(lua, 2);
}

static void replace_function(lua_State *lua, const Replacement *replacement)
{
    lua_getglobal(lua, replacement->library);
    if (replacement->guards) {
        lua_getfield(lua, -1, replacement->name);
        keep_name(lua, replacement);
        lua_pushcclosure(lua, replacement->function, 1);
    } else if (replacement->function) {
        lua_pushcfunction(lua, replacement->function);
    } else {
        lua_pushnil(lua);
    }
    lua_setfield(lua, -2, replacement->name);
    lua_pop(lua, 1);
}

int lua_host_open_libraries(lua_State *lua)
{
    static const luaL_Reg libraries[] = {
        {LUA_GNAME, luaopen_base},       {LUA_STRLIBNAME, luaopen_string},
        {LUA_TABLIBNAME, luaopen_table}, {LUA_MATHLIBNAME, luaopen_math},
        {LUA_UTF8LIBNAME, luaopen_utf8},
    };
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
        luaL_requiref(lua, libraries[i].name, libraries[i].func, true);
        lua_pop(lua, 1);
        luaL_getsubtable(lua, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
        lua_newtable(lua);
        lua_setfield(lua, -2, libraries[i].name);
        lua_pop(lua, 1);
    }
    for (size_t i = 0; i < sizeof replacements / sizeof *replacements; i++)
        replace_function(lua, &replacements[i]);
    lua_newtable(lua);
    lua_pushcclosure(lua, script_require, 1);
    lua_setglobal(lua, "require");
    return 0;
}
