// AVX2 bodies of matmul: floats here, blocks in matmul_block32_avx2.c and matmul_block256_avx2.c.
#if defined(__x86_64__)

#include "kernels/matmul_block32_avx2.h"

#define COLUMNS_MOST 4
#define COLUMNS_BOTH 2

static inline __m256 half_field(const uint8_t *line, int shift, int mask, int bias)
{
    __m256i words = _mm256_srl_epi32(load_line(line), _mm_cvtsi32_si128(shift));
    __m256i field = _mm256_and_si256(words, _mm256_set1_epi32(mask));
    return _mm256_cvtepi32_ps(_mm256_sub_epi32(field, _mm256_set1_epi32(bias)));
}

static inline Lanes lanes_field(const uint8_t *line, int shift, int mask, int bias)
{
    return LANES_BOTH(half_field(line, shift, mask, bias),
                      half_field(line + 32, shift, mask, bias));
}

static inline __m256 half_bf16(const uint8_t *line, int64_t odd)
{
    __m256i words = load_line(line);
    if (odd)
        return _mm256_castsi256_ps(_mm256_and_si256(words, _mm256_set1_epi32(-65536)));
    return _mm256_castsi256_ps(_mm256_slli_epi32(words, 16));
}

static inline Lanes lanes_bf16(const uint8_t *line, int64_t odd)
{
    return LANES_BOTH(half_bf16(line, odd), half_bf16(line + 32, odd));
}

static inline void lanes_decode(Block32 form, const uint8_t *from, uint8_t *lines)
{
    for (int half = 0; half < 2; half++) {
        __m256i quads[8];
        decode_block(form, from + half * 32, quads);
        __m256i bias = _mm256_set1_epi8(is_signed(form) ? -128 : 0);
        for (int q = 0; q < 8; q++)
            _mm256_storeu_si256((__m256i *)(void *)(lines + q * 64 + half * 32),
                                _mm256_xor_si256(quads[q], bias));
    }
}

#include "kernels/matmul_simd.h"

// Measured with 2 … 16 tokens.
#define EXPAND_FROM(type, lines, factors, bias) [DTYPE_##type] = 9,
#define PACKED(type, lines, factors, bias) [DTYPE_##type] = block_##type##_avx2,
#define EXPAND(type, lines, factors, bias) [DTYPE_##type] = expand_block_##type##_avx2,
#define EXPANDED(type, lines, factors, bias) [DTYPE_##type] = expanded_##type##_avx2,
static const MatmulBody body = {
    .chain = chain,
    .expand_chain = EXPAND_CHAIN(avx2),
    .chain_packed = {[DTYPE_f16] = chain_f16, [DTYPE_bf16] = chain_bf16},
    .packed_most = COLUMNS_MOST,
    .block = {BLOCK32_FORMS(PACKED)[DTYPE_q4_k] = packed_q4_k_avx2, [DTYPE_q5_k] = packed_q5_k_avx2,
              [DTYPE_q6_k] = packed_q6_k_avx2},
    .expand_block = {BLOCK32_FIFTHS(EXPAND)[DTYPE_q4_k] = widen_q4_k_avx2,
                     [DTYPE_q5_k] = widen_q5_k_avx2, [DTYPE_q6_k] = widen_q6_k_avx2},
    .expanded = {BLOCK32_FIFTHS(EXPANDED)[DTYPE_q4_k] = wide_q4_k_avx2,
                 [DTYPE_q5_k] = wide_q5_k_avx2, [DTYPE_q6_k] = wide_q6_k_avx2},
    .expand_from =
        {BLOCK32_FIFTHS(EXPAND_FROM)[DTYPE_q4_k] = 5, [DTYPE_q5_k] = 5, [DTYPE_q6_k] = 5},
    .rows = &rows_body_avx2,
};

void matmul_avx2(const KernelCall *call, void *scratch, int64_t first, int64_t last)
{
    matmul_run(&body, call, scratch, first, last);
}

void matmul_experts_avx2(const KernelCall *call, void *scratch, int64_t first, int64_t last)
{
    matmul_experts_run(&body, call, scratch, first, last);
}

#endif
