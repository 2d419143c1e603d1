// Operands of steps: each on its own against its region, then all together against the op's
// signature and the kernel's row. What inference promised when the plan was made is shown again
// here, in the terms of kernels (rows × columns), since a file may say anything.
//
// Rejected: keeping a hash of a trusted compile instead. A plan is a file like any other.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kernels/kernel.h"
#include "runtime/plan_file.h"

#define SIZE_LIMIT ((int64_t)1 << 48)

// An operand as kernels see it. Step inputs have no columns: they are known by their index.
typedef struct View {
    const PlanOperand *operand;
    Dim rows;
    int64_t columns;
} View;

typedef struct StepCheck {
    const Plan *plan;
    const KernelRow *row;
    const Attributes *attributes;
    int32_t operand_count;
    View results[RESULTS_MAX], operands[OPERANDS_MAX];
} StepCheck;

int64_t plan_matrix_bytes(uint32_t dtype, uint32_t layout, int64_t rows, int64_t columns)
{
    if (dtype >= DTYPE_COUNT || layout >= LAYOUT_COUNT || rows < 0 || columns < 0 ||
        rows > SIZE_LIMIT || columns > SIZE_LIMIT || !layout_holds((Layout)layout, (DType)dtype) ||
        columns % dtype_table[dtype].block_elements != 0)
        return -1;
    // An upper bound first: panels have up to 32 rows and are padded by less than a pair of blocks.
    int64_t blocks = columns / dtype_table[dtype].block_elements + 1, bound;
    if (__builtin_mul_overflow(blocks * dtype_table[dtype].block_bytes, rows + 32, &bound) ||
        bound > SIZE_LIMIT)
        return -1;
    return layout_bytes((DType)dtype, (Layout)layout, rows, columns);
}

int64_t plan_state_bytes(uint32_t dtype, uint32_t layout, int64_t tokens, int64_t heads,
                         int64_t head_size)
{
    int64_t columns;
    if (dtype >= DTYPE_COUNT || heads < 1 || head_size < 1 || head_size > SIZE_LIMIT ||
        __builtin_mul_overflow(heads, state_columns((DType)dtype, 1, head_size), &columns))
        return -1;
    return plan_matrix_bytes(dtype, layout, tokens, columns);
}

bool plan_range_fits(int64_t offset, int64_t bytes, int64_t size)
{
    return offset >= 0 && bytes >= 0 && offset % PLAN_ALIGNMENT == 0 && offset <= size &&
           bytes <= size - offset;
}

// A dimension that grows with the tokens of the step alone, small enough to compute with.
static bool dim_is_sane(Dim dim)
{
    return dim.constant >= 0 && dim.constant <= SIZE_LIMIT && dim.factor[SYMBOL_T] >= 0 &&
           dim.factor[SYMBOL_R] >= 0 && dim.factor[SYMBOL_B] == 0 && dim.factor[SYMBOL_P] == 0;
}

// Rows × columns of a value of rank 0 … 2 whose last dimension is a constant of at least 1.
static bool view_shape(const Shape *shape, View *view)
{
    if (shape->rank < 0 || shape->rank > 2)
        return false;
    for (int i = 0; i < shape->rank; i++)
        if (!dim_is_sane(shape->dims[i]))
            return false;
    Dim columns = shape->rank ? shape->dims[shape->rank - 1] : dim_constant(1);
    view->rows = shape->rank == 2 ? shape->dims[0] : dim_constant(1);
    view->columns = columns.constant;
    return dim_is_constant(columns) && columns.constant >= 1;
}

static bool check_weight_place(const Plan *plan, View *view)
{
    const PlanOperand *operand = view->operand;
    if (!view_shape(&operand->shape, view) || !dim_is_constant(view->rows))
        return false;
    int64_t bytes =
        plan_matrix_bytes(operand->dtype, operand->layout, view->rows.constant, view->columns);
    return bytes >= 0 && bytes <= operand->bytes &&
           plan_range_fits(operand->offset, operand->bytes, plan->info.w_bytes);
}

