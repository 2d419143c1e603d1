// Packed blocks of 32 to unsigned bytes, AVX-512.
#ifndef KERNELS_MATMUL_BLOCK32_AVX512_H
#define KERNELS_MATMUL_BLOCK32_AVX512_H

#include "kernels/math_avx512.h"
#include "kernels/matmul_blocks.h"
#include "kernels/matmul_tile.h"
#include "kernels/row_read.h"

// Quads q and q + 4 of 16 rows as quants with their bias; q = 0 … 3.
ALWAYS_INLINE void decode_quads(Block32 form, const uint8_t *lines, int q, __m512i quads[2])
{
    const __m512i nibble = _mm512_set1_epi8(15), fifth = _mm512_set1_epi8(16);
    if (form.lines == 8) {
        quads[0] = _mm512_loadu_si512(lines + q * 64);
        quads[1] = _mm512_loadu_si512(lines + (q + 4) * 64);
        return;
    }
    __m512i both = _mm512_loadu_si512(lines + q * 64);
    quads[0] = _mm512_and_si512(both, nibble);
    quads[1] = _mm512_and_si512(_mm512_srli_epi16(both, 4), nibble);
    if (form.lines == 5) {
        __m512i bits = _mm512_loadu_si512(lines + 4 * 64);
        __m512i low = _mm512_slli_epi32(bits, (unsigned)(4 - q));
        __m512i high = _mm512_srli_epi32(bits, (unsigned)q);
        // a | (b & c)
        quads[0] = _mm512_ternarylogic_epi32(quads[0], low, fifth, 0xf8);
        quads[1] = _mm512_ternarylogic_epi32(quads[1], high, fifth, 0xf8);
    }
    if (form.dtype == DTYPE_iq4_nl) {
        __m512i codes = _mm512_xor_si512(
            _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)iq4_values)),
            _mm512_set1_epi8(-128));
        UNROLL for (int i = 0; i < 2; i++) quads[i] = _mm512_shuffle_epi8(codes, quads[i]);
    }
}

#endif
