// AVX-512 bodies of matmul: floats here, blocks in matmul_block32_avx512.c and
// matmul_block256_avx512.c.
#if defined(__x86_64__)

#include "kernels/matmul_block32_avx512.h"

#define COLUMNS_MOST 8
#define COLUMNS_BOTH 8

static inline Lanes lanes_field(const uint8_t *line, int shift, int mask, int bias)
{
    __m512i words = _mm512_srl_epi32(_mm512_loadu_si512(line), _mm_cvtsi32_si128(shift));
    __m512i field = _mm512_and_si512(words, _mm512_set1_epi32(mask));
    return _mm512_cvtepi32_ps(_mm512_sub_epi32(field, _mm512_set1_epi32(bias)));
}

static inline Lanes lanes_bf16(const uint8_t *line, int64_t odd)
{
    __m512i words = _mm512_loadu_si512(line);
    if (odd)
        return _mm512_castsi512_ps(_mm512_and_si512(words, _mm512_set1_epi32(-65536)));
    return _mm512_castsi512_ps(_mm512_slli_epi32(words, 16));
}

static inline void lanes_decode(Block32 form, const uint8_t *from, uint8_t *lines)
{
    UNROLL for (int q = 0; q < 4; q++)
    {
        __m512i quads[2];
        decode_quads(form, from, q, quads);
        _mm512_store_si512(lines + q * 64, quads[0]);
        _mm512_store_si512(lines + (q + 4) * 64, quads[1]);
    }
}

#include "kernels/matmul_simd.h"

#define BLOCK32(type, lines, factors, bias) [DTYPE_##type] = block_##type##_avx512,
static const MatmulBody body = {
    .chain = chain,
    .expand_chain = EXPAND_CHAIN(avx512),
    .chain_packed = {[DTYPE_f16] = chain_f16, [DTYPE_bf16] = chain_bf16},
    .packed_most = COLUMNS_MOST,
    .block = {BLOCK32_FORMS(BLOCK32)[DTYPE_q4_k] = packed_q4_k_avx512,
              [DTYPE_q5_k] = packed_q5_k_avx512, [DTYPE_q6_k] = packed_q6_k_avx512},
    .expand_block = {[DTYPE_q4_k] = widen_q4_k_avx512,
                     [DTYPE_q5_k] = widen_q5_k_avx512,
                     [DTYPE_q6_k] = widen_q6_k_avx512},
    .expanded = {[DTYPE_q4_k] = wide_q4_k_avx512,
                 [DTYPE_q5_k] = wide_q5_k_avx512,
                 [DTYPE_q6_k] = wide_q6_k_avx512},
    .expand_from = {[DTYPE_q4_k] = 9, [DTYPE_q5_k] = 9, [DTYPE_q6_k] = 9},
    .rows = &rows_body_avx512,
};

void matmul_avx512(const KernelCall *call, void *scratch, int64_t first, int64_t last)
{
    matmul_run(&body, call, scratch, first, last);
}

void matmul_experts_avx512(const KernelCall *call, void *scratch, int64_t first, int64_t last)
{
    matmul_experts_run(&body, call, scratch, first, last);
}

#endif
