// Building: modules, recipes, leaves, and nodes that are checked and hash-consed as they are added.
//
// The table of pure nodes holds them by their content when they were added. An edit changes a node
// but not its entry: look-ups compare the content of now, so a stale entry finds nothing and cse
// restores what consing missed. Keeping the entries up to date would make every edit cost a
// look-up.
#include <assert.h>
#include <math.h>
#include <string.h>

#include "graph/base/hash.h"
#include "graph/node.h"

const char *const level_names[LEVEL_COUNT] = {"built",    "numeric",   "specialised", "laid_out",
                                              "selected", "scheduled", "planned"};

static const Place no_place = {REGION_NONE, 0, -1};

static const char *copy_name(Arena *arena, const char *name)
{
    return arena_copy_text(arena, name, strlen(name));
}

Module *module_new(Arena *arena, const char *name, ModuleOptions options)
{
    Module *module = ARENA_NEW(arena, Module);
    module->arena = arena;
    module->name = copy_name(arena, name);
    module->options = options;
    if (options.target)
        module->options.target = copy_name(arena, options.target);
    return module;
}

Graph *module_add_graph(Module *module, const char *name)
{
    Graph *graph = ARENA_NEW(module->arena, Graph);
    graph->module = module;
    graph->name = copy_name(module->arena, name);
    graph->table = ARENA_NEW(module->arena, struct NodeTable);
    vector_push(module->arena, &module->graphs, graph);
    return graph;
}

Weight *module_add_weight(Module *module, const char *name, DType dtype, Shape shape,
                          const Recipe *recipe)
{
    assert(shape.rank == 1 || shape.rank == 2);
    assert(recipe->columns == shape.dims[shape.rank - 1].constant);
    assert(recipe->rows == (shape.rank == 2 ? shape.dims[0].constant : 1));
    Weight *weight = ARENA_NEW(module->arena, Weight);
    *weight = (Weight){.name = copy_name(module->arena, name),
                       .dtype = dtype,
                       .shape = shape,
                       .recipe = recipe,
                       .place = no_place};
    vector_push(module->arena, &module->weights, weight);
    return weight;
}

State *module_add_state(Module *module, const char *name, StateRole role, int32_t kv_heads,
                        int32_t head_dim)
{
    assert(kv_heads > 0 && head_dim > 0);
    State *state = ARENA_NEW(module->arena, State);
    *state = (State){.name = copy_name(module->arena, name),
                     .role = role,
                     .dtype = module->options.kv,
                     .kv_heads = kv_heads,
                     .head_dim = head_dim,
                     .place = no_place};
    vector_push(module->arena, &module->states, state);
    return state;
}

static Recipe *recipe_new(Arena *arena, RecipeKind kind, int32_t child_count,
                          const Recipe *const *children, int64_t rows)
{
    Recipe *recipe = ARENA_NEW(arena, Recipe);
    recipe->kind = kind;
    recipe->rows = rows;
    recipe->child_count = child_count;
    recipe->children = ARENA_ARRAY(arena, const Recipe *, child_count);
    for (int32_t i = 0; i < child_count; i++) {
        assert(children[i]->columns == children[0]->columns);
        recipe->children[i] = children[i];
        recipe->columns = children[i]->columns;
    }
    return recipe;
}

Recipe *recipe_tensor(Arena *arena, const char *name, DType dtype, int64_t rows, int64_t columns)
{
    Recipe *recipe = recipe_new(arena, RECIPE_TENSOR, 0, NULL, rows);
    recipe->tensor = copy_name(arena, name);
    recipe->dtype = dtype;
    recipe->columns = columns;
    return recipe;
}

Recipe *recipe_concat(Arena *arena, int32_t count, const Recipe *const *children)
{
    int64_t rows = 0;
    for (int32_t i = 0; i < count; i++)
        rows += children[i]->rows;
    return recipe_new(arena, RECIPE_CONCAT, count, children, rows);
}

Recipe *recipe_slice(Arena *arena, const Recipe *child, int64_t begin, int64_t end)
{
    assert(begin >= 0 && begin < end && end <= child->rows);
    Recipe *recipe = recipe_new(arena, RECIPE_SLICE, 1, &child, end - begin);
    recipe->begin = begin;
    recipe->end = end;
    return recipe;
}

Recipe *recipe_interleave(Arena *arena, const Recipe *a, const Recipe *b, int64_t rows_in_turn)
{
    assert(a->rows == b->rows);
    assert(rows_in_turn > 0 && a->rows % rows_in_turn == 0);
    Recipe *recipe =
        recipe_new(arena, RECIPE_INTERLEAVE, 2, (const Recipe *const[]){a, b}, 2 * a->rows);
    recipe->begin = rows_in_turn;
    return recipe;
}

