// Plans of small_plan.h as files: written, read as bytes, opened, refused.
#ifndef TESTS_UNIT_PLAN_FILES_H
#define TESTS_UNIT_PLAN_FILES_H

#include <check.h>

#include "tests/unit/small_plan.h"

typedef struct Bytes {
    char *bytes;
    size_t length;
} Bytes;

static inline Bytes read_file(const char *path)
{
    Bytes read = {NULL, 0};
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    fseek(file, 0, SEEK_END);
    read.length = (size_t)ftell(file);
    rewind(file);
    read.bytes = malloc(read.length + 1);
    ck_assert_uint_eq(fread(read.bytes, 1, read.length, file), read.length);
    fclose(file);
    return read;
}

// The file is removed first: some file systems wait for the disk when a file is cut and written
// again.
static inline void write_file(const char *path, const void *bytes, size_t length)
{
    unlink(path);
    FILE *file = fopen(path, "wb");
    ck_assert_uint_eq(fwrite(bytes, 1, length, file), length);
    fclose(file);
}

// Writes the plan as `name` beside its model file; the path is in `path`.
static inline void write_plan(const SmallPlan *small, const char *name, char path[400])
{
    Diag diag = {0};
    small_path(small, name, path);
    ck_assert_msg(plan_write(&small->plan, path, NULL, NULL, &diag), "%s", diag.message);
}

static inline Plan *open_plan(const char *path)
{
    Diag diag = {0};
    Plan *plan = plan_open(path, &diag);
    ck_assert_msg(plan != NULL, "%s", diag.message);
    return plan;
}

static inline void refuse_plan(const char *path, const char *because)
{
    Diag diag = {0};
    Plan *plan = plan_open(path, &diag);
    ck_assert_ptr_null(plan);
    ck_assert_msg(strstr(diag.message, because) != NULL, "\"%s\" does not say \"%s\"", diag.message,
                  because);
}

#endif
