// Order and barriers. A barrier stands before a step that reads what a step of the same epoch
// wrote, unless both cut their work alike, so that each thread reads only what it wrote itself, or
// every thread made all of it for itself (memplan_is_own: norms and the like in decode).
// Threads take contiguous ranges of tiles, so equal tile counts of one split give equal cuts. Rows
// are the exception: any thread may run any tile of theirs (runtime/exec.c), so nothing of them
// stays on its thread.
//
// Of the program's order and those of order.c, the first that needs the fewest epochs, and of these
// the fewest bytes alive at once, is taken: never a worse one than the program's, which most models
// keep. Bytes are counted as memplan counts them (its lower bound, in place included); its peak
// comes within 2 % of that.
#include "passes/memplan.h"
#include "passes/order.h"
#include "passes/passes.h"

static const KernelRow *row_of(const Node *node)
{
    return kernel_from_name(node->kernel);
}

static bool same_rows(const Node *a, const Node *b)
{
    return a->result_count && b->result_count &&
           dim_equal(a->results[0]->shape.dims[0], b->results[0]->shape.dims[0]);
}

// Of the states that a node with tiles of kv heads touches; 0 if it touches none.
static int32_t kv_heads(const Node *node)
{
    for (int32_t i = 0; i < node->operand_count; i++)
        if (node->operands[i].value->kind == VALUE_STATE)
            return node->operands[i].value->state->kv_heads;
    return 0;
}

// Whether every tile of `reader` needs only what the same thread's tiles of `writer` made.
static bool stays_on_thread(const Node *writer, const Node *reader)
{
    Split a = row_of(writer)->split, b = row_of(reader)->split;
    if (memplan_is_own(writer) || memplan_is_own(reader))
        return memplan_is_own(writer);
    if (a != b)
        return false;
    if (a == SPLIT_NONE)
        return true;
    if (a == SPLIT_TOKENS)
        return (op_table[reader->op].traits & OP_ROWWISE) && same_rows(writer, reader);
    // One token: tile = kv head in both. Attention reads its own heads only (where exec cuts it
    // into parts, exec adds the barrier); rope_qk_store finds k and v where another head's tile
    // wrote.
    return reader->op == OP_attention && reader->graph->bound_t == 1 &&
           kv_heads(writer) == kv_heads(reader);
}

static bool writes_operand(const Node *node, const Use *use)
{
    return op_table[node->op].written >> (use - node->operands) & 1u;
}

// A step of this epoch touched the state, and one of the two writes.
static const Node *state_conflict(const Node *node, const Use *use, int32_t epoch)
{
    for (const Use *other = use->value->uses; other; other = other->next) {
        const Node *user = other->user;
        if (!user || user == node || user->mark != epoch)
            continue;
        if ((writes_operand(node, use) || writes_operand(user, other)) &&
            !stays_on_thread(user, node))
            return user;
    }
    return NULL;
}

// The step of this epoch that the node must wait for, NULL if none. Marks are epochs, 0 = not
// placed.
static const Node *must_wait_for(const Node *node, int32_t epoch)
{
    for (int32_t i = 0; i < node->operand_count; i++) {
        const Use *use = &node->operands[i];
        const Node *producer = value_producer(use->value);
        if (producer && producer->mark == epoch && !stays_on_thread(producer, node))
            return producer;
        const Node *other =
            use->value->kind == VALUE_STATE ? state_conflict(node, use, epoch) : NULL;
        if (other)
            return other;
    }
    return NULL;
}

static bool touches(const Node *node, const Value *value, bool *writes)
{
    for (int32_t i = 0; i < node->operand_count; i++)
        if (node->operands[i].value == value) {
            *writes = writes_operand(node, &node->operands[i]);
            return true;
        }
    return false;
}

// "reads %4, which other threads wrote": what a node needs of a node that it must wait for.
static void print_need(Text *out, const Node *node, const Node *other)
{
    for (int32_t i = 0; i < node->operand_count; i++) {
        const Value *value = node->operands[i].value;
        bool writes = writes_operand(node, &node->operands[i]), wrote = false;
        if (value_producer(value) == other)
            wrote = true;
        else if (value->kind != VALUE_STATE || !touches(other, value, &wrote) || !(writes || wrote))
            continue;
        text_print(out, "%s %s", writes ? "writes" : "reads",
                   value->kind == VALUE_STATE ? "state " : "");
        value_print(out, value);
        if (value->kind == VALUE_RESULT && value->name)
            text_print(out, " \"%s\"", value->name);
        text_print(out, ", which other threads %s", wrote ? "wrote" : "read");
        return;
    }
}

