// 16 lanes in one AVX-512 register: the operations of math.h, bit for bit. The same names as in
// math_avx2.h, so that rows_simd.h and its like are written once.
#ifndef KERNELS_MATH_AVX512_H
#define KERNELS_MATH_AVX512_H

#include <immintrin.h>

#include "kernels/math.h"

typedef __m512 Lanes;

static inline Lanes lanes_set(float value)
{
    return _mm512_set1_ps(value);
}
static inline Lanes lanes_load(const float *x)
{
    return _mm512_loadu_ps(x);
}
static inline void lanes_store(float *out, Lanes a)
{
    _mm512_storeu_ps(out, a);
}
static inline Lanes lanes_add(Lanes a, Lanes b)
{
    return _mm512_add_ps(a, b);
}
static inline Lanes lanes_sub(Lanes a, Lanes b)
{
    return _mm512_sub_ps(a, b);
}
static inline Lanes lanes_mul(Lanes a, Lanes b)
{
    return _mm512_mul_ps(a, b);
}
static inline Lanes lanes_div(Lanes a, Lanes b)
{
    return _mm512_div_ps(a, b);
}
// a * b + c
static inline Lanes lanes_fma(Lanes a, Lanes b, Lanes c)
{
    return _mm512_fmadd_ps(a, b, c);
}
// a > b ? a : b
static inline Lanes lanes_max(Lanes a, Lanes b)
{
    return _mm512_max_ps(a, b);
}

// a < b ? a : b
static inline Lanes lanes_min(Lanes a, Lanes b)
{
    return _mm512_min_ps(a, b);
}

// 0 < count <= 16; the lanes from `count` on are 0 and their memory is not touched.
static inline __mmask16 lanes_mask(int64_t count)
{
    return (__mmask16)(0xffffu >> (16 - count));
}

static inline Lanes lanes_load_some(const float *x, int64_t count)
{
    return _mm512_maskz_loadu_ps(lanes_mask(count), x);
}

static inline void lanes_store_some(float *out, Lanes a, int64_t count)
{
    _mm512_mask_storeu_ps(out, lanes_mask(count), a);
}

static inline Lanes lanes_load_f16(const uint16_t *x)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)x));
}

static inline Lanes lanes_load_f16_some(const uint16_t *x, int64_t count)
{
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes_mask(count), x));
}

static inline void lanes_store_f16(uint16_t *out, Lanes a)
{
    _mm256_storeu_si256((__m256i *)out, _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
}

static inline void lanes_store_bf16(uint16_t *out, Lanes a)
{
    __m512i bits = _mm512_castps_si512(a), high = _mm512_srli_epi32(bits, 16);
    __m512i odd = _mm512_and_si512(high, _mm512_set1_epi32(1));
    __m512i half = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
    __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(bits, half), 16);
    __m512i quiet = _mm512_or_si512(high, _mm512_set1_epi32(0x40));
    rounded = _mm512_mask_mov_epi32(rounded, _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), quiet);
    _mm256_storeu_si256((__m256i *)out, _mm512_cvtepi32_epi16(rounded));
}

// Lanes begin … end-1 of a, `other` elsewhere; begin and end may lie outside 0 … 16.
static inline Lanes lanes_select_range(Lanes a, int64_t begin, int64_t end, Lanes other)
{
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    __mmask16 from = _mm512_cmpge_epi32_mask(lane, _mm512_set1_epi32((int32_t)begin));
    __mmask16 both = _mm512_mask_cmplt_epi32_mask(from, lane, _mm512_set1_epi32((int32_t)end));
    return _mm512_mask_mov_ps(other, both, a);
}

