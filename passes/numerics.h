// What numerics decides about a matmul, for passes that must know it beforehand.
#ifndef PASSES_NUMERICS_H
#define PASSES_NUMERICS_H

#include "passes/passes.h"

// The type in which the activations of a matmul with weights of `dtype` are read: f32, q8 or q8k.
DType numerics_activation(const Module *module, Target target, DType dtype);

#endif
