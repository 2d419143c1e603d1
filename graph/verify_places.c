// The verifier's last level: every place is large enough, aligned, inside its region, and free.
//
// A result in act lives from its producer's epoch to that of its last reader, both inclusive: steps
// of one epoch may run at the same time. Two that live in one epoch share no byte, unless they are
// links of one chain of aliases. Those in own lie in the same arena, each thread's copy of it:
// they are of a graph of one token and of nodes that write nothing else. A value is taken over only
// by the last node that reads it, and by one of that node's results, so chains do not branch and
// values of one chain never hold different data at once.
#include <stdlib.h>

#include "graph/verify.h"

typedef struct Span {
    const char *name;
    Place place;
} Span;

static int compare_spans(const void *a, const void *b)
{
    int64_t first = ((const Span *)a)->place.offset, second = ((const Span *)b)->place.offset;
    return (first > second) - (first < second);
}

static bool check_spans(Verifier *verifier, Span *spans, int32_t count, Region region, int64_t size)
{
    if (count)
        qsort(spans, (size_t)count, sizeof *spans, compare_spans);
    for (int32_t i = 0; i < count; i++) {
        Place place = spans[i].place;
        if (place.region != region || place.bytes < 0 || place.offset % PLACE_ALIGNMENT ||
            place.offset < 0 || place.offset + place.bytes > size)
            return verify_fail(
                verifier, NULL, "%s: expected a place in %s, aligned to %d, within 0x%llx bytes",
                spans[i].name, region_names[region], PLACE_ALIGNMENT, (long long)size);
        if (i && spans[i - 1].place.offset + spans[i - 1].place.bytes > place.offset)
            return verify_fail(verifier, NULL, "%s and %s overlap in %s", spans[i - 1].name,
                               spans[i].name, region_names[region]);
    }
    return true;
}

static bool check_bytes(Verifier *verifier, const char *name, Place place, int64_t needed)
{
    if (place.bytes >= needed)
        return true;
    if (place.region == REGION_NONE)
        return verify_fail(verifier, NULL, "%s has no place", name);
    return verify_fail(verifier, NULL, "%s has a place of 0x%llx bytes, needs 0x%llx", name,
                       (long long)place.bytes, (long long)needed);
}

static bool check_weight_places(Verifier *verifier)
{
    const Module *module = verifier->module;
    Span *spans = ARENA_ARRAY(&verifier->scratch, Span, module->weights.count);
    for (int32_t i = 0; i < module->weights.count; i++) {
        const Weight *weight = module->weights.items[i];
        int64_t rows = weight->shape.rank == 2 ? weight->shape.dims[0].constant : 1;
        int64_t columns = weight->shape.dims[weight->shape.rank - 1].constant;
        spans[i] = (Span){weight->name, weight->place};
        if (!check_bytes(verifier, weight->name, weight->place,
                         layout_bytes(weight->dtype, weight->layout, rows, columns)))
            return false;
    }
    return check_spans(verifier, spans, module->weights.count, REGION_W, module->w_bytes);
}

static bool check_state_places(Verifier *verifier)
{
    const Module *module = verifier->module;
    Span *spans = ARENA_ARRAY(&verifier->scratch, Span, module->states.count);
    for (int32_t i = 0; i < module->states.count; i++) {
        const State *state = module->states.items[i];
        spans[i] = (Span){state->name, state->place};
        if (!check_bytes(
                verifier, state->name, state->place,
                layout_bytes(state->dtype, state->layout, module->options.page_tokens,
                             state_columns(state->dtype, state->kv_heads, state->head_dim))))
            return false;
    }
    return check_spans(verifier, spans, module->states.count, REGION_KV, module->page_bytes);
}

bool verify_module_places(Verifier *verifier)
{
    return check_weight_places(verifier) && check_state_places(verifier);
}

// --- results

// At the graph's largest T.
static int64_t bytes_needed(const Graph *graph, const Value *value)
{
    const int64_t largest[SYMBOL_COUNT] = {
        [SYMBOL_T] = graph->bound_t, [SYMBOL_R] = graph->bound_t};
    return layout_bytes(value->dtype, value->layout, shape_rows(&value->shape, largest),
                        shape_columns(&value->shape, largest));
}

