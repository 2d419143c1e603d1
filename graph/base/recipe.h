// Recipes: data that says how a weight is made from file tensors. Most kinds move rows: every row
// of the weight is one row of one tensor. The others (transpose, add, values) make rows of floats.
// Conversion and packing come last and follow from the weight's dtype and layout. Compilers edit
// the tree; whoever makes bytes asks kernels/recipe_rows.h.
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
    RECIPE_PERMUTE,    // permute(a, m, n, k): rows seen as [..., m, n, k] become [..., n, m, k]
    RECIPE_TRANSPOSE,  // transpose(a): columns become rows; a moves rows of one float type
    RECIPE_ADD,        // add(a, c): every element as f32, plus c
    RECIPE_VALUES,     // values(x, y, …): one row of f32, written out
    RECIPE_COUNT
} RecipeKind;

extern const char *const recipe_names[RECIPE_COUNT];

typedef struct Recipe {
    RecipeKind kind;
    int32_t child_count;
    const struct Recipe **children;
    const char *tensor;  // RECIPE_TENSOR: its name in the model file
    DType dtype;         // RECIPE_TENSOR: its type there
    int64_t begin, end;  // RECIPE_SLICE; RECIPE_INTERLEAVE: begin = n; RECIPE_PERMUTE: m, n
    int64_t inner;       // RECIPE_PERMUTE: k
    float addend;        // RECIPE_ADD
    const float *values; // RECIPE_VALUES: `columns` of them
    int64_t rows;        // of the result; a vector is one row
    int64_t columns;
} Recipe;

// Whether rows of the kind are rows of its children.
bool recipe_moves_rows(RecipeKind kind);
// Follows row `row` down to the recipe that makes it, a tensor or a kind that moves no rows, and
// the row there.
const Recipe *recipe_row(const Recipe *recipe, int64_t row, int64_t *row_there);
// The type of the recipe's rows before the weight's own conversion: f32 where they are computed.
DType recipe_dtype(const Recipe *recipe);

#endif
