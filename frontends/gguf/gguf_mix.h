// Mixtures of types, by the names that llama.cpp gives them (mixes.def).
#ifndef FRONTENDS_GGUF_GGUF_MIX_H
#define FRONTENDS_GGUF_GGUF_MIX_H

#include "frontends/gguf/gguf_write.h"

typedef struct GgufMix {
    const char *name;
    uint32_t file_type; // general.file_type
    DType dtype;        // of the matrices that no rule names
} GgufMix;

// NULL when no mix and no alias has the name, in letters of either case.
const GgufMix *gguf_mix_find(const char *name);
// The mix whose number tells of a file of this type; NULL if none does.
const GgufMix *gguf_mix_of_type(DType dtype);
// Appends the names, separated by blanks.
void gguf_mix_print_names(Text *out);
// False: a vector, norm or the like, which no mix touches.
bool gguf_is_matrix(const char *name, int32_t rank);

// Gives the matrices of `contents` their types: those of the mix, or (`pure`) its one type.
// Tensors whose rows are not whole blocks of that fall back, and say so in `wanted`.
void gguf_mix_apply(const ModelFile *file, const GgufMix *mix, bool pure, GgufContents *contents);

#endif
