// The loops of matmul, for every target and type.
//
//   blocks of tokens (their activations stay in L2, of floats in L3)
//     units of weight rows                     <- what threads share out
//       panels of the unit, in order           (a panel stays in L1 or L2 while all tokens pass)
//         pieces of k, expanded to f32         (float activations only)
//           tiles of up to 8 tokens
//     and at the end of a unit: gates, quantise
//
// Bits do not depend on any of these cuts: an output is one chain in ascending k, and where k is
// cut the f32 chain is stored and loaded, which is exact. A unit whose rows all reach the result
// unchanged writes there; others go through scratch. Float activations of several tokens are
// transposed once per block to [tile][k][8]: reading eight rows a power of two apart would thrash
// the L1 sets.
#include "kernels/matmul.h"

#include <assert.h>
#include <string.h>

// So few float activations fit L2 that expanding every panel again for each block costs more than
// reading them from L3: half a line for every eight chains.
enum { BLOCK_TOKENS = 256, BLOCK_BYTES = 640 * 1024, FLOAT_BLOCK_BYTES = 6 * 1024 * 1024 };
// Rows of one token that are gated and rounded together.
enum { ONE_TOKEN_ROWS = 1024 };

typedef struct Job {
    const MatmulBody *body;
    const KernelOperand *x, *result;
    Epilogue epilogue;
    DType post;
    float *panel, *packed, *unit; // scratch: expanded panel, transposed x, outputs of a unit
    int64_t token;                // the first of the current block
    MatmulTokens tokens;          // the block
} Job;

// How the rows of one weight are cut.
typedef struct Cut {
    int64_t panel_rows, unit_rows, units;
} Cut;

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t round_up(int64_t value, int64_t multiple)
{
    return (value + multiple - 1) / multiple * multiple;
}

static DType call_post(const KernelCall *call)
{
    return (DType)call->attributes->matmul.post;
}

static Epilogue call_epilogue(const KernelCall *call)
{
    return (Epilogue)call->attributes->matmul.epilogue;
}

int64_t matmul_panel_rows(Layout layout)
{
    return layout == LAYOUT_plain ? MATMUL_ROWS : layout_table[layout].panel_rows;
}

int64_t matmul_unit_rows(Layout layout, Epilogue epilogue, DType post)
{
    bool gated = epilogue_is_gated(epilogue);
    int64_t least_rows = gated ? 2 * SWIGLU_INTERLEAVE : matmul_panel_rows(layout);
    int64_t block_rows = dtype_table[post].block_elements * (gated ? 2 : 1);
    return block_rows > least_rows ? block_rows : least_rows;
}

static Cut cut_weight(const KernelCall *call, const KernelOperand *weight)
{
    Cut cut;
    DType post = call_post(call);
    bool gated = epilogue_is_gated(call_epilogue(call));
    cut.panel_rows = matmul_panel_rows(weight->layout);
    cut.unit_rows = matmul_unit_rows(weight->layout, call_epilogue(call), post);
    assert(weight->rows % (gated ? 2 * SWIGLU_INTERLEAVE : 1) == 0);
    assert(weight->rows % (dtype_table[post].block_elements * (gated ? 2 : 1)) == 0);
    cut.units = (weight->rows + cut.unit_rows - 1) / cut.unit_rows;
    return cut;
}

int64_t matmul_block_tokens(DType dtype, int64_t k)
{
    int64_t bytes = dtype == DTYPE_f32 ? FLOAT_BLOCK_BYTES : BLOCK_BYTES;
    int64_t fitting = bytes / dtype_row_bytes(dtype, k) / MATMUL_TOKENS * MATMUL_TOKENS;
    if (fitting < MATMUL_TOKENS)
        return MATMUL_TOKENS;
    return least(fitting, BLOCK_TOKENS);
}

static int64_t block_tokens(const KernelOperand *x)
{
    return matmul_block_tokens(x->dtype, x->columns);
}

int64_t matmul_panel_scratch(DType dtype, int64_t k)
{
    if (dtype == DTYPE_f32)
        return least(round_up(k, 16), MATMUL_PIECE) * 2 * MATMUL_ROWS * (int64_t)sizeof(float);
    if (dtype == DTYPE_q8)
        return least(k, MATMUL_PIECE) / 32 * MATMUL_LINES32 * 64;
    return dtype == DTYPE_q8k ? k / 256 * MATMUL_WIDE_BLOCK : 0;
}

static int64_t panel_scratch(const KernelOperand *x)
{
    return matmul_panel_scratch(x->dtype, x->columns);
}

