// The checker of plans: every index, size and enum of every table. What passes here runs without a
// check in the executor. Operands are in plan_operands.c, the vocabulary in plan_vocabulary.c.
#include <stdlib.h>
#include <string.h>

#include "kernels/kernel.h"
#include "runtime/plan_file.h"

enum { PAGE_TOKENS_MIN = 32, PAGE_TOKENS_MAX = 256, BATCH_MAX = 1 << 24 };
#define SIZE_MOST ((int64_t)1 << 48)

static bool check_strings(const Plan *plan, Diag *diag)
{
    if (plan->string_bytes == 0 || plan->strings[0] != 0 ||
        plan->strings[plan->string_bytes - 1] != 0)
        return plan_refuse(plan, diag, "the strings do not begin and end with a NUL");
    for (int i = 0; i < PLAN_STRING_FIELDS; i++) {
        PlanSection section = plan_string_fields[i].section;
        PlanTable table = plan_table(plan, section);
        for (uint64_t item = 0; item < table.count; item++) {
            PlanString string;
            const char *fields = (const char *)table.items + item * plan_item_bytes[section];
            memcpy(&string, fields + plan_string_fields[i].offset, sizeof string);
            if (string >= plan->string_bytes)
                return plan_refuse(plan, diag, "%s %llu names a text outside of the strings",
                                   plan_section_names[section], (unsigned long long)item);
        }
    }
    return true;
}

static bool check_info(const Plan *plan, Diag *diag)
{
    const PlanInfo *info = &plan->info;
    bool keyed = info->weights_key.low != 0 || info->weights_key.high != 0;
    if (info->weights_in >= WEIGHTS_IN_COUNT || keyed != (info->weights_in == WEIGHTS_IN_FILE) ||
        info->has_vocabulary > 1 || info->context_length < 0 || info->context_length > INT32_MAX ||
        info->vocabulary_size < 0 || info->vocabulary_size > INT32_MAX || info->w_bytes < 0 ||
        info->w_bytes > SIZE_MOST)
        return plan_refuse(plan, diag, "a number of the plan's info is out of range");
    if (plan->phase_count == 0 && !info->has_vocabulary)
        return plan_refuse(plan, diag, "the plan has neither phases nor a vocabulary");
    if (plan->phase_count == 0)
        return true;
    const char *target = plan_string(plan, info->target);
    if (strcmp(target, "native") == 0 || target_from_name(target) == TARGET_COUNT)
        return plan_refuse(plan, diag,
                           "the plan is for a target that this program does not know: %s", target);
    if (info->page_tokens < PAGE_TOKENS_MIN || info->page_tokens > PAGE_TOKENS_MAX ||
        (info->page_tokens & (info->page_tokens - 1)) != 0 || info->page_bytes < 0 ||
        info->page_bytes > SIZE_MOST || info->page_bytes % PLAN_ALIGNMENT != 0 || info->batch < 1 ||
        info->batch > BATCH_MAX || info->context_length < 1 || info->positions < 0)
        return plan_refuse(plan, diag, "page, batch or context of the plan is out of range");
    return true;
}

static bool check_tensors(const Plan *plan, Diag *diag)
{
    for (uint32_t i = 0; i < plan->tensor_count; i++) {
        const PlanTensor *tensor = &plan->tensors[i];
        int64_t bytes =
            tensor->rows < 1 || tensor->columns < 1
                ? -1
                : plan_matrix_bytes(tensor->dtype, LAYOUT_plain, tensor->rows, tensor->columns);
        // Made from a shape without weights: such a plan can be read and printed, not run.
        if (plan->file_count == 0 && bytes >= 0 && tensor->bytes == 0 &&
            plan->info.weights_in == WEIGHTS_IN_MODEL)
            continue;
        if (tensor->file >= plan->file_count || bytes < 0 || tensor->bytes != (uint64_t)bytes ||
            tensor->offset > plan->files[tensor->file].bytes ||
            tensor->bytes > plan->files[tensor->file].bytes - tensor->offset)
            return plan_refuse(plan, diag, "tensor %s does not lie in its file",
                               plan_string(plan, tensor->name));
    }
    return true;
}

