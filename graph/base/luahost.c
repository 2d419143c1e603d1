// The state in which scripts run: how much they may use, how they are read, what their errors say.
//
// Limits: memory is counted in the allocator, instructions in a count hook. A limit that is passed
// stays passed: the hook then raises at every instruction, and our pcall and xpcall raise again
// instead of returning, so no script goes on after it. What would get past the hook is closed by
// luahost_library.c, but for cheap instructions on huge strings (a net of processor time, read in
// the hook). There are no coroutines: each would need a hook of its own.
//
// Messages: Lua prefixes "chunk:line:", with long paths cut short. Every chunk is registered with
// its path, so that the prefix can be recognised and replaced by the whole path.
#include "graph/base/luahost_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <lauxlib.h>

enum {
    HOOK_INSTRUCTIONS = 1000,
    SOURCE_BYTES_MAX = 1 << 20,
    // Refused allocations in a row after which a full collection made little room: more would
    // thrash.
    REFUSALS_MAX = 16,
    MEBIBYTE = 1 << 20,
};

LuaHost *lua_host_of(lua_State *lua)
{
    return *(LuaHost **)lua_getextraspace(lua);
}

lua_State *lua_host_state(LuaHost *host)
{
    return host->lua;
}

const FileList *lua_host_files(const LuaHost *host)
{
    return &host->files;
}

static const char *chunk_path(const LuaHost *host, const char *source)
{
    for (int32_t i = 0; i < host->chunks.count; i++)
        if (*source == '@' && strcmp(host->chunks.items[i].path, source + 1) == 0)
            return host->chunks.items[i].path;
    return NULL;
}

// `file` NULL: of any.
static Where innermost(lua_State *lua, const char *file)
{
    lua_Debug frame;
    for (int level = 0; lua_getstack(lua, level, &frame); level++) {
        lua_getinfo(lua, "Sl", &frame);
        const char *path = chunk_path(lua_host_of(lua), frame.source);
        if (path && frame.currentline > 0 && (!file || strcmp(path, file) == 0))
            return (Where){.file = path, .line = frame.currentline};
    }
    return (Where){0};
}

Where lua_host_where(lua_State *lua)
{
    return innermost(lua, NULL);
}

Where lua_host_where_in(lua_State *lua, const char *path)
{
    return innermost(lua, path);
}

// --- limits

static int64_t processor_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec;
}

static void pass_limit(LuaHost *host, Limit limit, Where where);

static void count_instructions(lua_State *lua, lua_Debug *frame)
{
    (void)frame;
    LuaHost *host = lua_host_of(lua);
    host->instructions_used += HOOK_INSTRUCTIONS;
    if (host->instructions_used > host->options.instructions)
        pass_limit(host, LIMIT_INSTRUCTIONS, lua_host_where(lua));
    else if (processor_seconds() > host->deadline)
        pass_limit(host, LIMIT_SECONDS, lua_host_where(lua));
    if (host->passed)
        luaL_error(lua, "limit");
}

static void pass_limit(LuaHost *host, Limit limit, Where where)
{
    if (host->passed)
        return;
    host->passed = limit;
    host->where = where;
    lua_sethook(host->lua, count_instructions, LUA_MASKCOUNT, 1);
}

static void *refuse_memory(LuaHost *host)
{
    if (!host->lua || host->passed)
        return NULL;
    host->where = lua_host_where(host->lua);
    if (host->memory_lowest < host->options.memory_bytes / 8 * 7)
        host->refusals = 0;
    host->memory_lowest = host->memory_used;
    if (++host->refusals > REFUSALS_MAX)
        pass_limit(host, LIMIT_MEMORY, host->where);
    return NULL;
}

static void count_memory(LuaHost *host, size_t held, size_t holds)
{
    host->memory_used += holds - held;
    if (host->memory_used < host->memory_lowest)
        host->memory_lowest = host->memory_used;
}

static void *allocate(void *user, void *block, size_t old_bytes, size_t new_bytes)
{
    LuaHost *host = user;
    size_t held = block ? old_bytes : 0;
    if (new_bytes == 0) {
        free(block);
        count_memory(host, held, 0);
        return NULL;
    }
    if (new_bytes > held && new_bytes - held > host->options.memory_bytes - host->memory_used)
        return refuse_memory(host);
    void *moved = realloc(block, new_bytes);
    if (!moved)
        return refuse_memory(host);
    count_memory(host, held, new_bytes);
    return moved;
}