static int64_t packed_scratch(const KernelOperand *x)
{
    if (x->dtype != DTYPE_f32 || x->rows <= 1)
        return 0;
    int64_t tokens = least(round_up(x->rows, MATMUL_TOKENS), block_tokens(x));
    return round_up(tokens * dtype_row_bytes(x->dtype, x->columns), 64);
}

static int64_t unit_scratch(const KernelCall *call)
{
    int64_t rows = 0, tokens = least(call->operands[0].rows, block_tokens(&call->operands[0]));
    for (int32_t i = 1; i < call->operand_count; i++) {
        Cut cut = cut_weight(call, &call->operands[i]);
        rows = cut.unit_rows > rows ? cut.unit_rows : rows;
    }
    // One token may come where more were planned for.
    int64_t floats = tokens * rows > ONE_TOKEN_ROWS ? tokens * rows : ONE_TOKEN_ROWS;
    return floats * (int64_t)sizeof(float);
}

int64_t matmul_scratch(const KernelCall *call)
{
    const KernelOperand *x = &call->operands[0];
    return panel_scratch(x) + packed_scratch(x) + unit_scratch(call);
}

int64_t matmul_tiles(const KernelCall *call)
{
    int64_t tiles = 0;
    if (call->operands[0].rows == 0)
        return 0;
    for (int32_t i = 1; i < call->operand_count; i++)
        tiles += cut_weight(call, &call->operands[i]).units;
    return tiles;
}

void matmul_transpose(const float *const rows[MATMUL_TOKENS], int64_t columns, int64_t k,
                      float *tile)
{
    for (int64_t k0 = 0; k0 < k; k0 += 16)
        for (int64_t c = 0; c < columns; c++)
            for (int64_t i = k0; i < least(k0 + 16, k); i++)
                tile[i * MATMUL_TOKENS + c] = rows[c][i];
}

// The block's rows of x as [tile][k][8].
static void transpose_tokens(const Job *job, int64_t tokens)
{
    int64_t k = job->x->columns;
    const float *x = operand_row(job->x, job->token);
    for (int64_t t = 0; t < tokens; t += MATMUL_TOKENS) {
        const float *rows[MATMUL_TOKENS];
        int64_t columns = least(MATMUL_TOKENS, tokens - t);
        for (int64_t c = 0; c < columns; c++)
            rows[c] = x + (t + c) * k;
        matmul_transpose(rows, columns, k, job->packed + t * k);
    }
}

static MatmulTokens bind_tokens(const Job *job, int64_t count)
{
    const KernelOperand *x = job->x;
    if (x->dtype == DTYPE_f32) {
        int32_t spacing = x->rows == 1 ? 1 : MATMUL_TOKENS;
        const void *data = x->rows == 1 ? x->data : job->packed;
        return (MatmulTokens){x->dtype, data, count,
                              spacing * dtype_row_bytes(x->dtype, x->columns), spacing};
    }
    int32_t spacing = layout_table[x->layout].panel_rows;
    int64_t tile_bytes = layout_panel_bytes(x->dtype, x->layout, x->columns);
    return (MatmulTokens){x->dtype, (const uint8_t *)x->data + job->token / spacing * tile_bytes,
                          count, tile_bytes, spacing};
}

// Runs a body over all tokens, from word `word` of each column on.
static void run_tiles(MatmulTileBody *run, MatmulTile tile, const MatmulTokens *tokens,
                      int64_t word)
{
    float *out = tile.out;
    tile.spacing = tokens->spacing;
    for (int64_t t = 0; t < tokens->count; t += tokens->spacing) {
        tile.columns = (int32_t)least(tokens->spacing, tokens->count - t);
        tile.tokens = (const uint8_t *)tokens->data + t / tokens->spacing * tokens->tile_bytes +
                      word * tokens->spacing * (int64_t)sizeof(float);
        tile.out = out + t * tile.stride;
        run(&tile);
    }
}

// k of a panel at a time: with 16 rows as floats and a tile of tokens L1 holds 256 of them, but
// pieces are whole pairs of blocks.
static int64_t piece_of(DType dtype)
{
    return dtype_table[dtype].block_elements == 256 ? MATMUL_PIECE : MATMUL_PIECE / 2;
}

static void run_chain_panel(const MatmulBody *body, const MatmulPanel *panel,
                            const MatmulTokens *tokens, float *expanded, float *out, int64_t stride)
{
    MatmulExpand *expand = body->expand_chain[panel->dtype];
    int64_t piece = piece_of(panel->dtype);
    for (int64_t begin = 0; begin < panel->k; begin += piece) {
        int64_t count = least(piece, panel->k - begin);
        const float *weights = (const float *)(const void *)panel->data + begin * MATMUL_ROWS;
        if (expand) {
            expand(panel, begin, count, expanded);
            weights = expanded;
        }
        for (int64_t row = 0; row < matmul_panel_rows(panel->layout); row += MATMUL_ROWS) {
            MatmulTile tile = {.panel = weights + row * count,
                               .length = count,
                               .out = out + row,
                               .stride = stride,
                               .resume = begin > 0};
            run_tiles(body->chain, tile, tokens, begin);
        }
    }
}

