// A planned graph's memory, judged from lifetimes alone.
#ifndef TESTS_DIFF_MEMORY_H
#define TESTS_DIFF_MEMORY_H

#include "graph/graph.h"

// NULL, or what is wrong: values that are alive in one epoch share bytes without being one in the
// other's place, the peak is not what the places need, or the lower bound is not the largest sum of
// bytes alive in one epoch.
const char *memory_check(const Graph *graph);

#endif
