// A Lua state for scripts that nobody vouches for: model scripts and chat templates.
//
// Scripts get base, string, table, math and utf8 without what reaches outside, loads code, differs
// from run to run or escapes the limits (see luahost_library.c), and `require` from given folders.
// Memory and instructions are capped; a script cannot catch a limit. Errors come out as
// "file.lua:line: error: text" with the path as it was given.
#ifndef GRAPH_BASE_LUAHOST_H
#define GRAPH_BASE_LUAHOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lua.h>

#include "graph/base/arena.h"
#include "graph/base/diag.h"

// Paths in the order in which they were read, each once.
typedef Vector(const char *) FileList;

// Limits are for one call from outside, memory for the host's life. Zero means the default.
typedef struct LuaHostOptions {
    size_t memory_bytes;         // 256 MiB
    int64_t instructions;        // 100 million virtual machine instructions
    int64_t seconds;             // 60 of processor time: a net under instructions that are slow
    double pattern_steps;        // 1e10: most steps that a string pattern might need on its subject
    const char *const *registry; // folders in which `require "name"` looks for name.lua, in order
    int registry_count;
} LuaHostOptions;

typedef struct LuaHost LuaHost;

// What the host keeps apart from the Lua state (paths, the list of files) lives in the arena, which
// must outlive it; so must options->registry. NULL with a message when there is no memory.
LuaHost *lua_host_new(const LuaHostOptions *options, Arena *arena, Diag *diag);
// NULL is fine.
void lua_host_free(LuaHost *host);

// For C functions that users of the host install; inside them errors are raised by luaL_error.
lua_State *lua_host_state(LuaHost *host);

// Runs a source file; the path is recorded in lua_host_files. False with a message.
bool lua_host_run_file(LuaHost *host, const char *path, Diag *diag);
// Runs source text that messages call `name`.
bool lua_host_run_text(LuaHost *host, const char *name, const char *text, size_t length,
                       Diag *diag);
// Calls function(L) with `argument` as light userdata on the stack; its errors become messages. For
// everything that uses the state from outside.
bool lua_host_call(LuaHost *host, lua_CFunction function, void *argument, Diag *diag);

// Every file that was run or required, for the compile's inputs.
const FileList *lua_host_files(const LuaHost *host);
// The innermost line of a script that is being executed: path as given and line; file is NULL when
// no script runs. The path lives in the host's arena.
Where lua_host_where(lua_State *lua);
// The same of one file, by its path as it was given.
Where lua_host_where_in(lua_State *lua, const char *path);

#endif