// Pieces of blocks of 32 stay in L1 while all tokens pass.
static void run_expanded_panel(const MatmulBody *body, const MatmulPanel *panel,
                               const MatmulTokens *tokens, void *expanded, float *out,
                               int64_t stride)
{
    const DTypeInfo *block = &dtype_table[tokens->dtype];
    int64_t piece = tokens->dtype == DTYPE_q8 ? piece_of(panel->dtype) : panel->k;
    for (int64_t begin = 0; begin < panel->k; begin += piece) {
        int64_t count = least(piece, panel->k - begin);
        MatmulTile tile = {.dtype = panel->dtype,
                           .panel = expanded,
                           .length = count / block->block_elements,
                           .out = out,
                           .stride = stride,
                           .resume = begin > 0};
        body->expand_block[panel->dtype](panel, begin, count, expanded);
        run_tiles(body->expanded[panel->dtype], tile, tokens,
                  dtype_row_bytes(tokens->dtype, begin) / (int64_t)sizeof(int32_t));
    }
}

// Pieces of the packed panel stay in L1 while all tokens pass.
static void run_pairs_panel(const MatmulBody *body, const MatmulPanel *panel,
                            const MatmulTokens *tokens, float *out, int64_t stride)
{
    int64_t piece = MATMUL_PIECE / 2;
    for (int64_t begin = 0; begin < panel->k; begin += piece) {
        MatmulTile tile = {.panel =
                               panel->data + layout_panel_bytes(panel->dtype, panel->layout, begin),
                           .length = least(piece, panel->k - begin) / 2,
                           .out = out,
                           .stride = stride,
                           .resume = begin > 0};
        run_tiles(body->pairs, tile, tokens, begin / 2);
    }
}

// What reads panels of the type as they are packed, whole; NULL: for so many tokens they are
// expanded or taken in pieces.
static MatmulTileBody *whole_body(const MatmulBody *body, DType dtype, const MatmulTokens *tokens)
{
    if (tokens->dtype == DTYPE_bf16x2)
        return tokens->spacing == 1 ? body->pairs : NULL;
    if (tokens->dtype == DTYPE_f32)
        return tokens->count <= body->packed_most ? body->chain_packed[dtype] : NULL;
    bool expands = body->expand_block[dtype] && tokens->count >= body->expand_from[dtype];
    return expands ? NULL : body->block[dtype];
}

static void run_panel(const MatmulBody *body, const MatmulPanel *panel, const MatmulTokens *tokens,
                      void *expanded, float *out, int64_t stride)
{
    if (tokens->dtype == DTYPE_bf16x2)
        run_pairs_panel(body, panel, tokens, out, stride);
    else if (tokens->dtype == DTYPE_f32)
        run_chain_panel(body, panel, tokens, expanded, out, stride);
    else
        run_expanded_panel(body, panel, tokens, expanded, out, stride);
}

void matmul_run_panels(const MatmulBody *body, const KernelOperand *weight, int64_t begin,
                       int64_t end, const MatmulTokens *tokens, void *expanded, float *out,
                       int64_t stride)
{
    int64_t rows = matmul_panel_rows(weight->layout);
    int64_t bytes = weight->layout == LAYOUT_plain
                        ? rows * dtype_row_bytes(weight->dtype, weight->columns)
                        : layout_panel_bytes(weight->dtype, weight->layout, weight->columns);
    MatmulTileBody *whole = whole_body(body, weight->dtype, tokens);
    MatmulTile tile = {.dtype = weight->dtype,
                       .length = weight->columns / dtype_table[tokens->dtype].block_elements,
                       .stride = stride,
                       .panel_bytes = bytes,
                       .panel_rows = rows};
    for (int64_t row = begin; row < end; row += (tile.more + 1) * rows) {
        const uint8_t *data = (const uint8_t *)weight->data + row / rows * bytes;
        if (!whole) {
            MatmulPanel panel = {weight->dtype, weight->layout, data,
                                 least(rows, weight->rows - row), weight->columns};
            run_panel(body, &panel, tokens, expanded, out + (row - begin), stride);
            continue;
        }
        tile.panel = data;
        tile.out = out + (row - begin);
        tile.more = tokens->spacing == 1 ? (end - row - 1) / rows : 0;
        run_tiles(whole, tile, tokens, 0);
    }
}

