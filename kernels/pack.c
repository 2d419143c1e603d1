// Reading rows of model files, packing them into panels, and reading rows back from panels.
//
// row_to_f32 defines what a file's blocks mean (formats: ggml's block_q8_0, block_q4_0,
// block_q6_K). Packing loses nothing: packed_row_to_f32 of a packed row is row_to_f32 of the row,
// to the bit, since both multiply the same integers in the same order. The packed forms are drawn
// in README.md. Rows of a file need not be aligned, so multi-byte numbers go through memcpy.
#include <assert.h>
#include <string.h>

#include "kernels/kernel.h"
#include "kernels/math.h"

enum { PANEL16 = 16, PANEL32 = 32 };
enum { Q8_0_BYTES = 34, Q4_0_BYTES = 18, Q6_K_BYTES = 210 };

// A panel's pair of blocks: a line of f16 scales [block][row], then the two blocks.
typedef struct PairForm {
    int32_t elements, block_bytes; // of one block of 16 rows
} PairForm;

static const PairForm pair_form_q8_0 = {32, 512}, pair_form_q4_0 = {32, 256},
                      pair_form_q6_k = {256, 3328};
enum { SCALE_LINE = 64 };
// Within a Q6_K block of 16 rows.
enum { Q6_LOW = 256, Q6_HIGH = 256 + 32 * 64, LINE = 64 };

static uint16_t load_u16(const uint8_t *bytes)
{
    uint16_t value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

static uint32_t load_u32(const uint8_t *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

static void store_u32(uint8_t *bytes, uint32_t value)
{
    memcpy(bytes, &value, sizeof value);
}

static float bf16_to_f32(uint16_t value)
{
    return f32_from_bits((uint32_t)value << 16);
}

// The file's Q6_K block: low nibbles [128], upper bit pairs [64], i8 subscale [16], f16 scale. In
// each half of 128, 32 bytes of bit pairs and 64 of nibbles hold k = l, l+32, l+64, l+96 for l = 0
// … 31. Four numbers at a time: quads[i] holds k = 4i … 4i+3.
static void q6_k_quads(const uint8_t *block, uint32_t quads[64])
{
    for (int half = 0; half < 2; half++) {
        uint32_t low[16], high[8], *out = quads + half * 32;
        memcpy(low, block + half * 64, sizeof low);
        memcpy(high, block + 128 + half * 32, sizeof high);
        for (int i = 0; i < 8; i++) {
            out[i] = (low[i] & 0x0f0f0f0f) | (high[i] & 0x03030303) << 4;
            out[i + 8] = (low[i + 8] & 0x0f0f0f0f) | (high[i] >> 2 & 0x03030303) << 4;
            out[i + 16] = (low[i] >> 4 & 0x0f0f0f0f) | (high[i] >> 4 & 0x03030303) << 4;
            out[i + 24] = (low[i + 8] >> 4 & 0x0f0f0f0f) | (high[i] >> 6 & 0x03030303) << 4;
        }
    }
}

static const uint8_t *q6_k_subscales(const uint8_t *block)
{
    return block + 192;
}

static const uint8_t *q6_k_scale(const uint8_t *block)
{
    return block + 208;
}

static void f16_row(const uint8_t *row, int64_t columns, float *out)
{
    for (int64_t k = 0; k < columns; k++)
        out[k] = f16_to_f32(load_u16(row + 2 * k));
}

static void bf16_row(const uint8_t *row, int64_t columns, float *out)
{
    for (int64_t k = 0; k < columns; k++)
        out[k] = bf16_to_f32(load_u16(row + 2 * k));
}

static void f64_row(const uint8_t *row, int64_t columns, float *out)
{
    for (int64_t k = 0; k < columns; k++) {
        double value;
        memcpy(&value, row + 8 * k, sizeof value);
        out[k] = (float)value;
    }
}

static void q8_0_row(const uint8_t *block, int64_t columns, float *out)
{
    for (int64_t b = 0; b < columns / 32; b++, block += Q8_0_BYTES, out += 32) {
        float scale = f16_to_f32(load_u16(block));
        for (int k = 0; k < 32; k++)
            out[k] = scale * (float)(int8_t)block[2 + k];
    }
}

static void q4_0_row(const uint8_t *block, int64_t columns, float *out)
{
    for (int64_t b = 0; b < columns / 32; b++, block += Q4_0_BYTES, out += 32) {
        float scale = f16_to_f32(load_u16(block));
        for (int k = 0; k < 16; k++) {
            out[k] = scale * (float)((block[2 + k] & 15) - 8);
            out[k + 16] = scale * (float)((block[2 + k] >> 4) - 8);
        }
    }
}

static void q6_k_row(const uint8_t *block, int64_t columns, float *out)
{
    uint32_t quads[64];
    uint8_t quants[256];
    for (int64_t b = 0; b < columns / 256; b++, block += Q6_K_BYTES, out += 256) {
        float scale = f16_to_f32(load_u16(q6_k_scale(block)));
        q6_k_quads(block, quads);
        memcpy(quants, quads, sizeof quants);
        for (int k = 0; k < 256; k++)
            out[k] = scale * (float)(int8_t)q6_k_subscales(block)[k / 16] * (float)(quants[k] - 32);
    }
}

bool row_can_read(DType dtype)
{
    return dtype == DTYPE_f32 || dtype == DTYPE_f16 || dtype == DTYPE_bf16 || dtype == DTYPE_f64 ||
           dtype == DTYPE_q8_0 || dtype == DTYPE_q4_0 || dtype == DTYPE_q6_k;
}

void row_to_f32(DType dtype, const void *row, int64_t columns, float *out)
{
    assert(row_can_read(dtype) && columns % dtype_table[dtype].block_elements == 0);
    switch (dtype) {
    case DTYPE_f32: memcpy(out, row, (size_t)columns * sizeof *out); break;
    case DTYPE_f16: f16_row(row, columns, out); break;
    case DTYPE_bf16: bf16_row(row, columns, out); break;
    case DTYPE_f64: f64_row(row, columns, out); break;
    case DTYPE_q8_0: q8_0_row(row, columns, out); break;
    case DTYPE_q4_0: q4_0_row(row, columns, out); break;
    default: q6_k_row(row, columns, out); break;
    }
}

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
        if (panel_rows == PANEL16)
            pack_units(rows, PANEL16, 4, k, last, out);
        else
            pack_units(rows, PANEL32, 4, k, last, out);
    }
}

