// A tensor is made chunk by chunk: threads share the rows of a chunk, then it is written. What a
// row becomes depends on the row alone, and errors are added up in the order of rows, so neither
// the file nor what is printed depends on the number of threads.
#include "tools/quant/convert.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernel.h"
#include "kernels/recipe_rows.h"
#include "kernels/row_write.h"
#include "runtime/new_file.h"
#include "runtime/pool.h"

enum { CHUNK_BYTES = 16 << 20 };

typedef struct Converter {
    const ModelFile *model;
    const ConvertOptions *options;
    NewFile file;
    Pool *pool;
    uint64_t written, bytes; // of tensor data
    uint64_t bytes_before;   // as the model stores it
    // The tensor at work, and its chunk.
    const GgufTensor *tensor;
    int64_t first, count; // rows
    uint8_t *chunk;
    double *errors;   // of each row: the sum of squared differences
    int64_t *refused; // of each row: the column that has no value in the type; all columns: none
    uint8_t *scratch; // of all threads
    size_t scratch_bytes;
    Diag *diag;
} Converter;

static int64_t columns_of(const GgufTensor *tensor)
{
    return tensor->recipe->columns;
}

static const void *stored(void *context, const Recipe *leaf)
{
    const Converter *converter = context;
    return model_file_tensor(converter->model, leaf->tensor)->data;
}

// The row as the model has it. `values` has room for a row of f32.
static RecipeRow source_row(Converter *converter, int64_t row, void *scratch, float *values)
{
    const Recipe *recipe = converter->tensor->recipe;
    if (!converter->options->make_row)
        return recipe_read_row(recipe, row, stored, converter, scratch);
    const Recipe *leaf = recipe_row(recipe, row, &row);
    converter->options->make_row(leaf, row, values);
    return (RecipeRow){values, DTYPE_f32};
}

// A row is copied where it is of the type already. `values` has room for two rows of f32.
static void convert_row(Converter *converter, int64_t row, void *scratch, float *values)
{
    const GgufTensor *tensor = converter->tensor;
    int64_t columns = columns_of(tensor), bytes = dtype_row_bytes(tensor->dtype, columns);
    uint8_t *out = converter->chunk + row * bytes;
    float *back = values + columns;
    double sum = 0;
    RecipeRow from = source_row(converter, converter->first + row, scratch, values);
    converter->errors[row] = 0;
    converter->refused[row] = columns;
    if (from.dtype == tensor->dtype) {
        memcpy(out, from.bytes, (size_t)bytes);
        return;
    }
    if (from.bytes != values)
        row_to_f32(from.dtype, from.bytes, columns, values);
    converter->refused[row] = row_from_f32(tensor->dtype, values, columns, out);
    if (converter->refused[row] < columns)
        return;
    row_to_f32(tensor->dtype, out, columns, back);
    for (int64_t i = 0; i < columns; i++)
        sum += ((double)back[i] - (double)values[i]) * ((double)back[i] - (double)values[i]);
    converter->errors[row] = sum;
}

static void convert_share(void *context, int32_t thread, int32_t threads)
{
    Converter *converter = context;
    uint8_t *scratch = converter->scratch + (size_t)thread * converter->scratch_bytes;
    float *values = (float *)(void *)(scratch + recipe_row_scratch(columns_of(converter->tensor)));
    int64_t first = converter->count * thread / threads;
    int64_t last = converter->count * (thread + 1) / threads;
    for (int64_t row = first; row < last; row++)
        convert_row(converter, row, scratch, values);
}

// Adds the chunk's errors, or names the element that the type cannot hold.
static bool take_errors(const Converter *converter, double *sum, Diag *diag)
{
    const GgufTensor *tensor = converter->tensor;
    for (int64_t row = 0; row < converter->count; row++) {
        if (converter->refused[row] < columns_of(tensor))
            return diag_fail(diag, (Where){.file = converter->model->path},
                             "tensor \"%s\": row %" PRId64 ", column %" PRId64
                             " is no number that %s can hold; take f32 or bf16",
                             tensor->name, converter->first + row, converter->refused[row],
                             dtype_table[tensor->dtype].name);
        *sum += converter->errors[row];
    }
    return true;
}

static void show_progress(const Converter *converter)
{
    if (!converter->options->progress)
        return;
    double share = (double)converter->written / (double)converter->bytes;
    fprintf(stderr, "\r[%-40.*s] %3d %%", (int)(40 * share),
            "########################################", (int)(100 * share));
}

static void end_progress(const Converter *converter)
{
    if (converter->options->progress)
        fprintf(stderr, "\r\33[K");
}

static double mebibytes(uint64_t bytes)
{
    return (double)bytes / (1 << 20);
}

// A line of the table. A tensor that is copied has no error.
static void print_tensor(const Converter *converter, double error)
{
    const GgufTensor *tensor = converter->tensor;
    DType from = recipe_dtype(tensor->recipe);
    char shape[96] = "", rms[24] = "-";
    int used = 0;
    for (int32_t i = 0; i < tensor->rank; i++)
        used += snprintf(shape + used, sizeof shape - (size_t)used, "%s%" PRId64, i ? "," : "",
                         tensor->shape[i]);
    if (from != tensor->dtype)
        snprintf(rms, sizeof rms, "%.3e", error);
    end_progress(converter);
    printf("%-28s %16s  %-6s %-6s %9.3f  %s\n", tensor->name, shape, dtype_table[from].name,
           dtype_table[tensor->dtype].name, mebibytes(tensor->bytes), rms);
}

