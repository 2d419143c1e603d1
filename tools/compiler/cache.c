// Key: identity of the model file (device, inode, size, time), the bytes of the script and of the
// files beside it that it may require, the compiler's own identity, options and target. A plan is
// written under a temporary name and renamed, so a reader never sees half of one, and two writers
// of one key write equal bytes. Folder: $XDG_CACHE_HOME/graphc, else ~/.cache/graphc.
#include "tools/compiler/cache.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "graph/base/hash.h"

static void add_text(HashStream *stream, const char *text)
{
    hash_stream_add(stream, text, strlen(text) + 1);
}

static void add_identity(HashStream *stream, const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return;
    uint64_t identity[] = {(uint64_t)status.st_dev, (uint64_t)status.st_ino,
                           (uint64_t)status.st_size, (uint64_t)status.st_mtim.tv_sec,
                           (uint64_t)status.st_mtim.tv_nsec};
    hash_stream_add(stream, identity, sizeof identity);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

// Every Lua file of a folder: the script may require any of them.
static void add_scripts(HashStream *stream, const char *folder, Arena *arena)
{
    struct dirent **entries;
    int count = scandir(folder, &entries, NULL, by_name);
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name, *dot = strrchr(name, '.');
        if (dot && strcmp(dot, ".lua") == 0) {
            add_text(stream, name);
            add_identity(stream, arena_format(arena, "%s/%s", folder, name));
        }
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
}

static const char *cache_key(Compile *compile)
{
    HashStream *stream = hash_stream_begin();
    add_text(stream, compile_command(compile));
    add_text(stream, compile->options->weights ? compile->options->weights : "");
    add_identity(stream, "/proc/self/exe");
    add_identity(stream, compile->file->path);
    if (compile->script)
        add_identity(stream, compile->script);
    for (int i = 0; i < compile->registry_count; i++)
        add_scripts(stream, compile->registry[i], &compile->arena);
    for (int i = 0; i < compile->options->tap.count; i++)
        add_text(stream, compile->options->tap.items[i]);
    Hash128 hash = hash_stream_end(stream);
    return arena_format(&compile->arena, "%016llx%016llx", (unsigned long long)hash.high,
                        (unsigned long long)hash.low);
}

static bool make_folder(const char *path)
{
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

// NULL when there is no folder that can be written.
static const char *cache_folder(Compile *compile)
{
    const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    Arena *arena = &compile->arena;
    if (!base || *base != '/')
        base = home && *home == '/' ? arena_format(arena, "%s/.cache", home) : NULL;
    if (!base)
        return NULL;
    const char *folder = arena_format(arena, "%s/graphc", base);
    return make_folder(base) && make_folder(folder) && access(folder, W_OK) == 0 ? folder : NULL;
}

static const char *temporary_path(Compile *compile, Diag *diag)
{
    const char *folder = getenv("TMPDIR");
    char *path =
        arena_format(&compile->arena, "%s/graphc-XXXXXX", folder && *folder ? folder : "/tmp");
    int file = mkstemp(path);
    if (file < 0) {
        diag_fail(diag, (Where){path, 0, 0}, "cannot be made: %s", strerror(errno));
        return NULL;
    }
    close(file);
    return path;
}

static bool make_plan(Compile *compile, const char *path, Diag *diag)
{
    PipelineOptions pipeline = {.stop_after = PASS_COUNT};
    if (!compile->options->vocab_only && !compile_module(compile, &pipeline, diag))
        return false;
    const Plan *plan = compile_plan(compile, diag);
    return plan && compile_write(plan, path, diag);
}

bool cache_plan(Compile *compile, const char **path, bool *temporary, Diag *diag)
{
    const char *folder = compile->options->no_cache ? NULL : cache_folder(compile);
    *temporary = !folder;
    if (folder) {
        *path = arena_format(&compile->arena, "%s/%s.plan", folder, cache_key(compile));
        return access(*path, R_OK) == 0 || make_plan(compile, *path, diag);
    }
    *path = temporary_path(compile, diag);
    if (*path && make_plan(compile, *path, diag))
        return true;
    if (*path)
        unlink(*path);
    return false;
}
