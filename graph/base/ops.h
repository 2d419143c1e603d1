// The op table in C: enum, attributes, traits. Everything here is generated from ops.def.
#ifndef GRAPH_BASE_OPS_H
#define GRAPH_BASE_OPS_H

#include <stdbool.h>
#include <stdint.h>

#include "graph/base/types.h"

typedef enum Op {
#define OP(name, ...) OP_##name,
#include "graph/base/ops.def"
#undef OP
    OP_COUNT
} Op;

enum {
    OP_ROWWISE = 1,
    OP_COMMUTES = 2,
    OP_MOVES = 4,
    OP_EFFECT = 8,
    OP_INPLACE = 16,
    OP_DOTS = 32,
};
enum { OPERANDS_MAX = 9, RESULTS_MAX = 2 };

typedef enum Epilogue { EPILOGUE_none, EPILOGUE_swiglu, EPILOGUE_COUNT } Epilogue;
typedef enum RopeStyle { STYLE_norm, STYLE_neox, STYLE_COUNT } RopeStyle;
// Rows of gate and of up in turn in a weight of a matmul with epilogue=swiglu.
enum { SWIGLU_INTERLEAVE = 16 };

// Attribute kinds; all are four bytes wide. dtype, epilogue and style are enums printed by name.
typedef enum AttributeKind {
    ATTRIBUTE_f32,
    ATTRIBUTE_i32,
    ATTRIBUTE_dtype,
    ATTRIBUTE_epilogue,
    ATTRIBUTE_style,
} AttributeKind;

typedef float AttributeType_f32;
typedef int32_t AttributeType_i32, AttributeType_dtype, AttributeType_epilogue, AttributeType_style;

// One struct an op: attributes.rms_norm.eps. Word i is the op's i-th attribute; the last is unused.
typedef union Attributes {
#define A(kind, name, default_value) AttributeType_##kind name;
#define OP(name, least, most, results, written, infer, traits, attributes, signature, meaning)     \
    struct {                                                                                       \
        attributes int32_t unused_;                                                                \
    } name;
#include "graph/base/ops.def"
#undef OP
#undef A
    uint32_t words[8];
} Attributes;

typedef struct AttributeInfo {
    AttributeKind kind;
    const char *name;
    double default_value; // ATTRIBUTE_REQUIRED: there is none
} AttributeInfo;

#define ATTRIBUTE_REQUIRED (-1e30)

typedef struct OpInfo {
    const char *name;
    int32_t least_operands, most_operands, results;
    uint32_t written; // bit i: operand i is a state that is written
    uint32_t traits;
    const char *signature, *meaning;
    const AttributeInfo *attributes; // attribute i is Attributes.words[i]; ends with name == NULL
} OpInfo;

extern const OpInfo op_table[OP_COUNT];
extern const char *const epilogue_names[EPILOGUE_COUNT], *const style_names[STYLE_COUNT];

// OP_COUNT when there is no such op.
Op op_from_name(const char *name);
// Attributes with every default filled in, the rest zero.
Attributes op_default_attributes(Op op);
// The name of an enum attribute's value, NULL if out of range or the kind is a number.
const char *attribute_value_name(AttributeKind kind, int32_t value);
// The inverse; -1 when the kind has no such name.
int32_t attribute_value_from_name(AttributeKind kind, const char *name);
// The attribute `epilogue`, none for ops without it.
Epilogue op_epilogue(Op op, const Attributes *attributes);
// The dtype of the result that `post` (or quantise's `type`) decides, DTYPE_f32 for other ops.
DType op_post(Op op, const Attributes *attributes);

#endif
