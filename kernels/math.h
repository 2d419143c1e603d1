// The scalar definitions that decide bits: exp, silu, tanh, erf, gelu, sums in 16 lanes, f16. Every
// SIMD variant (math_avx2.h, math_avx512.h) does the same operations in the same order, so that all
// agree to the bit; tests/kernels/test_rows.c compares them over a dense sample and every edge.
// Files that include this are compiled with -ffp-contract=off: each fma is written out.
//
// exp: cut to n * ln 2 + r with ln 2 in two parts, then a polynomial of degree 7 (the coefficients
// of Cephes' expf, Moshier 1989). Within the limits below the result is a normal number, so 2^n is
// added to the exponent: exact, and cheaper than two multiplications. Denormal results are zero.
//
// tanh and erf: x P(x²) / Q(x²), both of degree 5 in x², of least relative error over the range
// where they are not yet 1 (fitted for this file); beyond it x is cut, and there the quotient is
// exactly 1. Rejected: forms with exp, which lose the digits of small x.
#ifndef KERNELS_MATH_H
#define KERNELS_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

// Below the first exp is 0, above the second infinite.
#define EXP_LEAST (-87.336f)
#define EXP_MOST 88.722f
#define EXP_LOG2E 1.44269504f
#define EXP_LN2_HIGH 0.693145752f
#define EXP_LN2_LOW 1.42860677e-6f
#define EXP_C7 1.9875691500e-4f
#define EXP_C6 1.3981999507e-3f
#define EXP_C5 8.3334519073e-3f
#define EXP_C4 4.1665795894e-2f
#define EXP_C3 1.6666665459e-1f
#define EXP_C2 0.5f

static inline uint32_t f32_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float f32_from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

// NaN is returned as it came.
static inline float exp_f32(float x)
{
    if (!(x >= EXP_LEAST && x <= EXP_MOST))
        return x < EXP_LEAST ? 0.0f : x > EXP_MOST ? INFINITY : x;
    float n = rintf(x * EXP_LOG2E);
    float r = fmaf(-n, EXP_LN2_HIGH, x);
    r = fmaf(-n, EXP_LN2_LOW, r);
    float p = fmaf(EXP_C7, r, EXP_C6);
    p = fmaf(p, r, EXP_C5);
    p = fmaf(p, r, EXP_C4);
    p = fmaf(p, r, EXP_C3);
    p = fmaf(p, r, EXP_C2);
    p = fmaf(p, r * r, r + 1.0f);
    return f32_from_bits(f32_bits(p) + ((uint32_t)(int32_t)n << 23));
}

static inline float silu_f32(float x)
{
    return x / (1.0f + exp_f32(-x));
}

// x P(x²) / Q(x²) for |x| <= most; the constant of Q is 1.
typedef struct OddRational {
    float most, p[6], q[5];
} OddRational;

static const OddRational tanh_rational = {
    7.92523956f,
    {1.0f, 1.409921646e-1f, 4.425958265e-3f, 4.227397221e-5f, 1.111773571e-7f, 3.674512083e-11f},
    {4.743255079e-1f, 2.920112573e-2f, 5.008359440e-4f, 2.603876055e-6f, 2.951222822e-9f}};
static const OddRational erf_rational = {
    3.63719988f,
    {1.128379107f, 1.915505528e-1f, 5.287548155e-2f, 3.808173351e-3f, 2.846882562e-4f,
     2.025909453e-6f},
    {5.030899048e-1f, 1.145597249e-1f, 1.505511254e-2f, 1.170729171e-3f, 3.783184366e-5f}};

// NaN is returned as it came.
static inline float odd_rational_f32(const OddRational *f, float x)
{
    x = f->most < x ? f->most : x;
    x = -f->most > x ? -f->most : x;
    float s = x * x, p = f->p[5], q = f->q[4];
    for (int i = 4; i >= 0; i--)
        p = fmaf(p, s, f->p[i]);
    for (int i = 3; i >= 0; i--)
        q = fmaf(q, s, f->q[i]);
    return x * p / fmaf(q, s, 1.0f);
}

static inline float tanh_f32(float x)
{
    return odd_rational_f32(&tanh_rational, x);
}

#define GELU_SQRT_HALF 0.707106781f
#define GELU_SQRT_2_PI 0.797884561f
#define GELU_CUBIC 0.044715f

static inline float gelu_f32(float x)
{
    float erf = odd_rational_f32(&erf_rational, x * GELU_SQRT_HALF);
    return x * 0.5f * (1.0f + erf);
}

static inline float gelu_tanh_f32(float x)
{
    float inner = fmaf(x * x * GELU_CUBIC, x, x) * GELU_SQRT_2_PI;
    return x * 0.5f * (1.0f + tanh_f32(inner));
}

// The tree 8-4-2-1 over 16 lanes; destroys them.
static inline float lanes_tree_sum(float lanes[16])
{
    for (int half = 8; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            lanes[i] += lanes[i + half];
    return lanes[0];
}

// IEEE binary16; a NaN becomes quiet and keeps its payload, as F16C does.
static inline float f16_to_f32(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, magnitude = (uint32_t)(half & 0x7fff) << 13;
    if (magnitude > 0x0f800000u)
        return f32_from_bits(sign | 0x7fc00000u | magnitude);
    if (magnitude == 0x0f800000u)
        return f32_from_bits(sign | 0x7f800000u);
    // The exponent's bias differs by 112; the product is exact for denormals too.
    return f32_from_bits(sign | f32_bits(f32_from_bits(magnitude) * 0x1p112f));
}

// Rounds to nearest even; what is too large becomes infinite.
static inline uint16_t f32_to_f16(float value)
{
    uint32_t sign = f32_bits(value) >> 16 & 0x8000u, magnitude = f32_bits(value) & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x3ffu));
    if (magnitude >= 0x47800000u)
        return (uint16_t)(sign | 0x7c00u);
    // Beside 0.5 a unit in the last place is 2^-24, the step of f16's denormals: the sum rounds.
    if (magnitude < 0x38800000u)
        return (uint16_t)(sign | (f32_bits(f32_from_bits(magnitude) + 0.5f) - f32_bits(0.5f)));
    magnitude += 0xfffu + (magnitude >> 13 & 1u);
    return (uint16_t)(sign | (magnitude - 0x38000000u) >> 13);
}

// Rounds to nearest even; a NaN becomes quiet.
static inline uint16_t f32_to_bf16(float value)
{
    uint32_t bits = f32_bits(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

#endif
