// Super-blocks of 256: groups of 16 or 32 find a scale of their own (q2_k, q4_k, q5_k a minimum
// too) by trying scales around the obvious one and keeping that of least weighted squares; the
// scales are then quantised themselves, and the quants made again from what is left of them. A
// group whose quantised scale is 0 keeps the quants of its search.
#include "kernels/row_write_blocks.h"

enum { ELEMENTS = 256, GROUP_MAX = 32, GROUPS_MAX = 16 };

// --- scale and minimum: value = scale * quant - minimum

typedef struct RangeSearch {
    int32_t group, most; // elements of a group; the largest quant
    float first;         // the scales that are tried: range / (most + first + 0.1 * step)
    int32_t steps;
    bool absolute; // weights |x| and errors as they are; else weights rms + |x| and errors squared
} RangeSearch;

static const RangeSearch search_q2_k = {16, 3, -0.5f, 15, true};
static const RangeSearch search_q4_k = {32, 15, -1.0f, 20, false};
static const RangeSearch search_q5_k = {32, 31, -0.5f, 15, false};

// The groups of a block, quantised.
typedef struct Ranges {
    float scales[GROUPS_MAX], minimums[GROUPS_MAX];
    float most_scale, most_minimum; // 0 where all are less
    uint8_t quants[ELEMENTS];
} Ranges;

typedef struct Weighted {
    const float *x;
    float weights[GROUP_MAX];
    float sum_weights, sum_x; // of the weights; of weighted elements
    float least, most;        // least <= 0: the minimum found so far, negative
} Weighted;

static Weighted weigh(const RangeSearch *search, const float *x)
{
    Weighted group = {.x = x};
    float squares = 0, rms = 0, least = x[0], most = x[0];
    if (!search->absolute) {
        for (int32_t i = 0; i < search->group; i++)
            squares += x[i] * x[i];
        rms = sqrtf(squares / (float)search->group);
    }
    for (int32_t i = 0; i < search->group; i++) {
        group.weights[i] = search->absolute ? fabsf(x[i]) : rms + fabsf(x[i]);
        group.sum_weights += group.weights[i];
        group.sum_x += group.weights[i] * x[i];
        least = x[i] < least ? x[i] : least;
        most = x[i] > most ? x[i] : most;
    }
    group.least = least > 0 ? 0 : least;
    group.most = most;
    return group;
}

static void quantise_range(const RangeSearch *search, const Weighted *group, float inverse,
                           uint8_t *quants)
{
    for (int32_t i = 0; i < search->group; i++)
        quants[i] = (uint8_t)clamp_int(nearest_int(inverse * (group->x[i] - group->least)), 0,
                                       search->most);
}

static float range_error(const RangeSearch *search, const Weighted *group, const uint8_t *quants,
                         float scale, float least)
{
    float sum = 0;
    for (int32_t i = 0; i < search->group; i++) {
        float difference = scale * (float)quants[i] + least - group->x[i];
        sum += group->weights[i] * (search->absolute ? fabsf(difference) : difference * difference);
    }
    return sum;
}

// The best scale and minimum for given quants; false where they are all alike.
static bool fit_range(const RangeSearch *search, const Weighted *group, const uint8_t *quants,
                      float *scale, float *least)
{
    float sum_q = 0, sum_q2 = 0, sum_xq = 0;
    for (int32_t i = 0; i < search->group; i++) {
        float q = (float)quants[i], weighted = group->weights[i] * q;
        sum_q += weighted;
        sum_q2 += weighted * q;
        sum_xq += weighted * group->x[i];
    }
    float determinant = group->sum_weights * sum_q2 - sum_q * sum_q;
    if (!(determinant > 0))
        return false;
    *scale = (group->sum_weights * sum_xq - group->sum_x * sum_q) / determinant;
    *least = (sum_q2 * group->sum_x - sum_q * sum_xq) / determinant;
    if (*least > 0) {
        *least = 0;
        *scale = sum_xq / sum_q2;
    }
    return true;
}

