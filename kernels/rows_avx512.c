// The spans of rows.h in the lanes of avx512; the code is in rows_simd.h.
#if defined(__x86_64__)

#include "kernels/math_avx512.h"

#define TARGET(name) name##_avx512
#include "kernels/rows_simd.h"

#endif
