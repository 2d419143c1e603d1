#include "graph/base/recipe.h"

#include <assert.h>

const char *const recipe_names[RECIPE_COUNT] = {"tensor", "concat", "slice", "interleave"};

const Recipe *recipe_row(const Recipe *recipe, int64_t row, int64_t *tensor_row)
{
    assert(row >= 0 && row < recipe->rows);
    while (recipe->kind != RECIPE_TENSOR) {
        int32_t child = 0;
        if (recipe->kind == RECIPE_SLICE) {
            row += recipe->begin;
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
    *tensor_row = row;
    return recipe;
}
