// In 512 bits, with VNNI.
#if defined(__x86_64__)

#include "kernels/probe_simd.h"

#define FMA(sum, factor) _mm512_fmadd_ps(factor, factor, sum)
#define DOT(sum, factor) _mm512_dpbusd_epi32(sum, factor, factor)

PROBE_PEAK(probe_f32_avx512, __m512, _mm512_setzero_ps(), _mm512_set1_ps(1), FMA, 32)
PROBE_PEAK(probe_int8_avx512, __m512i, _mm512_setzero_si512(), _mm512_set1_epi8(1), DOT, 128)
PROBE_READ(probe_read_avx512, __m512i, _mm512_setzero_si512(), _mm512_loadu_si512, _mm512_or_si512)

#endif
