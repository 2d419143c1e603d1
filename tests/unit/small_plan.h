// A plan of one attention layer made by hand, with its model file: what the tests of the runtime
// run.
//
//   x = embed(token); norm = rms_norm(x); early = gather_rows(x, row), which nobody reads
//   qkv = matmul(norm), without a barrier of its own; table = rope_table(pos)
//   q = rope_qk_store(qkv, …); a = attention(q, …); o = matmul(a); y = x + o
//   logits = matmul(gather_rows(y, row)); the output tap.norm is norm
//   and a mixture of experts over y
#ifndef TESTS_UNIT_SMALL_PLAN_H
#define TESTS_UNIT_SMALL_PLAN_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernels/kernel.h"
#include "runtime/plan.h"

enum {
    SMALL_VOCABULARY = 96,
    SMALL_WIDTH = 32,
    SMALL_HEADS = 2,
    SMALL_HEAD = 16,
    SMALL_QKV = 64,
    SMALL_BATCH = 16,
    SMALL_CONTEXT = 96,
    SMALL_PAGE = 32,
    SMALL_TENSORS = 5,
    SMALL_LIMIT = 128
};

typedef struct SmallPlan {
    Plan plan;
    char folder[256], model[300];
    char strings[4096];
    uint32_t used;
    PlanFile files[1];
    PlanTensor tensors[SMALL_TENSORS + 1]; // one more for a test's own
    PlanRecipe recipes[SMALL_LIMIT];
    PlanWeight weights[8];
    PlanState states[2];
    PlanPhase phases[2];
    PlanStep steps[SMALL_LIMIT];
    PlanOperand operands[8 * SMALL_LIMIT];
    PlanOutput outputs[2];
    // As written to the model file.
    uint16_t embedding[SMALL_VOCABULARY * SMALL_WIDTH]; // f16
    uint16_t norm[SMALL_WIDTH];                         // f16, made f32 by the plan
    float q[SMALL_WIDTH * SMALL_WIDTH], kv[SMALL_WIDTH * SMALL_WIDTH];
    uint8_t o[SMALL_WIDTH * 34]; // q8_0
} SmallPlan;

static inline PlanString small_string(SmallPlan *small, const char *text)
{
    uint32_t place = small->used;
    if (place == 0)
        place = 1;
    size_t length = strlen(text) + 1;
    memcpy(small->strings + place, text, length);
    small->used = place + (uint32_t)length;
    return place;
}

static inline uint32_t small_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

// f16 in [0.5, 1) with a random sign and mantissa.
static inline uint16_t small_half(uint32_t *state)
{
    uint32_t bits = small_random(state);
    return (uint16_t)(0x3800 | (bits & 0x3ff) | (bits & 0x400) << 5);
}

static inline void small_tensor(SmallPlan *small, const char *name, DType dtype, int64_t rows,
                                int64_t columns, uint64_t offset)
{
    small->tensors[small->plan.tensor_count++] =
        (PlanTensor){.name = small_string(small, name),
                     .dtype = dtype,
                     .rows = rows,
                     .columns = columns,
                     .offset = offset,
                     .bytes = (uint64_t)layout_bytes(dtype, LAYOUT_plain, rows, columns)};
}