static bool check_concat(const PlanRecipe *recipes, const PlanRecipe *recipe)
{
    int64_t rows = 0;
    for (uint32_t i = 0; i < recipe->child_count; i++)
        rows += recipes[recipe->children[i]].rows;
    return recipe->child_count >= 1 && rows == recipe->rows;
}

static bool check_slice(const PlanRecipe *recipes, const PlanRecipe *recipe)
{
    return recipe->child_count == 1 && recipe->begin >= 0 && recipe->begin < recipe->end &&
           recipe->end <= recipes[recipe->children[0]].rows &&
           recipe->rows == recipe->end - recipe->begin;
}

static bool check_interleave(const PlanRecipe *recipes, const PlanRecipe *recipe)
{
    if (recipe->child_count != 2 || recipe->begin < 1)
        return false;
    int64_t rows = recipes[recipe->children[0]].rows;
    return recipes[recipe->children[1]].rows == rows && rows % recipe->begin == 0 &&
           recipe->rows == 2 * rows;
}

static bool check_permute(const PlanRecipe *recipes, const PlanRecipe *recipe)
{
    int64_t block;
    return recipe->child_count == 1 && recipe->begin >= 1 && recipe->end >= 1 &&
           recipe->inner >= 1 && recipe->rows == recipes[recipe->children[0]].rows &&
           !__builtin_mul_overflow(recipe->begin, recipe->end, &block) &&
           !__builtin_mul_overflow(block, recipe->inner, &block) && recipe->rows % block == 0;
}

static bool check_values(const Plan *plan, const PlanRecipe *recipe)
{
    return recipe->child_count == 0 && recipe->rows == 1 && recipe->begin >= 0 &&
           plan_range_fits(recipe->begin, recipe->columns, (int64_t)plan->value_count);
}

// Children stand before their parents and, but where columns become rows, have as many columns.
static bool check_children(const Plan *plan, uint32_t index)
{
    const PlanRecipe *recipe = &plan->recipes[index];
    if (recipe->child_count > 8 || recipe->rows < 1 || recipe->columns < 1)
        return false;
    for (uint32_t i = 0; i < recipe->child_count; i++)
        if (recipe->children[i] >= index ||
            (recipe->kind != RECIPE_TRANSPOSE &&
             plan->recipes[recipe->children[i]].columns != recipe->columns))
            return false;
    return true;
}

// Shapes of one recipe; its children have been checked.
static bool check_recipe(const Plan *plan, uint32_t index)
{
    const PlanRecipe *recipe = &plan->recipes[index];
    const PlanRecipe *child = &plan->recipes[recipe->child_count ? recipe->children[0] : 0];
    if (!check_children(plan, index))
        return false;
    switch (recipe->kind) {
    case RECIPE_TENSOR:
        return recipe->child_count == 0 && recipe->tensor < plan->tensor_count &&
               plan->tensors[recipe->tensor].rows == recipe->rows &&
               plan->tensors[recipe->tensor].columns == recipe->columns;
    case RECIPE_CONCAT: return check_concat(plan->recipes, recipe);
    case RECIPE_SLICE: return check_slice(plan->recipes, recipe);
    case RECIPE_INTERLEAVE: return check_interleave(plan->recipes, recipe);
    case RECIPE_PERMUTE: return check_permute(plan->recipes, recipe);
    case RECIPE_TRANSPOSE:
        return recipe->child_count == 1 && recipe->rows == child->columns &&
               recipe->columns == child->rows;
    case RECIPE_ADD: return recipe->child_count == 1 && recipe->rows == child->rows;
    case RECIPE_VALUES: return check_values(plan, recipe);
    default: return false;
    }
}

// Marks the types of recipes whose rows are not all rows of tensors.
static const uint32_t made_rows = 1u << 31;
_Static_assert(DTYPE_COUNT < 31, "a set of dtypes has a bit to spare");

static uint32_t readable_dtypes(void)
{
    uint32_t set = made_rows;
    for (int dtype = 0; dtype < DTYPE_COUNT; dtype++)
        set |= row_can_read((DType)dtype) ? 1u << dtype : 0;
    return set;
}

