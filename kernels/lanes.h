// What the lanes of every target share: reads and writes at a place of a row that may be its end.
// Included after math_avx2.h or math_avx512.h.
#ifndef KERNELS_LANES_H
#define KERNELS_LANES_H

static inline Lanes load_at(const float *x, int64_t i, int64_t columns)
{
    return columns - i >= 16 ? lanes_load(x + i) : lanes_load_some(x + i, columns - i);
}

static inline void store_at(float *out, int64_t i, int64_t columns, Lanes a)
{
    if (columns - i >= 16)
        lanes_store(out + i, a);
    else
        lanes_store_some(out + i, a, columns - i);
}

#endif