// Writes the model file and describes its tensors.
static inline void small_make_model(SmallPlan *small)
{
    uint32_t random = 1;
    for (int i = 0; i < SMALL_VOCABULARY * SMALL_WIDTH; i++)
        small->embedding[i] = small_half(&random);
    for (int i = 0; i < SMALL_WIDTH; i++)
        small->norm[i] = small_half(&random);
    for (int i = 0; i < SMALL_WIDTH * SMALL_WIDTH; i++) {
        small->q[i] = (float)small_random(&random) * 0x1p-25f - 0.25f;
        small->kv[i] = (float)small_random(&random) * 0x1p-25f - 0.25f;
    }
    for (int i = 0; i < SMALL_WIDTH * 34; i++)
        small->o[i] = (uint8_t)(i % 34 == 0 ? 0 : i % 34 == 1 ? 0x20 : small_random(&random));
    struct {
        const void *bytes;
        size_t length;
    } parts[SMALL_TENSORS] = {{small->embedding, sizeof small->embedding},
                              {small->norm, sizeof small->norm},
                              {small->q, sizeof small->q},
                              {small->kv, sizeof small->kv},
                              {small->o, sizeof small->o}};
    uint64_t offsets[SMALL_TENSORS], offset = 5;
    FILE *file = fopen(small->model, "wb");
    fwrite("model", 1, offset, file);
    for (int i = 0; i < SMALL_TENSORS; i++) {
        offsets[i] = offset;
        offset += fwrite(parts[i].bytes, 1, parts[i].length, file);
    }
    fclose(file);
    struct stat status;
    stat(small->model, &status);
    small->files[0] = (PlanFile){.path = small_string(small, small->model),
                                 .bytes = offset,
                                 .modified_ns = (int64_t)status.st_mtim.tv_sec * 1000000000 +
                                                status.st_mtim.tv_nsec};
    small_tensor(small, "embedding", DTYPE_f16, SMALL_VOCABULARY, SMALL_WIDTH, offsets[0]);
    small_tensor(small, "norm", DTYPE_f16, 1, SMALL_WIDTH, offsets[1]);
    small_tensor(small, "q", DTYPE_f32, SMALL_WIDTH, SMALL_WIDTH, offsets[2]);
    small_tensor(small, "kv", DTYPE_f32, SMALL_WIDTH, SMALL_WIDTH, offsets[3]);
    small_tensor(small, "o", DTYPE_q8_0, SMALL_WIDTH, SMALL_WIDTH, offsets[4]);
}

static inline uint32_t small_recipe(SmallPlan *small, PlanRecipe recipe)
{
    small->recipes[small->plan.recipe_count] = recipe;
    return small->plan.recipe_count++;
}

static inline void small_weight(SmallPlan *small, const char *name, DType dtype, Layout layout,
                                uint32_t recipe)
{
    const PlanRecipe *from = &small->recipes[recipe];
    PlanWeight *weight = &small->weights[small->plan.weight_count++];
    *weight = (PlanWeight){.name = small_string(small, name),
                           .dtype = dtype,
                           .layout = layout,
                           .recipe = recipe,
                           .rows = from->rows,
                           .columns = from->columns,
                           .offset = small->plan.info.w_bytes};
    weight->bytes = layout_bytes(dtype, layout, from->rows, from->columns);
    small->plan.info.w_bytes += (weight->bytes + 63) / 64 * 64;
}

// q‖k‖v goes through every kind of recipe: the halves of kv are cut out, interleaved and undone
// again.
static inline void small_make_weights(SmallPlan *small)
{
    uint32_t leaves[SMALL_TENSORS];
    for (uint32_t i = 0; i < SMALL_TENSORS; i++)
        leaves[i] = small_recipe(small, (PlanRecipe){.kind = RECIPE_TENSOR,
                                                     .tensor = i,
                                                     .rows = small->tensors[i].rows,
                                                     .columns = SMALL_WIDTH});
    PlanRecipe half = {.kind = RECIPE_SLICE,
                       .child_count = 1,
                       .children = {leaves[3]},
                       .end = 16,
                       .rows = 16,
                       .columns = SMALL_WIDTH};
    uint32_t low = small_recipe(small, half);
    half.begin = 16;
    half.end = 32;
    uint32_t high = small_recipe(small, half);
    uint32_t turns = small_recipe(small, (PlanRecipe){.kind = RECIPE_INTERLEAVE,
                                                      .child_count = 2,
                                                      .children = {low, high},
                                                      .begin = 16,
                                                      .rows = 32,
                                                      .columns = SMALL_WIDTH});
    uint32_t qkv = small_recipe(small, (PlanRecipe){.kind = RECIPE_CONCAT,
                                                    .child_count = 2,
                                                    .children = {leaves[2], turns},
                                                    .rows = SMALL_QKV,
                                                    .columns = SMALL_WIDTH});
    small_weight(small, "embedding", DTYPE_f16, LAYOUT_n32k1, leaves[0]);
    small_weight(small, "norm", DTYPE_f32, LAYOUT_plain, leaves[1]);
    small_weight(small, "qkv", DTYPE_f32, LAYOUT_n16k1, qkv);
    small_weight(small, "o", DTYPE_q8_0, LAYOUT_n16k4, leaves[4]);
}

