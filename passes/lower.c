// Nothing is decided here: every field of a step, operand or weight is copied from the module.
// Strings are shared, recipes become a table with children before parents.
#include "passes/lower.h"

#include <assert.h>
#include <string.h>

#include "graph/base/hash.h"
#include "graph/table.h"

typedef struct Lowering {
    const Module *module;
    const LowerSource *source;
    Arena *arena;
    Diag *diag;
    Text strings;
    PlanString *string_slots; // open addressing; 0 = free (offset 0 is "")
    uint32_t slot_mask, string_count;
    Vector(PlanTensor) tensors;
    Table tensor_indices; // index + 1 of the tensor, by tensor_hash: equal hashes, equal names
    Vector(PlanRecipe) recipes;
    Vector(float) values;
    Vector(PlanWeight) weights;
    Vector(PlanState) states;
    Vector(PlanPhase) phases;
    Vector(PlanStep) steps;
    Vector(PlanOperand) operands;
    Vector(PlanOutput) outputs;
} Lowering;

static uint32_t string_slot(const Lowering *lowering, const char *text)
{
    uint32_t slot = (uint32_t)hash64(text, strlen(text), 0) & lowering->slot_mask;
    while (lowering->string_slots[slot] &&
           strcmp(lowering->strings.bytes + lowering->string_slots[slot], text) != 0)
        slot = (slot + 1) & lowering->slot_mask;
    return slot;
}

static void grow_strings(Lowering *lowering)
{
    PlanString *old = lowering->string_slots;
    uint32_t old_slots = old ? lowering->slot_mask + 1 : 0;
    lowering->slot_mask = old_slots ? old_slots * 2 - 1 : 255;
    lowering->string_slots = ARENA_ARRAY(lowering->arena, PlanString, lowering->slot_mask + 1);
    for (uint32_t i = 0; i < old_slots; i++)
        if (old[i])
            lowering->string_slots[string_slot(lowering, lowering->strings.bytes + old[i])] =
                old[i];
}

static PlanString add_string(Lowering *lowering, const char *text)
{
    if (!text || !*text)
        return 0;
    if (lowering->string_count * 2 >= lowering->slot_mask)
        grow_strings(lowering);
    uint32_t slot = string_slot(lowering, text);
    if (!lowering->string_slots[slot]) {
        lowering->string_slots[slot] = (PlanString)lowering->strings.length;
        text_append(&lowering->strings, text, strlen(text) + 1);
        lowering->string_count++;
    }
    return lowering->string_slots[slot];
}

// One to one: an odd factor.
static uint64_t tensor_hash(PlanString name)
{
    return (uint64_t)name * 0x9e3779b97f4a7c15u;
}

static bool add_tensor(Lowering *lowering, const Recipe *recipe, uint32_t *index)
{
    const LowerSource *source = lowering->source;
    PlanTensor tensor = {.name = add_string(lowering, recipe->tensor),
                         .dtype = (uint32_t)recipe->dtype,
                         .rows = recipe->rows,
                         .columns = recipe->columns};
    uint32_t probe = 0;
    void *known;
    while ((known = table_next(&lowering->tensor_indices, tensor_hash(tensor.name), &probe))) {
        *index = (uint32_t)(uintptr_t)known - 1;
        const PlanTensor *one = &lowering->tensors.items[*index];
        if (one->rows == tensor.rows && one->columns == tensor.columns)
            return true;
    }
    LowerTensor place = {0};
    if (source->file_count && !source->find_tensor(source->context, recipe->tensor, &place))
        return diag_fail(lowering->diag, (Where){source->files[0].path, 0, 0},
                         "the model has no tensor \"%s\" that the module asks for", recipe->tensor);
    tensor.file = place.file;
    tensor.offset = place.offset;
    tensor.bytes = place.bytes;
    *index = (uint32_t)lowering->tensors.count;
    vector_push(lowering->arena, &lowering->tensors, tensor);
    table_add(lowering->arena, &lowering->tensor_indices, tensor_hash(tensor.name),
              (void *)(uintptr_t)lowering->tensors.count);
    return true;
}

enum { CHILDREN_MOST = sizeof((PlanRecipe *)0)->children / sizeof(uint32_t) };

