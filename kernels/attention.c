// The loops of attention: tokens of one sequence that stand side by side are a run; a run's rows
// (token, head) are cut into tiles of 8, token by token, so that with 8 heads to a kv head all rows
// of a tile see the same keys. Parts go outside, their blocks inside, tiles innermost: a block of
// keys and values (64 KiB for f16 heads of 64) stays in the second-level cache while all rows of
// the run pass over it.
#include "kernels/attention.h"

#include <assert.h>

// One call's constants and a thread's scratch.
typedef struct Attention {
    const AttentionBody *body;
    const KernelCall *call;
    const KernelOperand *query, *keys, *values;
    const int32_t *positions, *sequences, *table;
    int64_t head_size, group, kv_head; // group: query heads that share a kv head
    int64_t width;                     // head_size in whole blocks of q8_0
    float *queries;                    // [row tile][head_size][ATTENTION_ROWS]
    int16_t *quants;                   // in their place [row][width], with
    float *quant_scales;               // one for each row
    AttentionSums part, whole;         // by row
    float *scores, *partial;
} Attention;

static int64_t head_size_of(const KernelCall *call)
{
    return call->operands[0].columns / call->attributes->attention.heads;
}

static int64_t kv_heads_of(const KernelCall *call)
{
    return call->operands[4].columns / head_size_of(call);
}

int64_t attention_tiles(const KernelCall *call)
{
    return kv_heads_of(call) * group_blocks(call->operands[0].rows);
}

int64_t attention_scratch(const KernelCall *call)
{
    int64_t d = head_size_of(call), width = state_columns(DTYPE_q8_0, 1, d);
    int64_t rows = call->attributes->attention.heads / kv_heads_of(call) * GROUP_TOKENS;
    int64_t floats = rows * (width + 2 * (d + 2) + 1) + ATTENTION_ROWS * (ATTENTION_BLOCK + width);
    return floats * (int64_t)sizeof(float);
}

// So many rows of output, their maxima, their sums.
static AttentionSums sums_at(float *place, int64_t rows, int64_t head_size)
{
    float *maximum = place + rows * head_size;
    return (AttentionSums){place, maximum, maximum + rows};
}

static Attention attention_begin(const AttentionBody *body, const KernelCall *call, float *scratch)
{
    const KernelOperand *operands = call->operands;
    int64_t d = head_size_of(call);
    int64_t group = call->attributes->attention.heads / kv_heads_of(call);
    int64_t rows = group * GROUP_TOKENS, width = state_columns(DTYPE_q8_0, 1, d);
    float *partial = scratch + ATTENTION_ROWS * ATTENTION_BLOCK;
    float *queries = partial + ATTENTION_ROWS * width, *part = queries + rows * width;
    float *whole = part + rows * (d + 2);
    return (Attention){
        .body = body,
        .call = call,
        .query = &operands[0],
        .keys = &operands[4],
        .values = &operands[5],
        .positions = operands[1].data,
        .sequences = operands[2].data,
        .table = operands[3].data,
        .head_size = d,
        .group = group,
        .width = width,
        .scores = scratch,
        .partial = partial,
        .queries = queries,
        .quants = (int16_t *)queries,
        .part = sums_at(part, rows, d),
        .whole = sums_at(whole, rows, d),
        .quant_scales = whole + rows * (d + 2),
    };
}

// Positions begin … end-1 that a token sees.
typedef struct Range {
    int32_t begin, end;
} Range;

static Range visible_range(const Attention *attention, int64_t token)
{
    int32_t end = attention->positions[token] + 1;
    int32_t window = attention->call->attributes->attention.window;
    return (Range){window > 0 && end > window ? end - window : 0, end};
}

static int32_t clamp_to_block(int32_t position, int32_t block_begin)
{
    int32_t inside = position - block_begin;
    return inside < 0 ? 0 : inside > ATTENTION_BLOCK ? ATTENTION_BLOCK : inside;
}

static void load_query(const Attention *attention, const float *from, float scale, int64_t row)
{
    int64_t d = attention->head_size;
    float *to = attention->queries + row / ATTENTION_ROWS * ATTENTION_ROWS * d;
    for (int64_t i = 0; i < d; i++)
        to[i * ATTENTION_ROWS + row % ATTENTION_ROWS] = from[i] * scale;
}

