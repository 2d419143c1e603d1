// Integers go through the three instructions that multiply bytes without VNNI; a kernel that adds
// up products of small weights before it widens them can do better.
#if defined(__x86_64__)

#include "kernels/probe_simd.h"

#define FMA(sum, factor) _mm256_fmadd_ps(factor, factor, sum)
#define DOT(sum, factor)                                                                           \
    _mm256_add_epi32(                                                                              \
        sum, _mm256_madd_epi16(_mm256_maddubs_epi16(factor, factor), _mm256_set1_epi16(1)))

PROBE_PEAK(probe_f32_avx2, __m256, _mm256_setzero_ps(), _mm256_set1_ps(1), FMA, 16)
PROBE_PEAK(probe_int8_avx2, __m256i, _mm256_setzero_si256(), _mm256_set1_epi8(1), DOT, 64)
PROBE_READ(probe_read_avx2, __m256i, _mm256_setzero_si256(), _mm256_loadu_si256, _mm256_or_si256)

#endif
