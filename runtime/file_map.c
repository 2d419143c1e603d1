// The mapping begins at an address that is a multiple of 2 MiB, so that the system can use 2 MiB
// pages for what lies at multiples of 2 MiB in the file. A file system without locks is fine: what
// is unlinked stays mapped.
#include "runtime/file_map.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t round_up(uint64_t value, uint64_t multiple)
{
    return (value + multiple - 1) / multiple * multiple;
}

static const void *map_aligned(int file, uint64_t bytes)
{
    size_t reserved = (size_t)bytes + FILE_MAP_ALIGNMENT;
    char *space =
        mmap(NULL, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (space == MAP_FAILED)
        return NULL;
    char *base =
        space + (FILE_MAP_ALIGNMENT - (uintptr_t)space % FILE_MAP_ALIGNMENT) % FILE_MAP_ALIGNMENT;
    if (mmap(base, (size_t)bytes, PROT_READ, MAP_PRIVATE | MAP_FIXED, file, 0) == MAP_FAILED) {
        munmap(space, reserved);
        return NULL;
    }
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *end = base + round_up(bytes, page);
    if (base > space)
        munmap(space, (size_t)(base - space));
    if (space + reserved > end)
        munmap(end, (size_t)(space + reserved - end));
    return base;
}

bool file_map_open(FileMap *map, const char *path, Diag *diag)
{
    Where where = {.file = path};
    struct stat status;
    *map = (FileMap){.file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (map->file < 0)
        return diag_fail(diag, where, "%s", strerror(errno));
    bool good = fstat(map->file, &status) == 0 && S_ISREG(status.st_mode);
    if (!good)
        diag_fail(diag, where, "not a regular file");
    while (good && flock(map->file, LOCK_SH) != 0 && errno == EINTR)
        continue;
    if (good && status.st_size > 0) {
        map->length = (uint64_t)status.st_size;
        map->bytes = map_aligned(map->file, map->length);
        good = map->bytes || diag_fail(diag, where, "cannot map the file: %s", strerror(errno));
    }
    if (!good) {
        close(map->file);
        *map = (FileMap){0};
    }
    return good;
}

void file_map_close(FileMap *map)
{
    if (map->bytes)
        munmap((void *)(uintptr_t)map->bytes, (size_t)map->length);
    if (map->file > 0)
        close(map->file);
    *map = (FileMap){0};
}