// Pairs of bf16: [k / 2][row][2]. An odd row's last pair ends with zero.
static void pack_bf16(const uint8_t *const *rows, int64_t columns, uint8_t *out)
{
    pack_u32(rows, PANEL32, columns / 2, out);
    for (int r = 0; r < PANEL32 && columns % 2; r++)
        store_u32(out + (columns / 2 * PANEL32 + r) * 4,
                  rows[r] ? load_u16(rows[r] + (columns - 1) * 2) : 0);
}

static void pack_q8_0(const uint8_t *block, int r, uint8_t *quants)
{
    for (int line = 0; line < 8; line++)
        store_u32(quants + line * LINE + r * 4,
                  0x80808080 ^ (block ? load_u32(block + 2 + line * 4) : 0));
}

static void pack_q4_0(const uint8_t *block, int r, uint8_t *quants)
{
    for (int line = 0; line < 4; line++)
        store_u32(quants + line * LINE + r * 4,
                  block ? load_u32(block + 2 + line * 4) : 0x88888888);
}

static void pack_q6_k(const uint8_t *block, int r, uint8_t *packed)
{
    uint32_t quads[64] = {0}, low[32], high[16];
    if (block)
        q6_k_quads(block, quads);
    for (int i = 0; i < 32; i++)
        low[i] = (quads[i] & 0x0f0f0f0f) | (quads[i + 32] & 0x0f0f0f0f) << 4;
    for (int i = 0; i < 16; i++)
        high[i] = (quads[i] >> 4 & 0x03030303) | (quads[i + 16] >> 4 & 0x03030303) << 2 |
                  (quads[i + 32] >> 4 & 0x03030303) << 4 | (quads[i + 48] >> 4 & 0x03030303) << 6;
    for (int group = 0; group < 16; group++)
        packed[group * PANEL16 + r] = block ? q6_k_subscales(block)[group] : 0;
    for (int line = 0; line < 32; line++)
        store_u32(packed + Q6_LOW + line * LINE + r * 4, low[line]);
    for (int line = 0; line < 16; line++)
        store_u32(packed + Q6_HIGH + line * LINE + r * 4, high[line]);
}

