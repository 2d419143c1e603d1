// The loops over rows for the ops of rows.h. An op is a function that computes a span of columns; a
// quantised result takes it in spans of one large block through the stack, so no scratch is needed
// and the f32 row is never written to memory.
#include "kernels/rows.h"

#include <assert.h>

enum { SPAN = Q8K_ELEMENTS };

typedef struct Span {
    const RowsBody *body;
    const float *x, *y, *bias; // the row's operands
    float mean, factor;
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
    int64_t block = begin / dtype_table[result->dtype].block_elements;
    body->quantise[result->dtype](x, columns, tile, block, (int32_t)(row % tokens), tokens);
}

// Columns first … first+count-1 of the result; the span's operands begin there.
static void write_columns(const Span *span, ComputeSpan *compute, const KernelOperand *result,
                          int64_t row, int64_t first, int64_t count)
{
    if (result->dtype == DTYPE_f32) {
        compute(span, 0, count, operand_row(result, row) + first);
        return;
    }
    float values[SPAN];
    for (int64_t begin = 0; begin < count; begin += SPAN) {
        int64_t rest = count - begin, columns = rest < SPAN ? rest : SPAN;
        compute(span, begin, columns, values);
        activation_write(span->body, result, row, first + begin, values, columns);
    }
}

static void write_row(const Span *span, ComputeSpan *compute, const KernelOperand *result,
                      int64_t row)
{
    write_columns(span, compute, result, row, 0, result->columns);
}

static void compute_norm(const Span *span, int64_t begin, int64_t columns, float *out)
{
    span->body->scale(span->x + begin, span->factor, span->y + begin, out, columns);
}

static void compute_centred(const Span *span, int64_t begin, int64_t columns, float *out)
{
    span->body->centre(span->x + begin, span->mean, span->factor, span->y + begin,
                       span->bias ? span->bias + begin : NULL, out, columns);
}

static void compute_swiglu(const Span *span, int64_t begin, int64_t columns, float *out)
{
    span->body->swiglu(span->x + begin, span->y + begin, out, columns);
}

static void compute_geglu(const Span *span, int64_t begin, int64_t columns, float *out)
{
    span->body->geglu(span->x + begin, span->y + begin, out, columns);
}

// x / sqrt(mean(x²) + eps) * weight as (x * (1 / sqrt(…))) * weight: one division a head, of which
// a row has one if the weight is as wide.
static void norm_row(const RowsBody *body, const float *x, const KernelOperand *weight, float eps,
                     const KernelOperand *result, int64_t row)
{
    int64_t size = weight->columns;
    for (int64_t first = 0; first < result->columns; first += size) {
        float mean = body->sum_squares(x + first, size) / (float)size;
        Span span = {
            .body = body, .x = x + first, .y = weight->data, .factor = 1.0f / sqrtf(mean + eps)};
        write_columns(&span, compute_norm, result, row, first, size);
    }
}

static void rms_norm_run(const RowsBody *body, const KernelCall *call, int64_t first, int64_t last)
{
    const KernelOperand *x = &call->operands[0], *weight = &call->operands[1];
    for (int64_t row = first; row < last; row++)
        norm_row(body, operand_row(x, row), weight, call->attributes->rms_norm.eps, call->results,
                 row);
}

static void layer_norm_run(const RowsBody *body, const KernelCall *call, int64_t first,
                           int64_t last)
{
    const KernelOperand *operands = call->operands;
    int64_t columns = operands[0].columns;
    for (int64_t row = first; row < last; row++) {
        Span span = {.body = body,
                     .x = operand_row(&operands[0], row),
                     .y = operands[1].data,
                     .bias = call->operand_count > 2 ? operands[2].data : NULL};
        span.mean = body->sum(span.x, columns) / (float)columns;
        float variance = body->sum_squares_about(span.x, span.mean, columns) / (float)columns;
        span.factor = 1.0f / sqrtf(variance + call->attributes->layer_norm.eps);
        write_row(&span, compute_centred, call->results, row);
    }
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

static void gated_run(const RowsBody *body, ComputeSpan *compute, const KernelCall *call,
                      int64_t first, int64_t last)
{
    for (int64_t row = first; row < last; row++) {
        Span span = {.body = body,
                     .x = operand_row(&call->operands[0], row),
                     .y = operand_row(&call->operands[1], row)};
        write_row(&span, compute, call->results, row);
    }
}

static void swiglu_run(const RowsBody *body, const KernelCall *call, int64_t first, int64_t last)
{
    gated_run(body, compute_swiglu, call, first, last);
}

static void geglu_run(const RowsBody *body, const KernelCall *call, int64_t first, int64_t last)
{
    gated_run(body, compute_geglu, call, first, last);
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

static void unary_run(ComputeUnary *compute, const KernelCall *call, int64_t first, int64_t last)
{
    const KernelOperand *x = &call->operands[0];
    for (int64_t row = first; row < last; row++)
        compute(operand_row(x, row), operand_row(call->results, row), x->columns);
}

#define ROWS_KERNEL(op, target)                                                                    \
    void op##_##target(const KernelCall *call, void *scratch, int64_t first, int64_t last)         \
    {                                                                                              \
        (void)scratch;                                                                             \
        op##_run(&rows_body_##target, call, first, last);                                          \
    }
#define UNARY_KERNEL(op, target)                                                                   \
    void op##_##target(const KernelCall *call, void *scratch, int64_t first, int64_t last)         \
    {                                                                                              \
        (void)scratch;                                                                             \
        unary_run(rows_body_##target.op, call, first, last);                                       \
    }
#define ROWS_KERNELS(target)                                                                       \
    ROWS_KERNEL(rms_norm, target)                                                                  \
    ROWS_KERNEL(layer_norm, target)                                                                \
    ROWS_KERNEL(add_rms_norm, target)                                                              \
    ROWS_KERNEL(swiglu, target)                                                                    \
    ROWS_KERNEL(geglu, target)                                                                     \
    ROWS_KERNEL(quantise, target)                                                                  \
    ROWS_KERNEL(add, target)                                                                       \
    UNARY_KERNEL(silu, target)                                                                     \
    UNARY_KERNEL(exp, target)                                                                      \
    UNARY_KERNEL(tanh, target)                                                                     \
    UNARY_KERNEL(gelu, target)                                                                     \
    UNARY_KERNEL(gelu_tanh, target)

ROWS_KERNELS(ref)
#if defined(__x86_64__)
ROWS_KERNELS(avx2)
ROWS_KERNELS(avx512)
#endif