// The steps start from the best minimum so far, as ggml's do.
static float search_range(const RangeSearch *search, const float *x, uint8_t *quants,
                          float *minimum)
{
    Weighted group = weigh(search, x);
    uint8_t tried[GROUP_MAX];
    float inverse = (float)search->most / (group.most - group.least), scale = 1 / inverse;
    *minimum = -group.least;
    memset(quants, 0, (size_t)search->group);
    if (group.most == group.least)
        return 0;
    quantise_range(search, &group, inverse, quants);
    float best = range_error(search, &group, quants, scale, group.least);
    for (int32_t step = 0; step <= search->steps; step++) {
        float tried_scale, least;
        inverse =
            (search->first + 0.1f * (float)step + (float)search->most) / (group.most - group.least);
        quantise_range(search, &group, inverse, tried);
        if (!fit_range(search, &group, tried, &tried_scale, &least))
            continue;
        float error = range_error(search, &group, tried, tried_scale, least);
        if (error < best) {
            memcpy(quants, tried, (size_t)search->group);
            best = error;
            scale = tried_scale;
            group.least = least;
        }
    }
    *minimum = -group.least;
    return scale;
}

static void search_ranges(const RangeSearch *search, const float *block, Ranges *ranges)
{
    ranges->most_scale = ranges->most_minimum = 0;
    for (int32_t i = 0; i < ELEMENTS / search->group; i++) {
        int32_t at = i * search->group;
        float minimum;
        float scale = search_range(search, block + at, ranges->quants + at, &minimum);
        ranges->scales[i] = scale;
        ranges->minimums[i] = minimum;
        ranges->most_scale = scale > ranges->most_scale ? scale : ranges->most_scale;
        ranges->most_minimum = minimum > ranges->most_minimum ? minimum : ranges->most_minimum;
    }
}

// The quants of a group again, for the scale and minimum that a reader will see.
static void requantise_range(const RangeSearch *search, const float *x, float scale, float minimum,
                             uint8_t *quants)
{
    for (int32_t i = 0; scale != 0 && i < search->group; i++)
        quants[i] = (uint8_t)clamp_int(nearest_int((x[i] + minimum) / scale), 0, search->most);
}

// --- scale alone: value = scale * (quant - middle)

// The scale of least squares, weighted with squares, for quants rounded with `inverse`; `numerator`
// divided by `denominator`.
static void fit_scale(const float *x, int32_t middle, float inverse, float *numerator,
                      float *denominator)
{
    *numerator = *denominator = 0;
    for (int32_t i = 0; i < 16; i++) {
        float q = (float)clamp_int(nearest_int(inverse * x[i]), -middle, middle - 1);
        float weight = x[i] * x[i];
        *numerator += weight * x[i] * q;
        *denominator += weight * q * q;
    }
}

static void quantise_scale(const float *x, int32_t middle, float inverse, int8_t *quants)
{
    for (int32_t i = 0; i < 16; i++)
        quants[i] = (int8_t)clamp_int(nearest_int(inverse * x[i]), -middle, middle - 1);
}

static float search_scale(const float *x, int32_t middle, int8_t *quants)
{
    float most = largest_of(x, 16), numerator, denominator;
    float best_inverse = (float)-middle / most;
    if (fabsf(most) < ROW_WRITE_TINY) {
        memset(quants, -middle, 16);
        return 0;
    }
    fit_scale(x, middle, best_inverse, &numerator, &denominator);
    float scale = denominator != 0 ? numerator / denominator : 0, best = scale * numerator;
    for (int32_t step = -9; step <= 9; step++) {
        float inverse = -((float)middle + 0.1f * (float)step) / most;
        if (step == 0)
            continue;
        fit_scale(x, middle, inverse, &numerator, &denominator);
        if (denominator > 0 && numerator * numerator > best * denominator) {
            best_inverse = inverse;
            scale = numerator / denominator;
            best = scale * numerator;
        }
    }
    quantise_scale(x, middle, best_inverse, quants);
    return scale;
}

// Few quants: from the obvious scale each is moved, in turn, to where the others' scale wants it.
static float refine_scale(const float *x, int32_t middle, int8_t *quants)
{
    float most = largest_of(x, 16), numerator, denominator, inverse = (float)-middle / most;
    bool changed = true;
    if (fabsf(most) < ROW_WRITE_TINY) {
        memset(quants, -middle, 16);
        return 0;
    }
    fit_scale(x, middle, inverse, &numerator, &denominator);
    quantise_scale(x, middle, inverse, quants);
    for (int32_t round = 0; round < 5 && changed; round++) {
        changed = false;
        for (int32_t i = 0; i < 16; i++) {
            float weight = x[i] * x[i], q = quants[i];
            float above = numerator - weight * x[i] * q, below = denominator - weight * q * q;
            if (!(above > 0))
                continue;
            int32_t moved = clamp_int(nearest_int(x[i] * below / above), -middle, middle - 1);
            above += weight * x[i] * (float)moved;
            below += weight * (float)moved * (float)moved;
            if (moved != quants[i] && below > 0 &&
                above * above * denominator > numerator * numerator * below) {
                quants[i] = (int8_t)moved;
                numerator = above;
                denominator = below;
                changed = true;
            }
        }
    }
    return denominator > 0 ? numerator / denominator : 0;
}

