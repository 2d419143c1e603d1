#include "graph/base/ops.h"

#include <string.h>

#define REQUIRED ATTRIBUTE_REQUIRED
#define A(kind, name, default_value) {ATTRIBUTE_##kind, #name, default_value},
#define OP(name, least, most, results, written, infer, traits, attributes, signature, meaning)     \
    static const AttributeInfo attributes_of_##name[] = {attributes{ATTRIBUTE_i32, NULL, 0}};
#include "graph/base/ops.def"
#undef OP
#undef A

const OpInfo op_table[OP_COUNT] = {
#define OP(name, least, most, results, written, infer, traits, attributes, signature, meaning)     \
    {#name, least, most, results, written, traits, signature, meaning, attributes_of_##name},
#include "graph/base/ops.def"
#undef OP
};

const char *const epilogue_names[EPILOGUE_COUNT] = {"none", "swiglu"};
const char *const style_names[STYLE_COUNT] = {"norm", "neox"};

Op op_from_name(const char *name)
{
    int op = 0;
    while (op < OP_COUNT && strcmp(op_table[op].name, name) != 0)
        op++;
    return (Op)op;
}

Attributes op_default_attributes(Op op)
{
    Attributes attributes;
    memset(&attributes, 0, sizeof attributes);
    const AttributeInfo *info = op_table[op].attributes;
    for (int i = 0; info[i].name; i++) {
        if (info[i].default_value == ATTRIBUTE_REQUIRED)
            continue;
        float real = (float)info[i].default_value;
        if (info[i].kind == ATTRIBUTE_f32)
            memcpy(&attributes.words[i], &real, sizeof real);
        else
            attributes.words[i] = (uint32_t)(int32_t)info[i].default_value;
    }
    return attributes;
}

const char *attribute_value_name(AttributeKind kind, int32_t value)
{
    if (value < 0)
        return NULL;
    switch (kind) {
    case ATTRIBUTE_dtype: return value < DTYPE_COUNT ? dtype_table[value].name : NULL;
    case ATTRIBUTE_epilogue: return value < EPILOGUE_COUNT ? epilogue_names[value] : NULL;
    case ATTRIBUTE_style: return value < STYLE_COUNT ? style_names[value] : NULL;
    case ATTRIBUTE_f32:
    case ATTRIBUTE_i32: return NULL;
    }
    return NULL;
}

int32_t attribute_value_from_name(AttributeKind kind, const char *name)
{
    const char *known;
    for (int32_t value = 0; (known = attribute_value_name(kind, value)); value++)
        if (strcmp(known, name) == 0)
            return value;
    return -1;
}

// The op's attribute of a kind of which it has one at most; 0 if it has none.
static uint32_t only_attribute(Op op, const Attributes *attributes, AttributeKind kind)
{
    const AttributeInfo *info = op_table[op].attributes;
    for (int i = 0; info[i].name; i++)
        if (info[i].kind == kind)
            return attributes->words[i];
    return 0;
}

DType op_post(Op op, const Attributes *attributes)
{
    return (DType)only_attribute(op, attributes, ATTRIBUTE_dtype);
}

Epilogue op_epilogue(Op op, const Attributes *attributes)
{
    return (Epilogue)only_attribute(op, attributes, ATTRIBUTE_epilogue);
}
