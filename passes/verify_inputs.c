// The steps of --verify: a lone sequence that starts with one token, is prefilled across the end of
// a page and decoded on, then three sequences at once, with fewer rows asked for than tokens, none,
// and all. Pages are shuffled over the store. A chunk larger than the module's batch is cut, so
// that every phase sees its largest T when that is small.
//
// Random numbers are hashes of what they are for: no state, so that a replay from text gets equal
// ones.
#include "passes/verify_inputs.h"

#include <math.h>
#include <string.h>

#include "graph/base/hash.h"
#include "passes/passes.h"

enum { SEQUENCES = 3, GROUPS = 2, PAGES = 2, SEED = 20 };
// Chunk that ends two tokens into the second page.
enum { OVER_THE_PAGE = -1 };
// Multiplications a token above which only the steps that models of any size get are made.
enum { FEW_ABOVE = 8 << 20 };

typedef struct StepRow {
    int32_t group; // sequences of a group are stepped together
    int32_t tokens[SEQUENCES];
    int32_t rows;
    bool always; // also for large models
} StepRow;

static const int32_t group_sequences[GROUPS] = {1, SEQUENCES};
static const StepRow step_rows[] = {
    {0, {1}, 1, true},        {0, {6}, 2, false},      {0, {OVER_THE_PAGE}, 1, false},
    {0, {1}, 1, false},       {1, {3, 1, 2}, 4, true}, {1, {0, 2, 0}, 0, false},
    {1, {1, 1, 1}, 3, false}, {1, {0, 0, 1}, 1, true},
};
enum { STEP_ROWS = sizeof step_rows / sizeof *step_rows };

static uint64_t random_of(const char *what, int64_t index)
{
    return hash64(&index, sizeof index, hash64(what, strlen(what), SEED));
}

typedef struct Maker {
    const Module *module;
    Arena *arena;
    Vector(EvalInputs) steps;
    int64_t vocabulary, context, batch;
    int64_t lengths[GROUPS][SEQUENCES];
    int32_t page_order[GROUPS * SEQUENCES * PAGES];
    int64_t tokens_made;
    int64_t most_tokens;
} Maker;

static void shuffle_pages(Maker *maker)
{
    int32_t *order = maker->page_order;
    for (int32_t i = 0; i < GROUPS * SEQUENCES * PAGES; i++) {
        int32_t other = (int32_t)(random_of("page", i) % (uint64_t)(i + 1));
        order[i] = order[other];
        order[other] = i;
    }
}

// Operands whose elements pick something: another input than this one could pick what is not there.
static const struct {
    Op op;
    int32_t slot;
    StepInput input;
} pickers[] = {
    {OP_embed, 1, INPUT_TOKEN},         {OP_gather_rows, 1, INPUT_ROW},
    {OP_kv_store, 1, INPUT_POS},        {OP_kv_store, 2, INPUT_SEQ},
    {OP_kv_store, 3, INPUT_TABLE},      {OP_attention, 1, INPUT_POS},
    {OP_attention, 2, INPUT_SEQ},       {OP_attention, 3, INPUT_TABLE},
    {OP_rope_qk_store, 2, INPUT_POS},   {OP_rope_qk_store, 3, INPUT_SEQ},
    {OP_rope_qk_store, 4, INPUT_TABLE},
};

static bool picks_positions(const Node *node)
{
    const Value *picked = node->op == OP_embed ? node->operands[1].value : NULL;
    return picked && picked->kind == VALUE_INPUT && picked->input == INPUT_POS;
}

static bool check_pickers(const Node *node, Diag *diag)
{
    for (size_t i = 0; i < sizeof pickers / sizeof *pickers; i++) {
        if (pickers[i].op != node->op || picks_positions(node))
            continue;
        const Value *value = node->operands[pickers[i].slot].value;
        if (value->kind != VALUE_INPUT || value->input != pickers[i].input)
            return diag_fail(diag, (Where){0}, "--verify: operand %d of %s can only be %%%s",
                             pickers[i].slot + 1, op_table[node->op].name,
                             step_input_names[pickers[i].input]);
    }
    if (node->op == OP_gather_rows &&
        !dim_equal(node->operands[0].value->shape.dims[0], dim_symbol(SYMBOL_T)))
        return diag_fail(diag, (Where){0}, "--verify: gather_rows can only pick from T rows");
    return true;
}

// Rows of the smallest matrix that %token and %pos pick from, the multiplications of a token.
static bool measure(const Graph *graph, int64_t *vocabulary, int64_t *context, int64_t *cost,
                    Diag *diag)
{
    for (const Node *node = graph->first; node; node = node->next) {
        if (!check_pickers(node, diag))
            return false;
        if (node->op == OP_embed) {
            int64_t rows = node->operands[0].value->shape.dims[0].constant;
            int64_t *least = picks_positions(node) ? context : vocabulary;
            *least = rows < *least ? rows : *least;
        }
        for (int32_t i = 1; i < node->operand_count; i++)
            if (node_is_dotted(node, i))
                *cost += node->operands[i].value->shape.dims[0].constant *
                         node->operands[i].value->shape.dims[1].constant;
    }
    return true;
}

