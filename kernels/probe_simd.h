// The bodies of probe_avx2.c, probe_avx512.c and probe_avx512bf16.c, which say what a register and
// a step are. Empty assembly (HIDE) keeps the compiler from seeing through a chain.
#ifndef KERNELS_PROBE_SIMD_H
#define KERNELS_PROBE_SIMD_H

#include <immintrin.h>

#include "kernels/probe.h"

// Chains enough for two products a cycle of five cycles each, as far as there are registers.
#if defined(__AVX512F__)
enum { CHAINS = 16 };
#define HIDE(register) __asm__ volatile("" : "+v"(register))
#else
enum { CHAINS = 12 };
#define HIDE(register) __asm__ volatile("" : "+x"(register))
#endif
enum { STREAM = 8 }; // registers that are read at a time

#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

// step(sum, factor) is the sum after `operations` more.
#define PROBE_PEAK(name, Register, zero, one, step, operations)                                    \
    double name(int64_t rounds)                                                                    \
    {                                                                                              \
        Register factor = one, sums[CHAINS];                                                       \
        UNROLL for (int i = 0; i < CHAINS; i++) sums[i] = zero;                                    \
        for (int64_t round = 0; round < rounds; round++) {                                         \
            UNROLL for (int i = 0; i < CHAINS; i++)                                                \
            {                                                                                      \
                HIDE(factor);                                                                      \
                sums[i] = step(sums[i], factor);                                                   \
                HIDE(sums[i]);                                                                     \
            }                                                                                      \
        }                                                                                          \
        return (double)operations * CHAINS * (double)rounds;                                       \
    }

#define PROBE_READ(name, Register, zero, load, or)                                                 \
    void name(const void *memory, int64_t bytes)                                                   \
    {                                                                                              \
        Register sums[STREAM];                                                                     \
        UNROLL for (int i = 0; i < STREAM; i++) sums[i] = zero;                                    \
        const Register *lines = memory;                                                            \
        for (int64_t at = 0; at < bytes / (int64_t)sizeof *lines; at += STREAM)                    \
            UNROLL for (int i = 0; i < STREAM; i++) sums[i] = or (sums[i], load(lines + at + i));  \
        UNROLL for (int i = 0; i < STREAM; i++) HIDE(sums[i]);                                     \
    }

#endif
