// matmul: x times the transpose of each weight. matmul.c has the loops, once; a target supplies the
// bodies: what a panel of weights does to one to eight tokens. matmul_experts.c chooses rows and
// tokens for the same panels.
//
// Operands x[T,k] (f32 row-major, or rounded in t1 or t8), w[n_i,k] …; result f32 row-major or,
// with post, rounded in t1 or t8. A tile of the schedule is a unit of weight rows that never
// straddles two weights: one panel, or with gates 32 rows, or as many rows as make one block of the
// post type, whichever is most.
#ifndef KERNELS_MATMUL_H
#define KERNELS_MATMUL_H

#include "kernels/kernel.h"
#include "kernels/rows.h"

// Rows of a plain weight that are treated as a panel; rows of one MatmulTile.
enum { MATMUL_ROWS = 16 };
// Tokens of a tile at most.
enum { MATMUL_TOKENS = 8 };
// k of a panel that are expanded at a time, at most. A multiple of every pair of blocks, as half of
// it is of pairs of blocks of 32.
enum { MATMUL_PIECE = 512 };

// 16 weight rows (`chain_packed`, `pairs`: all of a panel) times the tokens of one tile.
typedef struct MatmulTile {
    DType dtype;        // of the weights
    const void *panel;  // packed or expanded
    const void *tokens; // the tile: f32 [k][spacing], or words of rounded blocks
    int32_t columns;    // tokens in the tile, 1 … spacing
    int32_t spacing;    // words from one k (or word of a block) to the next: 1 or MATMUL_TOKENS
    int64_t length;     // k of floats, else blocks
    float *out;         // [columns][stride], a row's outputs side by side
    int64_t stride;
    bool resume; // the chains go on from what stands in `out`: `chain`, `pairs`, `expanded` of q8
    // Of spacing 1: panels that follow, panel_bytes on each, whose sums come panel_rows on. So one
    // token pays for a call once, not for every panel.
    int64_t more, panel_bytes, panel_rows;
} MatmulTile;

// The next panel of a tile.
static inline void matmul_next_panel(MatmulTile *tile)
{
    tile->panel = (const uint8_t *)tile->panel + tile->panel_bytes;
    tile->out += tile->panel_rows;
}

// A panel of a weight. Plain weights are taken MATMUL_ROWS rows at a time.
typedef struct MatmulPanel {
    DType dtype;
    Layout layout;
    const uint8_t *data;
    int64_t rows; // that exist, at most the layout's
    int64_t k;
} MatmulPanel;

// Tokens as tiles read them: tiles of `spacing` columns one after another.
typedef struct MatmulTokens {
    DType dtype;
    const void *data;
    int64_t count;
    int64_t tile_bytes;
    int32_t spacing; // 1 or MATMUL_TOKENS
} MatmulTokens;

typedef void MatmulTileBody(const MatmulTile *tile);
// Floats: k = begin … begin+count-1 as f32 [panel rows / 16][count][16]; begin is a multiple of
// a pair of blocks. Quants: in the form that `expanded` of the target reads, blocks of 32 in pieces
// as floats, of 256 with begin = 0 and count = k.
typedef void MatmulExpand(const MatmulPanel *panel, int64_t begin, int64_t count, void *out);

typedef struct MatmulBody {
    MatmulTileBody *chain;                     // panel f32 [k][16]
    MatmulExpand *expand_chain[DTYPE_COUNT];   // to what `chain` reads; NULL: it is in that form
    MatmulTileBody *chain_packed[DTYPE_COUNT]; // all rows of a packed panel; NULL: none
    int32_t packed_most;                       // up to so many tokens chain_packed is faster
    MatmulTileBody *pairs;                     // bf16x2 tokens, panel bf16 [k / 2][32][2]
    MatmulTileBody *block[DTYPE_COUNT];        // q8 or q8k tokens, packed panel
    MatmulExpand *expand_block[DTYPE_COUNT];   // NULL: `block` takes all
    int32_t expand_from[DTYPE_COUNT];          // from so many tokens on expand_block is faster
    MatmulTileBody *expanded[DTYPE_COUNT];     // reads what expand_block writes
    const RowsBody *rows;                      // gates and quantise
} MatmulBody;

// Bytes of one block of 256 as expand_block leaves it, whatever the type (matmul_block256_simd.h).
enum { MATMUL_WIDE_BLOCK = 90 * 64 };

// Lines of 64 bytes of one block of 32 as expand_block leaves it: u8 quants [8 quads][16 rows][4],
// f32 scales [16], f32 least values [16].
enum { MATMUL_LINES32 = 8 + 2 };

// To f32, whatever the type and the layout; the types that matter have expansions of their own.
MatmulExpand matmul_expand_any;

// The loops: tiles first … last-1 with the bodies of one target.
void matmul_run(const MatmulBody *body, const KernelCall *call, void *scratch, int64_t first,
                int64_t last);

void matmul_experts_run(const MatmulBody *body, const KernelCall *call, void *scratch,
                        int64_t first, int64_t last);

// What both loops are made of.
// The panels of rows begin … end-1 over all tokens: out [count][stride], with the padding of the
// last panel. `expanded` is scratch of matmul_panel_scratch bytes for rows of k columns.
void matmul_run_panels(const MatmulBody *body, const KernelOperand *weight, int64_t begin,
                       int64_t end, const MatmulTokens *tokens, void *expanded, float *out,
                       int64_t stride);
int64_t matmul_panel_scratch(DType dtype, int64_t k);
// Rows of a panel; a plain weight has panels too.
int64_t matmul_panel_rows(Layout layout);
// Rows of a unit: a panel, what gates interleave, or what makes a block of the result.
int64_t matmul_unit_rows(Layout layout, Epilogue epilogue, DType post);
// 16 gates and 16 ups in turn become 16 outputs each, in place.
void matmul_apply_gates(const RowsBody *rows, Epilogue epilogue, float *row, int64_t outputs);
// Tokens of k columns in a block: as many as keep their activations in L2, of floats in L3. A
// multiple of MATMUL_TOKENS.
int64_t matmul_block_tokens(DType dtype, int64_t k);
// Up to MATMUL_TOKENS rows of floats as one tile. Beyond the last nothing is written nor read.
void matmul_transpose(const float *const rows[MATMUL_TOKENS], int64_t columns, int64_t k,
                      float *tile);

KernelRun matmul_ref, matmul_avx2, matmul_avx512, matmul_avx512bf16;
KernelTiles matmul_tiles;
KernelScratch matmul_scratch;
KernelRun matmul_experts_ref, matmul_experts_avx2, matmul_experts_avx512, matmul_experts_avx512bf16;
KernelTiles matmul_experts_tiles;
KernelScratch matmul_experts_scratch;

#endif
