// What numerics decides about a matmul, for passes that must know it beforehand.
#ifndef PASSES_NUMERICS_H
#define PASSES_NUMERICS_H

#include "passes/passes.h"

// The type in which an op of trait DOTS with weights of `dtype` reads its activations: f32, q8 or
// q8k.
DType numerics_activation(const Module *module, Target target, Op op, DType dtype);

#endif