// A concat of more children than a row of the plan holds, as a concat of concats.
static const Recipe *nest_concat(Arena *arena, const Recipe *recipe)
{
    if (recipe->kind != RECIPE_CONCAT || recipe->child_count <= CHILDREN_MOST)
        return recipe;
    const Recipe *groups[CHILDREN_MOST];
    int32_t size = (recipe->child_count + CHILDREN_MOST - 1) / CHILDREN_MOST, count = 0;
    for (int32_t first = 0; first < recipe->child_count; first += size) {
        int32_t rest = recipe->child_count - first;
        groups[count++] = recipe_concat(arena, rest < size ? rest : size, recipe->children + first);
    }
    return recipe_concat(arena, count, groups);
}

static bool add_recipe(Lowering *lowering, const Recipe *recipe, uint32_t *index)
{
    recipe = nest_concat(lowering->arena, recipe);
    PlanRecipe row = {.kind = (uint32_t)recipe->kind,
                      .child_count = (uint32_t)recipe->child_count,
                      .begin = recipe->begin,
                      .end = recipe->end,
                      .inner = recipe->inner,
                      .addend = recipe->addend,
                      .rows = recipe->rows,
                      .columns = recipe->columns};
    assert(recipe->child_count <= CHILDREN_MOST);
    for (int32_t i = 0; i < recipe->child_count; i++)
        if (!add_recipe(lowering, recipe->children[i], &row.children[i]))
            return false;
    if (recipe->kind == RECIPE_TENSOR && !add_tensor(lowering, recipe, &row.tensor))
        return false;
    if (recipe->kind == RECIPE_VALUES) {
        row.begin = lowering->values.count;
        for (int64_t i = 0; i < recipe->columns; i++)
            vector_push(lowering->arena, &lowering->values, recipe->values[i]);
    }
    *index = (uint32_t)lowering->recipes.count;
    vector_push(lowering->arena, &lowering->recipes, row);
    return true;
}

static bool add_weights(Lowering *lowering)
{
    const Module *module = lowering->module;
    for (int32_t i = 0; i < module->weights.count; i++) {
        const Weight *weight = module->weights.items[i];
        PlanWeight row = {.name = add_string(lowering, weight->name),
                          .dtype = (uint32_t)weight->dtype,
                          .layout = (uint32_t)weight->layout,
                          .rows = weight->recipe->rows,
                          .columns = weight->recipe->columns,
                          .offset = weight->place.offset,
                          .bytes = weight->place.bytes};
        if (!add_recipe(lowering, weight->recipe, &row.recipe))
            return false;
        vector_push(lowering->arena, &lowering->weights, row);
    }
    return true;
}

static void add_states(Lowering *lowering)
{
    const Module *module = lowering->module;
    for (int32_t i = 0; i < module->states.count; i++) {
        const State *state = module->states.items[i];
        PlanState row = {.name = add_string(lowering, state->name),
                         .role = (uint32_t)state->role,
                         .dtype = (uint32_t)state->dtype,
                         .layout = (uint32_t)state->layout,
                         .kv_heads = state->kv_heads,
                         .head_dim = state->head_dim,
                         .offset = state->place.offset,
                         .bytes = state->place.bytes};
        vector_push(lowering->arena, &lowering->states, row);
    }
}

static void add_operand(Lowering *lowering, const Value *value)
{
    PlanOperand row = {.region = (uint32_t)value->place.region,
                       .dtype = (uint32_t)value->dtype,
                       .layout = (uint32_t)value->layout,
                       .offset = value->place.offset,
                       .bytes = value->place.bytes,
                       .shape = value->shape};
    const char *name = value->name;
    switch (value->kind) {
    case VALUE_INPUT:
        row.region = REGION_IO;
        row.offset = value->input;
        name = step_input_names[value->input];
        break;
    case VALUE_WEIGHT:
        row.region = REGION_W;
        row.offset = value->weight->place.offset;
        row.bytes = value->weight->place.bytes;
        name = value->weight->name;
        break;
    case VALUE_STATE:
        row.region = REGION_KV;
        row.offset = value->state->place.offset;
        row.bytes = value->state->place.bytes;
        name = value->state->name;
        break;
    case VALUE_CONSTANT:
        row.region = REGION_NONE;
        row.constant = value->constant;
        break;
    case VALUE_RESULT: break;
    }
    row.name = add_string(lowering, name);
    vector_push(lowering->arena, &lowering->operands, row);
}