// The set of dtypes of a recipe's rows; 0 if they cannot be made of its children's.
static uint32_t recipe_dtypes(const Plan *plan, const uint32_t *dtypes, uint32_t index)
{
    const PlanRecipe *recipe = &plan->recipes[index];
    uint32_t set = 0;
    for (uint32_t child = 0; child < recipe->child_count; child++)
        set |= dtypes[recipe->children[child]];
    switch (recipe->kind) {
    case RECIPE_TENSOR: return 1u << plan->tensors[recipe->tensor].dtype;
    case RECIPE_VALUES: return DTYPE_SET(f32) | made_rows;
    case RECIPE_ADD: return set & ~readable_dtypes() ? 0 : DTYPE_SET(f32) | made_rows;
    case RECIPE_TRANSPOSE:
        for (int dtype = 0; dtype < DTYPE_COUNT; dtype++)
            if (set == 1u << dtype && dtype_table[dtype].kind == DTYPE_KIND_FLOAT)
                return set | made_rows;
        return 0;
    default: return set;
    }
}

// Fills dtypes[i] with the set of dtypes of the rows of recipe i.
static bool check_recipes(const Plan *plan, uint32_t *dtypes, Diag *diag)
{
    for (uint32_t i = 0; i < plan->recipe_count; i++) {
        const PlanRecipe *recipe = &plan->recipes[i];
        // Rows of a sum of eight children stay far from overflow.
        if (!check_recipe(plan, i) || recipe->rows > SIZE_MOST)
            return plan_refuse(plan, diag, "recipe %u cannot be followed", i);
        if (!(dtypes[i] = recipe_dtypes(plan, dtypes, i)))
            return plan_refuse(plan, diag, "recipe %u cannot be made of its tensors' types", i);
    }
    return true;
}

static bool is_weight_layout(uint32_t layout)
{
    return layout == LAYOUT_plain || layout == LAYOUT_n16k4 || layout == LAYOUT_n32k1 ||
           layout == LAYOUT_n32k2 || layout == LAYOUT_n16k1;
}

// Rows are copied or packed as they are; f32 is also made from any type that can be read.
static bool can_convert(uint32_t from_set, uint32_t to)
{
    for (uint32_t from = 0; from < DTYPE_COUNT; from++)
        if ((from_set >> from & 1) && from != to && !(to == DTYPE_f32 && row_can_read((DType)from)))
            return false;
    return true;
}

static bool check_weights(const Plan *plan, const uint32_t *dtypes, Diag *diag)
{
    for (uint32_t i = 0; i < plan->weight_count; i++) {
        const PlanWeight *weight = &plan->weights[i];
        const char *name = plan_string(plan, weight->name);
        int64_t bytes =
            plan_matrix_bytes(weight->dtype, weight->layout, weight->rows, weight->columns);
        if (weight->recipe >= plan->recipe_count ||
            plan->recipes[weight->recipe].rows != weight->rows ||
            plan->recipes[weight->recipe].columns != weight->columns)
            return plan_refuse(plan, diag, "weight %s has no recipe of its shape", name);
        if (bytes < 0 || bytes > weight->bytes || !is_weight_layout(weight->layout) ||
            !plan_range_fits(weight->offset, weight->bytes, plan->info.w_bytes))
            return plan_refuse(plan, diag, "weight %s does not lie in the weights", name);
        if (!can_convert(dtypes[weight->recipe], weight->dtype))
            return plan_refuse(plan, diag, "weight %s is %s, which its tensors are not", name,
                               dtype_table[weight->dtype].name);
    }
    return true;
}

static bool check_recipes_and_weights(const Plan *plan, Diag *diag)
{
    uint32_t *dtypes = calloc((size_t)plan->recipe_count + 1, sizeof *dtypes);
    if (!dtypes)
        return plan_refuse(plan, diag, "out of memory");
    bool good = check_recipes(plan, dtypes, diag) && check_weights(plan, dtypes, diag);
    free(dtypes);
    return good;
}

