// The packed forms of n16k4, type by type: pack.c walks over rows, blocks and factors; what a block
// of one row becomes within its 16 rows is pack_blocks32.c's and pack_blocks256.c's.
//
// A panel is pairs of blocks. A pair begins with a line of f16 [block][row] for each factor of the
// type (its scale, and its minimum if it has one), then come the two blocks of 16 rows.
#ifndef KERNELS_PACK_H
#define KERNELS_PACK_H

#include <stdint.h>
#include <string.h>

#include "graph/base/types.h"

enum { PACK_ROWS = 16, PACK_LINE = 64 };

typedef struct PackForm {
    int32_t factors, factor_at[2]; // where they stand in the file's block
    int32_t block_bytes;           // of 16 rows, without factors
    void (*pack)(const uint8_t *block, int r, uint8_t *packed);
    void (*unpack)(const uint8_t *packed, int r, uint8_t *block); // all but the factors
} PackForm;

// Zeros where a type has other blocks or no packed form.
extern const PackForm pack_forms32[DTYPE_COUNT], pack_forms256[DTYPE_COUNT];

int64_t pack_pair_bytes(DType dtype);
// Block b of row r of a panel, as the file had it.
void pack_read_block(DType dtype, const void *panel, int64_t b, int r, uint8_t *block);

static inline uint16_t pack_load_u16(const uint8_t *bytes)
{
    uint16_t value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

static inline uint32_t pack_load_u32(const uint8_t *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

static inline void pack_store_u32(uint8_t *bytes, uint32_t value)
{
    memcpy(bytes, &value, sizeof value);
}

// The four bytes of row r in a line.
static inline uint8_t *pack_word(uint8_t *lines, int line, int r)
{
    return lines + line * PACK_LINE + r * 4;
}

#endif
