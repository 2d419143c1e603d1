// Editing: what passes do to a graph. Single edits cost O(1) through the use lists; sweeps and cse
// walk the graph once. No edit checks types (graph_insert asserts them): the verifier does after
// the pass.
#include <assert.h>
#include <string.h>

#include "graph/base/hash.h"
#include "graph/node.h"

void use_link(Use *use, Value *value)
{
    use->value = value;
    use->next = NULL;
    if (value->uses) {
        use->previous = value->uses->previous;
        use->previous->next = use;
        value->uses->previous = use;
    } else {
        use->previous = use;
        value->uses = use;
    }
}

void use_unlink(Use *use)
{
    Value *value = use->value;
    if (value->uses == use)
        value->uses = use->next;
    else
        use->previous->next = use->next;
    if (use->next)
        use->next->previous = use->previous;
    else if (value->uses)
        value->uses->previous = use->previous;
    use->value = NULL;
    use->next = use->previous = NULL;
}

void node_link(Node *node, Node *before)
{
    Graph *graph = node->graph;
    node->next = before;
    node->previous = before ? before->previous : graph->last;
    *(node->previous ? &node->previous->next : &graph->first) = node;
    *(before ? &before->previous : &graph->last) = node;
    graph->node_count++;
}

static void node_unlink(Node *node)
{
    Graph *graph = node->graph;
    *(node->previous ? &node->previous->next : &graph->first) = node->next;
    *(node->next ? &node->next->previous : &graph->last) = node->previous;
    node->next = node->previous = NULL;
    graph->node_count--;
}

static int location_compare(SourceLocation a, SourceLocation b)
{
    int order = a.file == b.file ? 0 : strcmp(a.file, b.file);
    return order ? order : (a.line > b.line) - (a.line < b.line);
}

static const char *intern_file(Graph *graph, const char *file)
{
    uint64_t hash = hash64(file, strlen(file), 0);
    uint32_t probe = 0;
    for (char *known; (known = table_next(&graph->table->files, hash, &probe));)
        if (strcmp(known, file) == 0)
            return known;
    char *copy = arena_copy_text(graph->module->arena, file, strlen(file));
    table_add(graph->module->arena, &graph->table->files, hash, copy);
    return copy;
}

void node_add_location(Node *node, SourceLocation location)
{
    if (!location.file)
        return;
    int32_t at = node->locations.count;
    while (at > 0 && location_compare(node->locations.items[at - 1], location) > 0)
        at--;
    if (at > 0 && location_compare(node->locations.items[at - 1], location) == 0)
        return;
    location.file = intern_file(node->graph, location.file);
    vector_push(node->graph->module->arena, &node->locations, location);
    SourceLocation *items = node->locations.items;
    memmove(items + at + 1, items + at, (size_t)(node->locations.count - 1 - at) * sizeof *items);
    items[at] = location;
}

void node_add_locations(Node *node, const Node *origin)
{
    for (int32_t i = 0; node != origin && i < origin->locations.count; i++)
        node_add_location(node, origin->locations.items[i]);
}

Node *graph_insert(Graph *graph, Node *before, Op op, int32_t operand_count, Value *const *operands,
                   const Attributes *attributes, const Node *origin)
{
    DType dtypes[RESULTS_MAX];
    Shape shapes[RESULTS_MAX];
    Diag diag = {0};
    Attributes own = attributes_of(op, attributes);
    bool right =
        op_infer(op, operand_count, operands, &own, dtypes, shapes, (SourceLocation){0}, &diag);
    assert(right);
    (void)right;
    Node *node = node_create(graph, before, op, operand_count, operands, &own, dtypes, shapes);
    if (origin)
        node_add_locations(node, origin);
    return node;
}

void node_set_operand(Node *node, int32_t index, Value *value)
{
    assert(index >= 0 && index < node->operand_count);
    use_unlink(&node->operands[index]);
    use_link(&node->operands[index], value);
}

void value_replace_uses(Value *old, Value *replacement)
{
    if (old == replacement)
        return;
    assert(old->dtype == replacement->dtype);
    assert(shape_equal(&old->shape, &replacement->shape));
    while (old->uses) {
        Use *use = old->uses;
        use_unlink(use);
        use_link(use, replacement);
    }
    if (replacement->kind == VALUE_RESULT && !replacement->name) {
        replacement->name = old->name;
        old->name = NULL;
    }
}

int32_t value_use_count(const Value *value)
{
    int32_t count = 0;
    for (const Use *use = value->uses; use; use = use->next)
        count++;
    return count;
}

