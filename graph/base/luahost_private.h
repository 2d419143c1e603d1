// What luahost.c (the state, its limits, running, errors) and luahost_library.c (what scripts can
// call) share.
#ifndef GRAPH_BASE_LUAHOST_PRIVATE_H
#define GRAPH_BASE_LUAHOST_PRIVATE_H

#include "graph/base/luahost.h"

typedef enum Limit { LIMIT_NONE, LIMIT_MEMORY, LIMIT_INSTRUCTIONS, LIMIT_SECONDS } Limit;

typedef struct Chunk {
    const char *path;
    const char *prefix; // what Lua writes for the path in messages
} Chunk;

struct LuaHost {
    lua_State *lua;
    Arena *arena;
    LuaHostOptions options; // with defaults filled in
    size_t memory_used;
    size_t memory_lowest;      // since the last refusal
    int64_t instructions_used; // of the call from outside that is running
    int64_t deadline;          // for it, in seconds of the thread's processor time
    int refusals;
    Limit passed;
    const char *loading; // path of the chunk that is being compiled
    Where where;         // of the limit passed, or of the last refused allocation, or of the error
    char text[900];      // of the error
    Vector(Chunk) chunks;
    FileList files;
};

typedef struct Source {
    const char *path, *text;
    size_t length;
} Source;

// --- luahost.c

LuaHost *lua_host_of(lua_State *lua);
// Raises again a limit that was passed inside a call, so that no script goes on after it; `status`
// is what lua_pcall returned.
void lua_host_raise_limit(lua_State *lua, int status);
// Fills in the bytes of source->path, which must be in memory of the arena, and records the path.
bool lua_host_read_source(LuaHost *host, Source *source, Diag *diag);
// Pushes the compiled chunk or raises its syntax error.
void lua_host_load_source(lua_State *lua, const Source *source);

// --- luahost_library.c

// Opens what scripts can call; a lua_CFunction that takes and returns nothing.
int lua_host_open_libraries(lua_State *lua);

#endif
