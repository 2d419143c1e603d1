// Shapes: dimensions that are constants or linear in the four symbols of a step, and the regions of
// memory in which values live.
#ifndef GRAPH_BASE_SHAPE_H
#define GRAPH_BASE_SHAPE_H

#include <stdbool.h>
#include <stdint.h>

// T tokens in the step, R rows whose results are asked for (may be 0, at most T), B sequences,
// P pages a sequence may have.
typedef enum Symbol { SYMBOL_T, SYMBOL_R, SYMBOL_B, SYMBOL_P, SYMBOL_COUNT } Symbol;

extern const char symbol_names[SYMBOL_COUNT + 1]; // "TRBP"

typedef struct Dim {
    int64_t constant;
    int32_t factor[SYMBOL_COUNT];
} Dim;

enum { RANK_MAX = 4 };

typedef struct Shape {
    int32_t rank; // 0: a scalar
    Dim dims[RANK_MAX];
} Shape;

Dim dim_constant(int64_t value);
Dim dim_symbol(Symbol symbol);
bool dim_equal(Dim a, Dim b);
bool dim_is_constant(Dim dim);
int64_t dim_eval(Dim dim, const int64_t symbols[SYMBOL_COUNT]);
bool shape_equal(const Shape *a, const Shape *b);
// Rows and columns as kernels see a shape: the last dimension is columns, all before are rows;
// a vector is one row, a scalar 1 × 1.
int64_t shape_rows(const Shape *shape, const int64_t symbols[SYMBOL_COUNT]);
int64_t shape_columns(const Shape *shape, const int64_t symbols[SYMBOL_COUNT]);

// Where a value lives. `own`: a place in the arena of act, of which every thread has a copy; what
// makes the value is run by each thread for itself. `io`: the step's inputs and outputs, one buffer
// each, `offset` is its index.
typedef enum Region {
    REGION_NONE,
    REGION_W,
    REGION_KV,
    REGION_ACT,
    REGION_OWN,
    REGION_IO,
    REGION_COUNT
} Region;

extern const char *const region_names[REGION_COUNT]; // "none", "w", "kv", "act", …
bool region_in_arena(Region region);                 // act or own

typedef struct Place {
    Region region;
    int64_t offset, bytes; // kv: within a page
} Place;

// The step inputs every plan has, in the order of their io index. table[B, P] holds page numbers
// (-1: none), length[B] the tokens of each sequence after the step.
typedef enum StepInput {
    INPUT_TOKEN,  // i32[T]
    INPUT_POS,    // i32[T] position of each token in its sequence
    INPUT_SEQ,    // i32[T] index of each token's sequence in this step, 0 … B-1
    INPUT_ROW,    // i32[R] tokens whose results are asked for, ascending
    INPUT_TABLE,  // i32[B,P]
    INPUT_LENGTH, // i32[B]
    INPUT_COUNT
} StepInput;

extern const char *const step_input_names[INPUT_COUNT];
Shape step_input_shape(StepInput input);

#endif
