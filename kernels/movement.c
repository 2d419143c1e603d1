// Copies of whole stretches of rows. Axis 0 of slice and concat exists for weights only, where it
// is a recipe and no kernel; hence the asserts.
#include "kernels/movement.h"

#include <assert.h>
#include <string.h>

static char *row_of(const KernelOperand *operand, int64_t row)
{
    return (char *)operand->data + row * dtype_row_bytes(operand->dtype, operand->columns);
}

void gather_rows_ref(const KernelCall *call, void *scratch, int64_t first, int64_t last)
{
    (void)scratch;
    const KernelOperand *x = &call->operands[0], *result = call->results;
    const int32_t *rows = call->operands[1].data;
    for (int64_t i = first; i < last; i++) {
        assert(rows[i] >= 0 && rows[i] < x->rows);
        memcpy(row_of(result, i), row_of(x, rows[i]),
               (size_t)dtype_row_bytes(x->dtype, x->columns));
    }
}

void slice_ref(const KernelCall *call, void *scratch, int64_t first, int64_t last)
{
    (void)scratch;
    assert(call->attributes->slice.axis == 1);
    const KernelOperand *x = &call->operands[0], *result = call->results;
    int64_t offset = dtype_row_bytes(x->dtype, call->attributes->slice.begin);
    int64_t bytes = dtype_row_bytes(x->dtype, result->columns);
    for (int64_t row = first; row < last; row++)
        memcpy(row_of(result, row), row_of(x, row) + offset, (size_t)bytes);
}

void concat_ref(const KernelCall *call, void *scratch, int64_t first, int64_t last)
{
    (void)scratch;
    assert(call->attributes->concat.axis == 1);
    for (int64_t row = first; row < last; row++) {
        char *out = row_of(call->results, row);
        for (int32_t i = 0; i < call->operand_count; i++) {
            const KernelOperand *x = &call->operands[i];
            int64_t bytes = dtype_row_bytes(x->dtype, x->columns);
            memcpy(out, row_of(x, row), (size_t)bytes);
            out += bytes;
        }
    }
}
