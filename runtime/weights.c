// A weight is a run of panels: as many rows as its layout packs together, one row in layout plain.
// Panels do not depend on one another, so threads take contiguous shares of each weight's.
//
// Rows are copied or packed as the file has them; rows that a recipe computes, and f32 weights of
// another file type, are made a panel at a time in a thread's own scratch.
#include "runtime/weights.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernels/kernel.h"
#include "kernels/recipe_rows.h"

enum { PANEL_ROWS_MAX = 32 };

typedef struct MappedFile {
    const char *bytes;
    size_t length;
} MappedFile;

struct Weights {
    const Plan *plan;
    MappedFile *files;
    Recipe *recipes;         // one for each of the plan's
    const Recipe **children; // eight for each
    int64_t panel_most;      // bytes of the largest panel
    int64_t scratch_most;    // and of the rows of the largest one whose rows are made
};

typedef struct MakeJob {
    const Weights *weights;
    int64_t begin, end;
    char *out;
    char *scratch; // scratch_most bytes a thread
} MakeJob;

static bool open_file(const PlanFile *from, const char *path, MappedFile *to, Diag *diag)
{
    Where where = {.file = path};
    struct stat status;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return diag_fail(diag, where, "the plan's weights are in this file: %s", strerror(errno));
    bool good = fstat(file, &status) == 0 && S_ISREG(status.st_mode);
    int64_t modified =
        good ? (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec : 0;
    if (!good || (uint64_t)status.st_size != from->bytes ||
        (from->modified_ns != 0 && modified != from->modified_ns)) {
        close(file);
        return diag_fail(diag, where,
                         "the file has changed since the plan was made: make it again");
    }
    void *bytes = from->bytes ? mmap(NULL, from->bytes, PROT_READ, MAP_PRIVATE, file, 0) : NULL;
    int error = errno;
    close(file);
    if (bytes == MAP_FAILED)
        return diag_fail(diag, where, "cannot map the file: %s", strerror(error));
    *to = (MappedFile){bytes, from->bytes};
    return true;
}

// Files that no tensor names (tokenizers, configurations) are not opened.
static bool open_files(Weights *weights, Diag *diag)
{
    const Plan *plan = weights->plan;
    if (plan->tensor_count > 0 && plan->file_count == 0)
        return diag_fail(diag, (Where){.file = plan->path},
                         "the plan was made from a shape and has no weights: compile a model file");
    for (uint32_t i = 0; i < plan->tensor_count; i++) {
        uint32_t file = plan->tensors[i].file;
        if (!weights->files[file].bytes &&
            !open_file(&plan->files[file], plan_string(plan, plan->files[file].path),
                       &weights->files[file], diag))
            return false;
    }
    return true;
}

static void build_recipes(Weights *weights)
{
    const Plan *plan = weights->plan;
    for (uint32_t i = 0; i < plan->recipe_count; i++) {
        const PlanRecipe *from = &plan->recipes[i];
        Recipe *to = &weights->recipes[i];
        to->kind = (RecipeKind)from->kind;
        to->child_count = (int32_t)from->child_count;
        to->children = weights->children + 8 * (size_t)i;
        for (uint32_t child = 0; child < from->child_count; child++)
            to->children[child] = &weights->recipes[from->children[child]];
        if (to->kind == RECIPE_TENSOR)
            to->dtype = (DType)plan->tensors[from->tensor].dtype;
        to->begin = from->begin;
        to->end = from->end;
        to->inner = from->inner;
        to->addend = from->addend;
        if (to->kind == RECIPE_VALUES)
            to->values = plan->values + from->begin;
        to->rows = from->rows;
        to->columns = from->columns;
    }
}

static int64_t panel_bytes(const PlanWeight *weight)
{
    return layout_panel_bytes((DType)weight->dtype, (Layout)weight->layout, weight->columns);
}

static bool makes_rows(const Recipe *recipe)
{
    for (int32_t i = 0; i < recipe->child_count; i++)
        if (makes_rows(recipe->children[i]))
            return true;
    return recipe->kind != RECIPE_TENSOR && !recipe_moves_rows(recipe->kind);
}

// Of one row: what its recipe needs, and the row as f32.
static int64_t row_scratch(const PlanWeight *weight)
{
    return recipe_row_scratch(weight->columns) + weight->columns * (int64_t)sizeof(float);
}

static void measure_panels(Weights *weights)
{
    for (uint32_t i = 0; i < weights->plan->weight_count; i++) {
        const PlanWeight *weight = &weights->plan->weights[i];
        int64_t bytes = panel_bytes(weight);
        int64_t rows = layout_table[weight->layout].panel_rows;
        bool made = weight->dtype == DTYPE_f32 || makes_rows(&weights->recipes[weight->recipe]);
        if (bytes > weights->panel_most)
            weights->panel_most = bytes;
        if (made && rows * row_scratch(weight) > weights->scratch_most)
            weights->scratch_most = rows * row_scratch(weight);
    }
}

Weights *weights_open(const Plan *plan, Diag *diag)
{
    Weights *weights = calloc(1, sizeof *weights);
    if (weights) {
        weights->plan = plan;
        weights->files = calloc((size_t)plan->file_count + 1, sizeof *weights->files);
        weights->recipes = calloc((size_t)plan->recipe_count + 1, sizeof *weights->recipes);
        weights->children = calloc(8 * (size_t)plan->recipe_count + 1, sizeof *weights->children);
    }
    if (!weights || !weights->files || !weights->recipes || !weights->children) {
        diag_fail(diag, (Where){.file = plan->path}, "out of memory for the recipes of weights");
        weights_close(weights);
        return NULL;
    }
    build_recipes(weights);
    measure_panels(weights);
    if (!open_files(weights, diag)) {
        weights_close(weights);
        return NULL;
    }
    return weights;
}

void weights_close(Weights *weights)
{
    if (!weights)
        return;
    for (uint32_t i = 0; weights->files && i < weights->plan->file_count; i++)
        if (weights->files[i].bytes)
            munmap((void *)(uintptr_t)weights->files[i].bytes, weights->files[i].length);
    free(weights->files);
    free(weights->recipes);
    free(weights->children);
    free(weights);
}

int64_t weights_panel_most(const Weights *weights)
{
    return weights->panel_most;
}

static const void *tensor_bytes(void *context, const Recipe *leaf)
{
    const Weights *weights = context;
    const PlanRecipe *plan_leaf = &weights->plan->recipes[leaf - weights->recipes];
    const PlanTensor *tensor = &weights->plan->tensors[plan_leaf->tensor];
    return weights->files[tensor->file].bytes + tensor->offset;
}

static void make_panel(const Weights *weights, const PlanWeight *weight, int64_t panel, void *out,
                       char *scratch)
{
    DType dtype = (DType)weight->dtype;
    Layout layout = (Layout)weight->layout;
    int32_t panel_rows = layout_table[layout].panel_rows;
    const Recipe *recipe = &weights->recipes[weight->recipe];
    const void *rows[PANEL_ROWS_MAX] = {NULL};
    assert(panel_rows <= PANEL_ROWS_MAX);
    for (int32_t i = 0; i < panel_rows && panel * panel_rows + i < weight->rows; i++) {
        RecipeRow row = recipe_read_row(recipe, panel * panel_rows + i, tensor_bytes,
                                        (void *)(uintptr_t)weights, scratch);
        rows[i] = row.bytes;
        if (row.dtype != dtype) {
            float *converted = (float *)(void *)(scratch + recipe_row_scratch(weight->columns));
            row_to_f32(row.dtype, row.bytes, weight->columns, converted);
            rows[i] = converted;
        }
        scratch += weights->scratch_most ? row_scratch(weight) : 0;
    }
    if (layout == LAYOUT_plain)
        memcpy(out, rows[0], (size_t)dtype_row_bytes(dtype, weight->columns));
    else
        pack_panel(dtype, layout, rows, weight->columns, out);
}

static int64_t clamp(int64_t value, int64_t most)
{
    return value < 0 ? 0 : value < most ? value : most;
}

// The first panel of a weight that begins at or after `place`.
static int64_t panel_at(const PlanWeight *weight, int64_t place, int64_t bytes, int64_t panels)
{
    int64_t distance = place - weight->offset;
    return distance <= 0 ? 0 : clamp((distance + bytes - 1) / bytes, panels);
}

static void make_share(void *context, int32_t thread, int32_t threads)
{
    const MakeJob *job = context;
    const Weights *weights = job->weights;
    char *scratch = job->scratch ? job->scratch + thread * weights->scratch_most : NULL;
    for (uint32_t i = 0; i < weights->plan->weight_count; i++) {
        const PlanWeight *weight = &weights->plan->weights[i];
        int64_t bytes = panel_bytes(weight), panel_rows = layout_table[weight->layout].panel_rows;
        int64_t panels = (weight->rows + panel_rows - 1) / panel_rows;
        int64_t first = panel_at(weight, job->begin, bytes, panels);
        int64_t count = panel_at(weight, job->end, bytes, panels) - first;
        int64_t last = first + count * (thread + 1) / threads;
        for (int64_t panel = first + count * thread / threads; panel < last; panel++)
            make_panel(weights, weight, panel,
                       job->out + (weight->offset - job->begin + panel * bytes), scratch);
    }
}

bool weights_make(const Weights *weights, Pool *pool, int64_t begin, int64_t end, void *out,
                  Diag *diag)
{
    MakeJob job = {weights, begin, end, out, NULL};
    if (weights->scratch_most > 0) {
        job.scratch = malloc((size_t)weights->scratch_most * (size_t)pool_threads(pool));
        if (!job.scratch)
            return diag_fail(diag, (Where){.file = weights->plan->path},
                             "out of memory for making weights");
    }
    pool_run(pool, make_share, &job);
    free(job.scratch);
    return true;
}
