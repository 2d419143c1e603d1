// 16 lanes in two AVX2 registers: the operations of math.h, bit for bit. The same names as in
// math_avx512.h, so that rows_simd.h and its like are written once.
#ifndef KERNELS_MATH_AVX2_H
#define KERNELS_MATH_AVX2_H

#include <immintrin.h>

#include "kernels/math.h"

typedef struct Lanes {
    __m256 low, high;
} Lanes;

#define LANES_BOTH(expression_low, expression_high) ((Lanes){(expression_low), (expression_high)})

static inline Lanes lanes_set(float value)
{
    return LANES_BOTH(_mm256_set1_ps(value), _mm256_set1_ps(value));
}

static inline Lanes lanes_load(const float *x)
{
    return LANES_BOTH(_mm256_loadu_ps(x), _mm256_loadu_ps(x + 8));
}

static inline void lanes_store(float *out, Lanes a)
{
    _mm256_storeu_ps(out, a.low);
    _mm256_storeu_ps(out + 8, a.high);
}

static inline Lanes lanes_add(Lanes a, Lanes b)
{
    return LANES_BOTH(_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high));
}

static inline Lanes lanes_sub(Lanes a, Lanes b)
{
    return LANES_BOTH(_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high));
}

static inline Lanes lanes_mul(Lanes a, Lanes b)
{
    return LANES_BOTH(_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high));
}

static inline Lanes lanes_div(Lanes a, Lanes b)
{
    return LANES_BOTH(_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high));
}

// a * b + c
static inline Lanes lanes_fma(Lanes a, Lanes b, Lanes c)
{
    return LANES_BOTH(_mm256_fmadd_ps(a.low, b.low, c.low),
                      _mm256_fmadd_ps(a.high, b.high, c.high));
}

// a > b ? a : b
static inline Lanes lanes_max(Lanes a, Lanes b)
{
    return LANES_BOTH(_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high));
}

// a < b ? a : b
static inline Lanes lanes_min(Lanes a, Lanes b)
{
    return LANES_BOTH(_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high));
}

// All ones in lanes begin … end-1 of the eight that start at lane `from`.
static inline __m256i lanes_mask(int64_t from, int64_t begin, int64_t end)
{
    __m256i lane = _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
                                    _mm256_set1_epi32((int32_t)from));
    return _mm256_andnot_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32((int32_t)begin), lane),
                               _mm256_cmpgt_epi32(_mm256_set1_epi32((int32_t)end), lane));
}

// 0 < count <= 16; the lanes from `count` on are 0 and their memory is not touched.
static inline Lanes lanes_load_some(const float *x, int64_t count)
{
    return LANES_BOTH(_mm256_maskload_ps(x, lanes_mask(0, 0, count)),
                      _mm256_maskload_ps(x + 8, lanes_mask(8, 0, count)));
}

static inline void lanes_store_some(float *out, Lanes a, int64_t count)
{
    _mm256_maskstore_ps(out, lanes_mask(0, 0, count), a.low);
    _mm256_maskstore_ps(out + 8, lanes_mask(8, 0, count), a.high);
}

static inline Lanes lanes_load_f16(const uint16_t *x)
{
    return LANES_BOTH(_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)x)),
                      _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(x + 8))));
}

static inline Lanes lanes_load_f16_some(const uint16_t *x, int64_t count)
{
    uint16_t padded[16] = {0};
    memcpy(padded, x, (size_t)count * sizeof *x);
    return lanes_load_f16(padded);
}

static inline void lanes_store_f16(uint16_t *out, Lanes a)
{
    _mm_storeu_si128((__m128i *)out, _mm256_cvtps_ph(a.low, _MM_FROUND_TO_NEAREST_INT));
    _mm_storeu_si128((__m128i *)(out + 8), _mm256_cvtps_ph(a.high, _MM_FROUND_TO_NEAREST_INT));
}

static inline __m256i half_bf16_bits(__m256 a)
{
    __m256i bits = _mm256_castps_si256(a), high = _mm256_srli_epi32(bits, 16);
    __m256i odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
    __m256i half = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
    __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(bits, half), 16);
    __m256i quiet = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
    __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(a, a, _CMP_UNORD_Q));
    return _mm256_blendv_epi8(rounded, quiet, is_nan);
}

static inline void lanes_store_bf16(uint16_t *out, Lanes a)
{
    __m256i both = _mm256_packus_epi32(half_bf16_bits(a.low), half_bf16_bits(a.high));
    _mm256_storeu_si256((__m256i *)out, _mm256_permute4x64_epi64(both, 0xd8));
}

// Lanes begin … end-1 of a, `other` elsewhere; begin and end may lie outside 0 … 16.
static inline Lanes lanes_select_range(Lanes a, int64_t begin, int64_t end, Lanes other)
{
    __m256 low = _mm256_castsi256_ps(lanes_mask(0, begin, end));
    __m256 high = _mm256_castsi256_ps(lanes_mask(8, begin, end));
    return LANES_BOTH(_mm256_blendv_ps(other.low, a.low, low),
                      _mm256_blendv_ps(other.high, a.high, high));
}

static inline __m256 half_exp(__m256 x)
{
    __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(EXP_LOG2E)),
                               _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(EXP_LN2_HIGH), x);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(EXP_LN2_LOW), r);
    __m256 p = _mm256_fmadd_ps(_mm256_set1_ps(EXP_C7), r, _mm256_set1_ps(EXP_C6));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C5));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C4));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C3));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C2));
    p = _mm256_fmadd_ps(p, _mm256_mul_ps(r, r), _mm256_add_ps(r, _mm256_set1_ps(1.0f)));
    __m256i power = _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23);
    p = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), power));
    p = _mm256_blendv_ps(p, _mm256_set1_ps(INFINITY),
                         _mm256_cmp_ps(x, _mm256_set1_ps(EXP_MOST), _CMP_GT_OQ));
    p = _mm256_blendv_ps(p, x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    return _mm256_and_ps(p, _mm256_cmp_ps(x, _mm256_set1_ps(EXP_LEAST), _CMP_NLT_UQ));
}

