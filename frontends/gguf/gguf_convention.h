// From the canonical form of a model to llama.cpp's conventions; the parts of gguf_export.
#ifndef FRONTENDS_GGUF_GGUF_CONVENTION_H
#define FRONTENDS_GGUF_GGUF_CONVENTION_H

#include "frontends/gguf/gguf_export.h"

typedef struct Convention {
    const ModelFile *file;
    const char *architecture; // general.architecture of the GGUF file
    Arena *arena;
    GgufContents *contents;
    Diag *diag;
} Convention;

// general.architecture of a GGUF file.
const char *gguf_architecture(const char *architecture);
// The canonical "ARCHITECTURE.name", NULL where the model has none; a number of it.
const MetaValue *gguf_find(const Convention *convention, const char *name);
double gguf_real(const MetaValue *value, double fallback);
// How rotary positions are stretched; "" where they are not.
const char *gguf_scaling(const Convention *convention);

// Every weight of the model as a tensor. A tensor that is no weight is refused.
bool gguf_put_tensors(const Convention *convention);
// Keys of the model, once its tensors are there.
bool gguf_put_model_keys(const Convention *convention);
// Keys of its tokenizer.
bool gguf_put_tokenizer(const Convention *convention);

#endif
