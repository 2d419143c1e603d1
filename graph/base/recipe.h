// Recipes: data that says how a weight is made from file tensors. A recipe maps every row of the
// weight to one row of one tensor (data movement is rows only); conversion and packing come last
// and follow from the weight's dtype and layout. Compilers edit the tree; whoever makes bytes asks
// recipe_row.
#ifndef GRAPH_BASE_RECIPE_H
#define GRAPH_BASE_RECIPE_H

#include <stdbool.h>
#include <stdint.h>

#include "graph/base/types.h"

typedef enum RecipeKind {
    RECIPE_TENSOR,     // a file tensor: "blk.0.attn_q.weight"
    RECIPE_CONCAT,     // concat(a, b, …): rows one below another
    RECIPE_SLICE,      // slice(a, begin, end): rows begin … end-1
    RECIPE_INTERLEAVE, // interleave(a, b, n): n rows of a, n rows of b in turn; a and b have equal
                       // rows
    RECIPE_COUNT
} RecipeKind;

extern const char *const recipe_names[RECIPE_COUNT];

typedef struct Recipe {
    RecipeKind kind;
    int32_t child_count;
    const struct Recipe **children;
    const char *tensor; // RECIPE_TENSOR: its name in the model file
    DType dtype;        // RECIPE_TENSOR: its type there
    int64_t begin, end; // RECIPE_SLICE; RECIPE_INTERLEAVE: begin = n
    int64_t rows;       // of the result; a vector is one row
    int64_t columns;
} Recipe;

// The tensor and the row in it that make row `row` of the recipe.
const Recipe *recipe_row(const Recipe *recipe, int64_t row, int64_t *tensor_row);

#endif
