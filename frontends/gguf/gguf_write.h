// Writing GGUF: the bytes before a file's tensor data, and where the data of each tensor goes.
#ifndef FRONTENDS_GGUF_GGUF_WRITE_H
#define FRONTENDS_GGUF_GGUF_WRITE_H

#include "frontends/model_file.h"
#include "graph/base/text.h"

enum { GGUF_ALIGNMENT = 32, GGUF_NAME_BYTES_MAX = 64, GGUF_RANK_MAX = 4 };

// A tensor as it will be written.
typedef struct GgufTensor {
    const char *name;
    DType dtype, wanted; // wanted: by the mix, were its rows whole blocks; as dtype without one
    int32_t rank;
    int64_t shape[TENSOR_RANK_MAX]; // outermost first
    const Recipe *recipe;           // makes its rows from tensors of the model that is read
    uint64_t offset, bytes;         // from the start of the file; set by gguf_print_header
} GgufTensor;

typedef struct GgufContents {
    Vector(Metadata) metadata;
    Vector(GgufTensor) tensors;
} GgufContents;

// Appends header, metadata and tensor table, padded to where the data begins, and places the
// tensors one after another, each at a multiple of GGUF_ALIGNMENT. `path` is for messages; names
// that the format cannot hold are refused.
bool gguf_print_header(GgufContents *contents, const char *path, Text *out, Diag *diag);

#endif
