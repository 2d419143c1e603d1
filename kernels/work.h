// What a call of a kernel costs: the bytes it moves and the operations it does, counted from the
// shapes of its operands. The cost model weighs layouts by it, benches and profiles compare it with
// what the machine can do.
#ifndef KERNELS_WORK_H
#define KERNELS_WORK_H

#include "kernels/kernel.h"

// What operations are made of; each has its own peak.
typedef enum WorkKind { WORK_f32, WORK_int8, WORK_bf16, WORK_COUNT } WorkKind;

extern const char *const work_names[WORK_COUNT];

// Positions of the store that a call of attention reads.
typedef struct WorkDepth {
    double seen; // summed over tokens
    double held; // summed over sequences: what comes from memory
} WorkDepth;

typedef struct Work {
    double read_bytes, written_bytes; // of hostile sizes too: no overflow
    double stored_bytes; // of read_bytes, those of weights and states: the rest stays in caches
    double operations;
    WorkKind kind;
} Work;

// Operands may have no data; shapes, types and layouts count. Operands of states are those of
// layout k32 or v1.
Work work_of_call(const KernelRow *row, const KernelCall *call, WorkDepth depth);
// Whether threads may take the tiles a few at a time: those of rows, any of which any thread may
// run, unless a call does work once for all of its tiles, as matmul transposes several rows of
// floats.
bool work_divides(const KernelRow *row, const KernelCall *call);
// The depth of a call that is bound to data: positions, sequences. 0 for all but attention.
WorkDepth work_depth(const KernelRow *row, const KernelCall *call);

#endif
