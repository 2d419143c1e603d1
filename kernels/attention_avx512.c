// The body of attention.h in the lanes of avx512; the code is in attention_simd.h.
#if defined(__x86_64__)

#include "kernels/math_avx512.h"

#define TARGET(name) name##_avx512
#define TILE_ROWS 8
#define TILE_LANES 2
#include "kernels/attention_simd.h"

#endif
