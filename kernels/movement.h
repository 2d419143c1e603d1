// Ops that only copy: rows by index, columns out of and into wider rows.
#ifndef KERNELS_MOVEMENT_H
#define KERNELS_MOVEMENT_H

#include "kernels/kernel.h"

KernelRun gather_rows_ref, slice_ref, concat_ref;

#endif