static bool check_state_place(const Plan *plan, View *view)
{
    const PlanOperand *operand = view->operand;
    const Shape *shape = &operand->shape;
    if (shape->rank != 3)
        return false;
    for (int i = 0; i < 3; i++)
        if (!dim_is_constant(shape->dims[i]) || shape->dims[i].constant < 1 ||
            shape->dims[i].constant > INT32_MAX / 2)
            return false;
    view->rows = shape->dims[0];
    view->columns = shape->dims[1].constant * shape->dims[2].constant;
    int64_t bytes = plan_state_bytes(operand->dtype, operand->layout, view->rows.constant,
                                     shape->dims[1].constant, shape->dims[2].constant);
    return view->rows.constant == plan->info.page_tokens && bytes >= 0 && bytes <= operand->bytes &&
           plan_range_fits(operand->offset, operand->bytes, plan->info.page_bytes);
}

static bool check_act_place(const PlanPhase *phase, View *view)
{
    const PlanOperand *operand = view->operand;
    if (!view_shape(&operand->shape, view))
        return false;
    int64_t bound = phase->bound_t;
    const int64_t symbols[SYMBOL_COUNT] = {[SYMBOL_T] = bound, [SYMBOL_R] = bound};
    int64_t bytes = plan_matrix_bytes(operand->dtype, operand->layout,
                                      dim_eval(view->rows, symbols), view->columns);
    return bytes >= 0 && bytes <= operand->bytes &&
           plan_range_fits(operand->offset, operand->bytes, phase->act_bytes);
}

static bool check_io_place(const Plan *plan, View *view)
{
    const PlanOperand *operand = view->operand;
    if (operand->offset < 0 || operand->offset >= INPUT_COUNT + (int64_t)plan->output_count ||
        operand->layout != LAYOUT_plain)
        return false;
    if (operand->offset < INPUT_COUNT) {
        Shape shape = step_input_shape((StepInput)operand->offset);
        view->columns = -1;
        return operand->dtype == DTYPE_i32 && shape_equal(&shape, &operand->shape);
    }
    const PlanOutput *output = &plan->outputs[operand->offset - INPUT_COUNT];
    return view_shape(&operand->shape, view) && operand->dtype == output->dtype &&
           shape_equal(&operand->shape, &output->shape);
}

static bool check_place(const Plan *plan, const PlanPhase *phase, View *view)
{
    const PlanOperand *operand = view->operand;
    if (operand->dtype >= DTYPE_COUNT || operand->layout >= LAYOUT_COUNT ||
        operand->shape.rank < 0 || operand->shape.rank > RANK_MAX)
        return false;
    switch (operand->region) {
    case REGION_NONE:
        view->rows = dim_constant(1);
        view->columns = 1;
        return operand->dtype == DTYPE_f32 && operand->layout == LAYOUT_plain &&
               operand->shape.rank == 0;
    case REGION_W: return check_weight_place(plan, view);
    case REGION_KV: return check_state_place(plan, view);
    case REGION_ACT: return check_act_place(phase, view);
    case REGION_OWN: return phase->bound_t == 1 && check_act_place(phase, view);
    case REGION_IO: return check_io_place(plan, view);
    default: return false;
    }
}

// What an operand may be in a signature.

static bool set_has(uint32_t set, uint32_t member)
{
    return member < 32 && (set >> member & 1);
}

static bool is_input(const View *view, StepInput input)
{
    return view->operand->region == REGION_IO && view->operand->offset == input;
}

// A value that a step made.
static bool is_value(const View *view)
{
    return region_in_arena((Region)view->operand->region) ||
           (view->operand->region == REGION_IO && view->operand->offset >= INPUT_COUNT);
}

static bool is_f32(const View *view)
{
    return view->operand->dtype == DTYPE_f32 && view->operand->layout == LAYOUT_plain &&
           (is_value(view) || view->operand->region == REGION_W);
}

static bool is_f32_matrix(const View *view, Dim rows, int64_t columns)
{
    return is_f32(view) && dim_equal(view->rows, rows) && view->columns == columns;
}

static bool is_vector(const View *view, int64_t columns)
{
    return is_f32_matrix(view, dim_constant(1), columns);
}

// An activation of a dtype in the layout that belongs to it.
static bool is_activation(const View *view, uint32_t dtype)
{
    bool quantised = dtype_table[dtype].kind == DTYPE_KIND_ACT;
    uint32_t layout = view->operand->layout;
    return is_value(view) && view->operand->dtype == dtype &&
           (quantised ? layout == LAYOUT_t1 || layout == LAYOUT_t8 : layout == LAYOUT_plain);
}

