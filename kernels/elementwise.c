// One loop for the binary ops, one for the unary ones; the op is a function the compiler inlines.
// In place on operand 0: each element is read before its place is written.
#include "kernels/elementwise.h"

#include "kernels/math.h"
#include "kernels/rows.h"

typedef float Binary(float x, float y);
typedef float Unary(float x);

// y is a matrix, or a vector (one row for all), a column (one element for a row) or a scalar
// (both).
static inline __attribute__((always_inline)) void binary_run(Binary *apply, const KernelCall *call,
                                                             int64_t first, int64_t last)
{
    const KernelOperand *x = &call->operands[0], *y = &call->operands[1];
    int64_t y_step = y->columns > 1;
    for (int64_t row = first; row < last; row++) {
        const float *left = operand_row(x, row);
        const float *right = operand_row(y, y->rows > 1 ? row : 0);
        float *out = operand_row(call->results, row);
        for (int64_t i = 0; i < x->columns; i++)
            out[i] = apply(left[i], right[i * y_step]);
    }
}

static inline __attribute__((always_inline)) void unary_run(Unary *apply, const KernelCall *call,
                                                            int64_t first, int64_t last)
{
    const KernelOperand *x = &call->operands[0];
    for (int64_t row = first; row < last; row++) {
        const float *in = operand_row(x, row);
        float *out = operand_row(call->results, row);
        for (int64_t i = 0; i < x->columns; i++)
            out[i] = apply(in[i]);
    }
}

#define ELEMENTWISE(op, kind, parameters, expression)                                              \
    static inline float op##_of parameters                                                         \
    {                                                                                              \
        return expression;                                                                         \
    }                                                                                              \
    void op##_ref(const KernelCall *call, void *scratch, int64_t first, int64_t last)              \
    {                                                                                              \
        (void)scratch;                                                                             \
        kind##_run(op##_of, call, first, last);                                                    \
    }

ELEMENTWISE(sub, binary, (float x, float y), x - y)
ELEMENTWISE(mul, binary, (float x, float y), x *y)
ELEMENTWISE(div, binary, (float x, float y), x / y)
ELEMENTWISE(neg, unary, (float x), -x)
ELEMENTWISE(sqrt, unary, (float x), sqrtf(x))
ELEMENTWISE(reciprocal, unary, (float x), 1.0f / x)

static float sum_of(const float *x, int64_t columns)
{
    float lanes[16] = {0};
    for (int64_t i = 0; i < columns; i++)
        lanes[i % 16] += x[i];
    return lanes_tree_sum(lanes);
}

static float most_of(const float *x, int64_t columns)
{
    float most = -INFINITY;
    for (int64_t i = 0; i < columns; i++)
        most = x[i] > most ? x[i] : most;
    return most;
}

void reduce_sum_ref(const KernelCall *call, void *scratch, int64_t first, int64_t last)
{
    (void)scratch;
    const KernelOperand *x = &call->operands[0];
    for (int64_t row = first; row < last; row++)
        *operand_row(call->results, row) = sum_of(operand_row(x, row), x->columns);
}

void reduce_max_ref(const KernelCall *call, void *scratch, int64_t first, int64_t last)
{
    (void)scratch;
    const KernelOperand *x = &call->operands[0];
    for (int64_t row = first; row < last; row++)
        *operand_row(call->results, row) = most_of(operand_row(x, row), x->columns);
}

void softmax_row(const float *x, float *out, int64_t columns)
{
    float most = most_of(x, columns);
    for (int64_t i = 0; i < columns; i++)
        out[i] = exp_f32(x[i] - most);
    float sum = sum_of(out, columns);
    for (int64_t i = 0; i < columns; i++)
        out[i] /= sum;
}

void softmax_ref(const KernelCall *call, void *scratch, int64_t first, int64_t last)
{
    (void)scratch;
    const KernelOperand *x = &call->operands[0];
    for (int64_t row = first; row < last; row++)
        softmax_row(operand_row(x, row), operand_row(call->results, row), x->columns);
}