static bool check_states(const Plan *plan, Diag *diag)
{
    for (uint32_t i = 0; i < plan->state_count; i++) {
        const PlanState *state = &plan->states[i];
        int64_t bytes = plan_state_bytes(state->dtype, state->layout, plan->info.page_tokens,
                                         state->kv_heads, state->head_dim);
        if (state->role > 1 || bytes < 0 || bytes > state->bytes ||
            !plan_range_fits(state->offset, state->bytes, plan->info.page_bytes))
            return plan_refuse(plan, diag, "state %s does not lie in a page",
                               plan_string(plan, state->name));
    }
    return true;
}

// An output's rows grow with T or R, its columns are a constant: the shape that check_place
// accepts.
static bool check_outputs(const Plan *plan, Diag *diag)
{
    for (uint32_t i = 0; i < plan->output_count; i++) {
        const PlanOutput *output = &plan->outputs[i];
        const Shape *shape = &output->shape;
        bool good = output->dtype == DTYPE_f32 && shape->rank == 2 &&
                    dim_is_constant(shape->dims[1]) && shape->dims[1].constant >= 1 &&
                    shape->dims[1].constant <= INT32_MAX &&
                    (dim_equal(shape->dims[0], dim_symbol(SYMBOL_T)) ||
                     dim_equal(shape->dims[0], dim_symbol(SYMBOL_R)));
        if (!good)
            return plan_refuse(plan, diag, "output %s is neither f32[T,n] nor f32[R,n]",
                               plan_string(plan, output->name));
    }
    return true;
}

// Every phase gives every output, else a reader would see what an earlier step left there.
static bool check_outputs_written(const Plan *plan, const PlanPhase *phase, Diag *diag)
{
    for (uint32_t output = 0; output < plan->output_count; output++) {
        bool written = false;
        for (uint32_t i = 0; i < phase->step_count && !written; i++) {
            const PlanStep *step = &plan->steps[phase->first_step + i];
            for (uint32_t result = 0; result < step->result_count; result++) {
                const PlanOperand *operand = &plan->operands[step->first_operand + result];
                written |= operand->region == REGION_IO &&
                           operand->offset == INPUT_COUNT + (int64_t)output;
            }
        }
        if (!written)
            return plan_refuse(plan, diag, "phase %s does not give the output %s",
                               plan_string(plan, phase->name),
                               plan_string(plan, plan->outputs[output].name));
    }
    return true;
}

static bool check_phases(const Plan *plan, Diag *diag)
{
    int64_t bound = 0;
    uint64_t next_step = 0;
    for (uint32_t i = 0; i < plan->phase_count; i++) {
        const PlanPhase *phase = &plan->phases[i];
        if (phase->bound_t <= bound || phase->bound_t > plan->info.batch || phase->act_bytes < 0 ||
            phase->act_bytes > SIZE_MOST || phase->first_step != next_step ||
            phase->step_count > plan->step_count - next_step)
            return plan_refuse(plan, diag, "phase %u is out of order or out of range", i);
        bound = phase->bound_t;
        next_step += phase->step_count;
        for (uint32_t step = 0; step < phase->step_count; step++)
            if (!plan_check_step(plan, phase, phase->first_step + step, diag))
                return false;
        if (!check_outputs_written(plan, phase, diag))
            return false;
    }
    if (next_step != plan->step_count || (plan->phase_count > 0 && bound != plan->info.batch))
        return plan_refuse(plan, diag, "the phases do not cover the steps and the batch");
    return true;
}

static bool check_settings(const Plan *plan, Diag *diag)
{
    for (uint32_t i = 0; i < plan->setting_count; i++) {
        const Setting *setting = &plan->settings[i];
        if (setting->kind >= SETTING_COUNT || (i > 0 && setting->kind <= setting[-1].kind) ||
            !setting_holds((SettingKind)setting->kind, setting->value))
            return plan_refuse(plan, diag, "setting %u cannot be", i);
    }
    return true;
}

bool plan_check(const Plan *plan, Diag *diag)
{
    return check_strings(plan, diag) && check_info(plan, diag) && check_tensors(plan, diag) &&
           check_recipes_and_weights(plan, diag) && check_states(plan, diag) &&
           check_outputs(plan, diag) && check_phases(plan, diag) && check_settings(plan, diag) &&
           (!plan->info.has_vocabulary || plan_check_vocabulary(plan, diag));
}