static bool is_result(const View *view, uint32_t dtype, Dim rows, int64_t columns)
{
    return is_activation(view, dtype) && dim_equal(view->rows, rows) && view->columns == columns;
}

static bool is_matrix(const StepCheck *check, const View *view)
{
    return view->operand->region == REGION_W && view->operand->shape.rank == 2 &&
           set_has(check->row->stored, view->operand->dtype) &&
           set_has(check->row->layouts, view->operand->layout);
}

static bool is_state(const StepCheck *check, const View *view, Layout layout)
{
    return view->operand->region == REGION_KV && view->operand->layout == layout &&
           set_has(check->row->stored, view->operand->dtype);
}

static int64_t state_heads(const View *view)
{
    return view->operand->shape.dims[1].constant;
}

static int64_t state_head_size(const View *view)
{
    return view->operand->shape.dims[2].constant;
}

// The type of the result that the op asks for, if the kernel can write it; else DTYPE_COUNT.
static uint32_t post_of(const StepCheck *check)
{
    DType post = op_post(check->row->op, check->attributes);
    bool known = post == DTYPE_f32 || set_has(ACTIVATION_DTYPES, post);
    uint32_t writable = check->row->posts ? check->row->posts : DTYPE_SET(f32);
    return known && set_has(writable, post) ? post : (uint32_t)DTYPE_COUNT;
}

// A step of whose results one lies in own is run by every thread: all must lie there, and it may
// write nothing else.
static bool check_own(const StepCheck *check)
{
    int32_t own = 0, count = op_table[check->row->op].results;
    for (int32_t i = 0; i < count; i++)
        own += check->results[i].operand->region == REGION_OWN;
    return own == 0 || (own == count && !op_table[check->row->op].written);
}

static const Dim symbol_t = {.factor = {[SYMBOL_T] = 1}}, symbol_r = {.factor = {[SYMBOL_R] = 1}};

// One check for each inference function of ops.def: true when the operands fit the signature.

static bool check_embed(const StepCheck *check)
{
    const View *w = &check->operands[0];
    const PlanInfo *info = &check->plan->info;
    bool tokens =
        is_input(&check->operands[1], INPUT_TOKEN) && w->rows.constant >= info->vocabulary_size;
    bool positions = is_input(&check->operands[1], INPUT_POS) && info->positions > 0 &&
                     w->rows.constant >= info->positions;
    return is_matrix(check, w) && (tokens || positions) &&
           is_result(check->results, DTYPE_f32, symbol_t, w->columns);
}

static bool check_gather_rows(const StepCheck *check)
{
    const View *x = &check->operands[0];
    bool ids = is_result(x, DTYPE_i32, symbol_t, x->columns);
    return (ids || is_f32_matrix(x, symbol_t, x->columns)) &&
           is_input(&check->operands[1], INPUT_ROW) &&
           is_result(check->results, ids ? DTYPE_i32 : DTYPE_f32, symbol_r, x->columns);
}

static bool check_slice(const StepCheck *check)
{
    const View *x = &check->operands[0];
    int64_t begin = check->attributes->slice.begin, end = check->attributes->slice.end;
    return check->attributes->slice.axis == 1 && is_f32(x) && begin >= 0 && begin < end &&
           end <= x->columns && is_result(check->results, DTYPE_f32, x->rows, end - begin);
}

static bool check_concat(const StepCheck *check)
{
    int64_t columns = 0;
    for (int32_t i = 0; i < check->operand_count; i++) {
        if (!is_f32(&check->operands[i]) ||
            !dim_equal(check->operands[i].rows, check->operands[0].rows))
            return false;
        columns += check->operands[i].columns;
    }
    return check->attributes->concat.axis == 1 &&
           is_result(check->results, DTYPE_f32, check->operands[0].rows, columns);
}

static bool check_binary(const StepCheck *check)
{
    const View *x = &check->operands[0], *y = &check->operands[1];
    bool scalar = y->operand->region == REGION_NONE;
    bool rows = dim_equal(y->rows, x->rows) || dim_equal(y->rows, dim_constant(1));
    return is_f32(x) && (scalar || is_f32(y)) && rows &&
           (y->columns == 1 || y->columns == x->columns) &&
           is_result(check->results, DTYPE_f32, x->rows, x->columns);
}

