// Tensor data from a model into a GGUF file, row by row on all threads.
#ifndef TOOLS_QUANT_CONVERT_H
#define TOOLS_QUANT_CONVERT_H

#include "frontends/gguf/gguf_write.h"

// Makes a row of a tensor that no file holds; what it writes depends on its arguments alone.
typedef void MakeRow(const Recipe *tensor, int64_t row, float *out);

typedef struct ConvertOptions {
    int32_t threads;   // 0: what this process may use
    bool progress;     // a bar on stderr
    MakeRow *make_row; // NULL: rows are read from the model
} ConvertOptions;

// Writes `header` (of gguf_print_header) and the tensors of `contents`, whose rows their recipes
// make from `model`, and prints them as a table on stdout. The file appears whole or not at all.
bool convert_write(const ModelFile *model, const GgufContents *contents, const Text *header,
                   const char *path, const ConvertOptions *options, Diag *diag);

#endif
