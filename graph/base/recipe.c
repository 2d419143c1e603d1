#include "graph/base/recipe.h"

#include <assert.h>

const char *const recipe_names[RECIPE_COUNT] = {"tensor",  "concat",    "slice", "interleave",
                                                "permute", "transpose", "add",   "values"};

bool recipe_moves_rows(RecipeKind kind)
{
    return kind == RECIPE_CONCAT || kind == RECIPE_SLICE || kind == RECIPE_INTERLEAVE ||
           kind == RECIPE_PERMUTE;
}

// The row [i, j, k] of [..., n, m, k] is the row [j, i, k] of [..., m, n, k].
static int64_t permuted_row(const Recipe *recipe, int64_t row)
{
    int64_t m = recipe->begin, n = recipe->end, inner = recipe->inner, block = m * n * inner;
    int64_t within = row % block, i = within / (m * inner), j = within / inner % m;
    return row / block * block + (j * n + i) * inner + within % inner;
}

const Recipe *recipe_row(const Recipe *recipe, int64_t row, int64_t *row_there)
{
    assert(row >= 0 && row < recipe->rows);
    while (recipe_moves_rows(recipe->kind)) {
        int32_t child = 0;
        if (recipe->kind == RECIPE_SLICE) {
            row += recipe->begin;
        } else if (recipe->kind == RECIPE_PERMUTE) {
            row = permuted_row(recipe, row);
        } else if (recipe->kind == RECIPE_INTERLEAVE) {
            int64_t n = recipe->begin, pair = row / (2 * n), within = row % (2 * n);
            child = within >= n;
            row = pair * n + within % n;
        } else {
            while (row >= recipe->children[child]->rows)
                row -= recipe->children[child++]->rows;
        }
        recipe = recipe->children[child];
    }
    *row_there = row;
    return recipe;
}

DType recipe_dtype(const Recipe *recipe)
{
    while (recipe->child_count && recipe->kind != RECIPE_ADD)
        recipe = recipe->children[0];
    return recipe->kind == RECIPE_TENSOR ? recipe->dtype : DTYPE_f32;
}