Node *value_single_user(const Value *value)
{
    Node *user = value->uses ? value->uses->user : NULL;
    for (const Use *use = value->uses; use; use = use->next)
        if (use->user != user)
            return NULL;
    return user;
}

Node *value_producer(const Value *value)
{
    return value->kind == VALUE_RESULT ? value->producer.node : NULL;
}

Node *value_produced_by(const Value *value, Op op)
{
    Node *node = value_producer(value);
    return node && node->op == op ? node : NULL;
}

void graph_remove(Node *node)
{
    for (int32_t i = 0; i < node->result_count; i++)
        assert(!node->results[i]->uses);
    for (int32_t i = 0; i < node->operand_count; i++)
        use_unlink(&node->operands[i]);
    node_unlink(node);
    node->operand_count = 0;
    node->graph = NULL;
}

void graph_move(Node *node, Node *before)
{
    if (node == before || node->next == before)
        return;
    node_unlink(node);
    node_link(node, before);
}

static bool node_is_read(const Node *node)
{
    for (int32_t i = 0; i < node->result_count; i++)
        if (node->results[i]->uses)
            return true;
    return false;
}

int32_t graph_sweep(Graph *graph)
{
    int32_t removed = 0;
    // Backwards, so that a chain goes in one walk.
    for (Node *node = graph->last, *previous; node; node = previous) {
        previous = node->previous;
        if (node_is_read(node) || op_table[node->op].traits & OP_EFFECT)
            continue;
        graph_remove(node);
        removed++;
    }
    return removed;
}

static void merge_into(Node *first, Node *node)
{
    for (int32_t i = 0; i < node->result_count; i++)
        value_replace_uses(node->results[i], first->results[i]);
    node_add_locations(first, node);
    graph_remove(node);
}

static bool same_layouts(const Node *a, const Node *b)
{
    for (int32_t i = 0; i < a->result_count; i++)
        if (a->results[i]->layout != b->results[i]->layout)
            return false;
    return true;
}

static Node *cse_find(const Table *seen, const Node *node, const NodeKey *key, uint64_t hash)
{
    uint32_t probe = 0;
    for (Node *first; (first = table_next(seen, hash, &probe));) {
        NodeKey other = node_key_of(first, true);
        if (node_key_equal(key, &other) && same_layouts(first, node))
            return first;
    }
    return NULL;
}

int32_t graph_cse(Graph *graph)
{
    Arena scratch = {0};
    Table seen = {0};
    int32_t merged = 0;
    for (Node *node = graph->first, *next; node; node = next) {
        next = node->next;
        Value *operands[OPERANDS_MAX];
        for (int32_t i = 0; i < node->operand_count; i++)
            operands[i] = node->operands[i].value;
        if (!node_is_pure(node->op, node->operand_count, operands))
            continue;
        NodeKey key = node_key_of(node, true);
        uint64_t hash = node_key_hash(&key);
        Node *first = cse_find(&seen, node, &key, hash);
        if (first) {
            merge_into(first, node);
            merged++;
        } else {
            table_add(&scratch, &seen, hash, node);
        }
    }
    arena_free(&scratch);
    return merged;
}

static void sweep_leaves(Graph *graph)
{
    int32_t kept = 0;
    graph->table->leaves = (Table){0};
    for (int32_t i = 0; i < graph->leaves.count; i++) {
        Value *leaf = graph->leaves.items[i];
        if (!leaf->uses)
            continue;
        graph->leaves.items[kept++] = leaf;
        leaf_table_add(graph, leaf);
    }
    graph->leaves.count = kept;
}

static const void *leaf_source(const Value *leaf)
{
    if (leaf->kind == VALUE_WEIGHT)
        return leaf->weight;
    return leaf->kind == VALUE_STATE ? leaf->state : NULL;
}

static uint64_t pointer_hash(const void *pointer)
{
    return (uint64_t)(uintptr_t)pointer * 0x9e3779b97f4a7c15u >> 20;
}

static bool is_read(const Table *read, const void *source)
{
    uint32_t probe = 0;
    for (void *item; (item = table_next(read, pointer_hash(source), &probe));)
        if (item == source)
            return true;
    return false;
}

