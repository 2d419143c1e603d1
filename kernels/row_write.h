// Rows of f32 in the types of model files: the reverse of row_to_f32.
#ifndef KERNELS_ROW_WRITE_H
#define KERNELS_ROW_WRITE_H

#include <stdbool.h>
#include <stdint.h>

#include "graph/base/types.h"

bool row_can_write(DType dtype);
// Writes `columns` elements, whole blocks. Returns the number of the first element that has no
// value in the type (too large; in a block, not finite), `columns` where all have.
int64_t row_from_f32(DType dtype, const float *row, int64_t columns, void *out);

#endif
