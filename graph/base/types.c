#include "graph/base/types.h"

#include <assert.h>
#include <string.h>

const DTypeInfo dtype_table[DTYPE_COUNT] = {
#define DTYPE(name, block, bytes, gguf, kind) {#name, block, bytes, gguf, DTYPE_KIND_##kind},
#include "graph/base/dtypes.def"
#undef DTYPE
};

const LayoutInfo layout_table[LAYOUT_COUNT] = {
#define LAYOUT(name, panel, description) {#name, panel, description},
#include "graph/base/layouts.def"
#undef LAYOUT
};

DType dtype_from_name(const char *name)
{
    int dtype = 0;
    while (dtype < DTYPE_COUNT && strcmp(dtype_table[dtype].name, name) != 0)
        dtype++;
    return (DType)dtype;
}

Layout layout_from_name(const char *name)
{
    int layout = 0;
    while (layout < LAYOUT_COUNT && strcmp(layout_table[layout].name, name) != 0)
        layout++;
    return (Layout)layout;
}

DType dtype_from_gguf(uint32_t gguf_type)
{
    int dtype = 0;
    while (dtype < DTYPE_COUNT && dtype_table[dtype].gguf_type != (int64_t)gguf_type)
        dtype++;
    return (DType)dtype;
}

int64_t dtype_row_bytes(DType dtype, int64_t columns)
{
    const DTypeInfo *info = &dtype_table[dtype];
    assert(columns % info->block_elements == 0);
    return columns / info->block_elements * info->block_bytes;
}

bool layout_holds(Layout layout, DType dtype)
{
    static const uint32_t dtypes[LAYOUT_COUNT] = {
        [LAYOUT_plain] = ~0u,
        [LAYOUT_n16k4] = DTYPE_SET(q8_0) | DTYPE_SET(q4_0) | DTYPE_SET(q4_1) | DTYPE_SET(q5_0) |
                         DTYPE_SET(q5_1) | DTYPE_SET(iq4_nl) | DTYPE_SET(q4_k) | DTYPE_SET(q5_k) |
                         DTYPE_SET(q6_k),
        [LAYOUT_n32k1] = DTYPE_SET(f16),
        [LAYOUT_n32k2] = DTYPE_SET(bf16),
        [LAYOUT_n16k1] = DTYPE_SET(f32),
        [LAYOUT_t1] = ACTIVATION_DTYPES,
        [LAYOUT_t8] = ACTIVATION_DTYPES,
        [LAYOUT_k32] = STATE_DTYPES,
        [LAYOUT_v1] = STATE_DTYPES,
    };
    return dtypes[layout] >> dtype & 1;
}

static int64_t round_up(int64_t value, int64_t multiple)
{
    return (value + multiple - 1) / multiple * multiple;
}

int64_t state_columns(DType dtype, int64_t kv_heads, int64_t head_size)
{
    return kv_heads * round_up(head_size, dtype_table[dtype].block_elements);
}

int64_t layout_panel_bytes(DType dtype, Layout layout, int64_t columns)
{
    assert(layout_holds(layout, dtype));
    int64_t panel = layout_table[layout].panel_rows;
    // 32-element blocks of integer weights come in pairs that share a line of scales, k pairs of
    // bf16 share a line: an odd rest is padded with zeros.
    if (layout == LAYOUT_n16k4)
        columns = round_up(columns, 2 * dtype_table[dtype].block_elements);
    if (layout == LAYOUT_n32k2)
        columns = round_up(columns, 2);
    return panel * dtype_row_bytes(dtype, columns);
}

int64_t layout_bytes(DType dtype, Layout layout, int64_t rows, int64_t columns)
{
    int64_t panel = layout_table[layout].panel_rows;
    if (layout == LAYOUT_plain || layout == LAYOUT_k32 || layout == LAYOUT_v1)
        return rows * dtype_row_bytes(dtype, columns);
    return round_up(rows, panel) / panel * layout_panel_bytes(dtype, layout, columns);
}
