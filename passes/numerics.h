// What numerics decides about a matmul, for passes that must know it beforehand.
#ifndef PASSES_NUMERICS_H
#define PASSES_NUMERICS_H

#include "passes/passes.h"

// The type in which an op of trait DOTS reads its activations for that weight.
DType numerics_activation(const Module *module, Target target, Op op, const Value *weight);

#endif
