// A node depends on what it reads, on earlier accesses to its states and, if it has an effect, on
// the effect before it. The longest chain of dependences that leave their thread gives the fewest
// epochs, and every node a first and a last epoch in which it may stand. Epochs are filled in turn;
// a node whose last chance has not come stands in one if `when` says so. In an epoch nodes keep
// their order: bytes are counted by epochs, so another would gain nothing.
//
// Linear in nodes and dependences, where no state has many readers between two writes. Rejected:
// trading epochs for bytes (a barrier costs every step of a run, bytes are there or not); searching
// over epochs, for the passes before leave little freedom: most models are a chain.
#include "passes/order.h"

#include <assert.h>

#include "passes/memplan.h"

typedef struct Edge {
    int32_t item; // that depends
    bool barrier; // and stands in a later epoch
} Edge;

// A node and its turn; items stand in the order of the graph, marks are their indices.
typedef struct Item {
    Node *node;
    Vector(Edge) dependents;
    int32_t waiting;         // dependences that have no epoch yet
    int32_t earliest;        // epoch, from those that have
    int32_t latest;          // epoch in which it must stand
    int32_t epoch;           // 0: none yet
    int32_t next_of_waiting; // index + 1 in its list of starts
    int32_t next_of_due;
} Item;

typedef struct Orderer {
    Arena *arena;
    OrderStaysOnThread *stays;
    OrderWhen when;
    Graph *graph;
    int32_t count, epochs, epoch;
    Item *items;
    int32_t *readers; // nodes without an epoch that read the value, by its number
    bool *is_output;  // by number
    int32_t *starts;  // by epoch: index + 1 of the first item that waits for it to begin
    int32_t *due;     // by epoch: index + 1 of the first item whose last chance it is
    Vector(int32_t) work;
} Orderer;

static void add_edge(Orderer *orderer, const Node *before, const Node *node, bool ordered_only)
{
    Edge edge = {node->mark, !ordered_only && !orderer->stays(before, node)};
    vector_push(orderer->arena, &orderer->items[before->mark].dependents, edge);
    orderer->items[node->mark].waiting++;
}

static bool writes_use(const Use *use)
{
    return op_table[use->user->op].written >> (use - use->user->operands) & 1u;
}

// Edges between the accesses to a state: uses stand in no order, marks tell it.
static void add_state_edges(Orderer *orderer, const Node *node, const Use *use)
{
    for (const Use *other = use->value->uses; other; other = other->next)
        if (other->user && other->user->mark < node->mark && (writes_use(use) || writes_use(other)))
            add_edge(orderer, other->user, node, false);
}

static bool is_repeated(const Node *node, int32_t operand)
{
    for (int32_t i = 0; i < operand; i++)
        if (node->operands[i].value == node->operands[operand].value)
            return true;
    return false;
}

static void add_edges(Orderer *orderer)
{
    const Node *effect = NULL;
    for (int32_t index = 0; index < orderer->count; index++) {
        const Node *node = orderer->items[index].node;
        for (int32_t i = 0; i < node->operand_count; i++) {
            const Value *value = node->operands[i].value;
            if (is_repeated(node, i))
                continue;
            if (value->kind == VALUE_STATE)
                add_state_edges(orderer, node, &node->operands[i]);
            if (value->kind != VALUE_RESULT)
                continue;
            add_edge(orderer, value->producer.node, node, false);
            orderer->readers[value->number]++;
        }
        if (!(op_table[node->op].traits & OP_EFFECT))
            continue;
        if (effect)
            add_edge(orderer, effect, node, true);
        effect = node;
    }
}

// Epochs by the longest chains: from the front for their number, from the back for `latest`.
static void find_epochs(Orderer *orderer)
{
    orderer->epochs = 1;
    for (int32_t i = 0; i < orderer->count; i++) {
        const Item *item = &orderer->items[i];
        if (item->earliest > orderer->epochs)
            orderer->epochs = item->earliest;
        for (int32_t j = 0; j < item->dependents.count; j++) {
            const Edge *edge = &item->dependents.items[j];
            Item *dependent = &orderer->items[edge->item];
            if (dependent->earliest < item->earliest + edge->barrier)
                dependent->earliest = item->earliest + edge->barrier;
        }
    }
    for (int32_t i = orderer->count - 1; i >= 0; i--) {
        Item *item = &orderer->items[i];
        item->latest = orderer->epochs;
        item->earliest = 1;
        for (int32_t j = 0; j < item->dependents.count; j++) {
            const Edge *edge = &item->dependents.items[j];
            int32_t latest = orderer->items[edge->item].latest - edge->barrier;
            if (item->latest > latest)
                item->latest = latest;
        }
    }
}

static int64_t act_bytes(const Orderer *orderer, const Value *value)
{
    return orderer->is_output[value->number] ? 0 : memplan_value_bytes(orderer->graph, value);
}

static bool frees_what_it_makes(const Orderer *orderer, const Node *node)
{
    int64_t gain = 0;
    for (int32_t i = 0; i < node->operand_count; i++) {
        const Value *value = node->operands[i].value;
        if (value->kind == VALUE_RESULT && orderer->readers[value->number] == 1 &&
            !is_repeated(node, i))
            gain += act_bytes(orderer, value);
    }
    for (int32_t i = 0; i < node->result_count; i++)
        gain -= act_bytes(orderer, node->results[i]);
    return gain >= 0;
}