static inline Shape small_shape(Symbol symbol, int64_t columns)
{
    return (Shape){.rank = 2, .dims = {dim_symbol(symbol), dim_constant(columns)}};
}

static inline PlanOperand small_input(StepInput input)
{
    return (PlanOperand){.region = REGION_IO,
                         .dtype = DTYPE_i32,
                         .layout = LAYOUT_plain,
                         .offset = input,
                         .shape = step_input_shape(input)};
}

static inline PlanOperand small_output(SmallPlan *small, uint32_t index)
{
    return (PlanOperand){.region = REGION_IO,
                         .dtype = DTYPE_f32,
                         .offset = INPUT_COUNT + index,
                         .shape = small->outputs[index].shape};
}

static inline PlanOperand small_w(SmallPlan *small, uint32_t index)
{
    const PlanWeight *weight = &small->weights[index];
    Shape shape = {.rank = 2, .dims = {dim_constant(weight->rows), dim_constant(weight->columns)}};
    if (weight->rows == 1)
        shape = (Shape){.rank = 1, .dims = {dim_constant(weight->columns)}};
    return (PlanOperand){.region = REGION_W,
                         .dtype = weight->dtype,
                         .layout = weight->layout,
                         .name = weight->name,
                         .offset = weight->offset,
                         .bytes = weight->bytes,
                         .shape = shape};
}

static inline PlanOperand small_state(SmallPlan *small, uint32_t index)
{
    const PlanState *state = &small->states[index];
    return (PlanOperand){
        .region = REGION_KV,
        .dtype = state->dtype,
        .layout = state->layout,
        .name = state->name,
        .offset = state->offset,
        .bytes = state->bytes,
        .shape = {.rank = 3,
                  .dims = {dim_constant(SMALL_PAGE), dim_constant(1), dim_constant(SMALL_HEAD)}}};
}

// A value of the current phase, behind all others: nothing is shared.
static inline PlanOperand small_act(SmallPlan *small, Symbol symbol, int64_t columns)
{
    PlanPhase *phase = &small->phases[small->plan.phase_count - 1];
    PlanOperand operand = {.region = REGION_ACT,
                           .dtype = DTYPE_f32,
                           .offset = phase->act_bytes,
                           .bytes = phase->bound_t * columns * 4,
                           .shape = small_shape(symbol, columns)};
    phase->act_bytes += (operand.bytes + 63) / 64 * 64;
    phase->act_lower_bound = phase->act_bytes;
    return operand;
}

static inline void small_step(SmallPlan *small, const char *kernel, Attributes attributes,
                              int results, int count, const PlanOperand *operands)
{
    const KernelRow *row = kernel_from_name(kernel);
    PlanPhase *phase = &small->phases[small->plan.phase_count - 1];
    small->steps[small->plan.step_count++] =
        (PlanStep){.kernel = small_string(small, kernel),
                   .location = small_string(small, "small.lua:1"),
                   .abi = row->abi,
                   .op = row->op,
                   .first_operand = small->plan.operand_count,
                   .result_count = (uint16_t)results,
                   .operand_count = (uint16_t)(count - results),
                   .barrier_before = 1,
                   .attributes = attributes};
    memcpy(&small->operands[small->plan.operand_count], operands, (size_t)count * sizeof *operands);
    small->plan.operand_count += (uint32_t)count;
    phase->step_count++;
}

