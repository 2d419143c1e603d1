// Packed blocks of 256: see pack.h. Words of the file's subscales and minima come first, a line
// each, then chunks: a line of high bits, if the type has them, and the lines of nibbles that they
// complete. So a block is read once, in ascending address.
#include "kernels/pack.h"

// Where a block of the file has its parts, and lines of a packed one.
enum { Q45_SUBSCALES = 4, Q4_NIBBLES = 16, Q5_HIGH = 16, Q5_NIBBLES = 48 };
enum { Q45_WORDS = 3, Q4_LINES = Q45_WORDS + 32, Q5_LINES = Q45_WORDS + 8 * 5 };
enum { Q6_HIGH = 128, Q6_SUBSCALES = 192, Q6_FACTOR = 208 };
enum { Q6_WORDS = 4, Q6_LINES = Q6_WORDS + 16 * 3 };

static uint32_t load_word(const uint8_t *lines, int line, int r)
{
    return pack_load_u32(lines + line * PACK_LINE + r * 4);
}

static void pack_words(const uint8_t *from, int words, int r, uint8_t *lines)
{
    for (int word = 0; word < words; word++)
        pack_store_u32(pack_word(lines, word, r), pack_load_u32(from + word * 4));
}

static void unpack_words(const uint8_t *lines, int words, int r, uint8_t *to)
{
    for (int word = 0; word < words; word++)
        pack_store_u32(to + word * 4, load_word(lines, word, r));
}

static void pack_q4_k(const uint8_t *block, int r, uint8_t *packed)
{
    pack_words(block + Q45_SUBSCALES, Q4_LINES, r, packed);
}

static void unpack_q4_k(const uint8_t *packed, int r, uint8_t *block)
{
    unpack_words(packed, Q4_LINES, r, block + Q45_SUBSCALES);
}

// Word i of nibbles has quads of groups 2(i / 8) and 2(i / 8) + 1, whose high bits are those bits
// of the file's word i % 8. In the packed line of a chunk they are bits i % 4 and 4 + i % 4.
static int q5_line(int i)
{
    return Q45_WORDS + i / 4 * 5;
}

static void pack_q5_k(const uint8_t *block, int r, uint8_t *packed)
{
    uint32_t high[8] = {0};
    pack_words(block + Q45_SUBSCALES, Q45_WORDS, r, packed);
    for (int i = 0; i < 32; i++) {
        uint32_t bits = pack_load_u32(block + Q5_HIGH + i % 8 * 4) >> i / 8 * 2;
        high[i / 4] |= (bits & 0x01010101) << i % 4 | (bits >> 1 & 0x01010101) << (4 + i % 4);
        pack_store_u32(pack_word(packed, q5_line(i) + 1 + i % 4, r),
                       pack_load_u32(block + Q5_NIBBLES + i * 4));
    }
    for (int chunk = 0; chunk < 8; chunk++)
        pack_store_u32(pack_word(packed, q5_line(4 * chunk), r), high[chunk]);
}

static void unpack_q5_k(const uint8_t *packed, int r, uint8_t *block)
{
    uint32_t high[8] = {0};
    unpack_words(packed, Q45_WORDS, r, block + Q45_SUBSCALES);
    for (int i = 0; i < 32; i++) {
        uint32_t bits = load_word(packed, q5_line(i), r) >> i % 4;
        high[i % 8] |= ((bits & 0x01010101) | (bits >> 4 & 0x01010101) << 1) << i / 8 * 2;
        pack_store_u32(block + Q5_NIBBLES + i * 4, load_word(packed, q5_line(i) + 1 + i % 4, r));
    }
    memcpy(block + Q5_HIGH, high, sizeof high);
}

// The file's quants, four at a time: quads[i] holds k = 4i … 4i+3. In each half of 128, 32 bytes of
// bit pairs and 64 of nibbles hold k = l, l+32, l+64, l+96 for l = 0 … 31.
static void read_q6_k(const uint8_t *block, uint32_t quads[64])
{
    for (int half = 0; half < 2; half++) {
        uint32_t low[16], high[8], *out = quads + half * 32;
        memcpy(low, block + half * 64, sizeof low);
        memcpy(high, block + Q6_HIGH + half * 32, sizeof high);
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
        memcpy(block + Q6_HIGH + half * 32, high, sizeof high);
    }
}

// A chunk is a group: quads 0 and 1 in low nibbles, 2 and 3 in high ones, quad j in bits 2j and
// 2j + 1 of the line before them.
static void pack_q6_k(const uint8_t *block, int r, uint8_t *packed)
{
    uint32_t quads[64];
    read_q6_k(block, quads);
    pack_words(block + Q6_SUBSCALES, Q6_WORDS, r, packed);
    for (int group = 0; group < 16; group++) {
        const uint32_t *q = quads + 4 * group;
        uint32_t high = 0;
        for (int j = 0; j < 4; j++)
            high |= (q[j] >> 4 & 0x03030303) << 2 * j;
        int line = Q6_WORDS + 3 * group;
        pack_store_u32(pack_word(packed, line, r), high);
        for (int j = 0; j < 2; j++)
            pack_store_u32(pack_word(packed, line + 1 + j, r),
                           (q[j] & 0x0f0f0f0f) | (q[j + 2] & 0x0f0f0f0f) << 4);
    }
}

static void unpack_q6_k(const uint8_t *packed, int r, uint8_t *block)
{
    uint32_t quads[64];
    for (int i = 0; i < 64; i++) {
        int line = Q6_WORDS + i / 4 * 3, j = i % 4;
        uint32_t low = load_word(packed, line + 1 + j % 2, r) >> j / 2 * 4;
        uint32_t high = load_word(packed, line, r) >> 2 * j;
        quads[i] = (low & 0x0f0f0f0f) | (high & 0x03030303) << 4;
    }
    unpack_words(packed, Q6_WORDS, r, block + Q6_SUBSCALES);
    write_q6_k(quads, block);
}

const PackForm pack_forms256[DTYPE_COUNT] = {
    [DTYPE_q4_k] = {2, {0, 2}, Q4_LINES *PACK_LINE, pack_q4_k, unpack_q4_k},
    [DTYPE_q5_k] = {2, {0, 2}, Q5_LINES *PACK_LINE, pack_q5_k, unpack_q5_k},
    [DTYPE_q6_k] = {1, {Q6_FACTOR}, Q6_LINES *PACK_LINE, pack_q6_k, unpack_q6_k},
};
