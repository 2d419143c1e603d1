// GGUF files (ggml's docs/gguf.md), versions 2 and 3, little-endian.
#ifndef FRONTENDS_GGUF_GGUF_H
#define FRONTENDS_GGUF_GGUF_H

#include "frontends/model_file.h"

// Reads metadata, tensors and weights of the mapped part, which begins with the magic "GGUF", into
// `file`: with their indexes, name and architecture. file->path and the part are given. Of a split
// model the other parts are mapped and read too.
bool gguf_read(ModelFile *file, Arena *arena, Diag *diag);

// Makes file->vocabulary from the metadata under `tokenizer.`. has_vocabulary stays false, which is
// no error, where the file has none or one of a kind we do not read.
bool gguf_read_vocabulary(ModelFile *file, Arena *arena, Diag *diag);

// Parts of gguf_read: one file alone; the other files of a split model.
bool gguf_read_part(ModelFile *file, Arena *arena, Diag *diag);
bool gguf_join_parts(ModelFile *file, Arena *arena, Diag *diag);
// The weights whose tensors follow a convention of GGUF's converters; part of gguf_read.
bool gguf_make_weights(ModelFile *file, Arena *arena, Diag *diag);

#endif
