// Bodies of matmul for blocks of 256, once for every target: included by matmul_block256_*.c after
// the lines of their target.
//
//   Line              64 bytes: 16 rows' words of 4 quants, of a pair of i16 or of an i32
//   line_set, line_load, line_store, line_and, line_or, line_left, line_right (bits of each word)
//   line_dot          + quads of unsigned quants times a token's; SPAN_QUADS(dtype) of them at most
//   line_scale        + the dots of a span times their subscales
//   line_subscales    byte `i` of each word, signed, as line_scale reads it
//   line_pairs        + a pair of i16 times a pair
//   line_byte_pair    bytes i and j of each word, signed, as a pair
//   line_less_32      a - 32 * b
//   PREFETCH_BYTES    how far ahead of packed lines to ask for memory, 0: the hardware's is better
//   line_floats       of i32;  line_low16: of the low i16 of each word
//
// A block's dot is exact in integers, whatever its order. Quants stay unsigned as they are packed;
// the 32 by which Q6_K's are too large is taken off once a block, as the minima of Q4_K and Q5_K
// are: by products of the token's sums of 16 with subscales or minima. A few tokens take weights
// from packed bytes, in ascending address; for many a panel is widened first.
//
// Rejected: Q6_K with quads 32 apart in a byte. Its three streams a block left the prefetcher
// behind (10 GB/s where one stream gives 29) unless the block was copied first.
#include "kernels/matmul_tile.h"
#include "kernels/pack.h"

// A wide block: a line for each quad, then its factors: subscales of groups of 16 or 32, pairs that
// meet the token's sums, the scale and what minima are multiplied with, negated, as floats.
enum { QUAD_LINES = 64, PAIRS_AT = 16, FLOATS_AT = 24, FACTOR_LINES = 26 };
static_assert((QUAD_LINES + FACTOR_LINES) * PACK_LINE == MATMUL_WIDE_BLOCK, "as matmul.c plans");

// How a type is packed (README.md). A chunk is a line of high bits, if the type has them, and lines
// of nibbles: low ones of successive quads, high ones of the quads `apart` further on.
typedef struct Form {
    int words;       // lines of the file's subscales and minima
    int tops, lines; // of a chunk
    int group_quads, apart;
    bool minima;
} Form;

ALWAYS_INLINE Form form_of(const DType dtype)
{
    return dtype == DTYPE_q4_k   ? (Form){3, 0, 8, 8, 8, true}
           : dtype == DTYPE_q5_k ? (Form){3, 1, 4, 8, 8, true}
                                 : (Form){4, 1, 2, 4, 2, false};
}

// The block, and before it the f16 of factor f.
ALWAYS_INLINE const uint8_t *packed_block(const uint8_t *panel, int64_t b, const Form form)
{
    const int factors = form.minima ? 2 : 1;
    const int lines = form.words + 32 / form.lines * (form.tops + form.lines);
    return panel + (b / 2 * (factors + 2 * lines) + factors + b % 2 * lines) * PACK_LINE;
}

ALWAYS_INLINE const uint16_t *packed_halves(const uint8_t *panel, int64_t b, int f, const Form form)
{
    const int factors = form.minima ? 2 : 1;
    const uint8_t *first = packed_block(panel, b / 2 * 2, form);
    return (const uint16_t *)(const void *)(first + (f - factors) * PACK_LINE + b % 2 * 32);
}

// The first quad of a chunk.
ALWAYS_INLINE int chunk_quad(int chunk, const Form form)
{
    int quad = chunk * form.lines;
    return quad / form.apart * 2 * form.apart + quad % form.apart;
}

// The two quads of line i of a chunk.
ALWAYS_INLINE void split_line(Line both, Line top, const int i, const DType dtype, Line quads[2])
{
    const Line nibbles = line_set(0x0f0f0f0f);
    quads[0] = line_and(both, nibbles);
    quads[1] = line_and(line_right(both, 4), nibbles);
    if (dtype == DTYPE_q5_k) {
        const Line fifth = line_set(0x10101010);
        quads[0] = line_or(quads[0], line_and(line_left(top, 4 - i), fifth));
        quads[1] = line_or(quads[1], line_and(line_right(top, i), fifth));
    } else if (dtype == DTYPE_q6_k) {
        const Line upper = line_set(0x30303030);
        quads[0] = line_or(quads[0], line_and(line_left(top, 4 - 2 * i), upper));
        quads[1] = line_or(quads[1], line_and(line_right(top, 2 * i), upper));
    }
}

