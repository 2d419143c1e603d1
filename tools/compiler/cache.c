// Key of a plan: identity of the model file (device, inode, size, time) and hash of its header, the
// text of the scripts that may be read, the compiler's own file and its catalogue, options, target.
// The compiler is known by the identity of its file rather than by its version: a developer's next
// build may compile otherwise under the same version.
//
// Key of a weights file: the same of the model file, the tables that say how region w is made, and
// the version of packing. No target, no batch, no type of keys and values: plans that differ in
// those share it. The compiler is not in it either, so a new build finds old weights.
//
// Entries appear whole (runtime/new_file.h). Who finds another process writing the entry it wants
// waits, and takes what that one made; a writer that is killed holds nobody up. What is found is
// opened and checked before it is promised to anyone, and made again where it is not good.
#include "tools/compiler/cache.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "frontends/lua/lua_frontend.h"
#include "graph/base/hash.h"
#include "kernels/kernel.h"
#include "runtime/weights_file.h"
#include "tools/compiler/cache_folder.h"

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

// What stands before a part's first tensor is hashed, data are known by the file's identity.
static void add_model(HashStream *stream, const ModelFile *file)
{
    for (int32_t part = 0; part < file->parts.count; part++) {
        add_identity(stream, file->parts.items[part].path);
        hash_stream_add(stream, file->parts.items[part].mapping,
                        model_file_header_bytes(file, part));
    }
}

// Name, length and text of a file; its name alone where it cannot be read.
static void add_file(HashStream *stream, const char *path)
{
    FILE *file = fopen(path, "rb");
    char buffer[65536];
    uint64_t length = 0;
    add_text(stream, path);
    for (size_t got; file && (got = fread(buffer, 1, sizeof buffer, file)) > 0; length += got)
        hash_stream_add(stream, buffer, got);
    hash_stream_add(stream, &length, sizeof length);
    if (file)
        fclose(file);
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
        if (dot && strcmp(dot, ".lua") == 0)
            add_file(stream, arena_format(arena, "%s/%s", folder, name));
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
}

static void add_catalogue(HashStream *stream)
{
    for (int32_t i = 0; i < kernel_count; i++) {
        uint32_t facts[] = {kernel_table[i].abi, kernel_table[i].order};
        add_text(stream, kernel_table[i].name);
        hash_stream_add(stream, facts, sizeof facts);
    }
}

static const char *plan_key(Compile *compile)
{
    HashStream *stream = hash_stream_begin();
    add_text(stream, compile_command(compile));
    add_text(stream, compile->options->weights ? compile->options->weights : "");
    add_identity(stream, "/proc/self/exe");
    add_catalogue(stream);
    add_model(stream, compile->file);
    if (compile->script) {
        add_file(stream, compile->script);
        add_scripts(stream, lua_frontend_folder(compile->script, &compile->arena), &compile->arena);
    }
    if (compile->module_text)
        add_file(stream, compile->module_text);
    for (int i = 0; i < compile->registry_count; i++)
        add_scripts(stream, compile->registry[i], &compile->arena);
    for (int i = 0; i < compile->options->tap.count; i++)
        add_text(stream, compile->options->tap.items[i]);
    Hash128 hash = hash_stream_end(stream);
    return arena_format(&compile->arena, "%016llx%016llx", (unsigned long long)hash.high,
                        (unsigned long long)hash.low);
}

// Names do not decide bytes; tensors are told apart by their places in the file.
static Hash128 weights_key(const Compile *compile, const Plan *plan)
{
    HashStream *stream = hash_stream_begin();
    uint64_t facts[] = {WEIGHTS_FORMAT, PACK_VERSION, (uint64_t)plan->info.w_bytes,
                        plan->tensor_count, plan->recipe_count};
    add_model(stream, compile->file);
    hash_stream_add(stream, facts, sizeof facts);
    for (uint32_t i = 0; i < plan->tensor_count; i++) {
        PlanTensor tensor = plan->tensors[i];
        tensor.name = 0;
        hash_stream_add(stream, &tensor, sizeof tensor);
    }
    hash_stream_add(stream, plan->recipes, plan->recipe_count * sizeof *plan->recipes);
    for (uint32_t i = 0; i < plan->weight_count; i++) {
        PlanWeight weight = plan->weights[i];
        weight.name = 0;
        hash_stream_add(stream, &weight, sizeof weight);
    }
    return hash_stream_end(stream);
}

// Notes the use of a file, for pruning; in a folder that is only read nothing is pruned.
static void touch(const FileMap *map)
{
    if (map->bytes)
        futimens(map->file, NULL);
}

static bool use_plan(const char *path)
{
    Diag ignored = {0};
    Plan *plan = plan_open(path, &ignored);
    if (!plan)
        return false;
    touch(&plan->file);
    touch(&plan->weights_file);
    plan_close(plan);
    return true;
}

