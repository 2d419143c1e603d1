#include "tools/run/npy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct NpyWriter {
    FILE *file;
    char *path, *temporary;
    int64_t columns;
};

enum { NPY_ALIGNMENT = 64, NPY_PREFIX = 10 };

static void write_header(FILE *file, int64_t rows, int64_t columns)
{
    char text[128];
    int length = snprintf(text, sizeof text,
                          "{'descr': '<f4', 'fortran_order': False, 'shape': (%lld, %lld), }",
                          (long long)rows, (long long)columns);
    int padded = (NPY_PREFIX + length + 1 + NPY_ALIGNMENT - 1) / NPY_ALIGNMENT * NPY_ALIGNMENT;
    int body = padded - NPY_PREFIX;
    fwrite("\x93NUMPY\x01\x00", 1, 8, file);
    fputc(body & 0xff, file);
    fputc(body >> 8, file);
    fprintf(file, "%-*s\n", body - 1, text);
}

NpyWriter *npy_open(const char *path, int64_t rows, int64_t columns, Diag *diag)
{
    NpyWriter *writer = calloc(1, sizeof *writer);
    size_t room = strlen(path) + 32;
    if (writer) {
        writer->path = strdup(path);
        writer->temporary = malloc(room);
        writer->columns = columns;
    }
    if (!writer || !writer->path || !writer->temporary) {
        diag_fail(diag, (Where){0}, "out of memory");
        npy_close(writer, false, diag);
        return NULL;
    }
    struct stat status;
    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode)) {
        diag_fail(diag, (Where){path, 0, 0}, "is not a regular file and is not written to");
        npy_close(writer, false, diag);
        return NULL;
    }
    snprintf(writer->temporary, room, "%s.%ld.part", path, (long)getpid());
    writer->file = fopen(writer->temporary, "wb");
    if (!writer->file) {
        diag_fail(diag, (Where){path, 0, 0}, "cannot be written: %s", strerror(errno));
        npy_close(writer, false, diag);
        return NULL;
    }
    write_header(writer->file, rows, columns);
    return writer;
}

void npy_add_rows(NpyWriter *writer, const float *values, int64_t rows)
{
    fwrite(values, sizeof *values, (size_t)(rows * writer->columns), writer->file);
}

bool npy_close(NpyWriter *writer, bool keep, Diag *diag)
{
    if (!writer)
        return false;
    bool good = keep && writer->file && !ferror(writer->file);
    if (writer->file && fclose(writer->file) != 0)
        good = false;
    if (good && rename(writer->temporary, writer->path) != 0)
        good = false;
    if (keep && !good)
        diag_fail(diag, (Where){writer->path, 0, 0}, "cannot be written: %s", strerror(errno));
    if (!good && writer->file)
        unlink(writer->temporary);
    free(writer->path);
    free(writer->temporary);
    free(writer);
    return good;
}