static bool check_unary(const StepCheck *check)
{
    const View *x = &check->operands[0];
    return is_f32(x) && is_result(check->results, DTYPE_f32, x->rows, x->columns);
}

static bool check_reduce(const StepCheck *check)
{
    const View *x = &check->operands[0];
    return is_f32(x) && is_result(check->results, DTYPE_f32, x->rows, 1);
}

// What the attributes of a product with weights make of `rows` rows; 0 if they cannot.
static int64_t outputs_of_rows(const StepCheck *check, int64_t rows)
{
    uint32_t post = post_of(check);
    Epilogue epilogue = op_epilogue(check->row->op, check->attributes);
    if (post == DTYPE_COUNT || !set_has(check->row->epilogues, (uint32_t)epilogue))
        return 0;
    int64_t halves = epilogue_is_gated(epilogue) ? 2 : 1;
    int64_t unit = dtype_table[post].block_elements * halves;
    if (halves == 2 && unit < 2 * SWIGLU_INTERLEAVE)
        unit = 2 * SWIGLU_INTERLEAVE;
    return rows % unit == 0 ? rows / halves : 0;
}

static bool check_matmul(const StepCheck *check)
{
    const View *x = &check->operands[0];
    int64_t columns = 0;
    if (!set_has(check->row->inputs, x->operand->dtype) || !is_activation(x, x->operand->dtype))
        return false;
    for (int32_t i = 1; i < check->operand_count; i++) {
        const View *w = &check->operands[i];
        int64_t outputs = outputs_of_rows(check, w->rows.constant);
        if (!is_matrix(check, w) || w->columns != x->columns || outputs == 0)
            return false;
        columns += outputs;
    }
    return is_result(check->results, post_of(check), x->rows, columns);
}

static bool check_route(const StepCheck *check)
{
    const View *logits = &check->operands[0];
    int64_t k = check->attributes->route.k;
    return is_f32(logits) && k >= 1 && k <= logits->columns &&
           is_result(&check->results[0], DTYPE_i32, logits->rows, k) &&
           is_result(&check->results[1], DTYPE_f32, logits->rows, k);
}

// Ids may say anything: the kernel looks for those of its experts.
static bool check_matmul_experts(const StepCheck *check)
{
    const View *x = &check->operands[0], *w = &check->operands[1], *ids = &check->operands[2];
    int64_t experts = check->attributes->matmul_experts.experts, slots = ids->columns;
    if (!set_has(check->row->inputs, x->operand->dtype) || !is_activation(x, x->operand->dtype) ||
        !is_matrix(check, w) || !is_result(ids, DTYPE_i32, x->rows, slots) || experts < 1 ||
        w->rows.constant % experts != 0)
        return false;
    bool own = x->columns % slots == 0 && x->columns / slots == w->columns;
    int64_t outputs = outputs_of_rows(check, w->rows.constant / experts);
    return (own || x->columns == w->columns) && outputs > 0 &&
           is_result(check->results, post_of(check), x->rows, slots * outputs);
}

static bool check_combine(const StepCheck *check)
{
    const View *parts = &check->operands[0], *weights = &check->operands[1];
    return is_f32(parts) && is_f32_matrix(weights, parts->rows, weights->columns) &&
           parts->columns % weights->columns == 0 &&
           is_result(check->results, DTYPE_f32, parts->rows, parts->columns / weights->columns);
}

static bool check_norm(const StepCheck *check)
{
    const View *x = &check->operands[0];
    uint32_t post = post_of(check);
    const View *w = &check->operands[1];
    return post != DTYPE_COUNT && is_f32(x) && is_vector(w, w->columns) && w->columns > 0 &&
           x->columns % w->columns == 0 && w->columns % dtype_table[post].block_elements == 0 &&
           is_result(check->results, post, x->rows, x->columns);
}

static bool check_layer_norm(const StepCheck *check)
{
    const View *x = &check->operands[0];
    uint32_t post = post_of(check);
    return post != DTYPE_COUNT && is_f32(x) && is_vector(&check->operands[1], x->columns) &&
           (check->operand_count < 3 || is_vector(&check->operands[2], x->columns)) &&
           is_result(check->results, post, x->rows, x->columns);
}