static bool use_weights(const char *path, const PlanInfo *info)
{
    Diag ignored = {0};
    FileMap map;
    if (!weights_file_open(&map, path, info->weights_key, info->w_bytes, &ignored))
        return false;
    touch(&map);
    file_map_close(&map);
    return true;
}

static bool make_weights(const Plan *plan, const char *plan_path, Diag *diag)
{
    char path[WEIGHTS_PATH_MAX];
    NewFile file;
    int shown;
    PlanProgress *progress = compile_progress(&shown);
    if (!weights_file_path(plan_path, plan->info.weights_key, path))
        return diag_fail(diag, (Where){plan_path, 0, 0}, "the path is too long");
    if (use_weights(path, &plan->info))
        return true;
    if (!new_file_begin(&file, path, diag))
        return false;
    bool found = use_weights(path, &plan->info);
    if (!found && weights_file_write(plan, &file, progress, &shown, diag))
        return new_file_finish(&file, diag);
    new_file_abandon(&file);
    return found;
}

static Plan *compile_whole(Compile *compile, Diag *diag)
{
    PipelineOptions pipeline = {.stop_after = PASS_COUNT};
    if (!compile->options->vocab_only && !compile_module(compile, &pipeline, diag))
        return NULL;
    return compile_plan(compile, diag);
}

// Compiles into the entry that was begun; the weights first, so that no plan is without them.
static bool write_entry(Compile *compile, const NewFile *file, Diag *diag)
{
    Plan *plan = compile_whole(compile, diag);
    int shown;
    PlanProgress *progress = compile_progress(&shown);
    if (!plan)
        return false;
    if (!compile->options->weights && plan->info.weights_in == WEIGHTS_IN_PLAN) {
        plan->info.weights_in = WEIGHTS_IN_FILE;
        plan->info.weights_key = weights_key(compile, plan);
        if (!make_weights(plan, file->path, diag))
            return false;
    }
    return plan_write_file(plan, file, progress, &shown, diag);
}

static bool make_entry(Compile *compile, const char *path, Diag *diag)
{
    NewFile file;
    if (!new_file_begin(&file, path, diag))
        return false;
    bool found = use_plan(path);
    if (!found && write_entry(compile, &file, diag))
        return new_file_finish(&file, diag);
    new_file_abandon(&file);
    return found;
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

static bool make_temporary(Compile *compile, const char **path, Diag *diag)
{
    *path = temporary_path(compile, diag);
    const Plan *plan = *path ? compile_whole(compile, diag) : NULL;
    if (plan && compile_write(plan, *path, diag))
        return true;
    if (*path)
        unlink(*path);
    return false;
}

bool cache_plan(Compile *compile, const char **path, bool *temporary, Diag *diag)
{
    uint64_t limit;
    if (!cache_folder_limit(&limit, diag))
        return false;
    // Text from stdin can be read once only, so it has no key.
    bool readable = !compile->module_text || strcmp(compile->module_text, "-") != 0;
    bool wanted = readable && !compile->options->no_cache;
    const char *folder = wanted ? cache_folder(&compile->arena) : NULL;
    *temporary = false;
    if (folder) {
        *path = arena_format(&compile->arena, "%s/%s.plan", folder, plan_key(compile));
        if (use_plan(*path))
            return true;
        if (access(folder, W_OK) == 0) {
            bool made = make_entry(compile, *path, diag);
            cache_folder_prune(folder, limit, &compile->arena);
            return made;
        }
    }
    *temporary = true;
    return make_temporary(compile, path, diag);
}

bool cache_manage(const char *what, Diag *diag)
{
    uint64_t limit;
    Arena arena = {0};
    Text text = {0};
    const char *folder = cache_folder(&arena);
    bool list = !*what, prune = strcmp(what, "prune") == 0, clear = strcmp(what, "clear") == 0;
    bool good = cache_folder_limit(&limit, diag);
    if (!list && !prune && !clear)
        good = diag_fail(diag, (Where){0},
                         "--cache=%s: the cache can be listed (--cache), prune, "
                         "clear",
                         what);
    else if (!folder)
        good = diag_fail(diag, (Where){0},
                         "there is no cache: neither XDG_CACHE_HOME nor HOME "
                         "names a folder that can be made");
    if (good && prune)
        cache_folder_prune(folder, limit, &arena);
    if (good && clear)
        cache_folder_clear(folder, &arena);
    if (good && list)
        cache_folder_list(folder, limit, &arena, &text);
    if (text.length)
        fwrite(text.bytes, 1, text.length, stdout);
    text_free(&text);
    arena_free(&arena);
    return good;
}
