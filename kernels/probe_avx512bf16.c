// The peak that BF16 adds to AVX-512.
#if defined(__x86_64__)

#include "kernels/probe_simd.h"

#define DOT(sum, factor)                                                                           \
    _mm512_dpbf16_ps(sum, (__m512bh)_mm512_castps_si512(factor),                                   \
                     (__m512bh)_mm512_castps_si512(factor))

// The upper half of 1.0f is a bf16, the lower half 0.
PROBE_PEAK(probe_bf16_avx512bf16, __m512, _mm512_setzero_ps(), _mm512_set1_ps(1), DOT, 64)

#endif
