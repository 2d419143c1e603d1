// Moving rows is a matter of addresses; transposing gathers elements; only `add` computes.
#include "kernels/recipe_rows.h"

#include <string.h>

#include "kernels/kernel.h"

int64_t recipe_row_scratch(int64_t columns)
{
    return 2 * columns * (int64_t)sizeof(double); // a row as it is made, and as f32
}

static const uint8_t *stored_row(const Recipe *recipe, int64_t row, RecipeTensor *tensor,
                                 void *context)
{
    int64_t row_there;
    const Recipe *leaf = recipe_row(recipe, row, &row_there);
    return (const uint8_t *)tensor(context, leaf) +
           row_there * dtype_row_bytes(leaf->dtype, leaf->columns);
}

static RecipeRow transposed_row(const Recipe *recipe, int64_t row, RecipeTensor *tensor,
                                void *context, uint8_t *out)
{
    DType dtype = recipe_dtype(recipe);
    size_t bytes = (size_t)dtype_table[dtype].block_bytes;
    for (int64_t i = 0; i < recipe->columns; i++)
        memcpy(out + (size_t)i * bytes,
               stored_row(recipe->children[0], i, tensor, context) + (size_t)row * bytes, bytes);
    return (RecipeRow){out, dtype};
}

static RecipeRow added_row(const Recipe *recipe, int64_t row, RecipeTensor *tensor, void *context,
                           uint8_t *scratch)
{
    RecipeRow from = recipe_read_row(recipe->children[0], row, tensor, context, scratch);
    float *sums = (float *)(void *)(scratch + (size_t)recipe->columns * sizeof(double));
    if (from.bytes != sums) // of an inner sum they are
        row_to_f32(from.dtype, from.bytes, recipe->columns, sums);
    for (int64_t i = 0; i < recipe->columns; i++)
        sums[i] += recipe->addend;
    return (RecipeRow){sums, DTYPE_f32};
}

RecipeRow recipe_read_row(const Recipe *recipe, int64_t row, RecipeTensor *tensor, void *context,
                          void *scratch)
{
    int64_t row_there;
    const Recipe *made = recipe_row(recipe, row, &row_there);
    switch (made->kind) {
    case RECIPE_TRANSPOSE: return transposed_row(made, row_there, tensor, context, scratch);
    case RECIPE_ADD: return added_row(made, row_there, tensor, context, scratch);
    case RECIPE_VALUES: return (RecipeRow){made->values, DTYPE_f32};
    default: return (RecipeRow){stored_row(made, row_there, tensor, context), made->dtype};
    }
}