static bool check_binary_same(const StepCheck *check)
{
    const View *x = &check->operands[0];
    uint32_t post = post_of(check);
    return post != DTYPE_COUNT && is_f32(x) &&
           is_f32_matrix(&check->operands[1], x->rows, x->columns) &&
           is_result(check->results, post, x->rows, x->columns);
}

static bool check_rope_table(const StepCheck *check)
{
    int64_t dims = check->attributes->rope_table.dims;
    return dims >= 2 && dims % 2 == 0 && is_input(&check->operands[0], INPUT_POS) &&
           (check->operand_count < 2 || is_vector(&check->operands[1], dims / 2)) &&
           is_result(check->results, DTYPE_f32, symbol_t, dims);
}

// A table of angles for heads of a size.
static bool is_rope_table(const View *view, int64_t head_size)
{
    return is_f32_matrix(view, symbol_t, view->columns) && view->columns >= 2 &&
           view->columns % 2 == 0 && view->columns <= head_size;
}

static bool check_rope(const StepCheck *check)
{
    const View *x = &check->operands[0];
    int64_t head_size = check->attributes->rope.head_dim;
    return head_size >= 1 && x->columns % head_size == 0 &&
           is_f32_matrix(x, symbol_t, x->columns) &&
           is_rope_table(&check->operands[1], head_size) &&
           is_result(check->results, DTYPE_f32, symbol_t, x->columns);
}

static bool check_kv_store(const StepCheck *check)
{
    const View *x = &check->operands[0], *state = &check->operands[4];
    return is_f32_matrix(x, symbol_t, x->columns) && is_input(&check->operands[1], INPUT_POS) &&
           is_input(&check->operands[2], INPUT_SEQ) && is_input(&check->operands[3], INPUT_TABLE) &&
           (is_state(check, state, LAYOUT_k32) || is_state(check, state, LAYOUT_v1)) &&
           state->columns == x->columns;
}

// Keys and values of the same heads.
static bool are_states(const StepCheck *check, const View *keys, const View *values)
{
    return is_state(check, keys, LAYOUT_k32) && is_state(check, values, LAYOUT_v1) &&
           keys->operand->dtype == values->operand->dtype &&
           state_heads(keys) == state_heads(values) &&
           state_head_size(keys) == state_head_size(values);
}

static bool check_attention(const StepCheck *check)
{
    const View *q = &check->operands[0], *keys = &check->operands[4], *values = &check->operands[5];
    int64_t heads = check->attributes->attention.heads;
    uint32_t post = post_of(check);
    return heads >= 1 && check->attributes->attention.window >= 0 && post != DTYPE_COUNT &&
           is_f32_matrix(q, symbol_t, q->columns) && is_input(&check->operands[1], INPUT_POS) &&
           is_input(&check->operands[2], INPUT_SEQ) && is_input(&check->operands[3], INPUT_TABLE) &&
           are_states(check, keys, values) && heads % state_heads(keys) == 0 &&
           q->columns == heads * state_head_size(keys) &&
           q->columns / state_heads(keys) % dtype_table[post].block_elements == 0 &&
           is_result(check->results, post, symbol_t, q->columns);
}

static bool check_quantise(const StepCheck *check)
{
    const View *x = &check->operands[0];
    uint32_t post = post_of(check);
    return post != DTYPE_COUNT && post != DTYPE_f32 && is_f32(x) &&
           is_result(check->results, post, x->rows, x->columns);
}

static bool check_add_rms_norm(const StepCheck *check)
{
    const View *x = &check->operands[0];
    uint32_t post = post_of(check);
    return post != DTYPE_COUNT && is_f32(x) &&
           is_f32_matrix(&check->operands[1], x->rows, x->columns) &&
           is_vector(&check->operands[2], x->columns) &&
           is_result(&check->results[0], DTYPE_f32, x->rows, x->columns) &&
           is_result(&check->results[1], post, x->rows, x->columns);
}