// Takes what one step can hold of the wanted tokens, which are cut to the context first.
static int64_t take_tokens(const Maker *maker, int32_t group, int64_t wanted[SEQUENCES],
                           int64_t taken[SEQUENCES])
{
    int64_t room = maker->batch, sum = 0;
    for (int32_t i = 0; i < group_sequences[group]; i++) {
        int64_t left = maker->context - maker->lengths[group][i];
        wanted[i] = wanted[i] > left ? left : wanted[i];
        taken[i] = wanted[i] > room ? room : wanted[i];
        wanted[i] -= taken[i];
        room -= taken[i];
        sum += taken[i];
    }
    return sum;
}

// Ascending rows, the last token among them.
static void pick_rows(int32_t *row, int64_t rows, int64_t tokens)
{
    int64_t made = 0;
    for (int64_t t = 0; t < tokens - 1 && made < rows - 1; t++) {
        uint64_t left = (uint64_t)(tokens - 1 - t), needed = (uint64_t)(rows - 1 - made);
        if (random_of("row", t) % left < needed)
            row[made++] = (int32_t)t;
    }
    if (rows)
        row[made] = (int32_t)(tokens - 1);
}

static void add_step(Maker *maker, int32_t group, const int64_t taken[SEQUENCES], int64_t tokens,
                     int64_t rows)
{
    int32_t sequences = group_sequences[group];
    Arena *arena = maker->arena;
    int32_t *token = ARENA_ARRAY(arena, int32_t, tokens + 1);
    int32_t *pos = ARENA_ARRAY(arena, int32_t, tokens + 1);
    int32_t *seq = ARENA_ARRAY(arena, int32_t, tokens + 1);
    int32_t *row = ARENA_ARRAY(arena, int32_t, rows + 1);
    int32_t *table = ARENA_ARRAY(arena, int32_t, sequences * PAGES);
    int32_t *length = ARENA_ARRAY(arena, int32_t, sequences);
    int64_t t = 0, page_tokens = maker->module->options.page_tokens;
    for (int32_t i = 0; i < sequences; i++) {
        for (int64_t n = 0; n < taken[i]; n++, t++) {
            token[t] =
                (int32_t)(random_of("token", maker->tokens_made++) % (uint64_t)maker->vocabulary);
            pos[t] = (int32_t)maker->lengths[group][i]++;
            seq[t] = i;
        }
        length[i] = (int32_t)maker->lengths[group][i];
        for (int32_t page = 0; page < PAGES; page++)
            table[i * PAGES + page] =
                page * page_tokens < length[i]
                    ? maker->page_order[(group * SEQUENCES + i) * PAGES + page]
                    : -1;
    }
    pick_rows(row, rows, tokens);
    EvalInputs step = {{tokens, rows, sequences, PAGES}, {token, pos, seq, row, table, length}};
    vector_push(arena, &maker->steps, step);
    maker->most_tokens = tokens > maker->most_tokens ? tokens : maker->most_tokens;
}

static void add_row(Maker *maker, const StepRow *row)
{
    int64_t wanted[SEQUENCES], taken[SEQUENCES], tokens;
    for (int32_t i = 0; i < SEQUENCES; i++)
        wanted[i] = row->tokens[i] == OVER_THE_PAGE
                        ? maker->module->options.page_tokens + 2 - maker->lengths[row->group][i]
                        : row->tokens[i];
    while ((tokens = take_tokens(maker, row->group, wanted, taken)) > 0)
        add_step(maker, row->group, taken, tokens, row->rows < tokens ? row->rows : tokens);
}

bool verify_inputs_make(const Module *module, Arena *arena, VerifyInputs *inputs, Diag *diag)
{
    int64_t store = PAGES * module->options.page_tokens, cost = 0;
    Maker maker = {.module = module, .arena = arena};
    maker.vocabulary = module->vocabulary_size > 0 ? module->vocabulary_size : INT32_MAX;
    maker.context = module->context_length > 0 && module->context_length < store
                        ? module->context_length
                        : store;
    if (!module->graphs.count)
        return diag_fail(diag, (Where){0}, "--verify: the module has no graph");
    for (int32_t i = 0; i < module->graphs.count; i++) {
        cost = 0;
        if (!measure(module->graphs.items[i], &maker.vocabulary, &maker.context, &cost, diag))
            return false;
    }
    // Text may hold phases for less than the batch.
    int64_t bound = module->graphs.items[module->graphs.count - 1]->bound_t;
    maker.batch = module->options.batch;
    if (bound && bound < maker.batch)
        maker.batch = bound;
    shuffle_pages(&maker);
    bool few = cost > FEW_ABOVE;
    for (int i = 0; i < STEP_ROWS; i++)
        if (!few || step_rows[i].always)
            add_row(&maker, &step_rows[i]);
    *inputs = (VerifyInputs){.steps = maker.steps.items,
                             .count = maker.steps.count,
                             .sequences = (int64_t)GROUPS * SEQUENCES,
                             .pages = PAGES,
                             .most_tokens = maker.most_tokens,
                             .few = few};
    return true;
}

