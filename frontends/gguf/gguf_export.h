// From a model, whatever its format, to what a GGUF file of it holds, as llama.cpp's converter
// writes it.
#ifndef FRONTENDS_GGUF_GGUF_EXPORT_H
#define FRONTENDS_GGUF_GGUF_EXPORT_H

#include "frontends/gguf/gguf_mix.h"

// Fills `contents`, in memory of the arena. Without a mix (NULL) matrices stay as they are stored;
// `pure`: all in the mix's one type. Of models in other formats vectors, norms and the like are
// f32, as llama.cpp reads them only so.
bool gguf_export(const ModelFile *file, const GgufMix *mix, bool pure, Arena *arena,
                 GgufContents *contents, Diag *diag);

// For the parts of gguf_export: a key with its value, in memory of the arena.
void gguf_put_key(GgufContents *contents, Arena *arena, const char *key, MetaValue value);
MetaValue gguf_value_u32(uint64_t number);
MetaValue gguf_value_bool(bool truth);
MetaValue gguf_value_text(const char *text);
bool gguf_ends_with(const char *text, const char *end);

#endif
