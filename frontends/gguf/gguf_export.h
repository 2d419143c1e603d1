// From a model, whatever its format, to what a GGUF file of it holds, as llama.cpp's converter
// writes it.
#ifndef FRONTENDS_GGUF_GGUF_EXPORT_H
#define FRONTENDS_GGUF_GGUF_EXPORT_H

#include "frontends/gguf/gguf_write.h"

// The type of matrices with a name that general.file_type has a number for: f32, f16, bf16, q8_0;
// DTYPE_COUNT when there is no such name.
DType gguf_export_type(const char *name);

// Fills `contents`, in memory of the arena. `matrices` is a type of gguf_export_type, or
// DTYPE_COUNT: as they are stored. Vectors, norms and the like are f32, as llama.cpp reads them
// only so; a matrix whose rows are not whole blocks of the type becomes f16.
bool gguf_export(const ModelFile *file, DType matrices, Arena *arena, GgufContents *contents,
                 Diag *diag);

// For the parts of gguf_export: a key with its value, in memory of the arena.
void gguf_put_key(GgufContents *contents, Arena *arena, const char *key, MetaValue value);
MetaValue gguf_value_u32(uint64_t number);
MetaValue gguf_value_bool(bool truth);
MetaValue gguf_value_text(const char *text);
bool gguf_ends_with(const char *text, const char *end);
// The type a tensor is written in, were `matrices` the type of matrices.
DType gguf_tensor_type(const char *name, int32_t rank, int64_t columns, DType matrices);

#endif
