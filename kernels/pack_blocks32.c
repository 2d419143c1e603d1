// Packed blocks of 32: see pack.h. Quads of k go to lines; nibbles stay joined as in the file.
#include "kernels/pack.h"

static void pack_q8_0(const uint8_t *block, int r, uint8_t *packed)
{
    for (int line = 0; line < 8; line++)
        pack_store_u32(pack_word(packed, line, r),
                       0x80808080 ^ pack_load_u32(block + 2 + line * 4));
}

static void unpack_q8_0(const uint8_t *packed, int r, uint8_t *block)
{
    for (int line = 0; line < 8; line++)
        pack_store_u32(block + 2 + line * 4,
                       0x80808080 ^ pack_load_u32(packed + line * PACK_LINE + r * 4));
}

static void pack_lines(const uint8_t *quants, int lines, int r, uint8_t *packed)
{
    for (int line = 0; line < lines; line++)
        pack_store_u32(pack_word(packed, line, r), pack_load_u32(quants + line * 4));
}

static void unpack_lines(const uint8_t *packed, int lines, int r, uint8_t *quants)
{
    for (int line = 0; line < lines; line++)
        pack_store_u32(quants + line * 4, pack_load_u32(packed + line * PACK_LINE + r * 4));
}

static void pack_q4_0(const uint8_t *block, int r, uint8_t *packed)
{
    pack_lines(block + 2, 4, r, packed);
}

static void unpack_q4_0(const uint8_t *packed, int r, uint8_t *block)
{
    unpack_lines(packed, 4, r, block + 2);
}

static void pack_q4_1(const uint8_t *block, int r, uint8_t *packed)
{
    pack_lines(block + 4, 4, r, packed);
}

static void unpack_q4_1(const uint8_t *packed, int r, uint8_t *block)
{
    unpack_lines(packed, 4, r, block + 4);
}

// The file's 32 fifth bits, k in order, and its nibbles. In a line of fifth bits, byte k % 4 of a
// row holds quad j's in bit j: one shift serves a whole line.
static void pack_fifths(const uint8_t *bits, int r, uint8_t *packed)
{
    uint32_t in = pack_load_u32(bits), out = 0;
    for (int k = 0; k < 32; k++)
        out |= (in >> k & 1) << (k % 4 * 8 + k / 4);
    pack_store_u32(pack_word(packed, 4, r), out);
    pack_lines(bits + 4, 4, r, packed);
}

static void unpack_fifths(const uint8_t *packed, int r, uint8_t *bits)
{
    uint32_t in = pack_load_u32(packed + 4 * PACK_LINE + r * 4), out = 0;
    for (int k = 0; k < 32; k++)
        out |= (in >> (k % 4 * 8 + k / 4) & 1) << k;
    pack_store_u32(bits, out);
    unpack_lines(packed, 4, r, bits + 4);
}

static void pack_q5_0(const uint8_t *block, int r, uint8_t *packed)
{
    pack_fifths(block + 2, r, packed);
}

static void unpack_q5_0(const uint8_t *packed, int r, uint8_t *block)
{
    unpack_fifths(packed, r, block + 2);
}

static void pack_q5_1(const uint8_t *block, int r, uint8_t *packed)
{
    pack_fifths(block + 4, r, packed);
}

static void unpack_q5_1(const uint8_t *packed, int r, uint8_t *block)
{
    unpack_fifths(packed, r, block + 4);
}

const PackForm pack_forms32[DTYPE_COUNT] = {
    [DTYPE_q8_0] = {1, {0}, 8 * PACK_LINE, pack_q8_0, unpack_q8_0},
    [DTYPE_q4_0] = {1, {0}, 4 * PACK_LINE, pack_q4_0, unpack_q4_0},
    [DTYPE_q4_1] = {2, {0, 2}, 4 * PACK_LINE, pack_q4_1, unpack_q4_1},
    [DTYPE_q5_0] = {1, {0}, 5 * PACK_LINE, pack_q5_0, unpack_q5_0},
    [DTYPE_q5_1] = {2, {0, 2}, 5 * PACK_LINE, pack_q5_1, unpack_q5_1},
    [DTYPE_iq4_nl] = {1, {0}, 4 * PACK_LINE, pack_q4_0, unpack_q4_0},
};