static void requantise_scale(const float *x, int32_t middle, float scale, int8_t *quants)
{
    for (int32_t i = 0; scale != 0 && i < 16; i++)
        quants[i] = (int8_t)clamp_int(nearest_int(x[i] / scale), -middle, middle - 1);
}

// --- bytes

// Two bits of four quants a byte: those of 32 columns stand 32 apart.
static void put_pairs(const uint8_t *quants, uint8_t *out)
{
    for (int32_t half = 0; half < ELEMENTS; half += 128)
        for (int32_t i = 0; i < 32; i++)
            *out++ = (uint8_t)((quants[half + i] & 3) | (quants[half + i + 32] & 3) << 2 |
                               (quants[half + i + 64] & 3) << 4 | (quants[half + i + 96] & 3) << 6);
}

// Bit `bit` of the quants: column i is bit i / 32 of byte i mod 32.
static void put_bits(const uint8_t *quants, int32_t bit, uint8_t *out)
{
    memset(out, 0, 32);
    for (int32_t i = 0; i < ELEMENTS; i++)
        out[i % 32] |= (uint8_t)((quants[i] >> bit & 1) << i / 32);
}

bool row_write_q2_k(const float *block, uint8_t *out)
{
    Ranges ranges;
    uint8_t *scales = out;
    search_ranges(&search_q2_k, block, &ranges);
    float inverse = ranges.most_scale > 0 ? 15.0f / ranges.most_scale : 0;
    float inverse_minimum = ranges.most_minimum > 0 ? 15.0f / ranges.most_minimum : 0;
    bool good = put_halves(out + 80, ranges.most_scale / 15.0f, ranges.most_minimum / 15.0f);
    for (int32_t i = 0; i < 16; i++) {
        scales[i] = (uint8_t)((uint32_t)nearest_int(inverse * ranges.scales[i]) |
                              (uint32_t)nearest_int(inverse_minimum * ranges.minimums[i]) << 4);
        requantise_range(&search_q2_k, block + 16 * i, get_half(out + 80) * (float)(scales[i] & 15),
                         get_half(out + 82) * (float)(scales[i] >> 4), ranges.quants + 16 * i);
    }
    put_pairs(ranges.quants, out + 16);
    return good;
}

// Eight scales and eight minimums of 6 bits in 12 bytes: of the last four of each, the upper two
// bits stand above the first four.
static void put_scales(const uint8_t *scales, const uint8_t *minimums, uint8_t *out)
{
    for (int32_t i = 0; i < 4; i++) {
        out[i] = (uint8_t)(scales[i] | scales[i + 4] >> 4 << 6);
        out[i + 4] = (uint8_t)(minimums[i] | minimums[i + 4] >> 4 << 6);
        out[i + 8] = (uint8_t)((scales[i + 4] & 15) | (minimums[i + 4] & 15) << 4);
    }
}

static uint8_t six_bits(float value)
{
    uint8_t bits = (uint8_t)nearest_int(value);
    return bits < 63 ? bits : 63;
}

// Both scales and the 12 bytes of q4_k and q5_k, which begin alike; then the quants.
static bool quantise_ranges(const RangeSearch *search, const float *block, uint8_t *quants,
                            uint8_t *out)
{
    Ranges ranges;
    uint8_t scales[8], minimums[8];
    search_ranges(search, block, &ranges);
    float inverse = ranges.most_scale > 0 ? 63.0f / ranges.most_scale : 0;
    float inverse_minimum = ranges.most_minimum > 0 ? 63.0f / ranges.most_minimum : 0;
    bool good = put_halves(out, ranges.most_scale / 63.0f, ranges.most_minimum / 63.0f);
    for (int32_t i = 0; i < 8; i++) {
        scales[i] = six_bits(inverse * ranges.scales[i]);
        minimums[i] = six_bits(inverse_minimum * ranges.minimums[i]);
        requantise_range(search, block + 32 * i, get_half(out) * (float)scales[i],
                         get_half(out + 2) * (float)minimums[i], ranges.quants + 32 * i);
    }
    put_scales(scales, minimums, out + 4);
    memcpy(quants, ranges.quants, ELEMENTS);
    return good;
}