static void quantise_query(const Attention *attention, const float *from, float scale, int64_t row)
{
    float *scaled = attention->partial;
    for (int64_t i = 0; i < attention->width; i++)
        scaled[i] = i < attention->head_size ? from[i] * scale : 0;
    attention->quant_scales[row] = attention->body->quantise(
        scaled, attention->width, attention->quants + row * attention->width);
}

// The run's queries times the scale: each tile transposed, or quantised row by row. Zero rows fill
// the last tile.
static void load_queries(const Attention *attention, int64_t first, int64_t rows)
{
    float scale = attention->call->attributes->attention.scale;
    float softcap = attention->call->attributes->attention.softcap;
    scale = softcap > 0 ? scale / softcap : scale;
    bool quantised = attention->keys->dtype == DTYPE_q8_0;
    int64_t d = attention->head_size, group = attention->group;
    int64_t last_tile = (rows - 1) / ATTENTION_ROWS * ATTENTION_ROWS;
    if (quantised)
        memset(attention->quants + last_tile * attention->width, 0,
               (size_t)(ATTENTION_ROWS * attention->width) * sizeof(int16_t));
    else
        memset(attention->queries + last_tile * d, 0, (size_t)(ATTENTION_ROWS * d) * sizeof(float));
    for (int64_t row = 0; row < rows; row++) {
        const float *from = operand_row(attention->query, first + row / group) +
                            (attention->kv_head * group + row % group) * d;
        (quantised ? quantise_query : load_query)(attention, from, scale, row);
    }
}

static bool group_is_seen(const AttentionTile *tile, int32_t begin)
{
    for (int32_t row = 0; row < tile->rows; row++)
        if (tile->begin[row] < begin + KEY_GROUP && tile->end[row] > begin)
            return true;
    return false;
}

static const char *group_at(const Attention *attention, const KernelOperand *state,
                            int32_t sequence, int32_t position)
{
    return state_group(state, &attention->call->pages, attention->table, sequence, position,
                       attention->kv_head, attention->head_size);
}

// The order in which a tile is read: groups of keys, then of values, then what follows it, or again
// the first group if nothing does (asking for an address that does not exist is slow).
static void chain_groups(AttentionTile *tile, const char *after)
{
    for (int32_t i = 0; !after; i++)
        after = tile->keys[i];
    for (int32_t i = ATTENTION_GROUPS - 1; i >= 0; i--) {
        tile->next[ATTENTION_GROUPS + i] = after;
        after = tile->values[i] ? tile->values[i] : after;
    }
    for (int32_t i = ATTENTION_GROUPS - 1; i >= 0; i--) {
        tile->next[i] = after;
        after = tile->keys[i] ? tile->keys[i] : after;
    }
}

// One tile of rows over one block. Returns false if no row sees any of it.
static bool tile_prepare(const Attention *attention, int64_t first, int64_t first_row, int64_t rows,
                         int32_t block_begin, AttentionTile *tile)
{
    int64_t d = attention->head_size, rest = rows - first_row;
    bool seen = false;
    tile->rows = (int32_t)(rest < ATTENTION_ROWS ? rest : ATTENTION_ROWS);
    for (int32_t row = 0; row < tile->rows; row++) {
        Range range = visible_range(attention, first + (first_row + row) / attention->group);
        tile->begin[row] = clamp_to_block(range.begin, block_begin);
        tile->end[row] = clamp_to_block(range.end, block_begin);
    }
    for (int32_t i = 0; i < ATTENTION_GROUPS; i++) {
        int32_t sequence = attention->sequences[first], at = i * KEY_GROUP;
        bool group_seen = group_is_seen(tile, at);
        tile->keys[i] = tile->values[i] = NULL;
        if (group_seen) {
            tile->keys[i] = group_at(attention, attention->keys, sequence, block_begin + at);
            tile->values[i] = group_at(attention, attention->values, sequence, block_begin + at);
        }
        seen |= group_seen;
    }
    tile->queries = attention->queries + first_row * d;
    tile->quants = attention->quants + first_row * attention->width;
    tile->quant_scales = attention->quant_scales + first_row;
    tile->sums = attention_row(attention->part, first_row, d);
    return seen;
}

