// An entry is in use while anybody has a lock on it: readers map it with a shared one
// (runtime/file_map.h), writers hold an exclusive one on its part (runtime/new_file.h). Removing
// takes the exclusive lock without waiting. The time of change is the last use.
//
// Plans go by their last use, weights go when no plan names them any more. Every race ends well: an
// entry that is missing or not whole is made again.
#include "tools/compiler/cache_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "runtime/weights_file.h"

enum { GRACE_SECONDS = 60 };
#define LIMIT_DEFAULT ((uint64_t)16 << 30)

typedef enum EntryKind { ENTRY_PLAN, ENTRY_WEIGHTS, ENTRY_PART, ENTRY_KINDS } EntryKind;

static const char *const suffixes[ENTRY_KINDS] = {".plan", WEIGHTS_SUFFIX, NEW_FILE_SUFFIX};

typedef struct Entry {
    const char *name, *path;
    EntryKind kind;
    uint64_t bytes;
    int64_t used_ns;
    const char *weights; // of a plan: the name of its weights file, "" if it has none
    const char *command; // of a plan
    bool removed;
} Entry;

typedef struct EntryList {
    Vector(Entry) entries; // the longest unused first
} EntryList;

static bool make_folder(const char *path)
{
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

const char *cache_folder(Arena *arena)
{
    const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (!base || *base != '/')
        base = home && *home == '/' ? arena_format(arena, "%s/.cache", home) : NULL;
    if (!base)
        return NULL;
    const char *folder = arena_format(arena, "%s/graphc", base);
    return make_folder(base) && make_folder(folder) ? folder : NULL;
}

bool cache_folder_limit(uint64_t *bytes, Diag *diag)
{
    const char *text = getenv("GRAPHC_CACHE_BYTES");
    *bytes = LIMIT_DEFAULT;
    if (!text || !*text)
        return true;
    char *end;
    errno = 0;
    *bytes = strtoull(text, &end, 10);
    return (*text >= '0' && *text <= '9' && !*end && errno == 0) ||
           diag_fail(diag, (Where){0}, "GRAPHC_CACHE_BYTES=%s: wants a number of bytes", text);
}

static EntryKind kind_of(const char *name)
{
    const char *dot = strrchr(name, '.');
    int kind = 0;
    while (kind < ENTRY_KINDS && (!dot || strcmp(dot, suffixes[kind]) != 0))
        kind++;
    return (EntryKind)kind;
}

static void describe_plan(Entry *entry, Arena *arena)
{
    PlanInfo info;
    char command[PLAN_COMMAND_MAX], weights[WEIGHTS_PATH_MAX];
    entry->weights = entry->command = "";
    if (!plan_peek(entry->path, &info, command))
        return;
    entry->command = arena_copy_text(arena, command, strlen(command));
    if (info.weights_in == WEIGHTS_IN_FILE && weights_file_path("", info.weights_key, weights))
        entry->weights = arena_copy_text(arena, weights, strlen(weights));
}

static int by_use(const void *left, const void *right)
{
    const Entry *a = left, *b = right;
    return a->used_ns != b->used_ns ? (a->used_ns > b->used_ns) - (a->used_ns < b->used_ns)
                                    : strcmp(a->name, b->name);
}

static void read_entries(EntryList *list, const char *folder, Arena *arena)
{
    DIR *opened = opendir(folder);
    for (struct dirent *item; opened && (item = readdir(opened));) {
        struct stat status;
        Entry entry = {.kind = kind_of(item->d_name),
                       .path = arena_format(arena, "%s/%s", folder, item->d_name)};
        if (entry.kind == ENTRY_KINDS || lstat(entry.path, &status) != 0 ||
            !S_ISREG(status.st_mode))
            continue;
        entry.name = arena_copy_text(arena, item->d_name, strlen(item->d_name));
        entry.bytes = (uint64_t)status.st_size;
        entry.used_ns = (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec;
        if (entry.kind == ENTRY_PLAN)
            describe_plan(&entry, arena);
        vector_push(arena, &list->entries, entry);
    }
    if (opened)
        closedir(opened);
    if (list->entries.count > 0)
        qsort(list->entries.items, (size_t)list->entries.count, sizeof(Entry), by_use);
}

static bool is_opened(const Entry *entry)
{
    int file = open(entry->path, O_RDONLY | O_CLOEXEC);
    bool opened = file >= 0 && flock(file, LOCK_EX | LOCK_NB) != 0;
    if (file >= 0)
        close(file);
    return opened;
}

// Removes it unless somebody has a lock on it, or used it after `since`.
static bool remove_entry(Entry *entry, time_t since)
{
    struct stat status;
    int file = open(entry->path, O_RDONLY | O_CLOEXEC);
    entry->removed = file >= 0 && flock(file, LOCK_EX | LOCK_NB) == 0 &&
                     fstat(file, &status) == 0 && status.st_mtim.tv_sec <= since &&
                     unlink(entry->path) == 0;
    if (file >= 0)
        close(file);
    return entry->removed;
}

static bool is_needed(const EntryList *list, const Entry *weights)
{
    for (int32_t i = 0; i < list->entries.count; i++) {
        const Entry *entry = &list->entries.items[i];
        if (entry->kind == ENTRY_PLAN && !entry->removed &&
            strcmp(entry->weights, weights->name) == 0)
            return true;
    }
    return false;
}

// Removes what no writer and no plan needs; returns the bytes of what is left.
static uint64_t remove_orphans(EntryList *list, time_t since)
{
    uint64_t bytes = 0;
    for (int32_t i = 0; i < list->entries.count; i++) {
        Entry *entry = &list->entries.items[i];
        if (!entry->removed && entry->kind == ENTRY_PART)
            remove_entry(entry, INT64_MAX);
        else if (!entry->removed && entry->kind == ENTRY_WEIGHTS && !is_needed(list, entry))
            remove_entry(entry, since);
        bytes += entry->removed ? 0 : entry->bytes;
    }
    return bytes;
}

static void shrink(const char *folder, uint64_t limit, time_t since, Arena *arena)
{
    EntryList list = {0};
    read_entries(&list, folder, arena);
    uint64_t bytes = remove_orphans(&list, since);
    for (int32_t i = 0; i < list.entries.count && bytes > limit; i++)
        if (list.entries.items[i].kind == ENTRY_PLAN && remove_entry(&list.entries.items[i], since))
            bytes = remove_orphans(&list, since);
}

void cache_folder_prune(const char *folder, uint64_t limit, Arena *arena)
{
    shrink(folder, limit, time(NULL) - GRACE_SECONDS, arena);
}

void cache_folder_clear(const char *folder, Arena *arena)
{
    shrink(folder, 0, INT64_MAX, arena);
}

void cache_folder_list(const char *folder, uint64_t limit, Arena *arena, Text *out)
{
    EntryList list = {0};
    uint64_t bytes = 0;
    read_entries(&list, folder, arena);
    for (int32_t i = list.entries.count; i-- > 0;) {
        const Entry *entry = &list.entries.items[i];
        time_t seconds = entry->used_ns / 1000000000;
        struct tm used;
        char when[32] = "";
        if (localtime_r(&seconds, &used))
            strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &used);
        text_print(out, "%12llu  %s  %s%s", (unsigned long long)entry->bytes, when, entry->name,
                   is_opened(entry) ? "  in use" : "");
        if (entry->kind == ENTRY_PLAN)
            text_print(out, "  %s  %s", entry->weights, entry->command);
        text_print(out, "\n");
        bytes += entry->bytes;
    }
    text_print(out, "%12llu  of %llu in %s\n", (unsigned long long)bytes, (unsigned long long)limit,
               folder);
}