// --- random tensors

// Where a block of quants keeps its f16 scales, and how large the quants get that they multiply.
typedef struct BlockScales {
    DType dtype;
    int32_t offsets[2], count;
    float largest_quant;
} BlockScales;

static const BlockScales block_scales[] = {
    {DTYPE_q4_0, {0}, 1, 8},       {DTYPE_q4_1, {0, 2}, 2, 16},  {DTYPE_q5_0, {0}, 1, 16},
    {DTYPE_q5_1, {0, 2}, 2, 32},   {DTYPE_q8_0, {0}, 1, 128},    {DTYPE_q8_1, {0, 2}, 2, 128},
    {DTYPE_q2_k, {80, 82}, 2, 48}, {DTYPE_q3_k, {108}, 1, 128},  {DTYPE_q4_k, {0, 2}, 2, 960},
    {DTYPE_q5_k, {0, 2}, 2, 1984}, {DTYPE_q6_k, {208}, 1, 4096}, {DTYPE_iq4_nl, {0}, 1, 128},
    {DTYPE_iq4_xs, {0}, 1, 4096},
};
enum { BLOCK_SCALES = sizeof block_scales / sizeof *block_scales };

// Nearest f16 below a number from 2^-24 up to 1, without its sign.
static uint16_t small_f16(float value)
{
    int exponent;
    float fraction = frexpf(value, &exponent); // value = fraction * 2^exponent
    if (exponent < -13)
        return (uint16_t)(value * 16777216.0f); // subnormal: units of 2^-24
    return (uint16_t)((exponent + 14) << 10 | ((int)(fraction * 2048.0f) & 1023));
}

static void put_float(DType dtype, float value, uint8_t *out)
{
    uint32_t bits;
    uint16_t half = (uint16_t)(small_f16(fabsf(value)) | (value < 0 ? 0x8000 : 0));
    memcpy(&bits, &value, sizeof bits);
    uint16_t brain = (uint16_t)(bits >> 16);
    if (dtype == DTYPE_f32)
        memcpy(out, &value, sizeof value);
    else
        memcpy(out, dtype == DTYPE_f16 ? &half : &brain, 2);
}

static void fill_floats(const Recipe *tensor, uint64_t seed, float size, uint8_t *out)
{
    int64_t count = tensor->rows * tensor->columns;
    int32_t bytes = dtype_table[tensor->dtype].block_bytes;
    for (int64_t i = 0; i < count; i++) {
        float unit = (float)(hash64(&i, sizeof i, seed) >> 40) * 0x1p-23f - 1.0f; // -1 … 1
        float value = tensor->rows == 1 ? 0.75f + 0.25f * unit : size * unit;
        put_float(tensor->dtype, value, out + i * bytes);
    }
}

static void fill_blocks(const Recipe *tensor, uint64_t seed, float size, uint8_t *out)
{
    int64_t bytes = tensor->rows * dtype_row_bytes(tensor->dtype, tensor->columns);
    for (int64_t i = 0; i < bytes; i += 8) {
        uint64_t random = hash64(&i, sizeof i, seed);
        memcpy(out + i, &random, bytes - i < 8 ? (size_t)(bytes - i) : 8);
    }
    // MXFP4's scale is a power of two in a byte, its quants are at most 6.
    if (tensor->dtype == DTYPE_mxfp4)
        for (int64_t block = 0; block < bytes; block += dtype_table[tensor->dtype].block_bytes)
            out[block] = (uint8_t)(127 + ilogbf(size / 6));
    for (int row = 0; row < BLOCK_SCALES; row++) {
        const BlockScales *scales = &block_scales[row];
        if (scales->dtype != tensor->dtype)
            continue;
        for (int64_t block = 0; block < bytes; block += dtype_table[tensor->dtype].block_bytes)
            for (int32_t i = 0; i < scales->count; i++) {
                float spread = 0.5f + (float)(out[block + 4] & 63) / 64.0f;
                uint16_t scale = small_f16(size * spread / scales->largest_quant);
                memcpy(out + block + scales->offsets[i], &scale, sizeof scale);
            }
    }
}

const void *verify_random_tensor(Arena *arena, const Recipe *tensor)
{
    int64_t bytes = tensor->rows * dtype_row_bytes(tensor->dtype, tensor->columns);
    uint8_t *out = arena_alloc(arena, (size_t)bytes + 1);
    uint64_t seed = hash64(tensor->tensor, strlen(tensor->tensor), SEED);
    float size = 1.7f / sqrtf((float)tensor->columns); // of variance 1 / columns
    DType dtype = tensor->dtype;
    if (dtype == DTYPE_f32 || dtype == DTYPE_f16 || dtype == DTYPE_bf16)
        fill_floats(tensor, seed, size, out);
    else
        fill_blocks(tensor, seed, size, out);
    return out;
}