// A line for each node that all threads run and for each barrier, once order and epochs (marks) are
// final.
static void explain_schedule(PassContext *context, Graph *graph)
{
    static const char *const splits[] = {[SPLIT_NONE] = "one tile",
                                         [SPLIT_TOKENS] = "tokens",
                                         [SPLIT_ROWS] = "rows",
                                         [SPLIT_GROUPS] = "groups"};
    if (!context->explain)
        return;
    graph_number(graph);
    for (const Node *node = graph->first; node; node = node->next) {
        if (memplan_is_own(node))
            pass_explain(context, "own", node, "@%s %s: one row, made by each thread for itself",
                         graph->name, op_table[node->op].name);
        if (!node->barrier_before)
            continue;
        const Node *other = must_wait_for(node, node->mark - 1);
        Text need = {0};
        print_need(&need, node, other);
        pass_explain(context, "barrier", node, "@%s %s waits for %s (%s): %s (%s -> %s)",
                     graph->name, op_table[node->op].name, op_table[other->op].name,
                     node_place(other, context->scratch), need.bytes, splits[row_of(other)->split],
                     memplan_is_own(node) ? "every thread" : splits[row_of(node)->split]);
        text_free(&need);
    }
}

// Sets the barriers that the order needs; returns the epochs.
static int32_t set_barriers(Graph *graph)
{
    for (Node *node = graph->first; node; node = node->next)
        node->mark = 0;
    int32_t epoch = 1;
    for (Node *node = graph->first; node; node = node->next) {
        const Node *other = must_wait_for(node, epoch);
        node->barrier_before = other != NULL;
        epoch += other != NULL;
        node->mark = epoch;
    }
    return epoch;
}

typedef struct OrderCost {
    int32_t epochs;
    int64_t bytes; // alive at once
} OrderCost;

static void apply_order(Node *const *order, int32_t count)
{
    for (int32_t i = 0; i < count; i++)
        graph_move(order[i], NULL);
}

static OrderCost cost_of_order(Graph *graph, Node *const *order, int32_t count, Arena *arena)
{
    apply_order(order, count);
    int32_t epochs = set_barriers(graph);
    return (OrderCost){epochs, memplan_alive_bytes(graph, arena)};
}

static bool costs_less(OrderCost a, OrderCost b)
{
    return a.epochs != b.epochs ? a.epochs < b.epochs : a.bytes < b.bytes;
}

static Node **program_order(const Graph *graph, Arena *arena)
{
    Node **order = ARENA_ARRAY(arena, Node *, graph->node_count);
    int32_t count = 0;
    for (Node *node = graph->first; node; node = node->next)
        order[count++] = node;
    return order;
}

static void schedule_graph(PassContext *context, Graph *graph)
{
    Arena *arena = context->scratch;
    int32_t count = graph->node_count;
    Node **program = program_order(graph, arena), **best = program;
    OrderCost written = cost_of_order(graph, program, count, arena), least = written;
    Node **orders[ORDER_WHEN_COUNT];
    for (int when = 0; when < ORDER_WHEN_COUNT; when++)
        orders[when] = order_nodes(graph, stays_on_thread, (OrderWhen)when, arena);
    for (int when = 0; when < ORDER_WHEN_COUNT; when++) {
        OrderCost cost = cost_of_order(graph, orders[when], count, arena);
        if (!costs_less(cost, least))
            continue;
        least = cost;
        best = orders[when];
    }
    apply_order(best, count);
    context->matches += set_barriers(graph) - 1;
    explain_schedule(context, graph);
    if (context->explain && best != program)
        text_print(context->explain,
                   "schedule order: @%s %d epochs and %lld bytes alive at once, as written %d "
                   "and %lld\n",
                   graph->name, least.epochs, (long long)least.bytes, written.epochs,
                   (long long)written.bytes);
}

bool pass_schedule(PassContext *context)
{
    Module *module = context->module;
    for (int32_t i = 0; i < module->graphs.count; i++)
        schedule_graph(context, module->graphs.items[i]);
    return true;
}
