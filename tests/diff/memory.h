// A planned module's memory, judged from its text alone.
#ifndef TESTS_DIFF_MEMORY_H
#define TESTS_DIFF_MEMORY_H

#include <stdint.h>

enum { MEMORY_GRAPHS_MAX = 8 };

// Of each graph, as counted anew: where its last value ends, and the most bytes alive at once.
typedef struct MemoryFigures {
    int32_t count;
    int64_t peak[MEMORY_GRAPHS_MAX], bound[MEMORY_GRAPHS_MAX];
} MemoryFigures;

// NULL, or what is wrong with the text of a planned module, in storage that the next call writes
// over: values that are alive in one epoch share bytes without being one in the other's place, a
// place is not aligned, one value takes another's place that is still read, the peak is not what
// the places need, or the lower bound is not the largest sum of bytes alive in one epoch.
const char *memory_check(const char *text, MemoryFigures *figures);

#endif