void matmul_apply_gates(const RowsBody *rows, Epilogue epilogue, float *row, int64_t outputs)
{
    ComputeGated *compute = epilogue == EPILOGUE_geglu ? rows->geglu : rows->swiglu;
    for (int64_t i = 0; i < outputs; i += SWIGLU_INTERLEAVE) {
        const float *gate = row + 2 * i;
        compute(gate, gate + SWIGLU_INTERLEAVE, row + i, SWIGLU_INTERLEAVE);
    }
}

// What stands between sums in scratch and the result.
static void finish_rows(const Job *job, int64_t unit_rows, int64_t rows, int64_t column)
{
    const RowsBody *body = job->body->rows;
    int64_t outputs = epilogue_is_gated(job->epilogue) ? rows / 2 : rows;
    for (int64_t t = 0; t < job->tokens.count; t++) {
        float *row = job->unit + t * unit_rows;
        if (epilogue_is_gated(job->epilogue))
            matmul_apply_gates(body, job->epilogue, row, outputs);
        if (job->post == DTYPE_f32)
            memcpy(operand_row(job->result, job->token + t) + column, row,
                   (size_t)outputs * sizeof *row);
        else
            activation_write(body, job->result, job->token + t, column, row, outputs);
    }
}

// Whether the sums of whole units are the result as they are.
static bool is_direct(const Job *job)
{
    return !epilogue_is_gated(job->epilogue) && job->post == DTYPE_f32;
}

// How many of the units first … last-1 run together: of whole units that go to the result directly
// all, of one token as many as scratch holds.
static int64_t units_together(const Job *job, const KernelOperand *weight, const Cut *cut,
                              int64_t first, int64_t last)
{
    int64_t whole = least(last, weight->rows / cut->unit_rows);
    if (first < whole && is_direct(job))
        return whole - first;
    int64_t most = job->x->rows == 1 ? ONE_TOKEN_ROWS / cut->unit_rows : 1;
    return least(last - first, most > 1 ? most : 1);
}

// Rows begin … end-1 of a weight, which run together. `column`: where in the result the weight's
// outputs begin.
static void run_rows(const Job *job, const KernelOperand *weight, const Cut *cut, int64_t begin,
                     int64_t end, int64_t column)
{
    column += epilogue_is_gated(job->epilogue) ? begin / 2 : begin;
    bool direct = is_direct(job) && (end - begin) % cut->unit_rows == 0;
    int64_t stride = direct ? job->result->columns : cut->unit_rows;
    float *out = direct ? (float *)job->result->data + job->token * stride + column : job->unit;
    matmul_run_panels(job->body, weight, begin, end, &job->tokens, job->panel, out, stride);
    if (!direct)
        finish_rows(job, cut->unit_rows, end - begin, column);
}

// Units first … last-1 of all weights, for the current block of tokens.
static void run_units(const Job *job, const KernelCall *call, int64_t first, int64_t last)
{
    int64_t before = 0, column = 0;
    for (int32_t i = 1; i < call->operand_count; i++) {
        const KernelOperand *weight = &call->operands[i];
        Cut cut = cut_weight(call, weight);
        int64_t unit = first > before ? first - before : 0, end = least(last - before, cut.units);
        for (int64_t count; unit < end; unit += count) {
            count = units_together(job, weight, &cut, unit, end);
            run_rows(job, weight, &cut, unit * cut.unit_rows,
                     least((unit + count) * cut.unit_rows, weight->rows), column);
        }
        before += cut.units;
        column += epilogue_is_gated(job->epilogue) ? weight->rows / 2 : weight->rows;
    }
}

void matmul_run(const MatmulBody *body, const KernelCall *call, void *scratch, int64_t first,
                int64_t last)
{
    const KernelOperand *x = &call->operands[0];
    Job job = {.body = body, .x = x, .result = &call->results[0]};
    job.epilogue = call_epilogue(call);
    job.post = call_post(call);
    job.panel = scratch;
    job.packed = job.panel + panel_scratch(x) / (int64_t)sizeof(float);
    job.unit = job.packed + packed_scratch(x) / (int64_t)sizeof(float);
    for (job.token = 0; job.token < x->rows; job.token += job.tokens.count) {
        job.tokens = bind_tokens(&job, least(x->rows - job.token, block_tokens(x)));
        if (x->dtype == DTYPE_f32 && x->rows > 1)
            transpose_tokens(&job, job.tokens.count);
        run_units(&job, call, first, last);
    }
}
