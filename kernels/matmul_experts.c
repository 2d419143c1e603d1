// matmul_experts: for each slot of a token, x times the transpose of the rows of the expert that
// the slot names. Panels and bodies are matmul's; this file chooses tokens and rows.
//
//   experts that a slot names
//     their (token, slot) pairs, in blocks, gathered to tiles (once a thread)
//       units of the expert's rows             <- what threads share out: unit i of every expert
//         panels of the unit
//     and at the end of a unit: gates, quantise, and each row to where its pair belongs
//
// Bits do not depend on who else chose the expert: an output is one chain in ascending k, as in
// matmul. The rows of experts follow one another in one matrix, and a panel may hold the end of one
// and the beginning of the next: both compute it, each keeps its own rows. (With an epilogue or
// post experts have whole units.) Ids are looked for, never used as indices: one that names no
// expert reads nothing, and what it leaves is not defined.
//
// Rejected: sharing out (expert, panel) pairs, which leaves threads without work when few experts
// are chosen; sorting the pairs first, which costs scratch and is not seen beside the products.
#include <string.h>

#include "kernels/matmul.h"

// Where a row of activations comes from and its outputs go.
typedef struct Pick {
    int32_t token, slot;
} Pick;

typedef struct Job {
    const MatmulBody *body;
    const KernelOperand *x, *weight, *ids, *result;
    int64_t k, rows, outputs, unit_rows; // rows and outputs are an expert's
    Epilogue epilogue;
    DType post;
    Pick *picks; // scratch, as the following
    void *panel, *packed;
    float *sums;
    int64_t expert;
    MatmulTokens tokens; // the current block of the expert's picks
} Job;

typedef struct Sizes {
    int64_t block, picks, packed, sums; // the last three in bytes
} Sizes;

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t round_up(int64_t value, int64_t multiple)
{
    return (value + multiple - 1) / multiple * multiple;
}

static int64_t unit_rows(const KernelCall *call)
{
    return matmul_unit_rows(call->operands[1].layout,
                            (Epilogue)call->attributes->matmul_experts.epilogue,
                            (DType)call->attributes->matmul_experts.post);
}

static Sizes sizes_of(const KernelCall *call)
{
    const KernelOperand *x = &call->operands[0], *w = &call->operands[1], *ids = &call->operands[2];
    int64_t all = round_up(ids->rows * ids->columns, MATMUL_TOKENS);
    Sizes sizes = {.block = least(all, matmul_block_tokens(x->dtype, w->columns))};
    sizes.picks = round_up(sizes.block * (int64_t)sizeof(Pick), 64);
    sizes.packed = round_up(sizes.block * dtype_row_bytes(x->dtype, w->columns), 64);
    sizes.sums = sizes.block * unit_rows(call) * (int64_t)sizeof(float);
    return sizes;
}

int64_t matmul_experts_scratch(const KernelCall *call)
{
    Sizes sizes = sizes_of(call);
    return sizes.picks + matmul_panel_scratch(call->operands[0].dtype, call->operands[1].columns) +
           sizes.packed + sizes.sums;
}

static int64_t expert_rows(const KernelCall *call)
{
    return call->operands[1].rows / call->attributes->matmul_experts.experts;
}

// As many as the units of the expert that touches most.
int64_t matmul_experts_tiles(const KernelCall *call)
{
    int64_t rows = expert_rows(call), unit = unit_rows(call);
    if (call->operands[0].rows == 0)
        return 0;
    return rows % unit == 0 ? rows / unit : (rows + unit - 2) / unit + 1;
}

// Where the expert's activations of a pick begin: a row of floats, or words of a tile of quants.
static const void *pick_data(const Job *job, Pick pick)
{
    const KernelOperand *x = job->x;
    int64_t slot = x->columns == job->k ? 0 : pick.slot;
    if (x->dtype == DTYPE_f32)
        return operand_row(x, pick.token) + slot * job->k;
    int32_t spacing = layout_table[x->layout].panel_rows;
    const uint8_t *tile =
        (const uint8_t *)x->data +
        pick.token / spacing * layout_panel_bytes(x->dtype, x->layout, x->columns);
    return tile + slot * dtype_row_bytes(x->dtype, job->k) * spacing + pick.token % spacing * 4;
}

static void gather_quants(const Job *job, int32_t *packed, int64_t count, int32_t spacing)
{
    int64_t words = dtype_row_bytes(job->x->dtype, job->k) / (int64_t)sizeof(int32_t);
    int32_t step = layout_table[job->x->layout].panel_rows;
    for (int64_t i = 0; i < count; i++) {
        const int32_t *from = pick_data(job, job->picks[i]);
        int32_t *to = packed + i / spacing * spacing * words + i % spacing;
        for (int64_t word = 0; word < words; word++)
            to[word * spacing] = from[word * step];
    }
}

