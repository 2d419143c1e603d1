// The best target of this machine: what the CPU has (CPUID leaves 1 and 7) and the operating system
// saves (XCR0). The compiler's __builtin_cpu_supports was not taken: GCC 12 and Clang 14 differ in
// the names they know. On other CPUs there is the reference only.
#include "kernels/kernel.h"

#if defined(__x86_64__)

#include <cpuid.h>

static bool has(uint32_t word, uint32_t bits)
{
    return (word & bits) == bits;
}

// Extended control register 0: which register state is saved at a context switch.
static uint32_t saved_state(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

Target target_native(void)
{
    enum { XCR0_YMM = 0x06, XCR0_ZMM = 0xe6, AVX512_VNNI = 1 << 11, AVX512_BF16 = 1 << 5 };
    uint32_t eax, ebx, ecx, edx;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx))
        return TARGET_ref;
    if (!has(ecx, bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C) || !has(saved_state(), XCR0_YMM))
        return TARGET_ref;
    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || !has(ebx, bit_AVX2))
        return TARGET_ref;
    bool avx512 = has(ebx, bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL) &&
                  has(ecx, AVX512_VNNI) && has(saved_state(), XCR0_ZMM);
    if (!avx512)
        return TARGET_avx2;
    bool bf16 = __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && has(eax, AVX512_BF16);
    return bf16 ? TARGET_avx512bf16 : TARGET_avx512;
}

#else

Target target_native(void)
{
    return TARGET_ref;
}

#endif
