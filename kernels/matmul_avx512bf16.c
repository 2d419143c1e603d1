// Pairs of bf16, AVX-512 with BF16: one instruction adds both products of a pair to 16 sums. The
// packed panel is read as it lies, 32 rows at a time. One token makes two chains: at six cycles of
// latency they take 21 bytes a cycle, more than memory gives; eight tokens make sixteen, which hide
// the latency. More tokens a tile were not taken: sixteen chains keep the unit busy already.
#if defined(__x86_64__)

#include "kernels/math_avx512.h"

#define COLUMNS_MOST 8

#include "kernels/matmul_tile.h"

static inline __m512bh load_pairs(const void *line)
{
    return (__m512bh)_mm512_loadu_si512(line);
}

ALWAYS_INLINE void pairs_tile(const MatmulTile *tile, int first, const int columns,
                              const int spacing, const bool may_resume)
{
    Lanes low[MATMUL_TOKENS], high[MATMUL_TOKENS];
    const uint8_t *weights = tile->panel;
    const int32_t *x = (const int32_t *)tile->tokens + first;
    float *out = tile->out + first * tile->stride;
    bool resume = may_resume && tile->resume;
    UNROLL for (int c = 0; c < columns; c++)
    {
        low[c] = resume ? lanes_load(out + c * tile->stride) : lanes_set(0);
        high[c] = resume ? lanes_load(out + c * tile->stride + 16) : lanes_set(0);
    }
    for (int64_t pair = 0; pair < tile->length; pair++, weights += 128) {
        __m512bh low_rows = load_pairs(weights), high_rows = load_pairs(weights + 64);
        UNROLL for (int c = 0; c < columns; c++)
        {
            __m512bh token = (__m512bh)_mm512_set1_epi32(x[pair * spacing + c]);
            low[c] = _mm512_dpbf16_ps(low[c], token, low_rows);
            high[c] = _mm512_dpbf16_ps(high[c], token, high_rows);
        }
    }
    UNROLL for (int c = 0; c < columns; c++)
    {
        lanes_store(out + c * tile->stride, low[c]);
        lanes_store(out + c * tile->stride + 16, high[c]);
    }
}

static MatmulTileBody pairs;
TILE_BODY(pairs, pairs_tile, true)

static const MatmulBody body = {.pairs = pairs, .rows = &rows_body_avx512};

void matmul_avx512bf16(const KernelCall *call, void *scratch, int64_t first, int64_t last)
{
    matmul_run(&body, call, scratch, first, last);
}

void matmul_experts_avx512bf16(const KernelCall *call, void *scratch, int64_t first, int64_t last)
{
    matmul_experts_run(&body, call, scratch, first, last);
}

#endif
