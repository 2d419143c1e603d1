// The loops of matmul, for every target and type.
//
//   blocks of tokens (their activations stay in L2)
//     units of weight rows                     <- what threads share out
//       panels of the unit, in order           (a panel stays in L1 or L2 while all tokens pass)
//         pieces of k, expanded to f32         (float activations only)
//           tiles of up to 8 tokens
//     and at the end of a unit: swiglu, quantise
//
// Bits do not depend on any of these cuts: an output is one chain in ascending k, and where k is
// cut the f32 chain is stored and loaded, which is exact. A unit whose rows all reach the result
// unchanged writes there; others go through scratch. Float activations of several tokens are
// transposed once per block to [tile][k][8]: reading eight rows a power of two apart would thrash
// the L1 sets.
#include "kernels/matmul.h"

#include <assert.h>
#include <string.h>

enum { BLOCK_TOKENS = 256, BLOCK_BYTES = 640 * 1024 };

typedef struct Job {
    const MatmulBody *body;
    const KernelOperand *x, *result;
    int64_t k;
    bool floats, swiglu;
    DType post;
    float *panel, *packed, *unit; // scratch: expanded panel, transposed x, outputs of a unit
    int64_t token, tokens;        // the current block of tokens
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

static bool call_swiglu(const KernelCall *call)
{
    return call->attributes->matmul.epilogue == EPILOGUE_swiglu;
}

static Cut cut_weight(const KernelCall *call, const KernelOperand *weight)
{
    Cut cut;
    DType post = call_post(call);
    bool swiglu = call_swiglu(call);
    cut.panel_rows =
        weight->layout == LAYOUT_plain ? MATMUL_ROWS : layout_table[weight->layout].panel_rows;
    cut.unit_rows = cut.panel_rows;
    if (post != DTYPE_f32)
        cut.unit_rows = dtype_table[post].block_elements * (swiglu ? 2 : 1);
    else if (swiglu)
        cut.unit_rows = 2 * SWIGLU_INTERLEAVE;
    assert(weight->rows % (swiglu ? 2 * SWIGLU_INTERLEAVE : 1) == 0);
    assert(post == DTYPE_f32 || weight->rows % cut.unit_rows == 0);
    cut.units = (weight->rows + cut.unit_rows - 1) / cut.unit_rows;
    return cut;
}

static int64_t token_bytes(const KernelOperand *x)
{
    return dtype_row_bytes(x->dtype, x->columns);
}

// As many tokens as keep their activations in L2.
static int64_t block_tokens(const KernelOperand *x)
{
    int64_t fitting = BLOCK_BYTES / token_bytes(x) / MATMUL_TOKENS * MATMUL_TOKENS;
    if (fitting < MATMUL_TOKENS)
        return MATMUL_TOKENS;
    return least(fitting, BLOCK_TOKENS);
}

static int64_t panel_scratch(const KernelOperand *x)
{
    if (x->dtype == DTYPE_f32)
        return least(round_up(x->columns, 16), MATMUL_PIECE) * 2 * MATMUL_ROWS *
               (int64_t)sizeof(float);
    return x->dtype == DTYPE_q8k ? x->columns / 256 * MATMUL_Q6_BLOCK : 0;
}

static int64_t packed_scratch(const KernelOperand *x)
{
    if (x->dtype != DTYPE_f32 || x->rows <= 1)
        return 0;
    int64_t tokens = least(round_up(x->rows, MATMUL_TOKENS), block_tokens(x));
    return round_up(tokens * token_bytes(x), 64);
}

static int64_t unit_scratch(const KernelCall *call)
{
    int64_t rows = 0, tokens = least(call->operands[0].rows, block_tokens(&call->operands[0]));
    for (int32_t i = 1; i < call->operand_count; i++) {
        Cut cut = cut_weight(call, &call->operands[i]);
        rows = cut.unit_rows > rows ? cut.unit_rows : rows;
    }
    return tokens * rows * (int64_t)sizeof(float);
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

// The block's rows of x as [tile][k][8]. Beyond the last token nothing is written nor read.
static void transpose_tokens(const Job *job)
{
    const float *x = (const float *)job->x->data + job->token * job->k;
    for (int64_t t = 0; t < job->tokens; t += MATMUL_TOKENS) {
        float *tile = job->packed + t * job->k;
        int64_t columns = least(MATMUL_TOKENS, job->tokens - t);
        for (int64_t k0 = 0; k0 < job->k; k0 += 16)
            for (int64_t c = 0; c < columns; c++)
                for (int64_t k = k0; k < least(k0 + 16, job->k); k++)
                    tile[k * MATMUL_TOKENS + c] = x[(t + c) * job->k + k];
    }
}

// All tokens of the block over 16 rows, for k from `begin`.
static void run_chain_tiles(const Job *job, const float *panel, int64_t begin, int64_t count,
                            float *out, int64_t stride)
{
    MatmulTile tile = {.panel = panel, .length = count, .stride = stride, .resume = begin > 0};
    bool one = job->x->rows == 1;
    tile.spacing = one ? 1 : MATMUL_TOKENS;
    for (int64_t t = 0; t < job->tokens; t += MATMUL_TOKENS) {
        tile.columns = (int32_t)least(MATMUL_TOKENS, job->tokens - t);
        tile.tokens = one ? (const float *)job->x->data + begin
                          : job->packed + t * job->k + begin * MATMUL_TOKENS;
        tile.out = out + t * stride;
        job->body->chain(&tile);
    }
}

static void run_chain_panel(const Job *job, const MatmulPanel *panel, int64_t panel_rows,
                            float *out, int64_t stride)
{
    MatmulTileBody *vector = job->body->vector[panel->dtype];
    if (vector && job->x->rows == 1) {
        vector(&(MatmulTile){panel->data, job->x->data, 1, 1, job->k, out, stride, false});
        return;
    }
    MatmulExpand *expand = job->body->expand_chain[panel->dtype];
    for (int64_t begin = 0; begin < job->k; begin += MATMUL_PIECE) {
        int64_t count = least(MATMUL_PIECE, job->k - begin);
        const float *weights = (const float *)(const void *)panel->data + begin * MATMUL_ROWS;
        if (expand) {
            expand(panel, begin, count, job->panel);
            weights = job->panel;
        }
        for (int64_t row = 0; row < panel_rows; row += MATMUL_ROWS)
            run_chain_tiles(job, weights + row * count, begin, count, out + row, stride);
    }
}

static void run_block_panel(const Job *job, const MatmulPanel *panel, float *out, int64_t stride)
{
    const MatmulBody *body = job->body;
    MatmulTileBody *run = body->block[panel->dtype];
    MatmulTile tile = {.panel = panel->data, .stride = stride};
    if (body->expand_block[panel->dtype] && job->tokens > 1) {
        body->expand_block[panel->dtype](panel, 0, job->k, job->panel);
        tile.panel = job->panel;
        run = body->expanded[panel->dtype];
    }
    int64_t spacing = layout_table[job->x->layout].panel_rows;
    int64_t tile_bytes = layout_panel_bytes(job->x->dtype, job->x->layout, job->k);
    tile.spacing = (int32_t)spacing;
    tile.length = job->k / dtype_table[job->x->dtype].block_elements;
    for (int64_t t = 0; t < job->tokens; t += spacing) {
        tile.columns = (int32_t)least(spacing, job->tokens - t);
        tile.tokens = (const uint8_t *)job->x->data + (job->token + t) / spacing * tile_bytes;
        tile.out = out + t * stride;
        run(&tile);
    }
}

static MatmulPanel weight_panel(const KernelOperand *weight, int64_t row, int64_t panel_rows)
{
    int64_t bytes = weight->layout == LAYOUT_plain
                        ? panel_rows * dtype_row_bytes(weight->dtype, weight->columns)
                        : layout_panel_bytes(weight->dtype, weight->layout, weight->columns);
    return (MatmulPanel){weight->dtype, weight->layout,
                         (const uint8_t *)weight->data + row / panel_rows * bytes,
                         least(panel_rows, weight->rows - row), weight->columns};
}

// 16 gates and 16 ups in turn become 16 outputs each, in place.
static void apply_swiglu(const RowsBody *rows, float *row, int64_t outputs)
{
    for (int64_t i = 0; i < outputs; i += SWIGLU_INTERLEAVE) {
        const float *gate = row + 2 * i;
        rows->swiglu(gate, gate + SWIGLU_INTERLEAVE, row + i, SWIGLU_INTERLEAVE);
    }
}

// What stands between a unit's sums in scratch and the result.
static void finish_unit(const Job *job, int64_t unit_rows, int64_t rows, int64_t column)
{
    const RowsBody *body = job->body->rows;
    int64_t outputs = job->swiglu ? rows / 2 : rows;
    for (int64_t t = 0; t < job->tokens; t++) {
        float *row = job->unit + t * unit_rows;
        if (job->swiglu)
            apply_swiglu(body, row, outputs);
        if (job->post == DTYPE_f32)
            memcpy(operand_row(job->result, job->token + t) + column, row,
                   (size_t)outputs * sizeof *row);
        else
            activation_write(body, job->result, job->token + t, column, row, outputs);
    }
}

// `column`: where in the result the weight's outputs begin.
static void run_unit(const Job *job, const KernelOperand *weight, const Cut *cut, int64_t unit,
                     int64_t column)
{
    int64_t begin = unit * cut->unit_rows, end = least(begin + cut->unit_rows, weight->rows);
    column += job->swiglu ? begin / 2 : begin;
    bool direct = !job->swiglu && job->post == DTYPE_f32 && end - begin == cut->unit_rows;
    int64_t stride = direct ? job->result->columns : cut->unit_rows;
    float *out = direct ? (float *)job->result->data + job->token * stride + column : job->unit;
    for (int64_t row = begin; row < end; row += cut->panel_rows) {
        MatmulPanel panel = weight_panel(weight, row, cut->panel_rows);
        if (job->floats)
            run_chain_panel(job, &panel, cut->panel_rows, out + (row - begin), stride);
        else
            run_block_panel(job, &panel, out + (row - begin), stride);
    }
    if (!direct)
        finish_unit(job, cut->unit_rows, end - begin, column);
}

// Units first … last-1 of all weights, for the current block of tokens.
static void run_units(const Job *job, const KernelCall *call, int64_t first, int64_t last)
{
    int64_t before = 0, column = 0;
    for (int32_t i = 1; i < call->operand_count; i++) {
        const KernelOperand *weight = &call->operands[i];
        Cut cut = cut_weight(call, weight);
        int64_t begin = first > before ? first - before : 0, end = least(last - before, cut.units);
        for (int64_t unit = begin; unit < end; unit++)
            run_unit(job, weight, &cut, unit, column);
        before += cut.units;
        column += job->swiglu ? weight->rows / 2 : weight->rows;
    }
}

void matmul_run(const MatmulBody *body, const KernelCall *call, void *scratch, int64_t first,
                int64_t last)
{
    const KernelOperand *x = &call->operands[0];
    Job job = {.body = body, .x = x, .result = &call->results[0], .k = x->columns};
    job.floats = x->dtype == DTYPE_f32;
    job.swiglu = call_swiglu(call);
    job.post = call_post(call);
    job.panel = scratch;
    job.packed = job.panel + panel_scratch(x) / (int64_t)sizeof(float);
    job.unit = job.packed + packed_scratch(x) / (int64_t)sizeof(float);
    for (job.token = 0; job.token < x->rows; job.token += job.tokens) {
        job.tokens = least(x->rows - job.token, block_tokens(x));
        if (job.floats && x->rows > 1)
            transpose_tokens(&job);
        run_units(&job, call, first, last);
    }
}
