// What the tests of model files share: files written byte by byte, opened, refused and printed.
//
// All of it is static inline, so that a test uses what it needs. `begin` and `end` are the fixture.
#ifndef TESTS_UNIT_GGUF_WRITER_H
#define TESTS_UNIT_GGUF_WRITER_H

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "frontends/model_file.h"
#include "graph/base/text.h"

// The value types of GGUF files, by number.
enum { U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 };

static Arena arena;
static Diag diag;

static inline void begin(void)
{
    arena = (Arena){0};
    diag = (Diag){0};
}

static inline void end(void)
{
    arena_free(&arena);
}

// A path under the test data, NULL (after saying so) where there is none.
static inline const char *data_path(const char *test, const char *name)
{
    const char *folder = getenv("DATA"), *ci = getenv("CI");
    struct stat status;
    folder = folder ? folder : "../shared/data";
    if (stat(folder, &status) == 0)
        return arena_format(&arena, "%s/%s", folder, name);
    ck_assert_msg(!ci || strcmp(ci, "true") != 0, "%s: needs DATA", test);
    printf("skip: %s: needs DATA\n", test);
    return NULL;
}

// The writer: bytes appended as the format has them. All helpers take the file as Text.
static inline void put(Text *file, const void *bytes, size_t length)
{
    text_append(file, bytes, length);
}

static inline void put_u8(Text *file, uint8_t value)
{
    put(file, &value, sizeof value);
}

static inline void put_u32(Text *file, uint32_t value)
{
    put(file, &value, sizeof value);
}

static inline void put_u64(Text *file, uint64_t value)
{
    put(file, &value, sizeof value);
}

static inline void put_f32(Text *file, float value)
{
    put(file, &value, sizeof value);
}

static inline void put_string(Text *file, const char *text)
{
    put_u64(file, strlen(text));
    put(file, text, strlen(text));
}

static inline void put_header(Text *file, uint32_t version, uint64_t tensors, uint64_t keys)
{
    put(file, "GGUF", 4);
    put_u32(file, version);
    put_u64(file, tensors);
    put_u64(file, keys);
}

static inline void put_key(Text *file, const char *key, uint32_t type)
{
    put_string(file, key);
    put_u32(file, type);
}

static inline void put_key_text(Text *file, const char *key, const char *text)
{
    put_key(file, key, STRING);
    put_string(file, text);
}

static inline void put_key_u32(Text *file, const char *key, uint32_t value)
{
    put_key(file, key, U32);
    put_u32(file, value);
}

static inline void put_array(Text *file, uint32_t type, uint64_t count)
{
    put_u32(file, type);
    put_u64(file, count);
}

static inline void put_tensor(Text *file, const char *name, uint32_t type, uint64_t columns,
                              uint64_t rows, uint64_t offset)
{
    put_string(file, name);
    put_u32(file, 2);
    put_u64(file, columns);
    put_u64(file, rows);
    put_u32(file, type);
    put_u64(file, offset);
}

static inline void put_padding(Text *file, size_t alignment)
{
    while (file->length % alignment)
        put_u8(file, 0);
}

// Writes the bytes to a file, opens it and removes its name; frees the bytes.
static inline ModelFile *open_bytes(Text *bytes)
{
    const char *folder = getenv("TMPDIR");
    char *path = arena_format(&arena, "%s/test_gguf_XXXXXX", folder ? folder : "/tmp");
    int descriptor = mkstemp(path);
    ck_assert_int_ge(descriptor, 0);
    ck_assert_int_eq(write(descriptor, bytes->bytes, bytes->length), (ssize_t)bytes->length);
    close(descriptor);
    ModelFile *file = model_file_open(path, &arena, &diag);
    unlink(path);
    text_free(bytes);
    ck_assert_int_eq(file == NULL, diag.failed);
    return file;
}

static inline ModelFile *open_good(Text *bytes)
{
    ModelFile *file = open_bytes(bytes);
    ck_assert_msg(file, "%s", diag.message);
    return file;
}

static inline void expect_refusal(Text *bytes, const char *message)
{
    ck_assert_ptr_null(open_bytes(bytes));
    ck_assert_msg(strstr(diag.message, message), "expected \"%s\" in \"%s\"", message,
                  diag.message);
    ck_assert_ptr_nonnull(strstr(diag.message, "test_gguf_"));
}

static inline ModelFile *open_data(const char *path)
{
    ModelFile *file = model_file_open(path, &arena, &diag);
    ck_assert_msg(file, "%s", diag.message);
    return file;
}

static inline void expect_refused_path(const char *path, const char *message)
{
    diag = (Diag){0};
    ck_assert_ptr_null(model_file_open(path, &arena, &diag));
    ck_assert_ptr_nonnull(strstr(diag.message, path));
    ck_assert_msg(strstr(diag.message, message), "expected \"%s\" in \"%s\"", message,
                  diag.message);
}

static inline char *info_of(const ModelFile *file)
{
    char *printed = NULL;
    size_t length;
    FILE *out = open_memstream(&printed, &length);
    model_file_print_info(file, out);
    fclose(out);
    return printed;
}

static inline void expect_info(const ModelFile *file, const char *line)
{
    char *printed = info_of(file);
    ck_assert_msg(strstr(printed, line), "expected \"%s\" in:\n%s", line, printed);
    free(printed);
}

static inline uint64_t natural(const ModelFile *file, const char *key)
{
    const MetaValue *value = model_file_meta(file, key);
    ck_assert_ptr_nonnull(value);
    ck_assert_int_eq(value->kind, META_UINT);
    return value->natural;
}

static inline int32_t piece(const ModelFile *file, const char *text)
{
    return vocabulary_find(&file->vocabulary, text, (int64_t)strlen(text));
}

static inline TCase *new_cases(const char *name)
{
    TCase *cases = tcase_create(name);
    tcase_add_checked_fixture(cases, begin, end);
    return cases;
}

#define LOOP(cases, test, table)                                                                   \
    tcase_add_loop_test(cases, test, 0, (int)(sizeof(table) / sizeof *(table)))

#endif
