// A small paged store for the tests of rope and attention: pages in random order, all memory NaN
// until it is written, table entries of pages that do not exist -1.
#ifndef TESTS_KERNELS_STORE_H
#define TESTS_KERNELS_STORE_H

#include "tests/kernels/harness.h"

typedef struct StoreShape {
    DType keys, values;
    int32_t kv_heads, head_size, page_tokens;
    int32_t sequences, positions; // each sequence may have positions 0 … positions-1
} StoreShape;

typedef struct Store {
    StoreShape shape;
    KernelPages pages;
    KernelOperand keys, values; // in guarded memory of their own
    KernelOperand table;        // i32 [sequences, pages a sequence], all -1 at first
    int32_t *free_pages, free_count;
} Store;

// The state type of a case: each of the three in turn.
DType state_type(int i);
Store store_new(StoreShape shape, Random *random);
void store_free(Store *store);
// Gives a sequence the page that holds a position, if it has none.
void store_touch(Store *store, int32_t sequence, int32_t position);
// Takes the page that holds a position away and fills it with NaN.
void store_drop(Store *store, int32_t sequence, int32_t position);
int64_t store_bytes(const Store *store);

// An element by the picture in kernels/README.md, as float.
float store_key(const Store *store, int32_t sequence, int32_t position, int32_t head,
                int32_t element);
float store_value(const Store *store, int32_t sequence, int32_t position, int32_t head,
                  int32_t element);

// i32 [1, count].
KernelOperand integers_new(const int32_t *values, int64_t count);
const KernelRow *reference_of(Op op);

#endif
