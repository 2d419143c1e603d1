// The spans of rows.h in the lanes of avx2; the code is in rows_simd.h.
#if defined(__x86_64__)

#include "kernels/math_avx2.h"

#define TARGET(name) name##_avx2
#include "kernels/rows_simd.h"

#endif
