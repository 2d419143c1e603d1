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

static void pack_q4_0(const uint8_t *block, int r, uint8_t *packed)
{
    for (int line = 0; line < 4; line++)
        pack_store_u32(pack_word(packed, line, r), pack_load_u32(block + 2 + line * 4));
}

static void unpack_q4_0(const uint8_t *packed, int r, uint8_t *block)
{
    for (int line = 0; line < 4; line++)
        pack_store_u32(block + 2 + line * 4, pack_load_u32(packed + line * PACK_LINE + r * 4));
}

const PackForm pack_forms32[DTYPE_COUNT] = {
    [DTYPE_q8_0] = {1, {0}, 8 * PACK_LINE, pack_q8_0, unpack_q8_0},
    [DTYPE_q4_0] = {1, {0}, 4 * PACK_LINE, pack_q4_0, unpack_q4_0},
};
