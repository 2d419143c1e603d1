// Packed blocks of 256: see pack.h.
#include "kernels/pack.h"

// A Q6_K block of the file: low nibbles [128], upper bit pairs [64], i8 subscales [16], f16 factor.
// Within a packed one: subscales, 32 lines of nibbles, 16 lines of bit pairs.
enum { Q6_SUBSCALES = 192, Q6_FACTOR = 208, Q6_LOW = 256, Q6_HIGH = Q6_LOW + 32 * PACK_LINE };

// The file's quants, four at a time: quads[i] holds k = 4i … 4i+3. In each half of 128, 32 bytes of
// bit pairs and 64 of nibbles hold k = l, l+32, l+64, l+96 for l = 0 … 31.
static void read_q6_k(const uint8_t *block, uint32_t quads[64])
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

static void write_q6_k(const uint32_t quads[64], uint8_t *block)
{
    for (int half = 0; half < 2; half++) {
        uint32_t low[16], high[8];
        const uint32_t *in = quads + half * 32;
        for (int i = 0; i < 8; i++) {
            low[i] = (in[i] & 0x0f0f0f0f) | (in[i + 16] & 0x0f0f0f0f) << 4;
            low[i + 8] = (in[i + 8] & 0x0f0f0f0f) | (in[i + 24] & 0x0f0f0f0f) << 4;
            high[i] = (in[i] >> 4 & 0x03030303) | (in[i + 8] >> 4 & 0x03030303) << 2 |
                      (in[i + 16] >> 4 & 0x03030303) << 4 | (in[i + 24] >> 4 & 0x03030303) << 6;
        }
        memcpy(block + half * 64, low, sizeof low);
        memcpy(block + 128 + half * 32, high, sizeof high);
    }
}

static void pack_q6_k(const uint8_t *block, int r, uint8_t *packed)
{
    uint32_t quads[64];
    read_q6_k(block, quads);
    for (int group = 0; group < 16; group++)
        packed[group * PACK_ROWS + r] = block[Q6_SUBSCALES + group];
    for (int i = 0; i < 32; i++)
        pack_store_u32(pack_word(packed + Q6_LOW, i, r),
                       (quads[i] & 0x0f0f0f0f) | (quads[i + 32] & 0x0f0f0f0f) << 4);
    for (int i = 0; i < 16; i++)
        pack_store_u32(pack_word(packed + Q6_HIGH, i, r),
                       (quads[i] >> 4 & 0x03030303) | (quads[i + 16] >> 4 & 0x03030303) << 2 |
                           (quads[i + 32] >> 4 & 0x03030303) << 4 |
                           (quads[i + 48] >> 4 & 0x03030303) << 6);
}

static void unpack_q6_k(const uint8_t *packed, int r, uint8_t *block)
{
    uint32_t quads[64];
    for (int i = 0; i < 64; i++) {
        uint32_t low = pack_load_u32(packed + Q6_LOW + i % 32 * PACK_LINE + r * 4);
        uint32_t high = pack_load_u32(packed + Q6_HIGH + i % 16 * PACK_LINE + r * 4);
        quads[i] = (low >> i / 32 * 4 & 0x0f0f0f0f) | (high >> i / 16 * 2 & 0x03030303) << 4;
    }
    for (int group = 0; group < 16; group++)
        block[Q6_SUBSCALES + group] = packed[group * PACK_ROWS + r];
    write_q6_k(quads, block);
}

const PackForm pack_forms256[DTYPE_COUNT] = {
    [DTYPE_q6_k] = {1, {Q6_FACTOR}, Q6_HIGH + 16 * PACK_LINE, pack_q6_k, unpack_q6_k},
};
