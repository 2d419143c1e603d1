// Rows of numbers as weights have them, and as they should never be: what the writers of quantised
// types are compared on, with ggml and with hashes of what ggml wrote. Exact arithmetic only, so
// that every machine makes the same.
#ifndef TESTS_KERNELS_ROWS_H
#define TESTS_KERNELS_ROWS_H

#include <math.h>
#include <stdint.h>

enum { ROW_COLUMNS = 1024, ROW_KINDS = 12 };

static inline uint32_t row_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 32);
}

// -1 … 1, and about normal of deviation 1/2.
static inline float row_uniform(uint64_t *state)
{
    return (float)(int32_t)row_random(state) * 0x1p-31f;
}

static inline float row_normal(uint64_t *state)
{
    return (row_uniform(state) + row_uniform(state) + row_uniform(state)) * 0.5f;
}

static inline float row_number(uint64_t kind, int column, uint64_t *state)
{
    float x = row_normal(state);
    switch (kind) {
    case 0: return x * 0.02f;
    case 1: return row_uniform(state);
    case 2: return column % 97 == 5 ? x * 20 : x * 0.1f;          // outliers
    case 3: return column % 64 < 40 ? 0 : x;                      // groups of zeros
    case 4: return column / 32 % 3 ? 0.25f : -1.5f;               // constants
    case 5: return x * 0x1p-140f;                                 // denormals
    case 6: return ldexpf(x, (int)(row_random(state) % 60) - 40); // every size
    case 7: return (float)(int)(x * 6) * 0.5f;                    // ties
    case 8: return fabsf(x) + 1;                                  // far from zero
    case 9: return ldexpf(x, -30 - column / 32 % 24);             // scales below f16's
    case 10: return ldexpf(x, 14 + column / 128);                 // scales beyond f16's
    default: return x * x * x * (column % 2 ? 1e-3f : 3e-17f);
    }
}

static inline void row_fill(float *row, uint64_t number)
{
    uint64_t state = number * 0x9e3779b97f4a7c15u + 1;
    for (int i = 0; i < ROW_COLUMNS; i++)
        row[i] = row_number(number % ROW_KINDS, i, &state);
}

#endif