static bool report_limit(const LuaHost *host, Diag *diag)
{
    const LuaHostOptions *options = &host->options;
    switch (host->passed) {
    case LIMIT_MEMORY:
        return diag_fail(diag, host->where, "memory limit passed: a script may use %zu MiB",
                         options->memory_bytes / MEBIBYTE);
    case LIMIT_INSTRUCTIONS:
        return diag_fail(diag, host->where,
                         "instruction limit passed: a script may execute %lld (an endless loop?)",
                         (long long)options->instructions);
    case LIMIT_SECONDS:
        return diag_fail(diag, host->where,
                         "time limit passed: a script may take %lld s of processor time",
                         (long long)options->seconds);
    case LIMIT_NONE: break;
    }
    return true;
}

// --- messages

// The rest of a message after "prefix:line: ", NULL if it does not begin so.
static const char *skip_place(const char *message, const char *prefix, int *line)
{
    size_t length = strlen(prefix);
    if (strncmp(message, prefix, length) != 0 || message[length] != ':')
        return NULL;
    char *end;
    long number = strtol(message + length + 1, &end, 10);
    if (number < 1 || number > INT32_MAX || strncmp(end, ": ", 2) != 0)
        return NULL;
    *line = (int)number;
    return end + 2;
}

// Keeps place and text of an error until it has left Lua.
static void keep_error(LuaHost *host, const char *message, Where otherwise)
{
    host->where = otherwise.file ? otherwise : (Where){.file = host->loading};
    for (int32_t i = 0; i < host->chunks.count; i++) {
        int line;
        const char *rest = skip_place(message, host->chunks.items[i].prefix, &line);
        if (rest) {
            host->where = (Where){.file = host->chunks.items[i].path, .line = line};
            message = rest;
            break;
        }
    }
    snprintf(host->text, sizeof host->text, "%s", message);
}

static int handle_error(lua_State *lua)
{
    LuaHost *host = lua_host_of(lua);
    if (host->passed)
        return 1;
    bool readable = lua_isstring(lua, 1) || luaL_getmetafield(lua, 1, "__tostring") != LUA_TNIL;
    const char *message =
        readable ? luaL_tolstring(lua, 1, NULL)
                 : lua_pushfstring(lua, "error object is a %s value", luaL_typename(lua, 1));
    keep_error(host, message, lua_host_where(lua));
    return 1;
}

void lua_host_raise_limit(lua_State *lua, int status)
{
    LuaHost *host = lua_host_of(lua);
    if (status == LUA_ERRMEM)
        pass_limit(host, LIMIT_MEMORY, host->where);
    if (host->passed)
        luaL_error(lua, "limit");
}

// Calls the function below `arguments` values; every way in which it can end becomes a message.
static bool protected_call(LuaHost *host, int arguments, Diag *diag)
{
    lua_State *lua = host->lua;
    int handler = lua_gettop(lua) - arguments;
    lua_pushcfunction(lua, handle_error);
    lua_insert(lua, handler);
    *host->text = 0;
    int status = lua_pcall(lua, arguments, 0, handler);
    lua_settop(lua, handler - 1);
    if (status == LUA_ERRMEM)
        pass_limit(host, LIMIT_MEMORY, host->where);
    if (host->passed)
        return report_limit(host, diag);
    if (status == LUA_OK)
        return true;
    return diag_fail(diag, host->where, "%s", *host->text ? host->text : "error in error handling");
}

bool lua_host_call(LuaHost *host, lua_CFunction function, void *argument, Diag *diag)
{
    if (host->passed)
        return report_limit(host, diag);
    host->instructions_used = 0;
    host->deadline = processor_seconds() + host->options.seconds;
    lua_pushcfunction(host->lua, function);
    lua_pushlightuserdata(host->lua, argument);
    return protected_call(host, 1, diag);
}

// --- sources

static void record_file(LuaHost *host, const char *path)
{
    for (int32_t i = 0; i < host->files.count; i++)
        if (strcmp(host->files.items[i], path) == 0)
            return;
    vector_push(host->arena, &host->files, path);
}