static bool is_bounded(const Shape *shape)
{
    for (int i = 0; i < shape->rank; i++)
        if (shape->dims[i].factor[SYMBOL_B] || shape->dims[i].factor[SYMBOL_P])
            return false;
    return true;
}

static bool may_be_own(const Node *node)
{
    for (int32_t i = 0; i < node->result_count; i++)
        if (node->results[i]->place.region != REGION_OWN)
            return false;
    return node->graph->bound_t == 1 && !op_table[node->op].written;
}

static bool check_result_place(Verifier *verifier, const Node *node, const Value *value)
{
    Place place = value->place;
    const Graph *graph = verifier->graph;
    if (!is_bounded(&value->shape))
        return verify_fail(verifier, node,
                           "the size of %%%d depends on B or P, which have no bound",
                           value->number);
    if (!region_in_arena(place.region) && place.region != REGION_IO)
        return verify_fail(verifier, node, "%%%d has no place in act, own or io", value->number);
    if (place.region == REGION_OWN && !may_be_own(node))
        return verify_fail(verifier, node,
                           "%%%d lies in own: expected one token at most and nothing else written",
                           value->number);
    if (place.bytes < bytes_needed(graph, value))
        return verify_fail(verifier, node, "%%%d has a place of 0x%llx bytes, needs 0x%llx",
                           value->number, (long long)place.bytes,
                           (long long)bytes_needed(graph, value));
    if (region_in_arena(place.region) && (place.offset < 0 || place.offset % PLACE_ALIGNMENT ||
                                          place.offset + place.bytes > graph->act_bytes))
        return verify_fail(verifier, node,
                           "%%%d: expected a place aligned to %d within 0x%llx bytes",
                           value->number, PLACE_ALIGNMENT, (long long)graph->act_bytes);
    return true;
}

static bool is_operand(const Node *node, const Value *value)
{
    for (int32_t i = 0; i < node->operand_count; i++)
        if (node->operands[i].value == value)
            return true;
    return false;
}

static bool dies_at(const Value *value, const Node *node)
{
    for (const Use *use = value->uses; use; use = use->next)
        if (!use->user || use->user->mark > node->mark)
            return false;
    return true;
}

static bool check_alias(Verifier *verifier, const Node *node, const Value *value)
{
    const Value *shared = value->alias_of;
    if (!is_operand(node, shared) || shared->kind != VALUE_RESULT || !dies_at(shared, node))
        return verify_fail(verifier, node,
                           "%%%d takes the place of %%%d, which must be an operand that dies here",
                           value->number, shared->number);
    if (!region_in_arena(value->place.region) || shared->place.region != value->place.region ||
        value->place.offset != shared->place.offset || value->place.bytes > shared->place.bytes)
        return verify_fail(verifier, node, "%%%d takes the place of %%%d but lies elsewhere",
                           value->number, shared->number);
    for (int32_t i = 0; i < node->result_count; i++)
        if (node->results[i] != value && node->results[i]->alias_of == shared)
            return verify_fail(verifier, node, "two results take the place of %%%d",
                               shared->number);
    return true;
}

// The result, or the one whose place it took over, and so on: what two values of one chain share.
typedef struct Alive {
    const Value *value;
    int32_t chain, last_epoch;
} Alive;

typedef struct Lifetimes {
    int32_t *epochs; // of each node, by its mark
    int32_t *chains; // of each result, by its number: the number of its chain's first
    Vector(Alive) alive;
} Lifetimes;

static int32_t last_epoch(const Lifetimes *lifetimes, const Value *value)
{
    int32_t last = lifetimes->epochs[value->producer.node->mark];
    for (const Use *use = value->uses; use; use = use->next)
        if (use->user && lifetimes->epochs[use->user->mark] > last)
            last = lifetimes->epochs[use->user->mark];
    return last;
}