static bool check_rope_qk_store(const StepCheck *check)
{
    const View *qkv = &check->operands[0], *keys = &check->operands[5];
    int64_t heads = check->attributes->rope_qk_store.heads;
    int64_t kv_heads = check->attributes->rope_qk_store.kv_heads;
    if (heads < 1 || kv_heads < 1 || heads % kv_heads != 0 ||
        !are_states(check, keys, &check->operands[6]) || state_heads(keys) != kv_heads)
        return false;
    int64_t head_size = state_head_size(keys);
    return is_f32_matrix(qkv, symbol_t, (heads + 2 * kv_heads) * head_size) &&
           is_rope_table(&check->operands[1], head_size) &&
           is_input(&check->operands[2], INPUT_POS) && is_input(&check->operands[3], INPUT_SEQ) &&
           is_input(&check->operands[4], INPUT_TABLE) &&
           is_result(check->results, DTYPE_f32, symbol_t, heads * head_size);
}

static bool (*const signature_checks[OP_COUNT])(const StepCheck *) = {
#define OP(name, least, most, results, written, infer, traits, attributes, signature, meaning)     \
    [OP_##name] = check_##infer,
#include "graph/base/ops.def"
#undef OP
};

static bool check_attributes(const StepCheck *check)
{
    const AttributeInfo *info = op_table[check->row->op].attributes;
    for (int i = 0; info[i].name; i++) {
        uint32_t word = check->attributes->words[i];
        float number;
        memcpy(&number, &word, sizeof number);
        if (info[i].kind == ATTRIBUTE_f32 && !isfinite(number))
            return false;
        if (info[i].kind != ATTRIBUTE_f32 && info[i].kind != ATTRIBUTE_i32 &&
            !attribute_value_name(info[i].kind, (int32_t)word))
            return false;
    }
    return true;
}

// A message about a step; returns false.
static bool refuse_step(const Plan *plan, uint32_t step, const char *text, const char *detail,
                        Diag *diag)
{
    return plan_refuse(plan, diag, "step %u (%s): %s%s: make the plan again", step,
                       plan_string(plan, plan->steps[step].kernel), text, detail);
}

static bool check_kernel(const Plan *plan, uint32_t index, const KernelRow *row, Diag *diag)
{
    const PlanStep *step = &plan->steps[index];
    if (!row)
        return refuse_step(plan, index, "this program has no such kernel", "", diag);
    if (step->op != (uint32_t)row->op)
        return refuse_step(plan, index, "the kernel is not of the step's op", "", diag);
    if (step->abi != row->abi)
        return refuse_step(plan, index, "the kernel has changed since the plan was made", "", diag);
    if (row->target > target_from_name(plan_string(plan, plan->info.target)))
        return refuse_step(plan, index, "the kernel needs more than the plan's target", "", diag);
    const OpInfo *op = &op_table[row->op];
    if (step->result_count != op->results || step->operand_count < op->least_operands ||
        step->operand_count > op->most_operands)
        return refuse_step(plan, index, "wrong number of operands for: ", op->signature, diag);
    uint64_t end = (uint64_t)step->first_operand + step->result_count + step->operand_count;
    if (end > plan->operand_count || step->barrier_before > 1 || step->scratch_bytes < 0 ||
        step->scratch_bytes > SIZE_LIMIT)
        return refuse_step(plan, index, "a number is out of range", "", diag);
    return true;
}

bool plan_check_step(const Plan *plan, const PlanPhase *phase, uint32_t index, Diag *diag)
{
    const PlanStep *step = &plan->steps[index];
    const KernelRow *row = kernel_from_name(plan_string(plan, step->kernel));
    if (!check_kernel(plan, index, row, diag))
        return false;
    StepCheck check = {plan, row, &step->attributes, step->operand_count, {{0}}, {{0}}};
    if (!check_attributes(&check))
        return refuse_step(plan, index, "an attribute is out of range", "", diag);
    const PlanOperand *operands = &plan->operands[step->first_operand];
    for (int32_t i = 0; i < step->result_count + step->operand_count; i++) {
        bool result = i < step->result_count;
        View *view = result ? &check.results[i] : &check.operands[i - step->result_count];
        view->operand = &operands[i];
        char number[16];
        snprintf(number, sizeof number, "%d", result ? i : i - step->result_count);
        if (!check_place(plan, phase, view))
            return refuse_step(plan, index,
                               result ? "impossible place of result "
                                      : "impossible place of operand ",
                               number, diag);
    }
    if (!check_own(&check))
        return refuse_step(plan, index, "results in own where threads may not all run it", "",
                           diag);
    if (!signature_checks[row->op](&check))
        return refuse_step(plan, index, "the operands do not fit: ", op_table[row->op].signature,
                           diag);
    return true;
}