bool lua_host_read_source(LuaHost *host, Source *source, Diag *diag)
{
    Where where = {.file = source->path};
    // O_NONBLOCK: opening a pipe must not wait for a writer.
    int descriptor = open(source->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status;
    if (descriptor < 0 || fstat(descriptor, &status) != 0) {
        diag_fail(diag, where, "cannot be opened: %s", strerror(errno));
    } else if (!S_ISREG(status.st_mode)) {
        diag_fail(diag, where, "not a regular file; a Lua script was expected");
    } else if (status.st_size > SOURCE_BYTES_MAX) {
        diag_fail(diag, where, "a script of %lld bytes is too long; at most %d are read",
                  (long long)status.st_size, SOURCE_BYTES_MAX);
    } else {
        source->length = (size_t)status.st_size;
        char *bytes = arena_alloc(host->arena, source->length + 1);
        ssize_t count = read(descriptor, bytes, source->length);
        if (count != status.st_size)
            diag_fail(diag, where, "cannot be read: %s", count < 0 ? strerror(errno) : "cut short");
        else
            source->text = bytes;
    }
    if (descriptor >= 0)
        close(descriptor);
    if (source->text)
        record_file(host, source->path);
    return source->text != NULL;
}

// Registers the chunk under its path, so that messages find it; returns the chunk's name for Lua.
static const char *register_chunk(LuaHost *host, const char *path)
{
    lua_State *lua = host->lua;
    const char *name = arena_format(host->arena, "@%s", path);
    if (chunk_path(host, name))
        return name;
    // Lua alone knows how it shortens a path: an empty chunk tells.
    lua_Debug shortened;
    if (luaL_loadbufferx(lua, "", 0, name, "t") != LUA_OK)
        lua_error(lua);
    lua_getinfo(lua, ">S", &shortened);
    const char *prefix =
        arena_copy_text(host->arena, shortened.short_src, strlen(shortened.short_src));
    vector_push(host->arena, &host->chunks, ((Chunk){name + 1, prefix}));
    return name;
}

void lua_host_load_source(lua_State *lua, const Source *source)
{
    LuaHost *host = lua_host_of(lua);
    const char *name = register_chunk(host, source->path);
    if (source->length && source->text[0] == LUA_SIGNATURE[0])
        luaL_error(lua, "%s:1: this is Lua bytecode; only source text is run", name + 1);
    host->loading = source->path;
    if (luaL_loadbufferx(lua, source->text, source->length, name, "t") != LUA_OK)
        lua_error(lua);
    host->loading = NULL;
}

static int run_source(lua_State *lua)
{
    lua_host_load_source(lua, lua_touserdata(lua, 1));
    lua_call(lua, 0, 0);
    return 0;
}

bool lua_host_run_text(LuaHost *host, const char *name, const char *text, size_t length, Diag *diag)
{
    Source source = {arena_copy_text(host->arena, name, strlen(name)), text, length};
    return lua_host_call(host, run_source, &source, diag);
}

bool lua_host_run_file(LuaHost *host, const char *path, Diag *diag)
{
    Source source = {.path = arena_copy_text(host->arena, path, strlen(path))};
    return lua_host_read_source(host, &source, diag) &&
           lua_host_call(host, run_source, &source, diag);
}

// --- the state

static LuaHostOptions with_defaults(const LuaHostOptions *given)
{
    LuaHostOptions options = *given;
    options.memory_bytes = given->memory_bytes ? given->memory_bytes : (size_t)256 * MEBIBYTE;
    options.instructions = given->instructions ? given->instructions : 100 * 1000 * 1000;
    options.seconds = given->seconds ? given->seconds : 60;
    options.pattern_steps = given->pattern_steps > 0 ? given->pattern_steps : 1e10;
    return options;
}

LuaHost *lua_host_new(const LuaHostOptions *options, Arena *arena, Diag *diag)
{
    LuaHost *host = ARENA_NEW(arena, LuaHost);
    host->arena = arena;
    host->options = with_defaults(options);
    lua_State *lua = lua_newstate(allocate, host);
    if (!lua) {
        diag_fail(diag, (Where){0}, "out of memory for a Lua state");
        return NULL;
    }
    host->lua = lua;
    *(LuaHost **)lua_getextraspace(lua) = host;
    if (!lua_host_call(host, lua_host_open_libraries, NULL, diag)) {
        lua_host_free(host);
        return NULL;
    }
    lua_sethook(lua, count_instructions, LUA_MASKCOUNT, HOOK_INSTRUCTIONS);
    return host;
}

void lua_host_free(LuaHost *host)
{
    if (!host || !host->lua)
        return;
    lua_close(host->lua);
    host->lua = NULL;
}
