// The body of attention.h in the lanes of avx2; the code is in attention_simd.h.
#if defined(__x86_64__)

#include "kernels/math_avx2.h"

#define TARGET(name) name##_avx2
#define PASS_ROWS 4
#define PASS_VECTORS 8
#include "kernels/attention_simd.h"

#endif