#define SMALL_STEP(small, kernel, attributes, results, ...)                                        \
    small_step(small, kernel, attributes, results,                                                 \
               (int)(sizeof((PlanOperand[]){__VA_ARGS__}) / sizeof(PlanOperand)),                  \
               (PlanOperand[]){__VA_ARGS__})

// A mixture that nothing reads: as many experts as columns, each of one row of weight 3.
static inline void small_make_mixture(SmallPlan *small, PlanOperand x)
{
    PlanOperand ids = small_act(small, SYMBOL_T, 2), few = small_act(small, SYMBOL_R, 2);
    PlanOperand shares = small_act(small, SYMBOL_T, 2), parts = small_act(small, SYMBOL_T, 2);
    PlanOperand sum = small_act(small, SYMBOL_T, 1);
    ids.dtype = few.dtype = DTYPE_i32;
    Attributes none = {0};
    SMALL_STEP(small, "route.f32.ref", ((Attributes){.route = {.k = 2, .normalise = 1}}), 2, ids,
               shares, x);
    SMALL_STEP(small, "gather_rows.f32.ref", none, 1, few, ids, small_input(INPUT_ROW));
    SMALL_STEP(small, "matmul_experts.f32.ref",
               ((Attributes){.matmul_experts = {.experts = SMALL_WIDTH}}), 1, parts, x,
               small_w(small, 3), ids);
    SMALL_STEP(small, "combine.f32.ref", none, 1, sum, parts, shares);
}

static inline void small_make_phase(SmallPlan *small, const char *name, int64_t bound_t)
{
    small->phases[small->plan.phase_count++] = (PlanPhase){.name = small_string(small, name),
                                                           .first_step = small->plan.step_count,
                                                           .bound_t = bound_t};
    PlanOperand token = small_input(INPUT_TOKEN), pos = small_input(INPUT_POS);
    PlanOperand seq = small_input(INPUT_SEQ), pages = small_input(INPUT_TABLE);
    PlanOperand x = small_act(small, SYMBOL_T, SMALL_WIDTH), norm = small_output(small, 1);
    PlanOperand qkv = small_act(small, SYMBOL_T, SMALL_QKV);
    PlanOperand table = small_act(small, SYMBOL_T, SMALL_HEAD);
    PlanOperand q = small_act(small, SYMBOL_T, SMALL_WIDTH),
                a = small_act(small, SYMBOL_T, SMALL_WIDTH);
    PlanOperand o = small_act(small, SYMBOL_T, SMALL_WIDTH),
                y = small_act(small, SYMBOL_T, SMALL_WIDTH);
    PlanOperand picked = small_act(small, SYMBOL_R, SMALL_WIDTH);
    PlanOperand early = small_act(small, SYMBOL_R, SMALL_WIDTH);
    Attributes none = {0};
    SMALL_STEP(small, "embed.any.ref", none, 1, x, small_w(small, 0), token);
    SMALL_STEP(small, "rms_norm.f32.ref", ((Attributes){.rms_norm = {.eps = 1e-5f}}), 1, norm, x,
               small_w(small, 1));
    SMALL_STEP(small, "gather_rows.f32.ref", none, 1, early, x, small_input(INPUT_ROW));
    SMALL_STEP(small, "matmul.f32.ref", none, 1, qkv, norm, small_w(small, 2));
    small->steps[small->plan.step_count - 1].barrier_before = 0;
    SMALL_STEP(small, "rope_table.f32.ref",
               ((Attributes){
                   .rope_table = {.dims = SMALL_HEAD, .theta = 1e4f, .scale = 1, .magnitude = 1}}),
               1, table, pos);
    SMALL_STEP(small, "rope_qk_store.paged.ref",
               ((Attributes){.rope_qk_store = {.heads = SMALL_HEADS, .kv_heads = 1}}), 1, q, qkv,
               table, pos, seq, pages, small_state(small, 0), small_state(small, 1));
    SMALL_STEP(small, "attention.paged.ref",
               ((Attributes){.attention = {.heads = SMALL_HEADS, .scale = 0.25f}}), 1, a, q, pos,
               seq, pages, small_state(small, 0), small_state(small, 1));
    SMALL_STEP(small, "matmul.f32.ref", none, 1, o, a, small_w(small, 3));
    SMALL_STEP(small, "add.f32.ref", none, 1, y, x, o);
    SMALL_STEP(small, "gather_rows.f32.ref", none, 1, picked, y, small_input(INPUT_ROW));
    SMALL_STEP(small, "matmul.f32.ref", none, 1, small_output(small, 0), picked, small_w(small, 0));
    small_make_mixture(small, y);
}

