// A folder of model files that a test writes; made and removed by the fixture of folder_cases.
#ifndef TESTS_UNIT_MODEL_FOLDER_H
#define TESTS_UNIT_MODEL_FOLDER_H

#include <dirent.h>

#include "kernels/recipe_rows.h"
#include "tests/unit/gguf_writer.h"

static char *folder;

static inline void folder_begin(void)
{
    const char *parent = getenv("TMPDIR");
    begin();
    folder = arena_format(&arena, "%s/model_XXXXXX", parent ? parent : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static inline const char *in_folder(const char *name)
{
    return arena_format(&arena, "%s/%s", folder, name);
}

static inline void folder_end(void)
{
    DIR *entries = opendir(folder);
    for (const struct dirent *entry; entries && (entry = readdir(entries));)
        if (*entry->d_name != '.')
            unlink(in_folder(entry->d_name));
    closedir(entries);
    rmdir(folder);
    end();
}

static inline void write_bytes(const char *name, const void *bytes, size_t length)
{
    FILE *file = fopen(in_folder(name), "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, length, file), length);
    fclose(file);
}

static inline void write_text(const char *name, const char *text)
{
    write_bytes(name, text, strlen(text));
}

// A safetensors file with this header and `data_bytes` of data: the f32 0, 1, 2, …
static inline void write_safetensors(const char *name, const char *header, size_t data_bytes)
{
    Text bytes = {0};
    put_u64(&bytes, strlen(header));
    put(&bytes, header, strlen(header));
    for (size_t i = 0; i < data_bytes; i++) {
        float number = (float)(i / sizeof(float));
        put(&bytes, (const char *)&number + i % sizeof number, 1);
    }
    write_bytes(name, bytes.bytes, bytes.length);
    text_free(&bytes);
}

static inline ModelFile *open_in_folder(const char *name)
{
    diag = (Diag){0};
    return open_data(*name ? in_folder(name) : folder);
}

static inline void expect_refused(const char *name, const char *message)
{
    expect_refused_path(*name ? in_folder(name) : folder, message);
}

static const ModelFile *rows_of; // the file whose tensors rows are read from

static inline const void *tensor_bytes(void *context, const Recipe *tensor)
{
    (void)context;
    return model_file_tensor(rows_of, tensor->tensor)->data;
}

// Row `row` of a weight, as the numbers that it holds (all tests write f32).
static inline float *weight_row(const ModelFile *file, const char *name, int64_t row)
{
    FileWeight weight;
    ck_assert_msg(model_file_weight(file, name, &arena, &weight), "no %s", name);
    ck_assert_ptr_nonnull(weight.recipe);
    int64_t columns = weight.recipe->columns;
    float *numbers = ARENA_ARRAY(&arena, float, columns);
    void *scratch = arena_alloc(&arena, (size_t)recipe_row_scratch(columns));
    rows_of = file;
    RecipeRow made = recipe_read_row(weight.recipe, row, tensor_bytes, NULL, scratch);
    ck_assert_int_eq(made.dtype, DTYPE_f32);
    memcpy(numbers, made.bytes, (size_t)columns * sizeof *numbers);
    return numbers;
}

// The weight's rows begin with these numbers.
static inline void expect_rows(const ModelFile *file, const char *name, const float *first,
                               int64_t rows)
{
    FileWeight weight;
    ck_assert_msg(model_file_weight(file, name, &arena, &weight), "no %s", name);
    ck_assert_ptr_nonnull(weight.recipe);
    ck_assert_int_eq(weight.recipe->rows, rows);
    for (int64_t i = 0; i < rows; i++)
        ck_assert_msg(weight_row(file, name, i)[0] == first[i], "%s: row %d begins with %g, not %g",
                      name, (int)i, (double)weight_row(file, name, i)[0], (double)first[i]);
}

static inline TCase *folder_cases(const char *name)
{
    TCase *cases = tcase_create(name);
    tcase_add_checked_fixture(cases, folder_begin, folder_end);
    return cases;
}

#endif