// Subscales (which 0) or minima (1) of groups 0 … 3 or 4 … 7, a byte each, of the file's 12 bytes.
ALWAYS_INLINE Line six_bits(const uint8_t *words, const int which, const int upper)
{
    Line low = line_load(words + which * PACK_LINE), high = line_load(words + 2 * PACK_LINE);
    if (!upper)
        return line_and(low, line_set(0x3f3f3f3f));
    return line_or(line_and(line_right(high, 4 * which), line_set(0x0f0f0f0f)),
                   line_and(line_right(low, 2), line_set(0x30303030)));
}

ALWAYS_INLINE void widen_factors_of(const uint8_t *panel, int64_t b, const DType dtype,
                                    uint8_t *out)
{
    const Form form = form_of(dtype);
    const uint8_t *words = packed_block(panel, b, form);
    uint8_t *pairs = out + PAIRS_AT * PACK_LINE, *floats = out + FLOATS_AT * PACK_LINE;
    UNROLL for (int w = 0; w < 16 / form.group_quads; w++)
    {
        Line scales = form.minima ? six_bits(words, 0, w) : line_load(words + w * PACK_LINE);
        Line minima = form.minima ? six_bits(words, 1, w) : scales;
        UNROLL for (int i = 0; i < 4; i++)
            line_store(out + (4 * w + i) * PACK_LINE, line_subscales(scales, i));
        const int count = form.minima ? 4 : 2;
        UNROLL for (int i = 0; i < count; i++)
        {
            Line pair = form.minima ? line_byte_pair(minima, i, i)
                                    : line_byte_pair(scales, 2 * i, 2 * i + 1);
            line_store(pairs + (count * w + i) * PACK_LINE, pair);
        }
    }
    lanes_store((float *)(void *)floats, lanes_load_f16(packed_halves(panel, b, 0, form)));
    if (form.minima)
        lanes_store((float *)(void *)(floats + PACK_LINE),
                    lanes_negate(lanes_load_f16(packed_halves(panel, b, 1, form))));
}

// A call, since lines inlined would be kept in registers that the dots need.
static __attribute__((noinline)) void widen_factors(const uint8_t *panel, int64_t b, DType dtype,
                                                    uint8_t *out)
{
    switch (dtype) {
    case DTYPE_q4_k: widen_factors_of(panel, b, DTYPE_q4_k, out); break;
    case DTYPE_q5_k: widen_factors_of(panel, b, DTYPE_q5_k, out); break;
    default: widen_factors_of(panel, b, DTYPE_q6_k, out);
    }
}

ALWAYS_INLINE void widen_block(const uint8_t *panel, int64_t b, const DType dtype, uint8_t *wide)
{
    const Form form = form_of(dtype);
    const uint8_t *at = packed_block(panel, b, form) + form.words * PACK_LINE;
    for (int chunk = 0; chunk < 32 / form.lines; chunk++) {
        uint8_t *out = wide + chunk_quad(chunk, form) * PACK_LINE;
        Line top = line_load(at);
        at += form.tops * PACK_LINE;
        UNROLL for (int i = 0; i < form.lines; i++, at += PACK_LINE)
        {
            Line quads[2];
            split_line(line_load(at), top, i, dtype, quads);
            line_store(out + i * PACK_LINE, quads[0]);
            line_store(out + (i + form.apart) * PACK_LINE, quads[1]);
        }
    }
    widen_factors(panel, b, dtype, wide + QUAD_LINES * PACK_LINE);
}

ALWAYS_INLINE void widen_panel(const MatmulPanel *panel, int64_t count, const DType dtype,
                               uint8_t *out)
{
    for (int64_t b = 0; b < count / Q8K_ELEMENTS; b++)
        widen_block(panel->data, b, dtype, out + b * MATMUL_WIDE_BLOCK);
}

