// Rows through our writers and through ggml's, on the same machine: equal bytes, and refused only
// what ggml's own check of a file refuses. Linked with a build of ggml-base.
//
//     quantise ROWS     prints what differs, and the hash of ggml's bytes of each type that
//                       tests/kernels/test_row_write.c has of 120 rows; exit 1 if anything differs
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/base/hash.h"
#include "kernels/row_write.h"
#include "tests/kernels/rows.h"

// Of ggml.h, which is not needed otherwise.
struct ggml_init_params {
    size_t bytes;
    void *memory;
    _Bool no_alloc;
};
void *ggml_init(struct ggml_init_params);
size_t ggml_quantize_chunk(int type, const float *from, void *to, int64_t start, int64_t rows,
                           int64_t columns, const float *importance);
_Bool ggml_validate_row_data(int type, const void *data, size_t bytes);

static int compare(DType dtype, int64_t rows)
{
    static float row[ROW_COLUMNS];
    static uint8_t ours[ROW_COLUMNS * 4], theirs[ROW_COLUMNS * 4];
    size_t bytes = (size_t)dtype_row_bytes(dtype, ROW_COLUMNS);
    int type = dtype_table[dtype].gguf_type, wrong = 0, refused = 0;
    uint64_t hash = 0;
    for (int64_t i = 0; i < rows; i++) {
        row_fill(row, (uint64_t)i);
        memset(ours, 0xaa, bytes);
        memset(theirs, 0x55, bytes);
        ggml_quantize_chunk(type, row, theirs, 0, 1, ROW_COLUMNS, NULL);
        _Bool fits = ggml_validate_row_data(type, theirs, bytes);
        _Bool written = row_from_f32(dtype, row, ROW_COLUMNS, ours) == ROW_COLUMNS;
        refused += !written;
        hash = fits ? hash64(theirs, bytes, hash) : hash;
        if (fits == written && (!fits || memcmp(ours, theirs, bytes) == 0))
            continue;
        size_t at = 0;
        while (at < bytes && ours[at] == theirs[at])
            at++;
        if (wrong++ < 3)
            printf("%s: row %d (kind %d): %s, byte %d of a block\n", dtype_table[dtype].name,
                   (int)i, (int)(i % ROW_KINDS),
                   fits == written ? "bytes differ" : "refused by one",
                   (int)(at % (size_t)dtype_table[dtype].block_bytes));
    }
    printf("%s: %d of %d rows differ, %d refused; hash 0x%016llx\n", dtype_table[dtype].name, wrong,
           (int)rows, refused, (unsigned long long)hash);
    return wrong;
}

int main(int argc, char **argv)
{
    int wrong = 0;
    int64_t rows = argc > 1 ? atoll(argv[1]) : 0;
    ggml_init((struct ggml_init_params){1 << 20, NULL, 1}); // fills its tables
    for (int dtype = 0; rows > 0 && dtype < DTYPE_COUNT; dtype++)
        if (row_can_write((DType)dtype) && dtype_table[dtype].kind == DTYPE_KIND_QUANT)
            wrong += compare((DType)dtype, rows);
    return rows < 1 || wrong ? 1 : 0;
}
