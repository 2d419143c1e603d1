// The model language: Lua scripts that build graphs (examples/models/README.md is its reference).
#ifndef FRONTENDS_LUA_LUA_FRONTEND_H
#define FRONTENDS_LUA_LUA_FRONTEND_H

#include "frontends/model_file.h"
#include "graph/base/luahost.h"
#include "graph/graph.h"

typedef struct LuaFrontendOptions {
    const char *script;          // path of the model script
    const char *const *registry; // folders in which `require` looks after the script's own
    int registry_count;
    const char *const *taps; // names of values that become outputs "tap.NAME"
    int tap_count;
} LuaFrontendOptions;

// Runs a model script over a model file and returns the module it builds: one graph "step" at level
// BUILT, with the output logits f32[R, vocabulary]. Paths of the scripts that were read are added
// to `inputs_read` (memory of the arena), also when it fails. NULL with "file.lua:line: error: …".
Module *lua_frontend_build(const LuaFrontendOptions *options, const ModelFile *file,
                           ModuleOptions module_options, Arena *arena, FileList *inputs_read,
                           Diag *diag);

// The folder that a script lies in, in memory of the arena.
const char *lua_frontend_folder(const char *script, Arena *arena);

#endif
