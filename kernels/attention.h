// Attention over the paged store. attention.c decides which rows meet which keys: a tile of up to 8
// rows (any mixture of query heads and tokens of one sequence that share a kv head) against a block
// of 256 absolute positions, blocks ascending. An AttentionBody computes such a tile:
// attention_ref.c in scalars, attention_simd.h in 16 lanes. The arithmetic is in README.md under
// ORDER_kv256.
//
// Bits do not depend on how rows are gathered into tiles: each row's partial begins afresh in each
// block, and a key that a row does not see takes no part in its arithmetic (its page may hold NaN,
// or not exist).
#ifndef KERNELS_ATTENTION_H
#define KERNELS_ATTENTION_H

#include "kernels/pages.h"
#include "kernels/rows.h"

enum { ATTENTION_BLOCK = 256, ATTENTION_ROWS = 8 };
enum { ATTENTION_GROUPS = ATTENTION_BLOCK / KEY_GROUP };

typedef struct AttentionTile {
    int32_t rows;
    // Positions within the block that a row sees: begin … end-1, none if begin >= end.
    int32_t begin[ATTENTION_ROWS], end[ATTENTION_ROWS];
    int64_t head_size;
    bool keys_f16, values_f16; // else f32
    float softcap; // scores are softcap * tanh(score), their scale divided by it; 0: as they are
    // Of each 32 positions; NULL where no row sees any of them. [head_size][32] and
    // [32][head_size].
    const char *keys[ATTENTION_GROUPS], *values[ATTENTION_GROUPS];
    // [head_size][ATTENTION_ROWS], already multiplied by the scale; rows beyond the last are 0.
    const float *queries;
    // Running result of each row over the blocks so far; sum 0: there was none yet.
    float *maximum, *sum, *output; // output: [rows][head_size]
    // For the body: [ATTENTION_ROWS][ATTENTION_BLOCK] and [ATTENTION_ROWS][head_size].
    float *scores, *partial;
} AttentionTile;

typedef struct AttentionBody {
    // The partial of each row over the block, merged into the running result.
    void (*block)(const AttentionTile *tile);
    // out = output / sum, in place or not.
    void (*finish)(const float *output, float sum, float *out, int64_t count);
    const RowsBody *rows;
} AttentionBody;

extern const AttentionBody attention_body_ref, attention_body_avx2, attention_body_avx512;

KernelRun attention_ref, attention_avx2, attention_avx512;
KernelTiles attention_tiles;
KernelScratch attention_scratch;

#endif
