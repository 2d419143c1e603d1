// NumPy's array file format, version 1.0 (numpy.lib.format): float32 matrices, row by row.
#ifndef TOOLS_RUN_NPY_H
#define TOOLS_RUN_NPY_H

#include <stdbool.h>
#include <stdint.h>

#include "graph/base/diag.h"

typedef struct NpyWriter NpyWriter;

// Begins [rows, columns] in a temporary file beside `path`.
NpyWriter *npy_open(const char *path, int64_t rows, int64_t columns, Diag *diag);
void npy_add_rows(NpyWriter *writer, const float *values, int64_t rows);
// Renames the file into place; false with a message, and no file, when anything could not be
// written or `keep` is false. Frees the writer.
bool npy_close(NpyWriter *writer, bool keep, Diag *diag);

#endif