// Gives the item the epoch in hand if it can and should stand there.
static void consider(Orderer *orderer, int32_t index)
{
    Item *item = &orderer->items[index];
    if (item->epoch || item->waiting || item->earliest > orderer->epoch)
        return;
    bool wanted = orderer->when == ORDER_WHEN_READY ||
                  (orderer->when == ORDER_WHEN_FREEING && frees_what_it_makes(orderer, item->node));
    if (item->latest > orderer->epoch && !wanted)
        return;
    item->epoch = orderer->epoch;
    vector_push(orderer->arena, &orderer->work, index);
}

static void consider_last_reader(Orderer *orderer, const Value *value)
{
    for (const Use *use = value->uses; use; use = use->next)
        if (use->user && !orderer->items[use->user->mark].epoch)
            consider(orderer, use->user->mark);
}

// What changes for others when an item has its epoch.
static void release(Orderer *orderer, const Item *item)
{
    for (int32_t i = 0; i < item->node->operand_count; i++) {
        const Value *value = item->node->operands[i].value;
        if (value->kind == VALUE_RESULT && !is_repeated(item->node, i) &&
            --orderer->readers[value->number] == 1)
            consider_last_reader(orderer, value);
    }
    for (int32_t i = 0; i < item->dependents.count; i++) {
        const Edge *edge = &item->dependents.items[i];
        Item *dependent = &orderer->items[edge->item];
        if (dependent->earliest < item->epoch + edge->barrier)
            dependent->earliest = item->epoch + edge->barrier;
        if (--dependent->waiting)
            continue;
        if (dependent->earliest == orderer->epoch) {
            consider(orderer, edge->item);
        } else {
            dependent->next_of_waiting = orderer->starts[dependent->earliest];
            orderer->starts[dependent->earliest] = edge->item + 1;
        }
    }
}

static void fill_epoch(Orderer *orderer)
{
    for (int32_t i = orderer->starts[orderer->epoch]; i; i = orderer->items[i - 1].next_of_waiting)
        consider(orderer, i - 1);
    for (int32_t i = orderer->due[orderer->epoch]; i; i = orderer->items[i - 1].next_of_due)
        consider(orderer, i - 1);
    while (orderer->work.count)
        release(orderer, &orderer->items[orderer->work.items[--orderer->work.count]]);
}

static void make_items(Orderer *orderer)
{
    Graph *graph = orderer->graph;
    int32_t numbers = 1;
    orderer->count = graph->node_count;
    orderer->items = ARENA_ARRAY(orderer->arena, Item, orderer->count);
    int32_t index = 0;
    graph_number(graph);
    for (Node *node = graph->first; node; node = node->next) {
        orderer->items[index] = (Item){.node = node, .earliest = 1};
        node->mark = index++;
        numbers += node->result_count;
    }
    orderer->readers = ARENA_ARRAY(orderer->arena, int32_t, numbers);
    orderer->is_output = ARENA_ARRAY(orderer->arena, bool, numbers);
    for (int32_t i = 0; i < graph->outputs.count; i++)
        if (graph->outputs.items[i]->use.value->kind == VALUE_RESULT)
            orderer->is_output[graph->outputs.items[i]->use.value->number] = true;
}

static void make_lists(Orderer *orderer)
{
    orderer->starts = ARENA_ARRAY(orderer->arena, int32_t, orderer->epochs + 1);
    orderer->due = ARENA_ARRAY(orderer->arena, int32_t, orderer->epochs + 1);
    for (int32_t i = 0; i < orderer->count; i++) {
        Item *item = &orderer->items[i];
        item->next_of_due = orderer->due[item->latest];
        orderer->due[item->latest] = i + 1;
        if (item->waiting)
            continue;
        item->next_of_waiting = orderer->starts[1];
        orderer->starts[1] = i + 1;
    }
}

static Node **sort_by_epoch(const Orderer *orderer)
{
    int32_t *at = ARENA_ARRAY(orderer->arena, int32_t, orderer->epochs + 2);
    Node **sorted = ARENA_ARRAY(orderer->arena, Node *, orderer->count);
    for (int32_t i = 0; i < orderer->count; i++)
        at[orderer->items[i].epoch + 1]++;
    for (int32_t epoch = 1; epoch <= orderer->epochs + 1; epoch++)
        at[epoch] += at[epoch - 1];
    for (int32_t i = 0; i < orderer->count; i++) {
        assert(orderer->items[i].epoch);
        sorted[at[orderer->items[i].epoch]++] = orderer->items[i].node;
    }
    return sorted;
}

Node **order_nodes(Graph *graph, OrderStaysOnThread *stays, OrderWhen when, Arena *arena)
{
    Orderer orderer = {.arena = arena, .stays = stays, .when = when, .graph = graph};
    make_items(&orderer);
    add_edges(&orderer);
    find_epochs(&orderer);
    make_lists(&orderer);
    for (orderer.epoch = 1; orderer.epoch <= orderer.epochs; orderer.epoch++)
        fill_epoch(&orderer);
    return sort_by_epoch(&orderer);
}
