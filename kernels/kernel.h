// Kernels: what a step runs. The catalogue (kernels.def) has one row a kernel; the passes choose
// rows, the plan names them, the runtime resolves names when it opens a plan.
//
// A kernel is a pure function over a range of tiles: no allocation, no globals, no I/O, it cannot
// fail. Its work is cut in tiles; threads take contiguous ranges of them, and the result does not
// depend on the cut (bit-identity: threads split rows, tokens or heads, never a reduction). Scratch
// is one thread's own, planned from `scratch_bytes` at the largest shapes.
#ifndef KERNELS_KERNEL_H
#define KERNELS_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "graph/base/ops.h"
#include "graph/base/types.h"

// Instruction sets, each including the ones before. avx2: AVX2, FMA, F16C. avx512: F, BW, DQ, VL,
// VNNI. avx512bf16: BF16.
typedef enum Target {
    TARGET_ref,
    TARGET_avx2,
    TARGET_avx512,
    TARGET_avx512bf16,
    TARGET_COUNT
} Target;

extern const char *const target_names[TARGET_COUNT];

// The best target this CPU (and its operating system) runs.
Target target_native(void);
// TARGET_COUNT when there is no such target; "native" is target_native().
Target target_from_name(const char *name);

// What a tile is, so that the schedule knows when two steps keep work on the same thread.
typedef enum Split {
    SPLIT_NONE,   // one tile
    SPLIT_TOKENS, // tile i = row i of the results
    SPLIT_ROWS,   // weight rows (columns of the result) in units of the kernel's choosing; no step
                  // relies on who ran which
    SPLIT_GROUPS, // tile = (kv head, block of tokens), all blocks of a kv head side by side
} Split;

// The order of the reductions, which decides the bits: rows of one order agree to the bit on equal
// inputs (for every target and layout), rows of different order are never mixed for one node.
typedef enum Order {
    ORDER_exact,    // no reduction, or one whose order cannot matter
    ORDER_chain,    // one fma chain in ascending k an output, f32 or dequantised weights
    ORDER_block32,  // exact int32 dot of each block of 32, then one fma an output, ascending
    ORDER_block256, // the same with blocks of 256
    ORDER_pairs,    // pairs of bf16 in ascending k, in each two fma, the second of the pair first
    ORDER_lanes16,  // 16 virtual lanes, then a tree 8-4-2-1
    ORDER_kv256,    // attention partials over 256 absolute positions
} Order;

// A bound operand or result. Matrices: rows × columns; a vector is 1 × n, a scalar 1 × 1. For
// states: rows = tokens a page, columns = kv heads × head size, and data is the state's place in
// page 0.
typedef struct KernelOperand {
    void *data; // 64-byte aligned
    int64_t rows, columns;
    DType dtype;
    Layout layout;
} KernelOperand;

// The paged store, for kernels that touch states: page p of a state is at data + p * page_bytes.
typedef struct KernelPages {
    int64_t page_bytes;
    int32_t page_tokens;        // a power of two, 32 … 256
    int32_t pages_per_sequence; // columns of the page table
    int32_t kv_heads; // of the states this call touches: their columns are kv_heads × head size
} KernelPages;

typedef struct KernelCall {
    const KernelOperand *results, *operands; // in the op's order
    int32_t result_count, operand_count;
    const Attributes *attributes;
    KernelPages pages;
    void *shared; // of all threads, 64-byte aligned: for KernelParts
} KernelCall;

// Runs tiles first … last-1. `scratch` is 64-byte aligned.
typedef void KernelRun(const KernelCall *call, void *scratch, int64_t first, int64_t last);
// Number of tiles; 0 when there is nothing to do (R = 0).
typedef int64_t KernelTiles(const KernelCall *call);
// Bytes of scratch a thread needs for these shapes; grows with every dimension.
typedef int64_t KernelScratch(const KernelCall *call);

// A finer cut for calls whose tiles are too few for the threads: `run` leaves partial results in
// call->shared and, once all threads are done, `merge` makes the results of them, over the row's
// own tiles. The bits are those of the row's `run`.
typedef struct KernelParts {
    KernelTiles *tiles; // of `run`; 0: such a call is not cut further
    KernelRun *run, *merge;
    KernelScratch *bytes; // of call->shared
} KernelParts;

typedef struct KernelRow {
    const char *name; // as printed after `!` and kept in plans: op.variant.target
    Op op;
    Target target;
    Order order;
    Split split;
    uint32_t inputs; // DTYPE_SET of the computed (f32 or activation) operands; 0: there are none
    uint32_t stored; // DTYPE_SET of weight matrices or states; 0: there are none
    uint32_t
        layouts;    // LAYOUT_SET of weight matrices; 0: there are none (states have fixed layouts)
    uint32_t posts; // DTYPE_SET of what it can write as `post`
    uint32_t epilogues; // bit set of Epilogue
    float tolerance;    // against the reference of the same order: 0 = equal bits
    uint32_t abi; // changes when the meaning of the row's bytes changes: old plans are refused
    KernelRun *run;
    KernelTiles *tiles;
    KernelScratch *scratch;   // NULL: none
    const KernelParts *parts; // NULL: none
} KernelRow;

extern const KernelRow kernel_table[];
extern const int32_t kernel_count;

const KernelRow *kernel_from_name(const char *name);

// What a node asks for. Fields that do not apply to the op are ignored by rows that have none.
typedef struct KernelQuery {
    Op op;
    Target target;   // the best that may be used
    uint32_t inputs; // set of dtypes that must all be accepted
    uint32_t stored;
    uint32_t layouts;
    DType post;
    Epilogue epilogue;
} KernelQuery;

// The row of the highest target (the first of equals) that accepts the query; NULL if none does.
const KernelRow *kernel_find(const KernelQuery *query);

// Packing: rows of a file's matrix into one panel of a layout. `rows[i]` points at row i in
// row-major blocks of `dtype` (not necessarily aligned), NULL for a row of zeros; there are
// panel_rows of them. Writes layout_panel_bytes. The layout must hold the dtype. PACK_VERSION rises
// with every change of the bytes it writes: packed weights are kept under it.
enum { PACK_VERSION = 2 };
void pack_panel(DType dtype, Layout layout, const void *const *rows, int64_t columns, void *panel);
// Row-major elements to f32 (file types with a reader: row_can_read).
void row_to_f32(DType dtype, const void *row, int64_t columns, float *out);
bool row_can_read(DType dtype);
// Row `row` of a packed or plain matrix as f32: what embed reads from a tied, packed head.
void packed_row_to_f32(DType dtype, Layout layout, const void *matrix, int64_t row, int64_t columns,
                       float *out);

#endif
