// Peaks of a target: chains of its products in registers, enough of them to hide the latency (their
// bodies are in probe_simd.h); the reference's chain is one, as in its kernels. What is multiplied
// are ones: arithmetic takes no longer for other numbers.
#include "kernels/probe.h"

#include <math.h>

#define HIDE(value) __asm__ volatile("" : "+r"(value))

enum { PRODUCTS = 8 }; // of a round

double probe_f32_ref(int64_t rounds)
{
    float sum = 0, one = 1;
    for (int64_t i = 0; i < rounds * PRODUCTS; i++) {
        __asm__ volatile("" : "+m"(one));
        sum = fmaf(one, one, sum);
    }
    __asm__ volatile("" : "+m"(sum));
    return 2.0 * (double)rounds * PRODUCTS;
}

double probe_int8_ref(int64_t rounds)
{
    int32_t sum = 0, one = 1;
    for (int64_t i = 0; i < rounds * PRODUCTS; i++) {
        HIDE(one);
        sum += one * one;
    }
    HIDE(sum);
    return 2.0 * (double)rounds * PRODUCTS;
}

void probe_read_ref(const void *memory, int64_t bytes)
{
    const uint64_t *words = memory;
    uint64_t sum = 0;
    for (int64_t i = 0; i < bytes / 8; i++)
        sum += words[i];
    HIDE(sum);
}

// What a target has no instruction of its own for runs as on `base`, and bf16 as f32.
const Probe probe_table[TARGET_COUNT] = {
#define PROBE(target, base, bf16)                                                                  \
    [TARGET_##target] = {{[WORK_f32] = probe_f32_##base,                                           \
                          [WORK_int8] = probe_int8_##base,                                         \
                          [WORK_bf16] = probe_##bf16},                                             \
                         probe_read_##base}
    PROBE(ref, ref, f32_ref),
#if defined(__x86_64__)
    PROBE(avx2, avx2, f32_avx2),
    PROBE(avx512, avx512, f32_avx512),
    PROBE(avx512bf16, avx512, bf16_avx512bf16),
#endif
#undef PROBE
};
