// What memplan promises, recomputed from barriers and uses without any of its code. A block is a
// value that takes nobody's place, alive as long as it or what takes its place.
#include "tests/diff/memory.h"

#include <stdlib.h>

typedef struct Life {
    int32_t first, last; // epochs
    int64_t begin, end;  // bytes
} Life;

static int64_t align(int64_t bytes)
{
    return (bytes + PLACE_ALIGNMENT - 1) / PLACE_ALIGNMENT * PLACE_ALIGNMENT;
}

static int32_t epoch_of(const Graph *graph, const Node *wanted)
{
    int32_t epoch = 0;
    for (const Node *node = graph->first; node; node = node->next) {
        epoch += node->barrier_before;
        if (node == wanted)
            break;
    }
    return epoch;
}

static int32_t last_use(const Graph *graph, const Value *value)
{
    int32_t last = epoch_of(graph, value->producer.node);
    for (const Use *use = value->uses; use; use = use->next)
        if (use->user && epoch_of(graph, use->user) > last)
            last = epoch_of(graph, use->user);
    return last;
}

static const Value *block_of(const Value *value)
{
    while (value->alias_of)
        value = value->alias_of;
    return value;
}

static int32_t last_epoch(const Graph *graph, const Value *block)
{
    int32_t last = 0;
    for (const Node *node = graph->first; node; node = node->next)
        for (int32_t i = 0; i < node->result_count; i++)
            if (block_of(node->results[i]) == block && last_use(graph, node->results[i]) > last)
                last = last_use(graph, node->results[i]);
    return last;
}

static int32_t find_lives(const Graph *graph, Life *lives)
{
    int32_t count = 0;
    for (const Node *node = graph->first; node; node = node->next)
        for (int32_t i = 0; i < node->result_count; i++) {
            const Value *value = node->results[i];
            if (value->place.region != REGION_ACT || value->alias_of)
                continue;
            lives[count++] =
                (Life){epoch_of(graph, node), last_epoch(graph, value), value->place.offset,
                       value->place.offset + align(value->place.bytes)};
        }
    return count;
}

static bool meet(const Life *a, const Life *b)
{
    return a->first <= b->last && b->first <= a->last && a->begin < b->end && b->begin < a->end;
}

static const char *judge(const Graph *graph, const Life *lives, int32_t count)
{
    int64_t peak = 0, bound = 0;
    for (int32_t i = 0; i < count; i++) {
        int64_t alive = 0; // a sum is largest where something begins
        for (int32_t j = 0; j < count; j++) {
            if (i != j && meet(&lives[i], &lives[j]))
                return "values that are alive at once overlap";
            if (lives[j].first <= lives[i].first && lives[i].first <= lives[j].last)
                alive += lives[j].end - lives[j].begin;
        }
        bound = alive > bound ? alive : bound;
        peak = lives[i].end > peak ? lives[i].end : peak;
    }
    if (peak != graph->act_bytes)
        return "the peak is not where the last value ends";
    return bound == graph->act_lower_bound ? NULL : "the lower bound is not the most alive at once";
}

const char *memory_check(const Graph *graph)
{
    Life *lives = malloc(sizeof *lives * (size_t)(graph->node_count * RESULTS_MAX + 1));
    if (!lives)
        abort();
    const char *wrong = judge(graph, lives, find_lives(graph, lives));
    free(lives);
    return wrong;
}