void module_sweep(Module *module)
{
    Arena scratch = {0};
    Table read = {0}; // weights and states with a leaf left
    for (int32_t g = 0; g < module->graphs.count; g++) {
        Graph *graph = module->graphs.items[g];
        sweep_leaves(graph);
        for (int32_t i = 0; i < graph->leaves.count; i++) {
            void *source = (void *)(uintptr_t)leaf_source(graph->leaves.items[i]);
            if (source && !is_read(&read, source))
                table_add(&scratch, &read, pointer_hash(source), source);
        }
    }
    int32_t kept = 0;
    for (int32_t i = 0; i < module->weights.count; i++)
        if (is_read(&read, module->weights.items[i]))
            module->weights.items[kept++] = module->weights.items[i];
    module->weights.count = kept;
    kept = 0;
    for (int32_t i = 0; i < module->states.count; i++)
        if (is_read(&read, module->states.items[i]))
            module->states.items[kept++] = module->states.items[i];
    module->states.count = kept;
    arena_free(&scratch);
}

static void refresh_leaf(Value *leaf)
{
    if (leaf->kind == VALUE_WEIGHT) {
        leaf->dtype = leaf->weight->dtype;
        leaf->layout = leaf->weight->layout;
        leaf->shape = leaf->weight->shape;
    } else if (leaf->kind == VALUE_STATE) {
        leaf->dtype = leaf->state->dtype;
        leaf->layout = leaf->state->layout;
        leaf->shape.dims[1] = dim_constant(leaf->state->kv_heads);
        leaf->shape.dims[2] = dim_constant(leaf->state->head_dim);
    }
}

void module_refresh_leaves(Module *module)
{
    for (int32_t g = 0; g < module->graphs.count; g++)
        for (int32_t i = 0; i < module->graphs.items[g]->leaves.count; i++)
            refresh_leaf(module->graphs.items[g]->leaves.items[i]);
}

void graph_number(Graph *graph)
{
    int32_t number = 0;
    for (Node *node = graph->first; node; node = node->next)
        for (int32_t i = 0; i < node->result_count; i++)
            node->results[i]->number = ++number;
}

static Value *clone_leaf(Graph *copy, const Value *leaf)
{
    switch (leaf->kind) {
    case VALUE_INPUT: return graph_input(copy, leaf->input);
    case VALUE_WEIGHT: return graph_weight(copy, leaf->weight);
    case VALUE_STATE: return graph_state(copy, leaf->state);
    case VALUE_CONSTANT: return graph_constant(copy, leaf->constant);
    case VALUE_RESULT: break;
    }
    assert(leaf->kind != VALUE_RESULT);
    return NULL;
}

// `results` are the copies of the graph's results by number.
static Value *clone_of(Graph *copy, Value *const *results, const Value *value)
{
    return value->kind == VALUE_RESULT ? results[value->number] : clone_leaf(copy, value);
}

static void clone_node(Graph *copy, const Node *node, Value **results)
{
    Value *operands[OPERANDS_MAX];
    DType dtypes[RESULTS_MAX];
    Shape shapes[RESULTS_MAX];
    for (int32_t i = 0; i < node->operand_count; i++)
        operands[i] = clone_of(copy, results, node->operands[i].value);
    for (int32_t i = 0; i < node->result_count; i++) {
        dtypes[i] = node->results[i]->dtype;
        shapes[i] = node->results[i]->shape;
    }
    Node *made = node_create(copy, NULL, node->op, node->operand_count, operands, &node->attributes,
                             dtypes, shapes);
    for (int32_t i = 0; i < node->result_count; i++) {
        made->results[i]->layout = node->results[i]->layout;
        made->results[i]->name = node->results[i]->name;
        results[node->results[i]->number] = made->results[i];
    }
    made->kernel = node->kernel;
    made->barrier_before = node->barrier_before;
    node_add_locations(made, node);
}

Graph *graph_clone(const Graph *graph, const char *name)
{
    Arena scratch = {0};
    int32_t count = 1;
    // Numbers what it reads: they index the copies.
    for (Node *node = graph->first; node; node = node->next)
        for (int32_t i = 0; i < node->result_count; i++)
            node->results[i]->number = count++;
    Value **results = ARENA_ARRAY(&scratch, Value *, count);
    Graph *copy = module_add_graph(graph->module, name);
    copy->bound_t = graph->bound_t;
    for (const Node *node = graph->first; node; node = node->next)
        clone_node(copy, node, results);
    for (int32_t i = 0; i < graph->outputs.count; i++) {
        const GraphOutput *output = graph->outputs.items[i];
        graph_add_output(copy, output->name, clone_of(copy, results, output->use.value));
    }
    arena_free(&scratch);
    return copy;
}
