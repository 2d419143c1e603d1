// Inference: what an op's operands and attributes must be, and what its results are. One function a
// value of ops.def's inference column; the rules are those of its signatures.
//
// Messages say what was found and what was expected. Symbols are compared as symbols: T and R are
// different even where a step makes them equal. Whether a kernel exists is the catalogue's
// question, not one of types: a matmul takes weights of any float or quantised type.
#include "graph/infer.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool infer_refuse(const Inference *in, const char *format, ...)
{
    char reason[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    return diag_fail(in->diag, in->where, "%s: %s", op_table[in->op].name, reason);
}

static const char *write_text(Inference *in, int slot, Text *text)
{
    snprintf(in->texts[slot], sizeof in->texts[slot], "%s", text->bytes);
    text_free(text);
    return in->texts[slot];
}

const char *infer_type_text(Inference *in, int slot, const Value *value)
{
    Text text = {0};
    type_print(&text, value->dtype, &value->shape, LAYOUT_plain);
    return write_text(in, slot, &text);
}

static const char *dim_text(Inference *in, int slot, Dim dim)
{
    Text text = {0};
    dim_print(&text, dim);
    return write_text(in, slot, &text);
}

// --- what operands may be

static bool want_value(Inference *in, int i, const char *name)
{
    if (in->operands[i]->kind == VALUE_STATE)
        return infer_refuse(in, "%s is a state, expected a value", name);
    return true;
}

static bool want_f32(Inference *in, int i, const char *name)
{
    if (!want_value(in, i, name))
        return false;
    if (in->operands[i]->dtype != DTYPE_f32)
        return infer_refuse(in, "%s is %s, expected f32", name,
                            infer_type_text(in, 0, in->operands[i]));
    return true;
}

static bool has_rows_and_columns(const Shape *shape)
{
    return shape->rank == 2 && dim_is_constant(shape->dims[1]);
}

bool want_rows(Inference *in, int i, const char *name)
{
    if (!want_f32(in, i, name))
        return false;
    if (!has_rows_and_columns(shape_of(in, i)))
        return infer_refuse(in, "%s is %s, expected f32[T,n] with constant n", name,
                            infer_type_text(in, 0, in->operands[i]));
    return true;
}

bool want_positive(Inference *in, const char *name, int32_t value)
{
    if (value > 0)
        return true;
    return infer_refuse(in, "%s is %d, expected at least 1", name, value);
}

bool want_integers(Inference *in, int i, const char *name, int32_t rank)
{
    const Value *value = in->operands[i];
    if (value->dtype != DTYPE_i32 || value->shape.rank != rank)
        return infer_refuse(in, "%s is %s, expected i32%s", name, infer_type_text(in, 0, value),
                            rank == 1 ? "[T]" : "[B,P]");
    return true;
}

static bool is_weight_type(DType dtype)
{
    return dtype_table[dtype].kind == DTYPE_KIND_FLOAT ||
           dtype_table[dtype].kind == DTYPE_KIND_QUANT;
}

// A weight, or what slices and concats along axis 0 made of weights.
static bool is_stored(const Value *value)
{
    const Node *node = value_producer(value);
    if (!node)
        return value->kind == VALUE_WEIGHT;
    return (node->op == OP_slice && node->attributes.slice.axis == 0) ||
           (node->op == OP_concat && node->attributes.concat.axis == 0);
}

bool want_weight_matrix(Inference *in, int i, const char *name)
{
    const Value *value = in->operands[i];
    const Shape *shape = &value->shape;
    if (is_stored(value) && is_weight_type(value->dtype) && shape->rank == 2)
        return true;
    return infer_refuse(in, "%s is %s, expected a weight matrix", name,
                        infer_type_text(in, 0, value));
}

bool want_vector(Inference *in, int i, const char *name, int64_t columns, const char *owner)
{
    const Value *value = in->operands[i];
    if (!want_value(in, i, name))
        return false;
    if (value->shape.rank != 1 || !dim_is_constant(value->shape.dims[0]) ||
        dtype_table[value->dtype].kind != DTYPE_KIND_FLOAT)
        return infer_refuse(in, "%s is %s, expected a vector of floats", name,
                            infer_type_text(in, 0, value));
    if (columns_of(in, i) != columns)
        return infer_refuse(in, "%s has %lld elements, %s %lld columns", name,
                            (long long)columns_of(in, i), owner, (long long)columns);
    return true;
}

bool want_rows_equal(Inference *in, int i, const char *name, int j, const char *other)
{
    if (dim_equal(rows_of(in, i), rows_of(in, j)))
        return true;
    return infer_refuse(in, "rows differ: %s has %s, %s has %s", other,
                        dim_text(in, 0, rows_of(in, j)), name, dim_text(in, 1, rows_of(in, i)));
}

static bool want_eps(Inference *in, float eps)
{
    if (eps >= 0)
        return true;
    return infer_refuse(in, "eps is %g, expected at least 0", (double)eps);
}

// --- what results are

static Shape matrix(Dim rows, int64_t columns)
{
    return (Shape){2, {rows, dim_constant(columns)}};
}

bool give(Inference *in, int result, DType dtype, Shape shape)
{
    in->dtypes[result] = dtype;
    in->shapes[result] = shape;
    return true;
}

bool give_f32(Inference *in, Dim rows, int64_t columns)
{
    return give(in, 0, DTYPE_f32, matrix(rows, columns));
}

bool give_post(Inference *in, int result, const char *name, Shape shape)
{
    DType post = op_post(in->op, in->attributes);
    bool is_activation = dtype_table[post].kind == DTYPE_KIND_ACT;
    if (!is_activation && (post != DTYPE_f32 || in->op == OP_quantise))
        return infer_refuse(in, "%s is %s, expected %s" ACTIVATION_DTYPE_NAMES, name,
                            dtype_table[post].name, in->op == OP_quantise ? "" : "f32, ");
    int64_t columns = shape.dims[1].constant, block = dtype_table[post].block_elements;
    if (columns % block)
        return infer_refuse(in, "%lld columns do not divide into %s blocks of %lld",
                            (long long)columns, dtype_table[post].name, (long long)block);
    return give(in, result, post, shape);
}

// --- data movement

static bool infer_embed(Inference *in)
{
    return want_weight_matrix(in, 0, "w") && want_integers(in, 1, "token", 1) &&
           give_f32(in, rows_of(in, 1), columns_of(in, 0));
}

static bool infer_gather_rows(Inference *in)
{
    bool ids = is_ids(in->operands[0]);
    return (ids || want_rows(in, 0, "x")) && want_integers(in, 1, "row", 1) &&
           give(in, 0, ids ? DTYPE_i32 : DTYPE_f32, matrix(rows_of(in, 1), columns_of(in, 0)));
}

static bool want_axis(Inference *in, int32_t axis)
{
    if (axis == 0 || axis == 1)
        return true;
    return infer_refuse(in, "axis is %d, expected 0 or 1", axis);
}

// Along axis 0 weights are cut and joined, along axis 1 f32 values.
static bool want_movable(Inference *in, int i, int32_t axis)
{
    char name[24];
    snprintf(name, sizeof name, in->count == 1 ? "x" : "operand %d", i + 1);
    return axis == 0 ? want_weight_matrix(in, i, name) : want_rows(in, i, name);
}

static bool infer_slice(Inference *in)
{
    int32_t axis = in->attributes->slice.axis;
    int64_t begin = in->attributes->slice.begin, end = in->attributes->slice.end;
    if (!want_axis(in, axis) || !want_movable(in, 0, axis))
        return false;
    Shape shape = *shape_of(in, 0);
    int64_t size = shape.dims[axis].constant;
    if (begin < 0 || begin >= end || end > size)
        return infer_refuse(in, "begin=%lld end=%lld is no range within %lld %s", (long long)begin,
                            (long long)end, (long long)size, axis ? "columns" : "rows");
    shape.dims[axis] = dim_constant(end - begin);
    return give(in, 0, in->operands[0]->dtype, shape);
}

static bool infer_concat(Inference *in)
{
    int32_t axis = in->attributes->concat.axis;
    if (!want_axis(in, axis) || !want_movable(in, 0, axis))
        return false;
    Shape shape = *shape_of(in, 0);
    for (int i = 1; i < in->count; i++) {
        if (!want_movable(in, i, axis))
            return false;
        if (in->operands[i]->dtype != in->operands[0]->dtype)
            return infer_refuse(in, "types differ: %s and %s",
                                dtype_table[in->operands[0]->dtype].name,
                                dtype_table[in->operands[i]->dtype].name);
        Dim kept = shape_of(in, i)->dims[1 - axis];
        if (!dim_equal(kept, shape.dims[1 - axis]))
            return infer_refuse(in, "%s differ: %s and %s", axis ? "rows" : "columns",
                                dim_text(in, 0, shape.dims[1 - axis]), dim_text(in, 1, kept));
        shape.dims[axis].constant += shape_of(in, i)->dims[axis].constant;
    }
    return give(in, 0, in->operands[0]->dtype, shape);
}

// --- arithmetic

static bool infer_binary(Inference *in)
{
    if (!want_f32(in, 0, "x") || !want_f32(in, 1, "y"))
        return false;
    const Shape *x = shape_of(in, 0), *y = shape_of(in, 1);
    bool whole = y->rank == 0 || shape_equal(x, y);
    bool vector = x->rank == 2 && y->rank == 1 && dim_equal(y->dims[0], x->dims[1]);
    bool column = x->rank == 2 && y->rank == 2 && dim_equal(y->dims[0], x->dims[0]) &&
                  dim_equal(y->dims[1], dim_constant(1));
    if (!whole && !vector && !column)
        return infer_refuse(
            in,
            "x is %s, y is %s: y must have the shape of x, or be one row, one column or a "
            "scalar",
            infer_type_text(in, 0, in->operands[0]), infer_type_text(in, 1, in->operands[1]));
    return give(in, 0, DTYPE_f32, *x);
}

static bool infer_unary(Inference *in)
{
    return want_f32(in, 0, "x") && give(in, 0, DTYPE_f32, *shape_of(in, 0));
}

static bool infer_reduce(Inference *in)
{
    return want_rows(in, 0, "x") && give_f32(in, rows_of(in, 0), 1);
}

static bool want_shapes_equal(Inference *in, const char *x, const char *y)
{
    if (!want_rows(in, 0, x) || !want_rows(in, 1, y))
        return false;
    if (!shape_equal(shape_of(in, 0), shape_of(in, 1)))
        return infer_refuse(in, "shapes differ: %s is %s, %s is %s", x,
                            infer_type_text(in, 0, in->operands[0]), y,
                            infer_type_text(in, 1, in->operands[1]));
    return true;
}

static bool infer_binary_same(Inference *in)
{
    return want_shapes_equal(in, "gate", "up") && give_post(in, 0, "post", *shape_of(in, 0));
}

// --- composite

bool want_activations(Inference *in)
{
    const Value *x = in->operands[0];
    if (!want_value(in, 0, "x"))
        return false;
    if (x->dtype != DTYPE_f32 && dtype_table[x->dtype].kind != DTYPE_KIND_ACT)
        return infer_refuse(in, "x is %s, expected f32, " ACTIVATION_DTYPE_NAMES,
                            infer_type_text(in, 0, x));
    if (!has_rows_and_columns(&x->shape))
        return infer_refuse(in, "x is %s, expected [T,k] with constant k",
                            infer_type_text(in, 0, x));
    int64_t block = dtype_table[x->dtype].block_elements;
    if (columns_of(in, 0) % block)
        return infer_refuse(in, "x is %s: its columns do not divide into blocks of %lld",
                            infer_type_text(in, 0, x), (long long)block);
    return true;
}

// A weight matrix [n,k], or an f32 value of constant shape.
static bool want_matmul_weight(Inference *in, int i)
{
    const Value *w = in->operands[i];
    const Shape *shape = &w->shape;
    bool typed = is_stored(w) ? is_weight_type(w->dtype) : w->dtype == DTYPE_f32;
    if (w->kind == VALUE_STATE || !typed || shape->rank != 2 || !dim_is_constant(shape->dims[0]) ||
        !dim_is_constant(shape->dims[1]))
        return infer_refuse(in, "operand %d is %s, expected a weight matrix [n,k]", i + 1,
                            infer_type_text(in, 0, w));
    if (columns_of(in, i) != columns_of(in, 0))
        return infer_refuse(in, "inner sizes differ: %lld vs %lld", (long long)columns_of(in, 0),
                            (long long)columns_of(in, i));
    return true;
}

static bool infer_matmul(Inference *in)
{
    int64_t columns = 0;
    if (!want_activations(in))
        return false;
    for (int i = 1; i < in->count; i++) {
        if (!want_matmul_weight(in, i))
            return false;
        columns += rows_of(in, i).constant;
    }
    Epilogue epilogue = op_epilogue(in->op, in->attributes);
    if (epilogue_is_gated(epilogue)) {
        if (in->count != 2)
            return infer_refuse(in, "epilogue=%s takes one weight, not %d",
                                epilogue_names[epilogue], in->count - 1);
        if (columns % (2 * SWIGLU_INTERLEAVE))
            return infer_refuse(in, "epilogue=%s: %lld rows do not divide into pairs of %d",
                                epilogue_names[epilogue], (long long)columns, SWIGLU_INTERLEAVE);
        columns /= 2;
    }
    return give_post(in, 0, "post", matrix(rows_of(in, 0), columns));
}

// The weight is as wide as x, or as a head: blocks of a quantised result lie within heads.
static bool infer_norm(Inference *in)
{
    if (!want_eps(in, in->attributes->rms_norm.eps) || !want_rows(in, 0, "x"))
        return false;
    int64_t columns = columns_of(in, 0), size = columns;
    if (shape_of(in, 1)->rank == 1 && columns_of(in, 1) > 0 && columns % columns_of(in, 1) == 0)
        size = columns_of(in, 1);
    return want_vector(in, 1, "weight", size, "x has") &&
           give_post(in, 0, "post", matrix(rows_of(in, 0), size)) &&
           give(in, 0, in->dtypes[0], *shape_of(in, 0));
}

static bool infer_layer_norm(Inference *in)
{
    return want_eps(in, in->attributes->layer_norm.eps) && want_rows(in, 0, "x") &&
           want_vector(in, 1, "weight", columns_of(in, 0), "x has") &&
           (in->count == 2 || want_vector(in, 2, "bias", columns_of(in, 0), "x has")) &&
           give_post(in, 0, "post", *shape_of(in, 0));
}

// --- numerics, fused

static bool infer_quantise(Inference *in)
{
    return want_rows(in, 0, "x") && give_post(in, 0, "type", *shape_of(in, 0));
}

static bool infer_add_rms_norm(Inference *in)
{
    return want_eps(in, in->attributes->add_rms_norm.eps) && want_shapes_equal(in, "x", "y") &&
           want_vector(in, 2, "weight", columns_of(in, 0), "x has") &&
           give(in, 0, DTYPE_f32, *shape_of(in, 0)) && give_post(in, 1, "post", *shape_of(in, 0));
}

static InferFunction *const infer_table[OP_COUNT] = {
#define OP(name, least, most, results, written, infer, ...) [OP_##name] = infer_##infer,
#include "graph/base/ops.def"
#undef OP
};

// Enums in range, floats finite: what each inference function takes for granted.
static bool check_attributes(Inference *in)
{
    const AttributeInfo *info = op_table[in->op].attributes;
    for (int i = 0; info[i].name; i++) {
        uint32_t word = in->attributes->words[i];
        float real;
        memcpy(&real, &word, sizeof real);
        if (info[i].kind == ATTRIBUTE_f32 && !isfinite(real))
            return infer_refuse(in, "%s is not finite", info[i].name);
        bool is_enum = info[i].kind != ATTRIBUTE_f32 && info[i].kind != ATTRIBUTE_i32;
        if (is_enum && !attribute_value_name(info[i].kind, (int32_t)word))
            return infer_refuse(in, "%s has no value %d", info[i].name, (int32_t)word);
    }
    return true;
}

static bool check_size(Inference *in, const Shape *shape)
{
    int64_t elements = 1;
    for (int i = 0; i < shape->rank; i++) {
        Dim dim = shape->dims[i];
        if (dim.constant > DIM_MAX)
            return infer_refuse(in, "a dimension of %lld in the result, at most %d is possible",
                                (long long)dim.constant, DIM_MAX);
        if (!dim_is_constant(dim))
            continue;
        elements *= dim.constant;
        if (elements > ELEMENTS_MAX)
            return infer_refuse(in, "the result has more than %lld elements",
                                (long long)ELEMENTS_MAX);
    }
    return true;
}

static bool check_sizes(Inference *in)
{
    for (int result = 0; result < op_table[in->op].results; result++)
        if (!check_size(in, &in->shapes[result]))
            return false;
    return true;
}

bool op_infer(Op op, int32_t operand_count, Value *const *operands, const Attributes *attributes,
              DType dtypes[RESULTS_MAX], Shape shapes[RESULTS_MAX], SourceLocation where,
              Diag *diag)
{
    assert(op >= 0 && op < OP_COUNT);
    const OpInfo *info = &op_table[op];
    Inference in = {.op = op,
                    .count = operand_count,
                    .operands = operands,
                    .attributes = attributes,
                    .dtypes = dtypes,
                    .shapes = shapes,
                    .where = {where.file, where.line, 0},
                    .diag = diag};
    memset(shapes, 0, sizeof *shapes * RESULTS_MAX);
    if (operand_count < info->least_operands || operand_count > info->most_operands) {
        if (info->least_operands == info->most_operands)
            return infer_refuse(&in, "takes %d operands, not %d", info->least_operands,
                                operand_count);
        return infer_refuse(&in, "takes %d to %d operands, not %d", info->least_operands,
                            info->most_operands, operand_count);
    }
    return check_attributes(&in) && infer_table[op](&in) && check_sizes(&in);
}
