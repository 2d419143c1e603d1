// The choice goes by the logits, the weights by their softmax: where the exponentials of two logits
// round to one number the larger logit is still the better one. A NaN is never larger than another
// number; the ids are k different ones whatever the logits are.
#include "kernels/route.h"

#include <string.h>

#include "kernels/elementwise.h"
#include "kernels/rows.h"

// A probability and whether it is chosen, for each expert.
int64_t route_scratch(const KernelCall *call)
{
    return call->operands[0].columns * (int64_t)(sizeof(float) + sizeof(bool));
}

static int32_t largest_left(const float *logits, const bool *chosen, int64_t experts)
{
    int32_t best = -1;
    for (int32_t i = 0; i < experts; i++)
        if (!chosen[i] && (best < 0 || logits[i] > logits[best]))
            best = i;
    return best;
}

static void normalise(float *weights, int64_t count)
{
    float sum = 0.0f;
    for (int64_t i = 0; i < count; i++)
        sum += weights[i];
    for (int64_t i = 0; i < count; i++)
        weights[i] /= sum;
}

void route_ref(const KernelCall *call, void *scratch, int64_t first, int64_t last)
{
    const KernelOperand *logits = &call->operands[0], *ids = &call->results[0];
    int64_t experts = logits->columns, slots = ids->columns;
    float *shares = scratch;
    bool *chosen = (bool *)(shares + experts);
    for (int64_t row = first; row < last; row++) {
        int32_t *id = (int32_t *)ids->data + row * slots;
        float *weights = operand_row(&call->results[1], row);
        const float *from = operand_row(logits, row);
        softmax_row(from, shares, experts);
        memset(chosen, 0, (size_t)experts * sizeof *chosen);
        for (int64_t slot = 0; slot < slots; slot++) {
            id[slot] = largest_left(from, chosen, experts);
            chosen[id[slot]] = true;
            weights[slot] = shares[id[slot]];
        }
        if (call->attributes->route.normalise)
            normalise(weights, slots);
    }
}

void combine_ref(const KernelCall *call, void *scratch, int64_t first, int64_t last)
{
    (void)scratch;
    const KernelOperand *parts = &call->operands[0], *weights = &call->operands[1];
    int64_t columns = call->results[0].columns;
    for (int64_t row = first; row < last; row++) {
        float *out = operand_row(call->results, row);
        const float *part = operand_row(parts, row), *weight = operand_row(weights, row);
        for (int64_t i = 0; i < columns; i++)
            out[i] = weight[0] * part[i];
        for (int64_t slot = 1; slot < weights->columns; slot++)
            for (int64_t i = 0; i < columns; i++)
                out[i] += weight[slot] * part[slot * columns + i];
    }
}