// To f32 by way of a wide block.
ALWAYS_INLINE void widen_floats(const MatmulPanel *panel, int64_t begin, int64_t count,
                                const DType dtype, float *out)
{
    const Form form = form_of(dtype);
    _Alignas(64) uint8_t wide[MATMUL_WIDE_BLOCK];
    const uint8_t *factors = wide + QUAD_LINES * PACK_LINE;
    const float *floats = (const float *)(const void *)(factors + FLOATS_AT * PACK_LINE);
    for (int64_t b = begin / Q8K_ELEMENTS; b < (begin + count) / Q8K_ELEMENTS; b++) {
        widen_block(panel->data, b, dtype, wide);
        for (int k = 0; k < Q8K_ELEMENTS; k++, out += MATMUL_ROWS) {
            int group = k / 4 / form.group_quads;
            Line quad = line_right(line_load(wide + k / 4 * PACK_LINE), k % 4 * 8);
            Line quant = line_and(quad, line_set(255));
            Lanes subscale = line_low16(line_load(factors + group * PACK_LINE));
            Lanes scale = lanes_mul(lanes_load(floats), subscale);
            if (form.minima) {
                Lanes minimum = line_low16(line_load(factors + (PAIRS_AT + group) * PACK_LINE));
                Lanes least = lanes_mul(lanes_load(floats + MATMUL_ROWS), minimum);
                lanes_store(out, lanes_add(lanes_mul(scale, line_floats(quant)), least));
            } else {
                Lanes centred = lanes_sub(line_floats(quant), lanes_set(32));
                lanes_store(out, lanes_mul(scale, centred));
            }
        }
    }
}

// sums += the block's dots with its factors and the tokens'.
ALWAYS_INLINE void finish_block(const uint8_t *factors, const int32_t *words, const int columns,
                                const int spacing, const DType dtype, const Line *dots, Lanes *sums)
{
    const uint8_t *pairs = factors + PAIRS_AT * PACK_LINE;
    const float *floats = (const float *)(const void *)(factors + FLOATS_AT * PACK_LINE);
    UNROLL for (int c = 0; c < columns; c++)
    {
        Line least = line_set(0);
        UNROLL for (int i = 0; i < 8; i++) least = line_pairs(
            least, line_load(pairs + i * PACK_LINE), words[(Q8K_SUMS + i) * spacing + c]);
        Lanes scale = lanes_set(f32_from_bits((uint32_t)words[c]));
        Line dot = form_of(dtype).minima ? dots[c] : line_less_32(dots[c], least);
        sums[c] = lanes_fma(lanes_mul(lanes_load(floats), scale), line_floats(dot), sums[c]);
        if (form_of(dtype).minima)
            sums[c] = lanes_fma(lanes_mul(lanes_load(floats + MATMUL_ROWS), scale),
                                line_floats(least), sums[c]);
    }
}

ALWAYS_INLINE void wide_tile(const MatmulTile *tile, int first, const int columns,
                             const int spacing, const DType dtype)
{
    const int span = SPAN_QUADS(dtype), group = form_of(dtype).group_quads;
    const uint8_t *block = tile->panel, *factors = block + QUAD_LINES * PACK_LINE;
    const int32_t *words = (const int32_t *)tile->tokens + first;
    Lanes sums[MATMUL_TOKENS];
    UNROLL for (int c = 0; c < columns; c++) sums[c] = lanes_set(0);
    for (int64_t b = 0; b < tile->length; b++, words += Q8K_WORDS * spacing) {
        const int32_t *quads = words + Q8K_QUANTS * spacing;
        Line dots[MATMUL_TOKENS];
        UNROLL for (int c = 0; c < columns; c++) dots[c] = line_set(0);
        for (int quad = 0; quad < QUAD_LINES; quad += span, quads += span * spacing) {
            const uint8_t *subscales = factors + quad / group * PACK_LINE;
            Line parts[MATMUL_TOKENS];
            UNROLL for (int q = 0; q < span; q += 2)
            {
                Line even = line_load(block + (quad + q) * PACK_LINE);
                Line odd = line_load(block + (quad + q + 1) * PACK_LINE);
                UNROLL for (int c = 0; c < columns; c++)
                {
                    Line part = q ? parts[c] : line_set(0);
                    part = line_dot(part, even, quads[q * spacing + c]);
                    parts[c] = line_dot(part, odd, quads[(q + 1) * spacing + c]);
                    if (q + 2 == span)
                        dots[c] = line_scale(dots[c], parts[c], line_load(subscales));
                }
            }
        }
        finish_block(factors, words, columns, spacing, dtype, dots, sums);
        block += MATMUL_WIDE_BLOCK;
        factors += MATMUL_WIDE_BLOCK;
    }
    UNROLL for (int c = 0; c < columns; c++)
        lanes_store(tile->out + (first + c) * tile->stride, sums[c]);
}

