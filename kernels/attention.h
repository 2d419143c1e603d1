// Attention over the paged store. attention.c decides which rows meet which keys: a tile of up to 8
// rows (any mixture of query heads and tokens of one sequence that share a kv head) against a block
// of 256 absolute positions, blocks ascending. An AttentionBody computes such a tile:
// attention_ref.c in scalars, attention_simd.h in 16 lanes. The arithmetic is in README.md under
// ORDER_kv256.
//
// States of q8_0 are met in integers: queries and weights become int16, whose products with quants
// are summed exactly. Not tried: chains of fma over dequantised elements, which need as many fma as
// f16 and a longer conversion; queries in 8 bits, whose steps are as coarse as those of the keys.
//
// Bits do not depend on how rows are gathered into tiles: each row's partial begins afresh in each
// block, and a key that a row does not see takes no part in its arithmetic (its page may hold NaN,
// or not exist).
//
// One token over a long context with few kv heads is cut into parts too (KernelParts): any thread
// may make any part, since parts are merged in their order whoever made them.
#ifndef KERNELS_ATTENTION_H
#define KERNELS_ATTENTION_H

#include "kernels/pages.h"
#include "kernels/rows.h"

enum { ATTENTION_BLOCK = 256, ATTENTION_ROWS = 8 };
// Block b is of part b mod 8.
enum { ATTENTION_PARTS = 8 };
enum { ATTENTION_GROUPS = ATTENTION_BLOCK / KEY_GROUP };

// What came of some positions for some rows; sum 0: there were none yet.
typedef struct AttentionSums {
    float *output, *maximum, *sum; // output: [rows][head_size]
} AttentionSums;

static inline AttentionSums attention_row(AttentionSums sums, int64_t row, int64_t head_size)
{
    return (AttentionSums){sums.output + row * head_size, sums.maximum + row, sums.sum + row};
}

typedef struct AttentionTile {
    int32_t rows;
    // Positions within the block that a row sees: begin … end-1, none if begin >= end.
    int32_t begin[ATTENTION_ROWS], end[ATTENTION_ROWS];
    int64_t head_size, width; // width: in whole blocks of STATE_BLOCK
    DType keys_type, values_type;
    float softcap; // scores are softcap * tanh(score), their scale divided by it; 0: as they are
    // Of each 32 positions; NULL where no row sees any of them. [head_size][32] and
    // [32][head_size], or blocks of q8_0 (pages.h).
    const char *keys[ATTENTION_GROUPS], *values[ATTENTION_GROUPS];
    // [head_size][ATTENTION_ROWS], already multiplied by the scale; rows beyond the last are 0.
    const float *queries;
    // Keys of q8_0 have these instead: [ATTENTION_ROWS][blocks * STATE_BLOCK], each row with its
    // scale.
    const int16_t *quants;
    const float *quant_scales;
    AttentionSums sums; // over the blocks so far
    // What will be read after each group of keys, then of values: where it begins.
    const char *next[2 * ATTENTION_GROUPS];
    // For the body: [ATTENTION_ROWS][ATTENTION_BLOCK] and [ATTENTION_ROWS][width].
    float *scores, *partial;
} AttentionTile;

typedef struct AttentionBody {
    // The partial of each row over the block, merged into the running result.
    void (*block)(const AttentionTile *tile);
    // Adds what came of later positions, which must be some, for one row.
    void (*merge)(AttentionSums into, AttentionSums later, int64_t head_size);
    // out = output / sum, in place or not.
    void (*finish)(const float *output, float sum, float *out, int64_t count);
    // x, whole blocks of 32, as integers of -32767 … 32767 times the scale that it returns.
    float (*quantise)(const float *x, int64_t count, int16_t *out);
    const RowsBody *rows;
} AttentionBody;

extern const AttentionBody attention_body_ref, attention_body_avx2, attention_body_avx512;

KernelRun attention_ref, attention_avx2, attention_avx512;
extern const KernelParts attention_parts_ref, attention_parts_avx2, attention_parts_avx512;
KernelTiles attention_tiles;
KernelScratch attention_scratch;

#endif
