// What infer.c (the table, most ops, checks), infer_attention.c (the ops around keys and values)
// and infer_experts.c (mixtures of experts) share.
//
// want_… checks operand `i`, which messages call `name`, and returns false after a message; give_…
// fills in a result and returns true, so that an op's rule reads as one chain of &&.
#ifndef GRAPH_INFER_H
#define GRAPH_INFER_H

#include "graph/graph.h"

typedef struct Inference {
    Op op;
    int32_t count;
    Value *const *operands;
    const Attributes *attributes;
    DType *dtypes;
    Shape *shapes;
    Where where;
    Diag *diag;
    char texts[2][128]; // types written for a message
} Inference;

typedef bool InferFunction(Inference *in);

static inline const Shape *shape_of(const Inference *in, int i)
{
    return &in->operands[i]->shape;
}

static inline Dim rows_of(const Inference *in, int i)
{
    return shape_of(in, i)->dims[0];
}

static inline int64_t columns_of(const Inference *in, int i)
{
    return shape_of(in, i)->dims[shape_of(in, i)->rank - 1].constant;
}

// Records the reason behind the name of the op; returns false.
bool infer_refuse(const Inference *in, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
// Writes "f32[T,2048]" into a slot, 0 or 1, that lasts until its next use.
const char *infer_type_text(Inference *in, int slot, const Value *value);

// f32[T,n]: any first dimension, constant columns.
bool want_rows(Inference *in, int i, const char *name);
// i32 of the rank: 1 is [T], 2 is [B,P].
bool want_integers(Inference *in, int i, const char *name, int32_t rank);
bool want_weight_matrix(Inference *in, int i, const char *name);
// x of a matmul: f32 or quantised, [T,k] in whole blocks.
bool want_activations(Inference *in);
bool want_positive(Inference *in, const char *name, int32_t value);
// w[n]: a vector of any float type with `columns` elements, as many as `owner` has columns.
bool want_vector(Inference *in, int i, const char *name, int64_t columns, const char *owner);
bool want_rows_equal(Inference *in, int i, const char *name, int j, const char *other);

bool give(Inference *in, int result, DType dtype, Shape shape);
// The first result is f32[rows,columns].
bool give_f32(Inference *in, Dim rows, int64_t columns);
// The result that `post` (the attribute called `name`) may quantise.
bool give_post(Inference *in, int result, const char *name, Shape shape);

// --- infer_attention.c
InferFunction infer_rope_table, infer_rope, infer_kv_store, infer_attention, infer_rope_qk_store;

// --- infer_experts.c
InferFunction infer_route, infer_matmul_experts, infer_combine;
// ids: what route chose.
bool is_ids(const Value *value);

#endif
