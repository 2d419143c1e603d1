// Packing rows of model files into panels, and reading rows back from panels.
//
// The packed forms are drawn in README.md. Packing only moves bits: a packed block unpacks to the
// bytes of the file's, and row_read.c alone knows what those mean. Rows of a file need not be
// aligned, so multi-byte numbers go through memcpy.
#include "kernels/pack.h"

#include <assert.h>
#include <string.h>

#include "kernels/kernel.h"
#include "kernels/math.h"

enum { PANEL32 = 32 };

// Units first … last-1 of each row, as [unit][row]. Inlined where its numbers are constants.
static inline void pack_units(const uint8_t *const *rows, int panel_rows, size_t bytes,
                              int64_t first, int64_t last, uint8_t *out)
{
    for (int r = 0; r < panel_rows; r++) {
        uint8_t *to = out + ((size_t)first * (size_t)panel_rows + (size_t)r) * bytes;
        for (int64_t k = first; k < last; k++, to += (size_t)panel_rows * bytes) {
            if (rows[r])
                memcpy(to, rows[r] + (size_t)k * bytes, bytes);
            else
                memset(to, 0, bytes);
        }
    }
}

// So many units of a row at once that what is written stays in the first cache.
enum { UNITS = 64 };

static void pack_u16(const uint8_t *const *rows, int64_t units, uint8_t *out)
{
    for (int64_t k = 0; k < units; k += UNITS)
        pack_units(rows, PANEL32, 2, k, k + UNITS < units ? k + UNITS : units, out);
}

static void pack_u32(const uint8_t *const *rows, int panel_rows, int64_t units, uint8_t *out)
{
    for (int64_t k = 0; k < units; k += UNITS) {
        int64_t last = k + UNITS < units ? k + UNITS : units;
        if (panel_rows == PACK_ROWS)
            pack_units(rows, PACK_ROWS, 4, k, last, out);
        else
            pack_units(rows, PANEL32, 4, k, last, out);
    }
}

// Pairs of bf16: [k / 2][row][2]. An odd row's last pair ends with zero.
static void pack_bf16(const uint8_t *const *rows, int64_t columns, uint8_t *out)
{
    pack_u32(rows, PANEL32, columns / 2, out);
    for (int r = 0; r < PANEL32 && columns % 2; r++)
        pack_store_u32(out + (columns / 2 * PANEL32 + r) * 4,
                       rows[r] ? pack_load_u16(rows[r] + (columns - 1) * 2) : 0);
}

static const PackForm *form_of(DType dtype)
{
    const PackForm *form = &pack_forms32[dtype];
    return form->pack ? form : &pack_forms256[dtype];
}

int64_t pack_pair_bytes(DType dtype)
{
    const PackForm *form = form_of(dtype);
    return form->factors * PACK_LINE + 2 * form->block_bytes;
}

static void pack_pairs(DType dtype, const void *const *rows, int64_t columns, uint8_t *out)
{
    static const uint8_t zero[256];
    const PackForm *form = form_of(dtype);
    const DTypeInfo *info = &dtype_table[dtype];
    int64_t blocks = columns / info->block_elements, pair_bytes = pack_pair_bytes(dtype);
    for (int64_t b = 0; b < blocks + blocks % 2; b++) {
        uint8_t *pair = out + b / 2 * pair_bytes;
        uint8_t *packed = pair + form->factors * PACK_LINE + b % 2 * form->block_bytes;
        for (int r = 0; r < PACK_ROWS; r++) {
            const uint8_t *row = b < blocks ? rows[r] : NULL;
            const uint8_t *block = row ? row + b * info->block_bytes : zero;
            for (int f = 0; f < form->factors; f++)
                memcpy(pair + f * PACK_LINE + (b % 2 * PACK_ROWS + r) * 2,
                       block + form->factor_at[f], 2);
            form->pack(block, r, packed);
        }
    }
}

void pack_read_block(DType dtype, const void *panel, int64_t b, int r, uint8_t *block)
{
    const PackForm *form = form_of(dtype);
    const uint8_t *pair = (const uint8_t *)panel + b / 2 * pack_pair_bytes(dtype);
    memset(block, 0, (size_t)dtype_table[dtype].block_bytes);
    for (int f = 0; f < form->factors; f++)
        memcpy(block + form->factor_at[f], pair + f * PACK_LINE + (b % 2 * PACK_ROWS + r) * 2, 2);
    form->unpack(pair + form->factors * PACK_LINE + b % 2 * form->block_bytes, r, block);
}

void pack_panel(DType dtype, Layout layout, const void *const *rows, int64_t columns, void *panel)
{
    assert(layout_holds(layout, dtype) && columns % dtype_table[dtype].block_elements == 0);
    const uint8_t *const *bytes = (const uint8_t *const *)rows;
    switch (layout) {
    case LAYOUT_n16k1: pack_u32(bytes, PACK_ROWS, columns, panel); break;
    case LAYOUT_n32k1: pack_u16(bytes, columns, panel); break;
    case LAYOUT_n32k2: pack_bf16(bytes, columns, panel); break;
    case LAYOUT_n16k4: pack_pairs(dtype, rows, columns, panel); break;
    default:
        assert(layout == LAYOUT_plain);
        if (rows[0])
            memcpy(panel, rows[0], (size_t)dtype_row_bytes(dtype, columns));
        else
            memset(panel, 0, (size_t)dtype_row_bytes(dtype, columns));
    }
}

static void pairs_to_f32(DType dtype, const uint8_t *panel, int r, int64_t columns, float *out)
{
    uint8_t block[256];
    int64_t elements = dtype_table[dtype].block_elements;
    for (int64_t b = 0; b < columns / elements; b++) {
        pack_read_block(dtype, panel, b, r, block);
        row_to_f32(dtype, block, elements, out + b * elements);
    }
}

void packed_row_to_f32(DType dtype, Layout layout, const void *matrix, int64_t row, int64_t columns,
                       float *out)
{
    assert(row_can_read(dtype) && layout_holds(layout, dtype));
    int64_t panel_rows = layout_table[layout].panel_rows;
    const uint8_t *panel =
        (const uint8_t *)matrix + row / panel_rows * layout_panel_bytes(dtype, layout, columns);
    int r = (int)(row % panel_rows);
    switch (layout) {
    case LAYOUT_n16k1:
        for (int64_t k = 0; k < columns; k++)
            memcpy(&out[k], panel + (k * PACK_ROWS + r) * 4, 4);
        break;
    case LAYOUT_n32k1:
        for (int64_t k = 0; k < columns; k++)
            row_to_f32(dtype, panel + (k * PANEL32 + r) * 2, 1, out + k);
        break;
    case LAYOUT_n32k2:
        for (int64_t k = 0; k < columns; k++)
            row_to_f32(dtype, panel + ((k / 2 * PANEL32 + r) * 2 + k % 2) * 2, 1, out + k);
        break;
    case LAYOUT_n16k4: pairs_to_f32(dtype, panel, r, columns, out); break;
    default: assert(layout == LAYOUT_plain); row_to_f32(dtype, panel, columns, out);
    }
}
