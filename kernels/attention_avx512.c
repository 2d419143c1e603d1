// The body of attention.h in the lanes of avx512; the code is in attention_simd.h.
#if defined(__x86_64__)

#include "kernels/math_avx512.h"

#define TARGET(name) name##_avx512
#define PASS_ROWS 8
#define PASS_VECTORS 16
#include "kernels/attention_simd.h"

#endif
