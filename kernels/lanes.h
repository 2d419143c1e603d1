// What the lanes of every target share: reads and writes at a place of a row that may be its end,
// and the functions of math.h that are made of simpler lanes.
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

static inline Lanes lanes_odd_rational(const OddRational *f, Lanes x)
{
    x = lanes_max(lanes_set(-f->most), lanes_min(lanes_set(f->most), x));
    Lanes s = lanes_mul(x, x), p = lanes_set(f->p[5]), q = lanes_set(f->q[4]);
    for (int i = 4; i >= 0; i--)
        p = lanes_fma(p, s, lanes_set(f->p[i]));
    for (int i = 3; i >= 0; i--)
        q = lanes_fma(q, s, lanes_set(f->q[i]));
    return lanes_div(lanes_mul(x, p), lanes_fma(q, s, lanes_set(1.0f)));
}

static inline Lanes lanes_tanh(Lanes x)
{
    return lanes_odd_rational(&tanh_rational, x);
}

static inline Lanes lanes_silu(Lanes x)
{
    return lanes_div(x, lanes_add(lanes_set(1.0f), lanes_exp(lanes_negate(x))));
}

static inline Lanes lanes_gelu(Lanes x)
{
    Lanes erf = lanes_odd_rational(&erf_rational, lanes_mul(x, lanes_set(GELU_SQRT_HALF)));
    return lanes_mul(lanes_mul(x, lanes_set(0.5f)), lanes_add(lanes_set(1.0f), erf));
}

static inline Lanes lanes_gelu_tanh(Lanes x)
{
    Lanes cubic = lanes_mul(lanes_mul(x, x), lanes_set(GELU_CUBIC));
    Lanes inner = lanes_mul(lanes_fma(cubic, x, x), lanes_set(GELU_SQRT_2_PI));
    return lanes_mul(lanes_mul(x, lanes_set(0.5f)), lanes_add(lanes_set(1.0f), lanes_tanh(inner)));
}

#endif
