// Twelve chains: two products a cycle, five cycles each.
#if defined(__x86_64__)

#include <immintrin.h>

#include "kernels/probe.h"

enum { CHAINS = 12 };
#define ALL(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define HIDE(register) __asm__ volatile("" : "+x"(register))

double probe_f32_avx2(int64_t rounds)
{
    __m256 one = _mm256_set1_ps(1);
#define BEGIN(n) __m256 sum##n = _mm256_setzero_ps();
#define STEP(n)                                                                                    \
    sum##n = _mm256_fmadd_ps(one, one, sum##n);                                                    \
    HIDE(sum##n);
    ALL(BEGIN)
    HIDE(one);
    for (int64_t i = 0; i < rounds; i++) {
        ALL(STEP)
    }
#undef BEGIN
#undef STEP
    return 2.0 * 8 * CHAINS * (double)rounds;
}

double probe_int8_avx2(int64_t rounds)
{
    __m256i bytes = _mm256_set1_epi8(1), words = _mm256_set1_epi16(1);
#define BEGIN(n) __m256i sum##n = _mm256_setzero_si256();
#define STEP(n)                                                                                    \
    HIDE(bytes);                                                                                   \
    sum##n =                                                                                       \
        _mm256_add_epi32(sum##n, _mm256_madd_epi16(_mm256_maddubs_epi16(bytes, bytes), words));    \
    HIDE(sum##n);
    ALL(BEGIN)
    HIDE(words);
    for (int64_t i = 0; i < rounds; i++) {
        ALL(STEP)
    }
#undef BEGIN
#undef STEP
    return 2.0 * 32 * CHAINS * (double)rounds;
}

void probe_read_avx2(const void *memory, int64_t bytes)
{
    enum { STREAM = 8 };
    __m256i sums[STREAM];
    for (int i = 0; i < STREAM; i++)
        sums[i] = _mm256_setzero_si256();
    const __m256i *lines = memory;
    for (int64_t at = 0; at < bytes / 32; at += STREAM)
        for (int i = 0; i < STREAM; i++)
            sums[i] = _mm256_or_si256(sums[i], _mm256_loadu_si256(lines + at + i));
    for (int i = 0; i < STREAM; i++)
        HIDE(sums[i]);
}

#endif
