// Parsing: a weight and its recipe. Sizes, counts and depth are bounded here, so that no recipe of
// a module overflows what reads it.
#include <string.h>

#include "graph/parse.h"

enum { RECIPE_DEPTH_MAX = 32, RECIPE_CHILDREN_MAX = 64, RECIPE_VALUES_MAX = 4096 };

static bool check_size(Parser *parser, ScanMark mark, DType dtype, int64_t rows, int64_t columns)
{
    const DTypeInfo *info = &dtype_table[dtype];
    if (info->kind == DTYPE_KIND_ACT)
        return scan_fail(&parser->scan, mark, "%s is a type of activations, not of weights",
                         info->name);
    if (columns % info->block_elements)
        return scan_fail(&parser->scan, mark, "%lld columns do not divide into %s blocks of %d",
                         (long long)columns, info->name, info->block_elements);
    if (rows * columns > ELEMENTS_MAX)
        return scan_fail(&parser->scan, mark, "more than %lld elements", (long long)ELEMENTS_MAX);
    return true;
}

// "name":dtype[rows,columns]
static const Recipe *parse_tensor(Parser *parser)
{
    Scanner *scan = &parser->scan;
    ScanMark mark = scan_mark(scan);
    DType dtype;
    int64_t rows, columns;
    if (!scan_string(scan, "a recipe"))
        return NULL;
    const char *name = parse_token(parser);
    if (!scan_expect(scan, ':') || !parse_dtype(parser, &dtype) || !scan_expect(scan, '[') ||
        !scan_integer(scan, "rows", 1, DIM_MAX, &rows) || !scan_expect(scan, ',') ||
        !scan_integer(scan, "columns", 1, DIM_MAX, &columns) || !scan_expect(scan, ']') ||
        !check_size(parser, mark, dtype, rows, columns))
        return NULL;
    return recipe_tensor(parser->arena, name, dtype, rows, columns);
}

static const Recipe *parse_recipe(Parser *parser, int depth);

// Recipes separated by commas, of equal columns, at most `most` of them.
static bool parse_children(Parser *parser, int depth, int32_t most, const Recipe **children,
                           int32_t *count)
{
    Scanner *scan = &parser->scan;
    int64_t rows = 0;
    *count = 0;
    do {
        ScanMark mark = scan_mark(scan);
        if (*count == RECIPE_CHILDREN_MAX)
            return scan_fail(scan, mark, "at most %d recipes in one", RECIPE_CHILDREN_MAX);
        const Recipe *child = parse_recipe(parser, depth);
        if (!child)
            return false;
        children[(*count)++] = child;
        rows += child->rows;
        if (child->columns != children[0]->columns)
            return scan_fail(scan, mark, "columns differ: %lld and %lld",
                             (long long)children[0]->columns, (long long)child->columns);
        if (rows > DIM_MAX)
            return scan_fail(scan, mark, "more than %d rows", DIM_MAX);
    } while (*count < most && scan_accept(scan, ','));
    return true;
}

static const Recipe *parse_concat(Parser *parser, int depth)
{
    const Recipe *children[RECIPE_CHILDREN_MAX];
    int32_t count;
    if (!parse_children(parser, depth, RECIPE_CHILDREN_MAX + 1, children, &count))
        return NULL;
    return recipe_concat(parser->arena, count, children);
}

static const Recipe *parse_slice(Parser *parser, int depth)
{
    Scanner *scan = &parser->scan;
    const Recipe *child = parse_recipe(parser, depth);
    int64_t begin, end;
    if (!child || !scan_expect(scan, ',') ||
        !scan_integer(scan, "first row", 0, child->rows - 1, &begin) || !scan_expect(scan, ',') ||
        !scan_integer(scan, "end row", begin + 1, child->rows, &end))
        return NULL;
    return recipe_slice(parser->arena, child, begin, end);
}

static const Recipe *parse_interleave(Parser *parser, int depth)
{
    Scanner *scan = &parser->scan;
    ScanMark mark = scan_mark(scan);
    const Recipe *children[RECIPE_CHILDREN_MAX];
    int32_t count;
    int64_t turn;
    if (!parse_children(parser, depth, 2, children, &count) || !scan_expect(scan, ',') ||
        !scan_integer(scan, "rows in turn", 1, children[0]->rows, &turn))
        return NULL;
    if (count != 2 || children[0]->rows != children[1]->rows || children[0]->rows % turn) {
        scan_fail(scan, mark, "interleave: expected two recipes of equal rows, a multiple of %lld",
                  (long long)turn);
        return NULL;
    }
    return recipe_interleave(parser->arena, children[0], children[1], turn);
}

static const Recipe *parse_permute(Parser *parser, int depth)
{
    Scanner *scan = &parser->scan;
    ScanMark mark = scan_mark(scan);
    const Recipe *child = parse_recipe(parser, depth);
    int64_t sizes[3];
    for (int i = 0; i < 3; i++)
        if (!child || !scan_expect(scan, ',') ||
            !scan_integer(scan, "rows", 1, child->rows, &sizes[i]))
            return NULL;
    // Each at most DIM_MAX: the first product cannot overflow.
    if (child->rows % (sizes[0] * sizes[1]) || child->rows / (sizes[0] * sizes[1]) % sizes[2]) {
        scan_fail(scan, mark, "permute: %lld rows do not divide by the three sizes",
                  (long long)child->rows);
        return NULL;
    }
    return recipe_permute(parser->arena, child, sizes[0], sizes[1], sizes[2]);
}

