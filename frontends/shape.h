// Shapes without weights: the metadata of well-known models, for compiling, planning and measuring
// without their files.
#ifndef FRONTENDS_SHAPE_H
#define FRONTENDS_SHAPE_H

#include "frontends/model_file.h"

// True if the path asks for a shape: "shape:…".
bool shape_is(const char *path);
// Opens "shape:NAME[,type=TYPE][,layers=N…]"; layers, embd, heads, kv_heads, ff, vocab
// and ctx can be set. NULL with a message that lists what there is.
ModelFile *shape_open(const char *path, Arena *arena, Diag *diag);

#endif