// One block of one row: its quants and the scale beside them. NULL is a block of zeros.
static void pack_block(DType dtype, const uint8_t *block, int r, uint8_t *scales, uint8_t *packed)
{
    static const uint8_t zero[2];
    const uint8_t *scale = zero;
    if (block)
        scale = dtype == DTYPE_q6_k ? q6_k_scale(block) : block;
    memcpy(scales + r * 2, scale, 2);
    if (dtype == DTYPE_q8_0)
        pack_q8_0(block, r, packed);
    else if (dtype == DTYPE_q4_0)
        pack_q4_0(block, r, packed);
    else
        pack_q6_k(block, r, packed);
}

static const PairForm *pair_form(DType dtype)
{
    return dtype == DTYPE_q8_0   ? &pair_form_q8_0
           : dtype == DTYPE_q4_0 ? &pair_form_q4_0
                                 : &pair_form_q6_k;
}

static void pack_pairs(DType dtype, const void *const *rows, int64_t columns, uint8_t *out)
{
    const PairForm *form = pair_form(dtype);
    int64_t blocks = columns / form->elements, file_bytes = dtype_table[dtype].block_bytes;
    for (int64_t b = 0; b < blocks + blocks % 2; b++) {
        uint8_t *pair = out + b / 2 * (SCALE_LINE + 2 * form->block_bytes);
        for (int r = 0; r < PANEL16; r++) {
            const uint8_t *row = b < blocks ? rows[r] : NULL;
            pack_block(dtype, row ? row + b * file_bytes : NULL, r, pair + b % 2 * PANEL16 * 2,
                       pair + SCALE_LINE + b % 2 * form->block_bytes);
        }
    }
}

void pack_panel(DType dtype, Layout layout, const void *const *rows, int64_t columns, void *panel)
{
    assert(layout_holds(layout, dtype) && columns % dtype_table[dtype].block_elements == 0);
    const uint8_t *const *bytes = (const uint8_t *const *)rows;
    switch (layout) {
    case LAYOUT_n16k1: pack_u32(bytes, PANEL16, columns, panel); break;
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

// Element k of row r of one packed block, as an integer.
static int packed_q8_0(const uint8_t *block, int r, int k)
{
    return block[k / 4 * LINE + r * 4 + k % 4] - 128;
}

static int packed_q4_0(const uint8_t *block, int r, int k)
{
    uint8_t both = block[k % 16 / 4 * LINE + r * 4 + k % 4];
    return (k < 16 ? both & 15 : both >> 4) - 8;
}

static int packed_q6_k(const uint8_t *block, int r, int k)
{
    int quad = k / 4, byte = r * 4 + k % 4;
    int low = block[Q6_LOW + quad % 32 * LINE + byte] >> quad / 32 * 4 & 15;
    int high = block[Q6_HIGH + quad % 16 * LINE + byte] >> quad / 16 * 2 & 3;
    return (low | high << 4) - 32;
}

static void pairs_to_f32(DType dtype, const uint8_t *panel, int r, int64_t columns, float *out)
{
    const PairForm *form = pair_form(dtype);
    for (int64_t b = 0; b < columns / form->elements; b++, out += form->elements) {
        const uint8_t *pair = panel + b / 2 * (SCALE_LINE + 2 * form->block_bytes);
        const uint8_t *block = pair + SCALE_LINE + b % 2 * form->block_bytes;
        float scale = f16_to_f32(load_u16(pair + (b % 2 * PANEL16 + r) * 2));
        for (int k = 0; k < form->elements; k++) {
            if (dtype == DTYPE_q8_0)
                out[k] = scale * (float)packed_q8_0(block, r, k);
            else if (dtype == DTYPE_q4_0)
                out[k] = scale * (float)packed_q4_0(block, r, k);
            else
                out[k] = scale * (float)(int8_t)block[k / 16 * PANEL16 + r] *
                         (float)packed_q6_k(block, r, k);
        }
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
            memcpy(&out[k], panel + (k * PANEL16 + r) * 4, 4);
        break;
    case LAYOUT_n32k1:
        for (int64_t k = 0; k < columns; k++)
            out[k] = f16_to_f32(load_u16(panel + (k * PANEL32 + r) * 2));
        break;
    case LAYOUT_n32k2:
        for (int64_t k = 0; k < columns; k++)
            out[k] = bf16_to_f32(load_u16(panel + ((k / 2 * PANEL32 + r) * 2 + k % 2) * 2));
        break;
    case LAYOUT_n16k4: pairs_to_f32(dtype, panel, r, columns, out); break;
    default: assert(layout == LAYOUT_plain); row_to_f32(dtype, panel, columns, out);
    }
}
