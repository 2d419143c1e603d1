// The body of attention.h in the lanes of avx2; the code is in attention_simd.h.
#if defined(__x86_64__)

#include "kernels/math_avx2.h"

#define TARGET(name) name##_avx2
#define TILE_ROWS 4
#define TILE_LANES 1
#include "kernels/attention_simd.h"

#endif