static void write_token(const Attention *attention, int64_t token, int64_t first_row)
{
    const KernelOperand *result = attention->call->results;
    int64_t d = attention->head_size, group = attention->group;
    int64_t column = attention->kv_head * group * d;
    float *output = attention->whole.output + first_row * d;
    float *out = result->dtype == DTYPE_f32 ? operand_row(result, token) + column : output;
    for (int64_t head = 0; head < group; head++)
        attention->body->finish(output + head * d, attention->whole.sum[first_row + head],
                                out + head * d, d);
    if (result->dtype != DTYPE_f32)
        activation_write(attention->body->rows, result, token, column, output, group * d);
}

// The first keys of a block, NULL if none are seen or their page is gone.
static const char *block_begins(const Attention *attention, int64_t first, int32_t begin,
                                int32_t end)
{
    int32_t sequence = attention->sequences[first];
    if (begin >= end || page_of(&attention->call->pages, attention->table, sequence, begin) < 0)
        return NULL;
    return group_at(attention, attention->keys, sequence, begin);
}

// Where the first block of the part begins that reaches into what is seen.
static int32_t part_begins(Range seen, int32_t part)
{
    int32_t block = seen.begin / ATTENTION_BLOCK;
    block += (part - block % ATTENTION_PARTS + ATTENTION_PARTS) % ATTENTION_PARTS;
    return block * ATTENTION_BLOCK;
}

// What tokens first … last-1, all of one sequence, see together.
static Range run_range(const Attention *attention, int64_t first, int64_t last)
{
    Range all = visible_range(attention, first);
    for (int64_t token = first + 1; token < last; token++) {
        Range range = visible_range(attention, token);
        all.begin = range.begin < all.begin ? range.begin : all.begin;
        all.end = range.end > all.end ? range.end : all.end;
    }
    return all;
}

static void empty_sums(AttentionSums sums, int64_t rows)
{
    for (int64_t row = 0; row < rows; row++)
        sums.sum[row] = 0;
}

// The blocks of one part, for a run whose queries are loaded.
static void attend_part(const Attention *attention, int64_t first, int64_t rows, Range seen,
                        int32_t part)
{
    const int32_t step = ATTENTION_PARTS * ATTENTION_BLOCK;
    AttentionTile tile = {
        .head_size = attention->head_size,
        .width = attention->width,
        .keys_type = attention->keys->dtype,
        .values_type = attention->values->dtype,
        .softcap = attention->call->attributes->attention.softcap,
        .scores = attention->scores,
        .partial = attention->partial,
    };
    empty_sums(attention->part, rows);
    for (int32_t begin = part_begins(seen, part); begin < seen.end; begin += step) {
        int32_t next = seen.end - begin > step ? begin + step : part_begins(seen, part + 1);
        const char *after = block_begins(attention, first, next, seen.end);
        for (int64_t row = 0; row < rows; row += ATTENTION_ROWS)
            if (tile_prepare(attention, first, row, rows, begin, &tile)) {
                chain_groups(&tile, row + ATTENTION_ROWS < rows ? NULL : after);
                attention->body->block(&tile);
            }
    }
}

static void add_part(const Attention *attention, int64_t rows)
{
    int64_t d = attention->head_size;
    for (int64_t row = 0; row < rows; row++)
        if (attention->part.sum[row] != 0)
            attention->body->merge(attention_row(attention->whole, row, d),
                                   attention_row(attention->part, row, d), d);
}

// Tokens first … last-1, all of one sequence.
static void attend_run(const Attention *attention, int64_t first, int64_t last)
{
    int64_t rows = (last - first) * attention->group;
    Range seen = run_range(attention, first, last);
    load_queries(attention, first, rows);
    empty_sums(attention->whole, rows);
    for (int32_t part = 0; part < ATTENTION_PARTS; part++) {
        attend_part(attention, first, rows, seen, part);
        add_part(attention, rows);
    }
    for (int64_t token = first; token < last; token++)
        write_token(attention, token, (token - first) * attention->group);
}