static PlanString locations_string(Lowering *lowering, const Node *node)
{
    Text text = {0};
    const char *file = NULL;
    for (int32_t i = 0; i < node->locations.count; i++) {
        const SourceLocation *location = &node->locations.items[i];
        if (file && strcmp(file, location->file) == 0)
            text_print(&text, ",%d", location->line);
        else
            text_print(&text, "%s%s:%d", i ? " " : "", location->file, location->line);
        file = location->file;
    }
    PlanString string = add_string(lowering, text.bytes);
    text_free(&text);
    return string;
}

// An operand at the phase's largest T as its kernel would see it, without memory.
static KernelOperand largest_operand(const Value *value)
{
    KernelOperand operand = {.dtype = value->dtype, .layout = value->layout};
    if (value->kind == VALUE_STATE) {
        operand.columns = (int64_t)value->state->kv_heads * value->state->head_dim;
        operand.rows = value->shape.dims[0].constant;
        return operand;
    }
    int64_t bound = value->kind == VALUE_RESULT ? value->producer.node->graph->bound_t : 1;
    const int64_t largest[SYMBOL_COUNT] = {bound, bound, 1, 1};
    operand.rows = shape_rows(&value->shape, largest);
    operand.columns = shape_columns(&value->shape, largest);
    return operand;
}

static int64_t step_scratch(const Lowering *lowering, const Node *node, const KernelRow *row)
{
    if (!row->scratch)
        return 0;
    KernelOperand results[RESULTS_MAX], operands[OPERANDS_MAX];
    const Module *module = lowering->module;
    KernelCall call = {.results = results,
                       .operands = operands,
                       .result_count = node->result_count,
                       .operand_count = node->operand_count,
                       .attributes = &node->attributes,
                       .pages = {.page_bytes = module->page_bytes,
                                 .page_tokens = (int32_t)module->options.page_tokens,
                                 .pages_per_sequence = 1}};
    for (int32_t i = 0; i < node->result_count; i++)
        results[i] = largest_operand(node->results[i]);
    for (int32_t i = 0; i < node->operand_count; i++) {
        const Value *value = node->operands[i].value;
        operands[i] = largest_operand(value);
        if (value->kind == VALUE_STATE)
            call.pages.kv_heads = value->state->kv_heads;
    }
    return row->scratch(&call);
}

static void add_step(Lowering *lowering, const Node *node)
{
    const KernelRow *row = kernel_from_name(node->kernel);
    PlanStep step = {.kernel = add_string(lowering, node->kernel),
                     .location = locations_string(lowering, node),
                     .abi = row->abi,
                     .op = (uint32_t)node->op,
                     .first_operand = (uint32_t)lowering->operands.count,
                     .result_count = (uint16_t)node->result_count,
                     .operand_count = (uint16_t)node->operand_count,
                     .barrier_before = node->barrier_before,
                     .attributes = node->attributes};
    for (int32_t i = 0; i < node->result_count; i++)
        add_operand(lowering, node->results[i]);
    for (int32_t i = 0; i < node->operand_count; i++)
        add_operand(lowering, node->operands[i].value);
    step.scratch_bytes = step_scratch(lowering, node, row);
    vector_push(lowering->arena, &lowering->steps, step);
}

static void add_phases(Lowering *lowering)
{
    const Module *module = lowering->module;
    for (int32_t i = 0; i < module->graphs.count; i++) {
        const Graph *graph = module->graphs.items[i];
        PlanPhase phase = {.name = add_string(lowering, graph->name),
                           .first_step = (uint32_t)lowering->steps.count,
                           .step_count = (uint32_t)graph->node_count,
                           .bound_t = graph->bound_t,
                           .act_bytes = graph->act_bytes,
                           .act_lower_bound = graph->act_lower_bound};
        for (const Node *node = graph->first; node; node = node->next)
            add_step(lowering, node);
        vector_push(lowering->arena, &lowering->phases, phase);
    }
    const Graph *graph = module->graphs.items[0];
    for (int32_t i = 0; i < graph->outputs.count; i++) {
        const GraphOutput *output = graph->outputs.items[i];
        PlanOutput row = {.name = add_string(lowering, output->name),
                          .dtype = (uint32_t)output->use.value->dtype,
                          .shape = output->use.value->shape};
        vector_push(lowering->arena, &lowering->outputs, row);
    }
}

