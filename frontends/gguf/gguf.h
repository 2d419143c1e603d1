// GGUF files (ggml's docs/gguf.md), versions 2 and 3, little-endian.
#ifndef FRONTENDS_GGUF_GGUF_H
#define FRONTENDS_GGUF_GGUF_H

#include "frontends/model_file.h"

// Reads metadata and tensors of file->mapping, which begins with the magic "GGUF", into `file`: its
// metadata, tensors, both indexes, name and architecture. file->path and the mapping are given.
bool gguf_read(ModelFile *file, Arena *arena, Diag *diag);

// Makes file->vocabulary from the metadata under `tokenizer.`. has_vocabulary stays false, which is
// no error, where the file has none or one of a kind we do not read.
bool gguf_read_vocabulary(ModelFile *file, Arena *arena, Diag *diag);

// How GGUF files of an architecture order the rows of q and k (llama's converter permutes them).
RopeRows gguf_rope_rows(const char *architecture);

#endif