static void attention_run(const AttentionBody *body, const KernelCall *call, void *scratch,
                          int64_t first, int64_t last)
{
    assert(call->attributes->attention.heads % kv_heads_of(call) == 0);
    Attention attention = attention_begin(body, call, scratch);
    for (int64_t index = first; index < last; index++) {
        GroupTile tile = group_tile(index, call->operands[0].rows);
        attention.kv_head = tile.kv_head;
        for (int64_t token = tile.first; token < tile.last;) {
            int64_t end = token + 1;
            while (end < tile.last && attention.sequences[end] == attention.sequences[token])
                end++;
            attend_run(&attention, token, end);
            token = end;
        }
    }
}

// Floats of one kv head's part in call->shared, in whole lines.
static int64_t part_floats(const KernelCall *call)
{
    int64_t rows = call->attributes->attention.heads / kv_heads_of(call);
    return (rows * (head_size_of(call) + 2) + 15) / 16 * 16;
}

static AttentionSums shared_part(const Attention *attention, int32_t part)
{
    float *shared = attention->call->shared;
    int64_t index = attention->kv_head * ATTENTION_PARTS + part;
    return sums_at(shared + index * part_floats(attention->call), attention->group,
                   attention->head_size);
}

// A context of a few blocks is not worth a barrier.
static bool has_parts(const KernelCall *call)
{
    int64_t context = (int64_t)call->pages.page_tokens * call->pages.pages_per_sequence;
    return context > ATTENTION_PARTS / 2 * ATTENTION_BLOCK;
}

// A tile is one part of one kv head.
static int64_t parts_tiles(const KernelCall *call)
{
    bool one = call->operands[0].rows == 1;
    return one && has_parts(call) ? kv_heads_of(call) * ATTENTION_PARTS : 0;
}

static int64_t parts_bytes(const KernelCall *call)
{
    int64_t floats = kv_heads_of(call) * ATTENTION_PARTS * part_floats(call);
    return has_parts(call) ? floats * (int64_t)sizeof(float) : 0;
}

static void parts_run(const AttentionBody *body, const KernelCall *call, void *scratch,
                      int64_t first, int64_t last)
{
    // Whatever the depth, neighbours in this order are far apart: shares of threads are alike.
    static const int32_t order[ATTENTION_PARTS] = {0, 4, 2, 6, 1, 5, 3, 7};
    Attention attention = attention_begin(body, call, scratch);
    Range seen = run_range(&attention, 0, 1);
    for (int64_t index = first; index < last; index++) {
        int32_t part = order[index % ATTENTION_PARTS];
        attention.kv_head = index / ATTENTION_PARTS;
        if (index == first || index % ATTENTION_PARTS == 0)
            load_queries(&attention, 0, attention.group);
        attention.part = shared_part(&attention, part);
        attend_part(&attention, 0, attention.group, seen, part);
    }
}

static void parts_merge(const AttentionBody *body, const KernelCall *call, void *scratch,
                        int64_t first, int64_t last)
{
    Attention attention = attention_begin(body, call, scratch);
    for (attention.kv_head = first; attention.kv_head < last; attention.kv_head++) {
        empty_sums(attention.whole, attention.group);
        for (int32_t part = 0; part < ATTENTION_PARTS; part++) {
            attention.part = shared_part(&attention, part);
            add_part(&attention, attention.group);
        }
        write_token(&attention, 0, 0);
    }
}

#define ATTENTION_KERNEL(target)                                                                   \
    void attention_##target(const KernelCall *call, void *scratch, int64_t first, int64_t last)    \
    {                                                                                              \
        attention_run(&attention_body_##target, call, scratch, first, last);                       \
    }                                                                                              \
    static void parts_run_##target(const KernelCall *call, void *scratch, int64_t first,           \
                                   int64_t last)                                                   \
    {                                                                                              \
        parts_run(&attention_body_##target, call, scratch, first, last);                           \
    }                                                                                              \
    static void parts_merge_##target(const KernelCall *call, void *scratch, int64_t first,         \
                                     int64_t last)                                                 \
    {                                                                                              \
        parts_merge(&attention_body_##target, call, scratch, first, last);                         \
    }                                                                                              \
    const KernelParts attention_parts_##target = {parts_tiles, parts_run_##target,                 \
                                                  parts_merge_##target, parts_bytes};

ATTENTION_KERNEL(ref)
#if defined(__x86_64__)
ATTENTION_KERNEL(avx2)
ATTENTION_KERNEL(avx512)
#endif