// The fewest rows that are picked by position, 0 if none are; every phase has the same.
static int32_t learned_positions(const Graph *graph)
{
    int64_t positions = 0;
    for (const Node *node = graph->first; node; node = node->next) {
        if (node->op != OP_embed || node->operands[1].value->kind != VALUE_INPUT ||
            node->operands[1].value->input != INPUT_POS)
            continue;
        int64_t rows = node->operands[0].value->shape.dims[0].constant;
        positions = positions && positions < rows ? positions : rows;
    }
    return (int32_t)positions;
}

static void fill_info(Lowering *lowering, PlanInfo *info)
{
    const Module *module = lowering->module;
    const LowerSource *source = lowering->source;
    *info = (PlanInfo){.architecture = add_string(lowering, source->architecture),
                       .command = add_string(lowering, source->command),
                       .compiler = add_string(lowering, source->compiler),
                       .weights_in =
                           module && source->file_count ? source->weights_in : WEIGHTS_IN_MODEL,
                       .has_vocabulary = source->vocabulary != NULL};
    if (!module)
        return;
    const ModuleOptions *options = &module->options;
    info->name = add_string(lowering, module->name);
    info->target = add_string(lowering, options->target);
    info->kv = add_string(lowering, dtype_table[options->kv].name);
    info->act = add_string(lowering, options->act_auto ? "auto" : "f32");
    info->opt = options->opt;
    info->page_tokens = (int32_t)options->page_tokens;
    info->batch = options->batch;
    info->page_bytes = module->page_bytes;
    info->w_bytes = module->w_bytes;
    info->context_length = module->context_length;
    info->positions = learned_positions(module->graphs.items[0]);
    info->vocabulary_size = module->vocabulary_size;
}

static void add_files(Lowering *lowering, Plan *plan)
{
    const LowerSource *source = lowering->source;
    PlanFile *files = ARENA_ARRAY(lowering->arena, PlanFile, source->file_count);
    for (uint32_t i = 0; i < source->file_count; i++)
        files[i] = (PlanFile){.path = add_string(lowering, source->files[i].path),
                              .bytes = source->files[i].bytes,
                              .modified_ns = source->files[i].modified_ns};
    plan->files = files;
    plan->file_count = source->file_count;
}

Plan *lower_module(const Module *module, const LowerSource *source, Arena *arena, Diag *diag)
{
    assert(!module || module->level == LEVEL_PLANNED);
    Lowering lowering = {.module = module, .source = source, .arena = arena, .diag = diag};
    text_append(&lowering.strings, "", 1);
    grow_strings(&lowering);
    Plan *plan = ARENA_NEW(arena, Plan);
    plan->path = "";
    fill_info(&lowering, &plan->info);
    if (module) {
        if (!add_weights(&lowering)) {
            text_free(&lowering.strings);
            return NULL;
        }
        add_states(&lowering);
        add_phases(&lowering);
    }
    if (source->vocabulary)
        plan->vocabulary = *source->vocabulary;
    plan->settings = source->settings;
    plan->setting_count = source->setting_count;
    if (module)
        add_files(&lowering, plan);
    plan->string_bytes = lowering.strings.length;
    plan->strings = arena_copy_text(arena, lowering.strings.bytes, lowering.strings.length);
    text_free(&lowering.strings);
#define TABLE(name, field)                                                                         \
    plan->name##_count = (uint32_t)lowering.field.count;                                           \
    plan->field = lowering.field.items
    TABLE(tensor, tensors);
    TABLE(recipe, recipes);
    TABLE(value, values);
    TABLE(weight, weights);
    TABLE(state, states);
    TABLE(phase, phases);
    TABLE(step, steps);
    TABLE(operand, operands);
    TABLE(output, outputs);
#undef TABLE
    return plan;
}
