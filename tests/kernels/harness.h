// What tests of kernels share: operands in guarded memory, random contents by type, and running a
// row of the catalogue over random cuts of its tiles. Every failure aborts the test through Check.
#ifndef TESTS_KERNELS_HARNESS_H
#define TESTS_KERNELS_HARNESS_H

#include "kernels/kernel.h"

// A reproducible stream of numbers; any seed will do.
typedef struct Random {
    uint64_t state;
} Random;

uint32_t random_bits(Random *random);
// least … most, both included.
int32_t random_between(Random *random, int32_t least, int32_t most);
// Uniform in -1 … 1.
float random_float(Random *random);

// 64-byte aligned memory between two guards, filled with garbage (floats of it are NaN).
void *guarded_new(int64_t bytes);
// Fails the test when a byte outside the allocation was written.
void guarded_check(const void *memory);
void guarded_free(void *memory);

// FILL_random: floats in -1 … 1, any quants with small scales. FILL_small: integers -3 … 3, scales
// 1, so that sums are exact whatever the order. FILL_extreme: the largest quants of either sign.
typedef enum Fill { FILL_random, FILL_small, FILL_extreme, FILL_COUNT } Fill;

// An operand in guarded memory, contents garbage.
KernelOperand operand_new(DType dtype, Layout layout, int64_t rows, int64_t columns);
// Floats of any kind, quantised weights (plain) or activations (t1, t8). Row i depends on `seed`
// and i only, so that a shorter operand, or one in another layout, has equal rows.
void operand_fill(const KernelOperand *operand, uint64_t seed, Fill fill);
// i32, each least … most.
void operand_fill_integers(const KernelOperand *operand, uint64_t seed, int32_t least,
                           int32_t most);
// The layout in which weights of a type are packed.
Layout packed_layout(DType dtype);
// The same matrix, packed.
KernelOperand operand_pack(const KernelOperand *plain, Layout layout);
KernelOperand operand_copy(const KernelOperand *operand);
void operand_free(KernelOperand *operand);

// One block of one token of q8 or q8k, taken apart. `sums` are of 32 (q8) or 16 quants (q8k).
typedef struct ActivationBlock {
    float scale;
    int32_t sums[16];
    int8_t quants[256];
} ActivationBlock;
ActivationBlock activation_block(const KernelOperand *operand, int64_t token, int64_t block);
// What an activation stands for.
float activation_element(const KernelOperand *operand, int64_t token, int64_t k);

// Operands and results of one call. results: shape, type and layout set by operand_new.
typedef struct Case {
    KernelOperand operands[OPERANDS_MAX], results[RESULTS_MAX];
    int32_t operand_count, result_count;
    Attributes attributes;
    KernelPages pages;
} Case;

// Runs every tile once, in random ranges in random order, each range with fresh scratch of just the
// size the row asks for; then checks all guards. `random` decides the cut.
void case_run(const KernelRow *row, Case *test, Random *random);
// The same through the row's parts; false if it has none for the case.
bool case_run_parts(const KernelRow *row, Case *test, Random *random);
void case_free(Case *test);

// Fails the test, naming the row and the place, unless the elements agree: equal bits when
// `tolerance` is 0, else |a - b| <= tolerance * max(1, |b|). f32 (NaN equals NaN) and activations,
// which then may be one of their own steps apart too, since what differs a little may round to
// either side; what lies beyond the last token does not count.
void operand_expect(const KernelRow *row, const KernelOperand *operand,
                    const KernelOperand *expected, float tolerance);

// Whether this machine runs the row; if not, says so on stdout.
bool row_runs_here(const KernelRow *row);

#endif
