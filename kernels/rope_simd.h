// The body of rope.h in 16 lanes, included once by rope_avx2.c and rope_avx512.c after the lanes of
// their target. Ends of fewer than 16 elements are rotated one pair at a time.
#include "kernels/rope.h"

static void rotate_halves(const float *x, const float *table, int64_t half, float *out)
{
    int64_t i = 0;
    for (; i + 16 <= half; i += 16) {
        Lanes a = lanes_load(x + i), b = lanes_load(x + half + i);
        Lanes cosine = lanes_load(table + i), sine = lanes_load(table + half + i);
        lanes_store(out + i, lanes_sub(lanes_mul(a, cosine), lanes_mul(b, sine)));
        lanes_store(out + half + i, lanes_add(lanes_mul(b, cosine), lanes_mul(a, sine)));
    }
    for (; i < half; i++)
        rotate_pair(x[i], x[half + i], table[i], table[half + i], &out[i], &out[half + i]);
}

static void rotate_neighbours(const float *x, const float *table, int64_t half, float *out)
{
    int64_t i = 0;
    for (; i + 8 <= half; i += 8)
        lanes_store(out + 2 * i,
                    lanes_rotate_pairs(lanes_load(x + 2 * i), table + i, table + half + i));
    for (; i < half; i++)
        rotate_pair(x[2 * i], x[2 * i + 1], table[i], table[half + i], &out[2 * i],
                    &out[2 * i + 1]);
}

static void rotate(const float *x, const float *table, int64_t dims, RopeStyle style, float *out)
{
    if (style == STYLE_norm)
        rotate_neighbours(x, table, dims / 2, out);
    else
        rotate_halves(x, table, dims / 2, out);
}

static void store_f16(const float *x, int64_t count, uint16_t *out, int64_t step)
{
    for (int64_t i = 0; i < count; i += 16) {
        int64_t rest = count - i < 16 ? count - i : 16;
        uint16_t halves[16];
        lanes_store_f16(halves, rest == 16 ? lanes_load(x + i) : lanes_load_some(x + i, rest));
        if (rest == 16 && step == 1)
            memcpy(out + i, halves, sizeof halves);
        else
            for (int64_t j = 0; j < rest; j++)
                out[(i + j) * step] = halves[j];
    }
}

const RopeBody TARGET(rope_body) = {rotate, store_f16, TARGET(quantise_q8)};