ALWAYS_INLINE void packed_tile(const MatmulTile *tile, int first, const int columns,
                               const int spacing, const DType dtype)
{
    const Form form = form_of(dtype);
    const int32_t *words = (const int32_t *)tile->tokens + first;
    _Alignas(64) uint8_t factors[FACTOR_LINES * PACK_LINE];
    Lanes sums[MATMUL_TOKENS];
    UNROLL for (int c = 0; c < columns; c++) sums[c] = lanes_set(0);
    for (int64_t b = 0; b < tile->length; b++, words += Q8K_WORDS * spacing) {
        const uint8_t *at = packed_block(tile->panel, b, form) + form.words * PACK_LINE;
        Line dots[MATMUL_TOKENS];
        UNROLL for (int c = 0; c < columns; c++) dots[c] = line_set(0);
        widen_factors(tile->panel, b, dtype, factors);
        for (int chunk = 0; chunk < 32 / form.lines; chunk++) {
            const int quad = chunk_quad(chunk, form), upper = quad + form.apart;
            const int32_t *quads = words + (Q8K_QUANTS + quad) * spacing;
            Line low[MATMUL_TOKENS], high[MATMUL_TOKENS], top = line_load(at);
            at += form.tops * PACK_LINE;
            UNROLL for (int i = 0; i < form.lines; i++, at += PACK_LINE)
            {
                Line both[2];
                if (PREFETCH_BYTES)
                    __builtin_prefetch(at + PREFETCH_BYTES);
                split_line(line_load(at), top, i, dtype, both);
                UNROLL for (int c = 0; c < columns; c++)
                {
                    const int32_t *words_at = quads + i * spacing + c;
                    low[c] = line_dot(i ? low[c] : line_set(0), both[0], words_at[0]);
                    high[c] = line_dot(i ? high[c] : line_set(0), both[1],
                                       words_at[form.apart * spacing]);
                }
            }
            UNROLL for (int c = 0; c < columns; c++)
            {
                dots[c] = line_scale(dots[c], low[c],
                                     line_load(factors + quad / form.group_quads * PACK_LINE));
                dots[c] = line_scale(dots[c], high[c],
                                     line_load(factors + upper / form.group_quads * PACK_LINE));
            }
        }
        finish_block(factors, words, columns, spacing, dtype, dots, sums);
    }
    UNROLL for (int c = 0; c < columns; c++)
        lanes_store(tile->out + (first + c) * tile->stride, sums[c]);
}

#define BLOCK256_BODIES(type)                                                                      \
    TILE_BODY(TARGET(packed_##type), packed_tile, DTYPE_##type)                                    \
    TILE_BODY(TARGET(wide_##type), wide_tile, DTYPE_##type)                                        \
    void TARGET(widen_##type)(const MatmulPanel *panel, int64_t begin, int64_t count, void *out)   \
    {                                                                                              \
        (void)begin;                                                                               \
        widen_panel(panel, count, DTYPE_##type, out);                                              \
    }                                                                                              \
    void TARGET(floats_##type)(const MatmulPanel *panel, int64_t begin, int64_t count, void *out)  \
    {                                                                                              \
        widen_floats(panel, begin, count, DTYPE_##type, out);                                      \
    }

BLOCK256_BODIES(q4_k)
BLOCK256_BODIES(q5_k)
BLOCK256_BODIES(q6_k)
