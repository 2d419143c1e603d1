// Sixteen chains: two products a cycle, five cycles each; in 512 bits one is enough for f32.
#if defined(__x86_64__)

#include <immintrin.h>

#include "kernels/probe.h"

enum { CHAINS = 16 };
#define ALL(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define HIDE(register) __asm__ volatile("" : "+v"(register))

double probe_f32_avx512(int64_t rounds)
{
    __m512 one = _mm512_set1_ps(1);
#define BEGIN(n) __m512 sum##n = _mm512_setzero_ps();
#define STEP(n)                                                                                    \
    sum##n = _mm512_fmadd_ps(one, one, sum##n);                                                    \
    HIDE(sum##n);
    ALL(BEGIN)
    HIDE(one);
    for (int64_t i = 0; i < rounds; i++) {
        ALL(STEP)
    }
#undef BEGIN
#undef STEP
    return 2.0 * 16 * CHAINS * (double)rounds;
}

double probe_int8_avx512(int64_t rounds)
{
    __m512i bytes = _mm512_set1_epi8(1);
#define BEGIN(n) __m512i sum##n = _mm512_setzero_si512();
#define STEP(n)                                                                                    \
    sum##n = _mm512_dpbusd_epi32(sum##n, bytes, bytes);                                            \
    HIDE(sum##n);
    ALL(BEGIN)
    HIDE(bytes);
    for (int64_t i = 0; i < rounds; i++) {
        ALL(STEP)
    }
#undef BEGIN
#undef STEP
    return 2.0 * 64 * CHAINS * (double)rounds;
}

void probe_read_avx512(const void *memory, int64_t bytes)
{
    enum { STREAM = 8 };
    __m512i sums[STREAM];
    for (int i = 0; i < STREAM; i++)
        sums[i] = _mm512_setzero_si512();
    const __m512i *lines = memory;
    for (int64_t at = 0; at < bytes / 64; at += STREAM)
        for (int i = 0; i < STREAM; i++)
            sums[i] = _mm512_or_si512(sums[i], _mm512_loadu_si512(lines + at + i));
    for (int i = 0; i < STREAM; i++)
        HIDE(sums[i]);
}

#endif
