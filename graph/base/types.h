// Dtypes and layouts: what a value's elements are and how they lie in memory.
#ifndef GRAPH_BASE_TYPES_H
#define GRAPH_BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum DType {
#define DTYPE(name, block, bytes, gguf, kind) DTYPE_##name,
#include "graph/base/dtypes.def"
#undef DTYPE
    DTYPE_COUNT
} DType;

typedef enum DTypeKind {
    DTYPE_KIND_FLOAT,
    DTYPE_KIND_INT,
    DTYPE_KIND_QUANT,
    DTYPE_KIND_ACT
} DTypeKind;

typedef struct DTypeInfo {
    const char *name;
    int32_t block_elements, block_bytes;
    int32_t gguf_type; // -1: not a type of GGUF files
    DTypeKind kind;
} DTypeInfo;

extern const DTypeInfo dtype_table[DTYPE_COUNT];

typedef enum Layout {
#define LAYOUT(name, panel, description) LAYOUT_##name,
#include "graph/base/layouts.def"
#undef LAYOUT
    LAYOUT_COUNT
} Layout;

typedef struct LayoutInfo {
    const char *name;
    int32_t panel_rows;
    const char *description;
} LayoutInfo;

extern const LayoutInfo layout_table[LAYOUT_COUNT];

// Sets of dtypes or layouts, for tables: DTYPE_SET(q8_0) | DTYPE_SET(q4_0).
#define DTYPE_SET(name) (1u << DTYPE_##name)
#define LAYOUT_SET(name) (1u << LAYOUT_##name)

// What numerics may round the activations of a matrix product to: the types of kind ACT.
#define ACTIVATION_DTYPES (DTYPE_SET(q8) | DTYPE_SET(q8k) | DTYPE_SET(bf16x2))
#define ACTIVATION_DTYPE_NAMES "q8, q8k or bf16x2"
// What keys and values may be stored as.
#define STATE_DTYPES (DTYPE_SET(f32) | DTYPE_SET(f16) | DTYPE_SET(q8_0))
#define STATE_DTYPE_NAMES "f32, f16 or q8_0"
static inline bool dtype_is_state(DType dtype)
{
    return dtype < DTYPE_COUNT && (STATE_DTYPES >> dtype & 1);
}

// Both return the count when there is no such name.
DType dtype_from_name(const char *name);
Layout layout_from_name(const char *name);
// The dtype of a GGUF tensor type id, DTYPE_COUNT if none.
DType dtype_from_gguf(uint32_t gguf_type);

// Bytes of one row-major row; `columns` is a multiple of the dtype's block.
int64_t dtype_row_bytes(DType dtype, int64_t columns);
// Bytes of a whole [rows, columns] matrix in a layout, padding included. For k32 and v1 the matrix
// is one page of one state: rows = tokens a page (a multiple of 32), columns = state_columns.
int64_t layout_bytes(DType dtype, Layout layout, int64_t rows, int64_t columns);
// Elements that a state stores for a token: each head is rounded up to whole blocks.
int64_t state_columns(DType dtype, int64_t kv_heads, int64_t head_size);
// Bytes of one panel (one token tile for t1 and t8) of `columns` elements a row.
int64_t layout_panel_bytes(DType dtype, Layout layout, int64_t columns);
// Whether the layout is defined for the dtype.
bool layout_holds(Layout layout, DType dtype);

#endif