static inline void small_make_states(SmallPlan *small)
{
    static const Layout layouts[2] = {LAYOUT_k32, LAYOUT_v1};
    for (uint32_t i = 0; i < 2; i++) {
        PlanState *state = &small->states[small->plan.state_count++];
        *state = (PlanState){.name = small_string(small, i ? "values" : "keys"),
                             .role = i,
                             .dtype = DTYPE_f16,
                             .layout = layouts[i],
                             .kv_heads = 1,
                             .head_dim = SMALL_HEAD,
                             .offset = small->plan.info.page_bytes,
                             .bytes = layout_bytes(DTYPE_f16, layouts[i], SMALL_PAGE, SMALL_HEAD)};
        small->plan.info.page_bytes += state->bytes;
    }
}

// A plan whose model file lies in a folder of its own. Release with small_free.
static inline SmallPlan *small_new(bool embed)
{
    SmallPlan *small = calloc(1, sizeof *small);
    Plan *plan = &small->plan;
    const char *temporary = getenv("TMPDIR");
    snprintf(small->folder, sizeof small->folder, "%.200s/small-plan-XXXXXX",
             temporary ? temporary : "/tmp");
    if (!mkdtemp(small->folder))
        abort();
    snprintf(small->model, sizeof small->model, "%s/model.bin", small->folder);
    plan->path = "small";
    plan->info = (PlanInfo){.name = small_string(small, "small"),
                            .target = small_string(small, "ref"),
                            .command = small_string(small, "graphc model.bin -o small.plan"),
                            .compiler = small_string(small, "graphc 0"),
                            .kv = small_string(small, "f16"),
                            .act = small_string(small, "f32"),
                            .page_tokens = SMALL_PAGE,
                            .batch = SMALL_BATCH,
                            .context_length = SMALL_CONTEXT,
                            .vocabulary_size = SMALL_VOCABULARY,
                            .weights_in = embed ? WEIGHTS_IN_PLAN : WEIGHTS_IN_MODEL};
    plan->files = small->files;
    plan->tensors = small->tensors;
    plan->recipes = small->recipes;
    plan->weights = small->weights;
    plan->states = small->states;
    plan->phases = small->phases;
    plan->steps = small->steps;
    plan->operands = small->operands;
    plan->outputs = small->outputs;
    plan->file_count = 1;
    small_make_model(small);
    small_make_weights(small);
    small_make_states(small);
    small->outputs[0] = (PlanOutput){.name = small_string(small, "logits"),
                                     .shape = small_shape(SYMBOL_R, SMALL_VOCABULARY)};
    small->outputs[1] = (PlanOutput){.name = small_string(small, "tap.norm"),
                                     .shape = small_shape(SYMBOL_T, SMALL_WIDTH)};
    plan->output_count = 2;
    small_make_phase(small, "decode", 1);
    small_make_phase(small, "prefill", SMALL_BATCH);
    plan->strings = small->strings;
    plan->string_bytes = small->used;
    return small;
}

static inline void small_path(const SmallPlan *small, const char *name, char path[400])
{
    snprintf(path, 400, "%s/%s", small->folder, name);
}

// The folder must hold nothing but the model file by then: a test that leaves files behind fails.
static inline bool small_free(SmallPlan *small)
{
    unlink(small->model);
    bool good = rmdir(small->folder) == 0;
    free(small);
    return good;
}

#endif
