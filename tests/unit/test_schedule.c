// schedule on random small graphs: operands stand before readers, the barriers stand where data
// needs them, and no order of the graph needs fewer (all orders are tried). For a chunk, and for
// one token, when every thread makes for itself what is no matmul.
#include <check.h>
#include <stdlib.h>

#include "passes/passes.h"
#include "tests/unit/run_suite.h"

enum { GRAPHS = 200, NODES = 7 };

// Node i > 0 reads one or two nodes before it; node 0 is embed. Its rows stay on their thread from
// one row-wise node to another; a matmul cuts its work otherwise.
typedef struct Sample {
    bool one_token;
    bool matmul[NODES];
    int reads[NODES][2];
} Sample;

static uint32_t state;

static int below(int count)
{
    state = state * 1103515245u + 12345u;
    return (int)((state >> 16) % (uint32_t)count);
}

static Sample any_sample(bool one_token)
{
    Sample sample = {.one_token = one_token};
    for (int i = 1; i < NODES; i++) {
        sample.matmul[i] = below(5) < 2;
        sample.reads[i][0] = below(i);
        sample.reads[i][1] = sample.matmul[i] ? sample.reads[i][0] : below(i);
    }
    return sample;
}

static bool waits(const Sample *sample, int node, const int epochs[NODES], int epoch)
{
    for (int i = 0; i < 2; i++) {
        int read = sample->reads[node][i];
        bool waits_for_rows = sample->matmul[node] && !sample->one_token;
        if (epochs[read] == epoch && (waits_for_rows || sample->matmul[read]))
            return true;
    }
    return false;
}

// The fewest epochs of all orders that begin as `epochs` tells (0: not placed).
static int fewest_epochs(const Sample *sample, int epochs[NODES], int placed, int epoch)
{
    int fewest = NODES + 1;
    if (placed == NODES)
        return epoch;
    for (int node = 0; node < NODES; node++) {
        const int *reads = sample->reads[node];
        if (epochs[node] || (node && (!epochs[reads[0]] || !epochs[reads[1]])))
            continue;
        int own = epoch + (node && waits(sample, node, epochs, epoch));
        epochs[node] = own;
        int found = fewest_epochs(sample, epochs, placed + 1, own);
        epochs[node] = 0;
        fewest = found < fewest ? found : fewest;
    }
    return fewest;
}

static Module *module_of(const Sample *sample, Arena *arena)
{
    Text text = {0};
    Diag diag = {0};
    text_print(&text,
               "module \"m\" level=laid_out target=ref\n"
               "weight %%e : f32[64,64] = \"e\":f32[64,64]\n"
               "graph @g T<=%d {\n  %%1\"v0\" : f32[T,64] = embed %%e, %%token\n",
               sample->one_token ? 1 : 8);
    for (int i = 1; i < NODES; i++) {
        text_print(&text, "  %%%d\"v%d\" : f32[T,64] = %s %%%d, ", i + 1, i,
                   sample->matmul[i] ? "matmul" : "add", sample->reads[i][0] + 1);
        if (sample->matmul[i])
            text_print(&text, "%%e\n");
        else
            text_print(&text, "%%%d\n", sample->reads[i][1] + 1);
    }
    text_print(&text, "}\n");
    Module *module = module_parse(text.bytes, "m.ir", arena, &diag);
    ck_assert_msg(module != NULL, "%s\n%s", diag.message, text.bytes);
    text_free(&text);
    return module;
}

// Epochs of the scheduled graph, each barrier being one that the order needs; counts the nodes that
// stand before one they stood behind.
static int count_epochs(const Sample *sample, const Graph *graph, int *moved)
{
    int epochs[NODES] = {0}, epoch = 1, last = -1;
    for (const Node *node = graph->first; node; node = node->next) {
        int number = atoi(node->results[0]->name + 1); // in the sample
        ck_assert_int_eq(node->barrier_before, number && waits(sample, number, epochs, epoch));
        epochs[number] = epoch += node->barrier_before;
        *moved += number < last;
        last = number;
    }
    return epoch;
}

START_TEST(no_order_needs_fewer_barriers)
{
    int moved = 0;
    state = 1;
    for (int graph = 0; graph < GRAPHS; graph++) {
        Arena arena = {0};
        Diag diag = {0};
        int epochs[NODES] = {0};
        Sample sample = any_sample(_i);
        Module *module = module_of(&sample, &arena);
        PipelineOptions options = {.stop_after = PASS_schedule, .verify = true};
        ck_assert_msg(pipeline_run(module, &options, &diag), "%s", diag.message);
        ck_assert_int_eq(module->graphs.items[0]->node_count, NODES);
        ck_assert_int_eq(count_epochs(&sample, module->graphs.items[0], &moved),
                         fewest_epochs(&sample, epochs, 0, 1));
        arena_free(&arena);
    }
    ck_assert_int_gt(moved, GRAPHS / 10);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("schedule");
    tcase_add_loop_test(tests, no_order_needs_fewer_barriers, 0, 2);
    return run_cases("schedule", tests);
}
