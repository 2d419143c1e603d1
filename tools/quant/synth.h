// Models that nobody trained: the shape of a known one, random weights, a vocabulary that looks
// like one. For benchmarks that anyone can repeat without a download.
#ifndef TOOLS_QUANT_SYNTH_H
#define TOOLS_QUANT_SYNTH_H

#include "frontends/model_file.h"

// A model with tensors of f32 that have no data: synth_row makes their rows. `shape` is what may
// follow "shape:" but a type. NULL with a message.
ModelFile *synth_open(const char *shape, Arena *arena, Diag *diag);

// Row `row` of a tensor. The same on every machine, for its name, row and columns.
void synth_row(const Recipe *tensor, int64_t row, float *out);

// Gives the model a vocabulary of `count` pieces, of the kind its architecture has.
bool synth_make_vocabulary(ModelFile *model, int64_t count, Arena *arena, Diag *diag);

#endif