static inline Lanes lanes_exp(Lanes x)
{
    Lanes n = _mm512_roundscale_ps(_mm512_mul_ps(x, lanes_set(EXP_LOG2E)),
                                   _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    Lanes r = _mm512_fnmadd_ps(n, lanes_set(EXP_LN2_HIGH), x);
    r = _mm512_fnmadd_ps(n, lanes_set(EXP_LN2_LOW), r);
    Lanes p = lanes_fma(lanes_set(EXP_C7), r, lanes_set(EXP_C6));
    p = lanes_fma(p, r, lanes_set(EXP_C5));
    p = lanes_fma(p, r, lanes_set(EXP_C4));
    p = lanes_fma(p, r, lanes_set(EXP_C3));
    p = lanes_fma(p, r, lanes_set(EXP_C2));
    p = lanes_fma(p, _mm512_mul_ps(r, r), _mm512_add_ps(r, lanes_set(1.0f)));
    __m512i power = _mm512_slli_epi32(_mm512_cvtps_epi32(n), 23);
    p = _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), power));
    p = _mm512_mask_mov_ps(p, _mm512_cmp_ps_mask(x, lanes_set(EXP_MOST), _CMP_GT_OQ),
                           lanes_set(INFINITY));
    p = _mm512_mask_mov_ps(p, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), x);
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, lanes_set(EXP_LEAST), _CMP_NLT_UQ), p);
}

static inline Lanes lanes_negate(Lanes a)
{
    return _mm512_xor_ps(a, lanes_set(-0.0f));
}

static inline float halves_sum(__m256 a)
{
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

// The tree 8-4-2-1.
static inline float lanes_sum(Lanes a)
{
    return halves_sum(_mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1)));
}

static inline float lanes_most(Lanes a)
{
    return _mm512_reduce_max_ps(a);
}

// The larger magnitude in each lane, compared as integers (quantise.h).
static inline Lanes lanes_max_magnitude(Lanes most, Lanes x)
{
    __m512i bits = _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(0x7fffffff));
    return _mm512_castsi512_ps(_mm512_max_epi32(_mm512_castps_si512(most), bits));
}

static inline uint32_t lanes_most_bits(Lanes a)
{
    return (uint32_t)_mm512_reduce_max_epi32(_mm512_castps_si512(a));
}

// x to the nearest integers, which fit int8; returns their sum.
static inline int32_t lanes_store_int8(int8_t *out, Lanes x)
{
    __m512i integers = _mm512_cvtps_epi32(x);
    _mm_storeu_si128((__m128i *)out, _mm512_cvtepi32_epi8(integers));
    return _mm512_reduce_add_epi32(integers);
}

// x to the nearest integers, which fit int16.
static inline void lanes_store_int16(int16_t *out, Lanes x)
{
    _mm256_storeu_si256((__m256i *)out, _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(x)));
}

// One register of lanes, for tiles that are cut to fit the registers.
enum { VECTOR_LANES = 16 };
typedef Lanes Vector;
typedef __m512i IntVector; // int32, or pairs of int16
#define vector_set lanes_set
#define vector_load lanes_load
#define vector_load_some lanes_load_some
#define vector_load_f16 lanes_load_f16
#define vector_load_f16_some lanes_load_f16_some
#define vector_store lanes_store
#define vector_mul lanes_mul
#define vector_fma lanes_fma

static inline IntVector int_vector_set_pair(const int16_t *pair)
{
    int32_t both;
    memcpy(&both, pair, sizeof both);
    return _mm512_set1_epi32(both);
}

// Pairs of int8.
static inline IntVector int_vector_load_pairs(const char *pairs)
{
    return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)pairs));
}

// sum + the dot products of pairs
static inline IntVector int_vector_dot(IntVector a, IntVector b, IntVector sum)
{
    return _mm512_dpwssd_epi32(sum, a, b);
}

static inline IntVector int_vector_zero(void)
{
    return _mm512_setzero_si512();
}

static inline Vector int_vector_to_f32(IntVector a)
{
    return _mm512_cvtepi32_ps(a);
}

// Pairs (2i, 2i+1) rotated: even lanes x * c - y * s, odd lanes y * c + x * s for the 8 cosines and
// sines.
static inline Lanes lanes_rotate_pairs(Lanes x, const float *cosine, const float *sine)
{
    const __m512i twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    Lanes c = _mm512_permutexvar_ps(twice, _mm512_castps256_ps512(_mm256_loadu_ps(cosine)));
    Lanes s = _mm512_permutexvar_ps(twice, _mm512_castps256_ps512(_mm256_loadu_ps(sine)));
    Lanes along = _mm512_mul_ps(x, c), across = _mm512_mul_ps(_mm512_permute_ps(x, 0xb1), s);
    return _mm512_mask_sub_ps(_mm512_add_ps(along, across), 0x5555, along, across);
}

#endif