static void gather_floats(const Job *job, float *packed, int64_t count)
{
    for (int64_t i = 0; i < count; i += MATMUL_TOKENS) {
        const float *rows[MATMUL_TOKENS];
        int64_t columns = least(MATMUL_TOKENS, count - i);
        for (int64_t c = 0; c < columns; c++)
            rows[c] = pick_data(job, job->picks[i + c]);
        matmul_transpose(rows, columns, job->k, packed + i * job->k);
    }
}

// The first `count` picks as tiles; a single one is read where it lies if its words are together.
static MatmulTokens gather(const Job *job, int64_t count)
{
    const KernelOperand *x = job->x;
    bool floats = x->dtype == DTYPE_f32;
    int32_t spacing = count == 1 ? 1 : MATMUL_TOKENS;
    const void *data = job->packed;
    if (count == 1 && (floats || x->layout == LAYOUT_t1))
        data = pick_data(job, job->picks[0]);
    else if (floats)
        gather_floats(job, job->packed, count);
    else
        gather_quants(job, job->packed, count, spacing);
    return (MatmulTokens){x->dtype, data, count, spacing * dtype_row_bytes(x->dtype, job->k),
                          spacing};
}

// The next picks of the current expert, from place `*place` of ids on.
static int64_t take_picks(const Job *job, int64_t most, int64_t *place)
{
    const int32_t *ids = job->ids->data;
    int64_t slots = job->ids->columns, places = job->ids->rows * slots, count = 0;
    for (; *place < places && count < most; ++*place)
        if (ids[*place] == job->expert)
            job->picks[count++] = (Pick){(int32_t)(*place / slots), (int32_t)(*place % slots)};
    return count;
}

// What stands between a unit's sums and the result: columns begin … end-1 of each pick's row of
// sums go to columns from `column` of its part.
static void finish_unit(const Job *job, int64_t begin, int64_t end, int64_t column)
{
    const RowsBody *body = job->body->rows;
    int64_t outputs = epilogue_is_gated(job->epilogue) ? (end - begin) / 2 : end - begin;
    for (int64_t i = 0; i < job->tokens.count; i++) {
        Pick pick = job->picks[i];
        float *row = job->sums + i * job->unit_rows + begin;
        int64_t at = pick.slot * job->outputs + column;
        if (epilogue_is_gated(job->epilogue))
            matmul_apply_gates(body, job->epilogue, row, outputs);
        if (job->post == DTYPE_f32)
            memcpy(operand_row(job->result, pick.token) + at, row, (size_t)outputs * sizeof *row);
        else
            activation_write(body, job->result, pick.token, at, row, outputs);
    }
}

// Unit `index` of those that hold rows of the expert.
static void run_unit(const Job *job, int64_t index)
{
    int64_t begin = job->expert * job->rows, end = begin + job->rows;
    int64_t unit = (begin / job->unit_rows + index) * job->unit_rows;
    if (unit >= end)
        return;
    int64_t past = least(unit + job->unit_rows, job->weight->rows);
    matmul_run_panels(job->body, job->weight, unit, past, &job->tokens, job->panel, job->sums,
                      job->unit_rows);
    int64_t first = unit > begin ? unit : begin, last = least(past, end);
    finish_unit(job, first - unit, last - unit,
                (first - begin) / (epilogue_is_gated(job->epilogue) ? 2 : 1));
}

void matmul_experts_run(const MatmulBody *body, const KernelCall *call, void *scratch,
                        int64_t first, int64_t last)
{
    const KernelOperand *operands = call->operands;
    Sizes sizes = sizes_of(call);
    uint8_t *memory = scratch;
    Job job = {.body = body,
               .x = &operands[0],
               .weight = &operands[1],
               .ids = &operands[2],
               .result = call->results,
               .k = operands[1].columns,
               .rows = expert_rows(call),
               .unit_rows = unit_rows(call),
               .epilogue = (Epilogue)call->attributes->matmul_experts.epilogue,
               .post = (DType)call->attributes->matmul_experts.post,
               .picks = scratch};
    job.outputs = epilogue_is_gated(job.epilogue) ? job.rows / 2 : job.rows;
    job.panel = memory + sizes.picks;
    job.packed = (uint8_t *)job.panel + matmul_panel_scratch(job.x->dtype, job.k);
    job.sums = (float *)(void *)((uint8_t *)job.packed + sizes.packed);
    for (job.expert = 0; job.expert < call->attributes->matmul_experts.experts; job.expert++)
        for (int64_t place = 0, count; (count = take_picks(&job, sizes.block, &place));) {
            job.tokens = gather(&job, count);
            for (int64_t index = first; index < last; index++)
                run_unit(&job, index);
        }
}