Recipe *recipe_permute(Arena *arena, const Recipe *child, int64_t m, int64_t n, int64_t inner)
{
    assert(m > 0 && n > 0 && inner > 0 && child->rows % (m * n * inner) == 0);
    Recipe *recipe = recipe_new(arena, RECIPE_PERMUTE, 1, &child, child->rows);
    recipe->begin = m;
    recipe->end = n;
    recipe->inner = inner;
    return recipe;
}

Recipe *recipe_transpose(Arena *arena, const Recipe *child)
{
    assert(dtype_table[recipe_dtype(child)].kind == DTYPE_KIND_FLOAT);
    Recipe *recipe = recipe_new(arena, RECIPE_TRANSPOSE, 1, &child, child->columns);
    recipe->columns = child->rows;
    return recipe;
}

Recipe *recipe_add(Arena *arena, const Recipe *child, float addend)
{
    Recipe *recipe = recipe_new(arena, RECIPE_ADD, 1, &child, child->rows);
    recipe->addend = addend;
    return recipe;
}

Recipe *recipe_values(Arena *arena, const float *values, int64_t count)
{
    Recipe *recipe = recipe_new(arena, RECIPE_VALUES, 0, NULL, 1);
    float *copy = ARENA_ARRAY(arena, float, count);
    memcpy(copy, values, (size_t)count * sizeof *copy);
    recipe->values = copy;
    recipe->columns = count;
    return recipe;
}

// The bits that tell leaves of one kind apart.
static uint64_t leaf_identity(const Value *leaf)
{
    uint32_t bits;
    switch (leaf->kind) {
    case VALUE_INPUT: return (uint64_t)leaf->input;
    case VALUE_WEIGHT: return (uint64_t)(uintptr_t)leaf->weight;
    case VALUE_STATE: return (uint64_t)(uintptr_t)leaf->state;
    case VALUE_CONSTANT: memcpy(&bits, &leaf->constant, sizeof bits); return bits;
    case VALUE_RESULT: break;
    }
    assert(leaf->kind != VALUE_RESULT);
    return 0;
}

static uint64_t leaf_hash(const Value *leaf)
{
    uint64_t key[2] = {leaf->kind, leaf_identity(leaf)};
    return hash64(key, sizeof key, 0);
}

void leaf_table_add(Graph *graph, Value *leaf)
{
    table_add(graph->module->arena, &graph->table->leaves, leaf_hash(leaf), leaf);
}

static Value *leaf_get(Graph *graph, Value leaf)
{
    uint64_t hash = leaf_hash(&leaf);
    uint32_t probe = 0;
    for (Value *known; (known = table_next(&graph->table->leaves, hash, &probe));)
        if (known->kind == leaf.kind && leaf_identity(known) == leaf_identity(&leaf))
            return known;
    Value *value = ARENA_NEW(graph->module->arena, Value);
    *value = leaf;
    vector_push(graph->module->arena, &graph->leaves, value);
    leaf_table_add(graph, value);
    return value;
}

Value *graph_input(Graph *graph, StepInput input)
{
    return leaf_get(graph, (Value){.kind = VALUE_INPUT,
                                   .dtype = DTYPE_i32,
                                   .shape = step_input_shape(input),
                                   .input = input,
                                   .place = no_place});
}

Value *graph_weight(Graph *graph, Weight *weight)
{
    return leaf_get(graph, (Value){.kind = VALUE_WEIGHT,
                                   .dtype = weight->dtype,
                                   .layout = weight->layout,
                                   .shape = weight->shape,
                                   .weight = weight,
                                   .place = no_place});
}

Value *graph_state(Graph *graph, State *state)
{
    Shape shape = {3,
                   {dim_constant(graph->module->options.page_tokens), dim_constant(state->kv_heads),
                    dim_constant(state->head_dim)}};
    return leaf_get(graph, (Value){.kind = VALUE_STATE,
                                   .dtype = state->dtype,
                                   .layout = state->layout,
                                   .shape = shape,
                                   .state = state,
                                   .place = no_place});
}

Value *graph_constant(Graph *graph, float value)
{
    // The text has one NaN.
    if (isnan(value))
        value = __builtin_nanf("");
    return leaf_get(
        graph,
        (Value){.kind = VALUE_CONSTANT, .dtype = DTYPE_f32, .constant = value, .place = no_place});
}

