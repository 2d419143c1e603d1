// Four bits that stand for 16 values of unequal distance, groups of 32: iq4_nl has one scale a
// group, iq4_xs eight groups whose scales have 6 bits under a common one.
#include "kernels/row_read.h"
#include "kernels/row_write_blocks.h"

enum { GROUP = 32, GROUPS = 8, TRIES = 7 };

// The number of the value nearest to x; of equals the higher.
static uint8_t nearest_value(float x)
{
    int low = 0, high = 15;
    if (x <= (float)iq4_values[0])
        return 0;
    if (x >= (float)iq4_values[15])
        return 15;
    while (high - low > 1) {
        int middle = (low + high) / 2;
        if (x < (float)iq4_values[middle])
            high = middle;
        else
            low = middle;
    }
    bool lower = x - (float)iq4_values[high - 1] < (float)iq4_values[high] - x;
    return (uint8_t)(lower ? high - 1 : high);
}

static void fit_scale(const float *x, float inverse, float *numerator, float *denominator)
{
    *numerator = *denominator = 0;
    for (int i = 0; i < GROUP; i++) {
        float q = (float)iq4_values[nearest_value(inverse * x[i])], weight = x[i] * x[i];
        *numerator += weight * q * x[i];
        *denominator += weight * q * q;
    }
}

// The scale of least squares, weighted with squares, over scales that take the largest element near
// the lowest value.
static float search_scale(const float *x)
{
    float most = largest_of(x, GROUP), numerator, denominator;
    if (fabsf(most) < ROW_WRITE_TINY)
        return 0;
    fit_scale(x, 1 / (-most / (float)iq4_values[0]), &numerator, &denominator);
    float scale = denominator > 0 ? numerator / denominator : 0, best = scale * numerator;
    for (int step = -TRIES; step <= TRIES; step++) {
        fit_scale(x, ((float)step + (float)iq4_values[0]) / most, &numerator, &denominator);
        if (denominator > 0 && numerator * numerator > best * denominator) {
            scale = numerator / denominator;
            best = scale * numerator;
        }
    }
    return scale;
}

static void put_quants(const float *x, float scale, uint8_t *out)
{
    float inverse = scale != 0 ? 1 / scale : 0;
    for (int i = 0; i < GROUP / 2; i++)
        out[i] = (uint8_t)(nearest_value(inverse * x[i]) | nearest_value(inverse * x[i + GROUP / 2])
                                                               << 4);
}

bool row_write_iq4_nl(const float *block, uint8_t *out)
{
    float scale = search_scale(block);
    put_quants(block, scale, out + 2);
    return put_half(out, scale);
}

bool row_write_iq4_xs(const float *block, uint8_t *out)
{
    float scales[GROUPS];
    uint16_t high = 0;
    for (int i = 0; i < GROUPS; i++)
        scales[i] = search_scale(block + GROUP * i);
    float common = -largest_of(scales, GROUPS) / 32, inverse = common != 0 ? 1 / common : 0;
    memset(out + 4, 0, 4);
    for (int i = 0; i < GROUPS; i++) {
        int32_t scale = clamp_int(nearest_int(inverse * scales[i]), -32, 31);
        put_quants(block + GROUP * i, common * (float)scale, out + 8 + GROUP / 2 * i);
        out[4 + i / 2] |= (uint8_t)((scale & 15) << 4 * (i % 2));
        high = (uint16_t)(high | (scale + 32) >> 4 << 2 * i);
    }
    memcpy(out + 2, &high, sizeof high);
    return put_half(out, common);
}
