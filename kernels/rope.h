// Rotary positions and the writing of keys and values into the paged store. rope.c has the loops; a
// RopeBody has what a target does to one head: rope.c itself in scalars, rope_simd.h in 16 lanes.
#ifndef KERNELS_ROPE_H
#define KERNELS_ROPE_H

#include "kernels/kernel.h"
#include "kernels/quantise.h"

typedef struct RopeBody {
    // Rotates the first `dims` elements of a head by a row of the table (dims/2 cosines, dims/2
    // sines); `out` is x or disjoint from it.
    void (*rotate)(const float *x, const float *table, int64_t dims, RopeStyle style, float *out);
    // Elements to f16, `step` apart.
    void (*store_f16)(const float *x, int64_t count, uint16_t *out, int64_t step);
    QuantiseSpan *quantise_q8;
} RopeBody;

extern const RopeBody rope_body_ref, rope_body_avx2, rope_body_avx512;

// A pair (x, y) turned by an angle. No fma: (x c - y s, y c + x s).
static inline void rotate_pair(float x, float y, float cosine, float sine, float *out_x,
                               float *out_y)
{
    *out_x = x * cosine - y * sine;
    *out_y = y * cosine + x * sine;
}

KernelRun rope_table_ref;
KernelRun rope_ref, rope_avx2, rope_avx512;
KernelRun kv_store_ref, kv_store_avx2, kv_store_avx512;
KernelRun rope_qk_store_ref, rope_qk_store_avx2, rope_qk_store_avx512;
KernelTiles kv_store_tiles, rope_qk_store_tiles;
KernelScratch rope_qk_store_scratch;

#endif
