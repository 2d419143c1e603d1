// embed: the rows of a weight matrix that the tokens name, as f32.
#ifndef KERNELS_EMBED_H
#define KERNELS_EMBED_H

#include "kernels/kernel.h"

// Operands w[V,n] (any type with a reader, any layout that holds it), token i32[T], each 0 … V-1.
KernelRun embed_ref;
KernelTiles embed_tiles;

#endif
