// What the machine can do at most: the ceilings of the roofline, to be measured beside what is
// compared with them.
#ifndef KERNELS_PROBE_H
#define KERNELS_PROBE_H

#include "kernels/work.h"

// Runs the target's sequence for products of that kind in registers, `rounds` times; returns the
// operations done.
typedef double ProbePeak(int64_t rounds);
// Reads all lines of memory once; `bytes` is a multiple of 512.
typedef void ProbeRead(const void *memory, int64_t bytes);

typedef struct Probe {
    ProbePeak *peak[WORK_COUNT];
    ProbeRead *read;
} Probe;

extern const Probe probe_table[TARGET_COUNT];

ProbePeak probe_f32_ref, probe_int8_ref, probe_f32_avx2, probe_int8_avx2, probe_f32_avx512,
    probe_int8_avx512, probe_bf16_avx512bf16;
ProbeRead probe_read_ref, probe_read_avx2, probe_read_avx512;

#endif
