// Rows of a weight as its recipe makes them from file tensors, before conversion and packing.
#ifndef KERNELS_RECIPE_ROWS_H
#define KERNELS_RECIPE_ROWS_H

#include "graph/base/recipe.h"

// The bytes of a recipe of kind RECIPE_TENSOR, row-major as in its file.
typedef const void *RecipeTensor(void *context, const Recipe *tensor);

typedef struct RecipeRow {
    const void *bytes; // in the tensor or in scratch; not necessarily aligned
    DType dtype;
} RecipeRow;

// Bytes of scratch for one row of so many columns.
int64_t recipe_row_scratch(int64_t columns);
// Row `row` of the recipe. Rows that are moved only are not copied.
RecipeRow recipe_read_row(const Recipe *recipe, int64_t row, RecipeTensor *tensor, void *context,
                          void *scratch);

#endif