// Low nibbles: the first 32 of 64 columns.
static void put_nibbles(const uint8_t *quants, uint8_t *out)
{
    for (int32_t line = 0; line < ELEMENTS; line += 64)
        for (int32_t i = 0; i < 32; i++)
            *out++ = (uint8_t)((quants[line + i] & 15) | (quants[line + i + 32] & 15) << 4);
}

bool row_write_q4_k(const float *block, uint8_t *out)
{
    uint8_t quants[ELEMENTS];
    bool good = quantise_ranges(&search_q4_k, block, quants, out);
    put_nibbles(quants, out + 16);
    return good;
}

bool row_write_q5_k(const float *block, uint8_t *out)
{
    uint8_t quants[ELEMENTS];
    bool good = quantise_ranges(&search_q5_k, block, quants, out);
    put_bits(quants, 4, out + 16);
    put_nibbles(quants, out + 48);
    return good;
}

// Searches the scales of 16 groups; the one of largest magnitude, the first of equals.
static float search_scales(float (*search)(const float *, int32_t, int8_t *), const float *block,
                           int32_t middle, float *scales, int8_t *quants)
{
    for (int32_t i = 0; i < 16; i++)
        scales[i] = search(block + 16 * i, middle, quants + 16 * i);
    return largest_of(scales, 16);
}

bool row_write_q3_k(const float *block, uint8_t *out)
{
    float scales[16];
    int8_t quants[ELEMENTS];
    uint8_t raised[ELEMENTS], *packed = out + 96;
    float most = search_scales(refine_scale, block, 4, scales, quants);
    float inverse = most != 0 ? -32.0f / most : 0;
    bool good = put_half(out + 108, most != 0 ? 1 / inverse : 0);
    memset(packed, 0, 12);
    for (int32_t i = 0; i < 16; i++) {
        int32_t scale =
            most != 0 ? clamp_int((int8_t)nearest_int(inverse * scales[i]), -32, 31) : -32;
        packed[i % 8] |= (uint8_t)((scale & 15) << 4 * (i / 8));
        packed[8 + i % 4] |= (uint8_t)((scale + 32) >> 4 << 2 * (i / 4));
        requantise_scale(block + 16 * i, 4, get_half(out + 108) * (float)scale, quants + 16 * i);
    }
    for (int32_t i = 0; i < ELEMENTS; i++)
        raised[i] = (uint8_t)(quants[i] + 4);
    put_bits(raised, 2, out);
    put_pairs(raised, out + 32);
    return good;
}

bool row_write_q6_k(const float *block, uint8_t *out)
{
    float scales[16];
    int8_t quants[ELEMENTS];
    uint8_t raised[ELEMENTS], upper[ELEMENTS];
    float most = search_scales(search_scale, block, 32, scales, quants), inverse = -128.0f / most;
    if (fabsf(most) < ROW_WRITE_TINY) {
        memset(out, 0, 210);
        return true;
    }
    bool good = put_half(out + 208, 1 / inverse);
    for (int32_t i = 0; i < 16; i++) {
        int32_t scale = nearest_int(inverse * scales[i]);
        int8_t kept = (int8_t)(scale < 127 ? scale : 127);
        out[192 + i] = (uint8_t)kept;
        requantise_scale(block + 16 * i, 32, get_half(out + 208) * (float)kept, quants + 16 * i);
    }
    for (int32_t i = 0; i < ELEMENTS; i++) {
        raised[i] = (uint8_t)(quants[i] + 32);
        upper[i] = raised[i] >> 4;
    }
    for (int32_t half = 0; half < 2; half++)
        for (int32_t i = 0; i < 64; i++)
            out[64 * half + i] =
                (uint8_t)((raised[128 * half + i] & 15) | (raised[128 * half + i + 64] & 15) << 4);
    put_pairs(upper, out + 128);
    return good;
}