static bool convert_tensor(Converter *converter, const GgufTensor *tensor)
{
    const Recipe *recipe = tensor->recipe;
    int64_t row_bytes = dtype_row_bytes(tensor->dtype, recipe->columns);
    int64_t most = CHUNK_BYTES / row_bytes < 1 ? 1 : CHUNK_BYTES / row_bytes;
    double sum = 0;
    converter->tensor = tensor;
    for (int64_t row = 0; row < recipe->rows; row += most) {
        int64_t rest = recipe->rows - row;
        converter->first = row;
        converter->count = rest < most ? rest : most;
        pool_run(converter->pool, convert_share, converter);
        uint64_t bytes = (uint64_t)(converter->count * row_bytes);
        if (!take_errors(converter, &sum, converter->diag) ||
            !new_file_write(&converter->file, converter->chunk, bytes,
                            tensor->offset + (uint64_t)(row * row_bytes), converter->diag))
            return false;
        converter->written += bytes;
        show_progress(converter);
    }
    print_tensor(converter, sqrt(sum / (double)(recipe->rows * recipe->columns)));
    return true;
}

// Whether every row of the recipe is of the type already or can be read as f32.
static bool check_types(const Converter *converter, const GgufTensor *tensor, const Recipe *recipe)
{
    for (int32_t i = 0; i < recipe->child_count; i++)
        if (!check_types(converter, tensor, recipe->children[i]))
            return false;
    if (recipe->kind != RECIPE_TENSOR || recipe->dtype == tensor->dtype ||
        row_can_read(recipe->dtype))
        return true;
    return diag_fail(converter->diag, (Where){.file = converter->model->path},
                     "tensor \"%s\": graphquant cannot read type %s", recipe->tensor,
                     dtype_table[recipe->dtype].name);
}

// Memory for the largest chunk and the longest row.
static bool allocate(Converter *converter, const GgufContents *contents)
{
    int64_t longest = 1, rows = 1, chunk = CHUNK_BYTES;
    for (int32_t i = 0; i < contents->tensors.count; i++) {
        const GgufTensor *tensor = &contents->tensors.items[i];
        int64_t bytes = dtype_row_bytes(tensor->dtype, columns_of(tensor));
        int64_t count =
            CHUNK_BYTES / bytes < tensor->recipe->rows ? CHUNK_BYTES / bytes : tensor->recipe->rows;
        longest = columns_of(tensor) > longest ? columns_of(tensor) : longest;
        chunk = bytes > chunk ? bytes : chunk;
        rows = count > rows ? count : rows;
        converter->bytes += tensor->bytes;
        converter->bytes_before +=
            (uint64_t)(tensor->recipe->rows *
                       dtype_row_bytes(recipe_dtype(tensor->recipe), columns_of(tensor)));
    }
    converter->scratch_bytes =
        (size_t)recipe_row_scratch(longest) + 2 * (size_t)longest * sizeof(float);
    converter->chunk = malloc((size_t)chunk);
    converter->errors = malloc((size_t)rows * sizeof *converter->errors);
    converter->refused = malloc((size_t)rows * sizeof *converter->refused);
    converter->scratch = calloc((size_t)pool_threads(converter->pool), converter->scratch_bytes);
    return (converter->chunk && converter->errors && converter->refused && converter->scratch) ||
           diag_fail(converter->diag, (Where){0}, "out of memory for rows of %" PRId64 " elements",
                     longest);
}

static void print_totals(const Converter *converter, const GgufContents *contents)
{
    int64_t elements = 0;
    for (int32_t i = 0; i < contents->tensors.count; i++)
        elements +=
            contents->tensors.items[i].recipe->rows * columns_of(&contents->tensors.items[i]);
    printf("%d tensors, %.1f MiB, from %.1f MiB; %.2f bits a number\n", contents->tensors.count,
           mebibytes(converter->bytes), mebibytes(converter->bytes_before),
           8 * (double)converter->bytes / (double)elements);
}

static bool write_all(Converter *converter, const GgufContents *contents, const Text *header)
{
    if (!new_file_write(&converter->file, header->bytes, header->length, 0, converter->diag))
        return false;
    printf("%-28s %16s  %-6s %-6s %9s  %s\n", "tensor", "shape", "from", "to", "MiB", "rms error");
    for (int32_t i = 0; i < contents->tensors.count; i++)
        if (!convert_tensor(converter, &contents->tensors.items[i]))
            return false;
    end_progress(converter);
    print_totals(converter, contents);
    return true;
}

static bool write_file(Converter *converter, const GgufContents *contents, const Text *header,
                       const char *path)
{
    for (int32_t i = 0; i < contents->tensors.count; i++)
        if (!check_types(converter, &contents->tensors.items[i], contents->tensors.items[i].recipe))
            return false;
    if (!allocate(converter, contents) || !new_file_begin(&converter->file, path, converter->diag))
        return false;
    if (write_all(converter, contents, header))
        return new_file_finish(&converter->file, converter->diag);
    new_file_abandon(&converter->file);
    return false;
}

bool convert_write(const ModelFile *model, const GgufContents *contents, const Text *header,
                   const char *path, const ConvertOptions *options, Diag *diag)
{
    Converter converter = {.model = model, .options = options, .diag = diag};
    converter.pool = pool_open(options->threads, diag);
    bool good = converter.pool && write_file(&converter, contents, header, path);
    free(converter.chunk);
    free(converter.errors);
    free(converter.refused);
    free(converter.scratch);
    pool_close(converter.pool);
    return good;
}
