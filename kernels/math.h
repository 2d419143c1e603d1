// The scalar definitions that decide bits: exp, silu, sums in 16 lanes, f16. Every SIMD variant
// (math_avx2.h, math_avx512.h) does the same operations in the same order, so that all agree to the
// bit; tests/kernels/test_rows.c compares them over a dense sample and every edge. Files that
// include this are compiled with -ffp-contract=off: each fma is written out.
//
// exp: cut to n * ln 2 + r with ln 2 in two parts, then a polynomial of degree 7 (the coefficients
// of Cephes' expf, Moshier 1989). Within the limits below the result is a normal number, so 2^n is
// added to the exponent: exact, and cheaper than two multiplications. Denormal results are zero.
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

#endif