Attributes attributes_of(Op op, const Attributes *attributes)
{
    if (!attributes)
        return op_default_attributes(op);
    Attributes own;
    memset(&own, 0, sizeof own);
    for (int i = 0; op_table[op].attributes[i].name; i++)
        own.words[i] = attributes->words[i];
    return own;
}

bool node_is_pure(Op op, int32_t operand_count, Value *const *operands)
{
    if (op_table[op].traits & OP_EFFECT)
        return false;
    for (int32_t i = 0; i < operand_count; i++)
        if (operands[i]->kind == VALUE_STATE)
            return false;
    return true;
}

NodeKey node_key(Op op, int32_t operand_count, Value *const *operands, const Attributes *attributes,
                 bool commute)
{
    NodeKey key = {.words = {(uint64_t)op, (uint64_t)operand_count}};
    key.attributes = attributes_of(op, attributes);
    for (int32_t i = 0; i < operand_count; i++)
        key.words[2 + i] = (uint64_t)(uintptr_t)operands[i];
    if (commute && op_table[op].traits & OP_COMMUTES && key.words[2] > key.words[3]) {
        uint64_t first = key.words[2];
        key.words[2] = key.words[3];
        key.words[3] = first;
    }
    return key;
}

NodeKey node_key_of(const Node *node, bool commute)
{
    Value *operands[OPERANDS_MAX];
    for (int32_t i = 0; i < node->operand_count; i++)
        operands[i] = node->operands[i].value;
    return node_key(node->op, node->operand_count, operands, &node->attributes, commute);
}

uint64_t node_key_hash(const NodeKey *key)
{
    uint64_t seed = hash64(key->words, sizeof key->words, 0);
    return hash64(key->attributes.words, sizeof key->attributes.words, seed);
}

bool node_key_equal(const NodeKey *a, const NodeKey *b)
{
    return memcmp(a->words, b->words, sizeof a->words) == 0 &&
           memcmp(a->attributes.words, b->attributes.words, sizeof a->attributes.words) == 0;
}

// Every key has zeros behind its last operand, so equal words mean equal operands.
static Node *find_equal(const Graph *graph, const NodeKey *key, uint64_t hash)
{
    uint32_t probe = 0;
    for (Node *node; (node = table_next(&graph->table->nodes, hash, &probe));) {
        NodeKey other = node_key_of(node, false);
        if (node->graph && node_key_equal(key, &other))
            return node;
    }
    return NULL;
}

Node *node_create(Graph *graph, Node *before, Op op, int32_t operand_count, Value *const *operands,
                  const Attributes *attributes, const DType *dtypes, const Shape *shapes)
{
    Arena *arena = graph->module->arena;
    Node *node = ARENA_NEW(arena, Node);
    node->op = op;
    node->attributes = attributes_of(op, attributes);
    node->graph = graph;
    node->operand_count = operand_count;
    node->operands = ARENA_ARRAY(arena, Use, operand_count);
    for (int32_t i = 0; i < operand_count; i++) {
        node->operands[i].user = node;
        use_link(&node->operands[i], operands[i]);
    }
    node->result_count = op_table[op].results;
    for (int32_t i = 0; i < node->result_count; i++) {
        Value *result = node->results[i] = ARENA_NEW(arena, Value);
        result->kind = VALUE_RESULT;
        result->dtype = dtypes[i];
        result->shape = shapes[i];
        result->producer.node = node;
        result->producer.index = i;
        result->place = no_place;
    }
    node_link(node, before);
    return node;
}

Node *graph_add(Graph *graph, Op op, int32_t operand_count, Value *const *operands,
                const Attributes *attributes, SourceLocation location, Diag *diag)
{
    DType dtypes[RESULTS_MAX];
    Shape shapes[RESULTS_MAX];
    Attributes own = attributes_of(op, attributes);
    if (!op_infer(op, operand_count, operands, &own, dtypes, shapes, location, diag))
        return NULL;
    bool pure = node_is_pure(op, operand_count, operands);
    NodeKey key = node_key(op, operand_count, operands, &own, false);
    uint64_t hash = node_key_hash(&key);
    Node *node = pure ? find_equal(graph, &key, hash) : NULL;
    if (!node) {
        node = node_create(graph, NULL, op, operand_count, operands, &own, dtypes, shapes);
        if (pure)
            table_add(graph->module->arena, &graph->table->nodes, hash, node);
    }
    node_add_location(node, location);
    return node;
}

void graph_add_output(Graph *graph, const char *name, Value *value)
{
    GraphOutput *output = ARENA_NEW(graph->module->arena, GraphOutput);
    output->name = copy_name(graph->module->arena, name);
    output->io_index = -1;
    use_link(&output->use, value);
    vector_push(graph->module->arena, &graph->outputs, output);
}