static void drop_dead(Lifetimes *lifetimes, int32_t epoch)
{
    int32_t kept = 0;
    for (int32_t i = 0; i < lifetimes->alive.count; i++)
        if (lifetimes->alive.items[i].last_epoch >= epoch)
            lifetimes->alive.items[kept++] = lifetimes->alive.items[i];
    lifetimes->alive.count = kept;
}

static bool check_free(Verifier *verifier, Lifetimes *lifetimes, const Node *node,
                       const Value *value)
{
    Place place = value->place;
    int32_t chain = value->alias_of ? lifetimes->chains[value->alias_of->number] : value->number;
    lifetimes->chains[value->number] = chain;
    for (int32_t i = 0; i < lifetimes->alive.count; i++) {
        const Alive *other = &lifetimes->alive.items[i];
        Place taken = other->value->place;
        if (other->chain != chain && place.offset < taken.offset + taken.bytes &&
            taken.offset < place.offset + place.bytes)
            return verify_fail(verifier, node, "%%%d overlaps %%%d, which is still alive",
                               value->number, other->value->number);
    }
    Alive alive = {value, chain, last_epoch(lifetimes, value)};
    vector_push(&verifier->scratch, &lifetimes->alive, alive);
    return true;
}

static bool check_results(Verifier *verifier, Lifetimes *lifetimes, const Node *node)
{
    for (int32_t i = 0; i < node->result_count; i++) {
        const Value *value = node->results[i];
        if (!check_result_place(verifier, node, value) ||
            (value->alias_of && !check_alias(verifier, node, value)))
            return false;
        if (region_in_arena(value->place.region) && !check_free(verifier, lifetimes, node, value))
            return false;
    }
    return true;
}

static int compare_outputs(const void *a, const void *b)
{
    int32_t first = (*(const GraphOutput *const *)a)->io_index;
    int32_t second = (*(const GraphOutput *const *)b)->io_index;
    return (first > second) - (first < second);
}

// Outputs and results in io go together, one to one.
static bool check_io(Verifier *verifier)
{
    const Graph *graph = verifier->graph;
    int32_t count = graph->outputs.count, in_io = 0;
    const GraphOutput **sorted = ARENA_ARRAY(&verifier->scratch, const GraphOutput *, count);
    for (int32_t i = 0; i < count; i++)
        sorted[i] = graph->outputs.items[i];
    if (count)
        qsort(sorted, (size_t)count, sizeof *sorted, compare_outputs);
    for (int32_t i = 0; i < count; i++) {
        const GraphOutput *output = sorted[i];
        const Value *value = output->use.value;
        if (output->io_index < 0)
            return verify_fail(verifier, NULL, "output '%s' has no index in io", output->name);
        if (output->io_index < INPUT_COUNT || (i && sorted[i - 1]->io_index == output->io_index))
            return verify_fail(verifier, NULL, "output '%s': @io+%d is taken or an input's",
                               output->name, output->io_index);
        if (value->kind != VALUE_RESULT || value->place.region != REGION_IO ||
            value->place.offset != output->io_index)
            return verify_fail(verifier, NULL, "output '%s' needs a result that lies at @io+%d",
                               output->name, output->io_index);
    }
    for (const Node *node = graph->first; node; node = node->next)
        for (int32_t i = 0; i < node->result_count; i++)
            in_io += node->results[i]->place.region == REGION_IO;
    return in_io == count ||
           verify_fail(verifier, NULL, "%d results lie in io, %d are outputs", in_io, count);
}

bool verify_places(Verifier *verifier)
{
    const Graph *graph = verifier->graph;
    Lifetimes lifetimes = {
        .epochs = ARENA_ARRAY(&verifier->scratch, int32_t, graph->node_count),
        .chains = ARENA_ARRAY(&verifier->scratch, int32_t, graph->node_count * RESULTS_MAX + 1)};
    int32_t epoch = 0;
    for (const Node *node = graph->first; node; node = node->next)
        lifetimes.epochs[node->mark] = epoch += node->barrier_before;
    for (const Node *node = graph->first; node; node = node->next) {
        if (node->barrier_before)
            drop_dead(&lifetimes, lifetimes.epochs[node->mark]);
        if (!check_results(verifier, &lifetimes, node))
            return false;
    }
    return check_io(verifier);
}
