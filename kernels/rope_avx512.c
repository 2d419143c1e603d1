// The body of rope.h in the lanes of avx512; the code is in rope_simd.h.
#if defined(__x86_64__)

#include "kernels/math_avx512.h"

#define TARGET(name) name##_avx512
#include "kernels/rope_simd.h"

#endif
