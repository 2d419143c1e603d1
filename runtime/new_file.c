// A writer that waited for the lock may hold a file that has meanwhile been renamed or removed: it
// looks whether the name still leads to what it locked, and begins anew where it does not.
//
// Rejected: a lock file beside each file (it must be removed some day, with the same race), names
// with the number of the process (each one that is killed leaves a part for good).
#include "runtime/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static bool fail(const NewFile *file, int error, Diag *diag)
{
    return diag_fail(diag, (Where){.file = file->path}, "cannot be written: %s", strerror(error));
}

static bool lock(int file)
{
    int status;
    do
        status = flock(file, LOCK_EX);
    while (status != 0 && errno == EINTR);
    return status == 0;
}

// Opens and locks what now stands under the part's name: 1 done, 0 it was replaced meanwhile, -1
// failed with errno.
static int open_part(NewFile *file)
{
    struct stat opened, named;
    file->file = open(file->part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (file->file < 0)
        return -1;
    bool good = lock(file->file) && fstat(file->file, &opened) == 0;
    bool same = good && lstat(file->part, &named) == 0 && opened.st_dev == named.st_dev &&
                opened.st_ino == named.st_ino;
    // Another user's file could be changed by its owner after it was renamed.
    if (same && (!S_ISREG(opened.st_mode) || opened.st_uid != geteuid())) {
        errno = EACCES;
        good = false;
    }
    if (same && good && ftruncate(file->file, 0) == 0)
        return 1;
    int error = errno;
    close(file->file);
    errno = error;
    return good && !same ? 0 : -1;
}

bool new_file_begin(NewFile *file, const char *path, Diag *diag)
{
    struct stat status;
    int length = snprintf(file->part, sizeof file->part, "%s" NEW_FILE_SUFFIX, path);
    file->path = path;
    if (length >= (int)sizeof file->part)
        return fail(file, ENAMETOOLONG, diag);
    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
        return diag_fail(diag, (Where){.file = path},
                         "not a regular file: give the name of a new file");
    int opened;
    do
        opened = open_part(file);
    while (opened == 0);
    return opened > 0 || fail(file, errno, diag);
}

bool new_file_write(const NewFile *file, const void *bytes, uint64_t count, uint64_t offset,
                    Diag *diag)
{
    const char *from = bytes;
    while (count > 0) {
        ssize_t wrote = pwrite(file->file, from, count, (off_t)offset);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return fail(file, wrote < 0 ? errno : ENOSPC, diag);
        from += wrote;
        offset += (uint64_t)wrote;
        count -= (uint64_t)wrote;
    }
    return true;
}

bool new_file_finish(NewFile *file, Diag *diag)
{
    if (rename(file->part, file->path) != 0) {
        int error = errno;
        new_file_abandon(file);
        return fail(file, error, diag);
    }
    return close(file->file) == 0 || fail(file, errno, diag);
}

void new_file_abandon(NewFile *file)
{
    unlink(file->part);
    close(file->file);
}
