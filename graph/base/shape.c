#include "graph/base/shape.h"

const char symbol_names[SYMBOL_COUNT + 1] = "TRBP";
const char *const region_names[REGION_COUNT] = {"none", "w", "kv", "act", "own", "io"};
const char *const step_input_names[INPUT_COUNT] = {"token", "pos", "seq", "row", "table", "length"};

bool region_in_arena(Region region)
{
    return region == REGION_ACT || region == REGION_OWN;
}

Dim dim_constant(int64_t value)
{
    return (Dim){.constant = value};
}

Dim dim_symbol(Symbol symbol)
{
    Dim dim = {0};
    dim.factor[symbol] = 1;
    return dim;
}

bool dim_equal(Dim a, Dim b)
{
    for (int i = 0; i < SYMBOL_COUNT; i++)
        if (a.factor[i] != b.factor[i])
            return false;
    return a.constant == b.constant;
}

bool dim_is_constant(Dim dim)
{
    return dim_equal(dim, dim_constant(dim.constant));
}

int64_t dim_eval(Dim dim, const int64_t symbols[SYMBOL_COUNT])
{
    int64_t value = dim.constant;
    for (int i = 0; i < SYMBOL_COUNT; i++)
        value += dim.factor[i] * symbols[i];
    return value;
}

bool shape_equal(const Shape *a, const Shape *b)
{
    if (a->rank != b->rank)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (!dim_equal(a->dims[i], b->dims[i]))
            return false;
    return true;
}

int64_t shape_rows(const Shape *shape, const int64_t symbols[SYMBOL_COUNT])
{
    int64_t rows = 1;
    for (int i = 0; i + 1 < shape->rank; i++)
        rows *= dim_eval(shape->dims[i], symbols);
    return rows;
}

int64_t shape_columns(const Shape *shape, const int64_t symbols[SYMBOL_COUNT])
{
    return shape->rank ? dim_eval(shape->dims[shape->rank - 1], symbols) : 1;
}

Shape step_input_shape(StepInput input)
{
    static const Symbol first[INPUT_COUNT] = {
        [INPUT_TOKEN] = SYMBOL_T, [INPUT_POS] = SYMBOL_T,   [INPUT_SEQ] = SYMBOL_T,
        [INPUT_ROW] = SYMBOL_R,   [INPUT_TABLE] = SYMBOL_B, [INPUT_LENGTH] = SYMBOL_B,
    };
    Shape shape = {.rank = 1, .dims = {dim_symbol(first[input])}};
    if (input == INPUT_TABLE)
        shape.dims[shape.rank++] = dim_symbol(SYMBOL_P);
    return shape;
}
