// The loops over rows for the ops of rows.h. An op is a function that computes a span of columns; a
// quantised result takes it in spans of one large block through the stack, so no scratch is needed
// and the f32 row is never written to memory.
#include "kernels/rows.h"

#include <assert.h>

enum { SPAN = Q8K_ELEMENTS };

typedef struct Span {
    const RowsBody *body;
    const float *x, *y; // the row's operands
    float factor;
} Span;

typedef void ComputeSpan(const Span *span, int64_t begin, int64_t columns, float *out);

int64_t tiles_result_rows(const KernelCall *call)
{
    return call->results[0].rows;
}

void activation_write(const RowsBody *body, const KernelOperand *result, int64_t row, int64_t begin,
                      const float *x, int64_t columns)
{
    assert(result->layout == LAYOUT_t1 || result->layout == LAYOUT_t8);
    int32_t tokens = layout_table[result->layout].panel_rows;
    char *tile = (char *)result->data +
                 row / tokens * layout_panel_bytes(result->dtype, result->layout, result->columns);
    QuantiseSpan *quantise = result->dtype == DTYPE_q8k ? body->quantise_q8k : body->quantise_q8;
    int64_t block = begin / dtype_table[result->dtype].block_elements;
    quantise(x, columns, tile, block, (int32_t)(row % tokens), tokens);
}

static void write_row(const Span *span, ComputeSpan *compute, const KernelOperand *result,
                      int64_t row)
{
    if (result->dtype == DTYPE_f32) {
        compute(span, 0, result->columns, operand_row(result, row));
        return;
    }
    float values[SPAN];
    for (int64_t begin = 0; begin < result->columns; begin += SPAN) {
        int64_t rest = result->columns - begin, columns = rest < SPAN ? rest : SPAN;
        compute(span, begin, columns, values);
        activation_write(span->body, result, row, begin, values, columns);
    }
}

static void compute_norm(const Span *span, int64_t begin, int64_t columns, float *out)
{
    span->body->scale(span->x + begin, span->factor, span->y + begin, out, columns);
}

static void compute_swiglu(const Span *span, int64_t begin, int64_t columns, float *out)
{
    span->body->swiglu(span->x + begin, span->y + begin, out, columns);
}

// x / sqrt(mean(x²) + eps) * weight as (x * (1 / sqrt(…))) * weight: one division a row.
static void norm_row(const RowsBody *body, const float *x, const KernelOperand *weight, float eps,
                     const KernelOperand *result, int64_t row)
{
    int64_t columns = result->columns;
    float mean = body->sum_squares(x, columns) / (float)columns;
    Span span = {body, x, weight->data, 1.0f / sqrtf(mean + eps)};
    write_row(&span, compute_norm, result, row);
}

static void rms_norm_run(const RowsBody *body, const KernelCall *call, int64_t first, int64_t last)
{
    const KernelOperand *x = &call->operands[0], *weight = &call->operands[1];
    for (int64_t row = first; row < last; row++)
        norm_row(body, operand_row(x, row), weight, call->attributes->rms_norm.eps, call->results,
                 row);
}

static void add_rms_norm_run(const RowsBody *body, const KernelCall *call, int64_t first,
                             int64_t last)
{
    const KernelOperand *operands = call->operands;
    for (int64_t row = first; row < last; row++) {
        float *sum = operand_row(&call->results[0], row);
        body->add(operand_row(&operands[0], row), operand_row(&operands[1], row), 1, sum,
                  operands[0].columns);
        norm_row(body, sum, &operands[2], call->attributes->add_rms_norm.eps, &call->results[1],
                 row);
    }
}

static void swiglu_run(const RowsBody *body, const KernelCall *call, int64_t first, int64_t last)
{
    for (int64_t row = first; row < last; row++) {
        Span span = {body, operand_row(&call->operands[0], row),
                     operand_row(&call->operands[1], row), 0};
        write_row(&span, compute_swiglu, call->results, row);
    }
}

static void quantise_run(const RowsBody *body, const KernelCall *call, int64_t first, int64_t last)
{
    const KernelOperand *x = &call->operands[0];
    for (int64_t row = first; row < last; row++)
        activation_write(body, call->results, row, 0, operand_row(x, row), x->columns);
}

static void add_run(const RowsBody *body, const KernelCall *call, int64_t first, int64_t last)
{
    const KernelOperand *x = &call->operands[0], *y = &call->operands[1];
    int64_t y_step = y->columns > 1;
    for (int64_t row = first; row < last; row++)
        body->add(operand_row(x, row), operand_row(y, y->rows > 1 ? row : 0), y_step,
                  operand_row(call->results, row), x->columns);
}

static void silu_run(const RowsBody *body, const KernelCall *call, int64_t first, int64_t last)
{
    const KernelOperand *x = &call->operands[0];
    for (int64_t row = first; row < last; row++)
        body->silu(operand_row(x, row), operand_row(call->results, row), x->columns);
}

static void exp_run(const RowsBody *body, const KernelCall *call, int64_t first, int64_t last)
{
    const KernelOperand *x = &call->operands[0];
    for (int64_t row = first; row < last; row++)
        body->exp(operand_row(x, row), operand_row(call->results, row), x->columns);
}

#define ROWS_KERNEL(op, target)                                                                    \
    void op##_##target(const KernelCall *call, void *scratch, int64_t first, int64_t last)         \
    {                                                                                              \
        (void)scratch;                                                                             \
        op##_run(&rows_body_##target, call, first, last);                                          \
    }
#define ROWS_KERNELS(target)                                                                       \
    ROWS_KERNEL(rms_norm, target)                                                                  \
    ROWS_KERNEL(add_rms_norm, target)                                                              \
    ROWS_KERNEL(swiglu, target)                                                                    \
    ROWS_KERNEL(quantise, target)                                                                  \
    ROWS_KERNEL(add, target)                                                                       \
    ROWS_KERNEL(silu, target)                                                                      \
    ROWS_KERNEL(exp, target)

ROWS_KERNELS(ref)
#if defined(__x86_64__)
ROWS_KERNELS(avx2)
ROWS_KERNELS(avx512)
#endif