static inline Lanes lanes_exp(Lanes x)
{
    return LANES_BOTH(half_exp(x.low), half_exp(x.high));
}

static inline Lanes lanes_negate(Lanes a)
{
    __m256 sign = _mm256_set1_ps(-0.0f);
    return LANES_BOTH(_mm256_xor_ps(a.low, sign), _mm256_xor_ps(a.high, sign));
}

// The tree 8-4-2-1.
static inline float lanes_sum(Lanes a)
{
    __m256 eight = _mm256_add_ps(a.low, a.high);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

static inline float lanes_most(Lanes a)
{
    __m256 eight = _mm256_max_ps(a.low, a.high);
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

// The larger magnitude in each lane, compared as integers (quantise.h).
static inline Lanes lanes_max_magnitude(Lanes most, Lanes x)
{
    __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
    __m256i low = _mm256_and_si256(_mm256_castps_si256(x.low), magnitude);
    __m256i high = _mm256_and_si256(_mm256_castps_si256(x.high), magnitude);
    low = _mm256_max_epi32(_mm256_castps_si256(most.low), low);
    high = _mm256_max_epi32(_mm256_castps_si256(most.high), high);
    return LANES_BOTH(_mm256_castsi256_ps(low), _mm256_castsi256_ps(high));
}

static inline uint32_t lanes_most_bits(Lanes a)
{
    __m256i eight = _mm256_max_epi32(_mm256_castps_si256(a.low), _mm256_castps_si256(a.high));
    __m128i four = _mm_max_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
    __m128i two = _mm_max_epi32(four, _mm_unpackhi_epi64(four, four));
    return (uint32_t)_mm_cvtsi128_si32(_mm_max_epi32(two, _mm_shuffle_epi32(two, 1)));
}

// x to the nearest integers, which fit int8; returns their sum.
static inline int32_t lanes_store_int8(int8_t *out, Lanes x)
{
    __m256i low = _mm256_cvtps_epi32(x.low), high = _mm256_cvtps_epi32(x.high);
    __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xd8);
    __m128i bytes =
        _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    _mm_storeu_si128((__m128i *)out, bytes);
    __m256i eight = _mm256_add_epi32(low, high);
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
    __m128i two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
    return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 1)));
}

// x to the nearest integers, which fit int16.
static inline void lanes_store_int16(int16_t *out, Lanes x)
{
    __m256i words = _mm256_packs_epi32(_mm256_cvtps_epi32(x.low), _mm256_cvtps_epi32(x.high));
    _mm256_storeu_si256((__m256i *)out, _mm256_permute4x64_epi64(words, 0xd8));
}

// One register of lanes, for tiles that are cut to fit the registers.
enum { VECTOR_LANES = 8 };
typedef __m256 Vector;
typedef __m256i IntVector; // int32, or pairs of int16

static inline Vector vector_set(float value)
{
    return _mm256_set1_ps(value);
}

static inline Vector vector_load(const float *x)
{
    return _mm256_loadu_ps(x);
}

// 0 < count <= 8; the lanes from `count` on are 0 and their memory is not touched.
static inline Vector vector_load_some(const float *x, int64_t count)
{
    return _mm256_maskload_ps(x, lanes_mask(0, 0, count));
}

static inline Vector vector_load_f16(const uint16_t *x)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)x));
}

static inline Vector vector_load_f16_some(const uint16_t *x, int64_t count)
{
    uint16_t padded[8] = {0};
    memcpy(padded, x, (size_t)count * sizeof *x);
    return vector_load_f16(padded);
}

static inline void vector_store(float *out, Vector a)
{
    _mm256_storeu_ps(out, a);
}

static inline Vector vector_mul(Vector a, Vector b)
{
    return _mm256_mul_ps(a, b);
}

// a * b + c
static inline Vector vector_fma(Vector a, Vector b, Vector c)
{
    return _mm256_fmadd_ps(a, b, c);
}

static inline IntVector int_vector_set_pair(const int16_t *pair)
{
    int32_t both;
    memcpy(&both, pair, sizeof both);
    return _mm256_set1_epi32(both);
}

// Pairs of int8.
static inline IntVector int_vector_load_pairs(const char *pairs)
{
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)pairs));
}

// sum + the dot products of pairs
static inline IntVector int_vector_dot(IntVector a, IntVector b, IntVector sum)
{
    return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
}

static inline IntVector int_vector_zero(void)
{
    return _mm256_setzero_si256();
}

static inline Vector int_vector_to_f32(IntVector a)
{
    return _mm256_cvtepi32_ps(a);
}

static inline __m256 half_rotate_pairs(__m256 x, const float *cosine, const float *sine)
{
    const __m256i twice = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
    __m256 c = _mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_loadu_ps(cosine)), twice);
    __m256 s = _mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_loadu_ps(sine)), twice);
    return _mm256_addsub_ps(_mm256_mul_ps(x, c), _mm256_mul_ps(_mm256_permute_ps(x, 0xb1), s));
}

// Pairs (2i, 2i+1) rotated: even lanes x * c - y * s, odd lanes y * c + x * s for the 8 cosines and
// sines.
static inline Lanes lanes_rotate_pairs(Lanes x, const float *cosine, const float *sine)
{
    return LANES_BOTH(half_rotate_pairs(x.low, cosine, sine),
                      half_rotate_pairs(x.high, cosine + 4, sine + 4));
}

#endif
