// Around the experts of a mixture: which of them a token goes to, and the sum of what they made.
#ifndef KERNELS_ROUTE_H
#define KERNELS_ROUTE_H

#include "kernels/kernel.h"

KernelRun route_ref, combine_ref;
KernelScratch route_scratch;

#endif