// Whether all rows of a recipe are rows of tensors of the float type.
static bool moves_floats(const Recipe *recipe, DType dtype)
{
    if (recipe->kind == RECIPE_TENSOR)
        return recipe->dtype == dtype && dtype_table[dtype].kind == DTYPE_KIND_FLOAT;
    for (int32_t i = 0; i < recipe->child_count; i++)
        if (!moves_floats(recipe->children[i], dtype))
            return false;
    return recipe_moves_rows(recipe->kind);
}

static const Recipe *parse_transpose(Parser *parser, int depth)
{
    Scanner *scan = &parser->scan;
    ScanMark mark = scan_mark(scan);
    const Recipe *child = parse_recipe(parser, depth);
    if (child && !moves_floats(child, recipe_dtype(child))) {
        scan_fail(scan, mark, "transpose: rows of tensors of one float type were expected");
        return NULL;
    }
    return child ? recipe_transpose(parser->arena, child) : NULL;
}

static const Recipe *parse_add(Parser *parser, int depth)
{
    float addend;
    const Recipe *child = parse_recipe(parser, depth);
    if (!child || !scan_expect(&parser->scan, ',') || !scan_float(&parser->scan, &addend))
        return NULL;
    return recipe_add(parser->arena, child, addend);
}

static const Recipe *parse_values(Parser *parser, int depth)
{
    (void)depth;
    Scanner *scan = &parser->scan;
    ScanMark mark = scan_mark(scan);
    float values[RECIPE_VALUES_MAX];
    int32_t count = 0;
    do {
        if (count == RECIPE_VALUES_MAX) {
            scan_fail(scan, mark, "at most %d values", RECIPE_VALUES_MAX);
            return NULL;
        }
        if (!scan_float(scan, &values[count++]))
            return NULL;
    } while (scan_accept(scan, ','));
    return recipe_values(parser->arena, values, count);
}

static const Recipe *parse_recipe(Parser *parser, int depth)
{
    typedef const Recipe *ParseRecipe(Parser *, int);
    static ParseRecipe *const parse[RECIPE_COUNT] = {
        [RECIPE_CONCAT] = parse_concat,         [RECIPE_SLICE] = parse_slice,
        [RECIPE_INTERLEAVE] = parse_interleave, [RECIPE_PERMUTE] = parse_permute,
        [RECIPE_TRANSPOSE] = parse_transpose,   [RECIPE_ADD] = parse_add,
        [RECIPE_VALUES] = parse_values,
    };
    Scanner *scan = &parser->scan;
    ScanMark mark = scan_mark(scan);
    if (!scan_word(scan, ""))
        return parse_tensor(parser);
    int kind = RECIPE_TENSOR + 1;
    while (kind < RECIPE_COUNT && strcmp(recipe_names[kind], scan->token.bytes) != 0)
        kind++;
    if (kind == RECIPE_COUNT || depth == RECIPE_DEPTH_MAX) {
        scan_fail(scan, mark, kind == RECIPE_COUNT ? "no recipe '%s'" : "'%s' is nested too deeply",
                  scan->token.bytes);
        return NULL;
    }
    if (!scan_expect(scan, '('))
        return NULL;
    const Recipe *recipe = parse[kind](parser, depth + 1);
    return recipe && scan_expect(scan, ')') ? recipe : NULL;
}

static bool check_weight_type(Parser *parser, const ParsedType *type)
{
    const Shape *shape = &type->shape;
    bool constant = shape->rank == 1 || shape->rank == 2;
    for (int i = 0; i < shape->rank; i++)
        constant = constant && dim_is_constant(shape->dims[i]) && shape->dims[i].constant > 0;
    if (!constant)
        return scan_fail(&parser->scan, type->mark,
                         "expected a constant shape, [rows,columns] or [elements]");
    return check_size(parser, type->mark, type->dtype,
                      shape->rank == 2 ? shape->dims[0].constant : 1,
                      shape->dims[shape->rank - 1].constant);
}

bool parse_weight(Parser *parser)
{
    Scanner *scan = &parser->scan;
    const char *name;
    ParsedType type;
    Place place = {REGION_NONE, 0, -1};
    if (!parse_new_name(parser, &name) || !parse_type(parser, &type) ||
        !check_weight_type(parser, &type) || !parse_place_in(parser, REGION_W, &place) ||
        !scan_expect(scan, '='))
        return false;
    ScanMark mark = scan_mark(scan);
    const Recipe *recipe = parse_recipe(parser, 0);
    if (!recipe)
        return false;
    int64_t rows = type.shape.rank == 2 ? type.shape.dims[0].constant : 1;
    int64_t columns = type.shape.dims[type.shape.rank - 1].constant;
    if (recipe->rows != rows || recipe->columns != columns)
        return scan_fail(scan, mark, "the recipe makes [%lld,%lld], the weight is [%lld,%lld]",
                         (long long)recipe->rows, (long long)recipe->columns, (long long)rows,
                         (long long)columns);
    Weight *weight = module_add_weight(parser->module, name, type.dtype, type.shape, recipe);
    weight->layout = type.layout;
    weight->place = place;
    parse_add_name(parser, name, weight, NULL);
    return scan_line_end(scan);
}
