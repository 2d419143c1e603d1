// The text of the graph: parse(print(m)) prints the same bytes at every level, bad text is refused
// with its line and column, and the verifier's last level on planned text.
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "graph/graph.h"
#include "tests/unit/run_suite.h"

static Arena arena;
static Diag diag;

static void set_up(void)
{
    memset(&diag, 0, sizeof diag);
}

static void tear_down(void)
{
    arena_free(&arena);
}

static Module *must_parse(const char *text)
{
    Module *module = module_parse(text, "x.ir", &arena, &diag);
    ck_assert_msg(module, "%s", diag.message);
    return module;
}

static void check_prints(const Module *module, const char *expected)
{
    Text text = {0};
    module_print(module, &text);
    ck_assert_str_eq(text.bytes, expected);
    text_free(&text);
}

static void check_round_trip(const Module *module)
{
    Text text = {0};
    module_print(module, &text);
    check_prints(must_parse(text.bytes), text.bytes);
    text_free(&text);
}

// --- round trips of texts

static const char built[] =
    "module \"llama\" level=built target=avx2 opt=1 kv=f16 act=auto batch=512 page=64 context=2048 "
    "vocabulary=32000\n"
    "weight %embed : f16[32,64] = \"token_embd.weight\":f16[32,64]\n"
    "weight %q+k : q8_0[96,64] = concat(\"q\":q8_0[64,64], slice(\"k\":q8_0[64,64], 16, 48))\n"
    "weight %gate_up : q8_0[64,64] = interleave(\"gate\":q8_0[32,64], \"up\":q8_0[32,64], 16)\n"
    "weight %\"a b\" : f32[64] = \"no\\\"rm\":f16[1,64]\n"
    "weight %\"token\" : f32[64] = \"n\":f32[1,64]\n"
    "weight %\"12\" : f32[64] = \"n\":f32[1,64]\n"
    "state %k0 : f16[page,2,32] keys\n"
    "state %v0 : f16[page,2,32] values\n"
    "graph @step {\n"
    "  %1\"l0.x\" : f32[T,64] = embed %embed, %token loc(\"a.lua\":1,2, \"b.lua\":1)\n"
    "  %2 : f32[T,64] = mul %1, -0.5\n"
    "  %3 : f32[T,64] = add %2, %\"a b\"\n"
    "  %4 : f32[T,64] = rms_norm %3, %\"token\" {eps=1e-05}\n"
    "  kv_store %4, %pos, %seq, %table, rw %k0 loc(\"a.lua\":7)\n"
    "  %5 : f32[T,64] = attention %4, %pos, %seq, %table, %k0, %v0 {heads=2, scale=0.17677669, "
    "window=32}\n"
    "  %6, %7\"both\" : f32[T,64], q8[T,64] = add_rms_norm %4, %5, %\"12\" {eps=1e-06, post=q8}\n"
    "  %8 : f32[T,32] = matmul %7, %gate_up {epilogue=swiglu}\n"
    "  %9 : f32[R,64] = gather_rows %6, %row\n"
    "  output \"logits\" = %9\n"
    "  output \"tap.l0\" = %1\n"
    "}\n";

static const char planned[] =
    "module \"m\" level=planned target=ref opt=0 kv=f32 act=f32 batch=8 page=32 context=64 "
    "vocabulary=32 w=0x2100 page_bytes=0x1000\n"
    "weight %w : f16[32,64]{n32k1} @w+0x0:0x1000 = \"w\":f16[32,64]\n"
    "weight %n : f32[64] @w+0x1000:0x100 = \"n\":f16[1,64]\n"
    "state %k0 : f32[page,1,32]{k32} keys @kv+0x0:0x1000\n"
    "graph @decode T<=1 act=0x180 bound=0x180 {\n"
    "  %1 : f32[T,64] @act+0x0:0x100 = embed %w, %token !embed.any.ref\n"
    "  barrier\n"
    "  %2 : f32[T,64] @act+0x0=%1 = silu %1 !silu.any.ref loc(\"m.lua\":3)\n"
    "  %3 : q8[T,64]{t1} @act+0x100:0x80 = rms_norm %2, %n {eps=1e-05, post=q8} "
    "!rms_norm.rows.ref\n"
    "  barrier\n"
    "  %4 : f32[T,32] @io+6:0x80 = matmul %3, %w !\"odd name\"\n"
    "  output \"logits\" = %4 @io+6\n"
    "}\n"
    "graph @\"pre fill\" T<=8 act=0x800 bound=0x800 {\n"
    "  %1 : f32[T,64] @io+6:0x800 = embed %w, %token !embed.any.ref\n"
    "  output \"logits\" = %1 @io+6\n"
    "}\n";

START_TEST(built_text_prints_back)
{
    check_prints(must_parse(built), built);
}
END_TEST

START_TEST(planned_text_prints_back)
{
    check_prints(must_parse(planned), planned);
}
END_TEST

START_TEST(an_alias_writes_its_size_only_if_it_is_another)
{
    Module *module = must_parse(planned);
    Value *alias = module->graphs.items[0]->first->next->results[0];
    ck_assert_ptr_eq(alias->alias_of, module->graphs.items[0]->first->results[0]);
    ck_assert_int_eq(alias->place.bytes, 0x100);
    alias->alias_of->place.bytes = 0x140;
    Text text = {0};
    module_print(module, &text);
    ck_assert_ptr_nonnull(strstr(text.bytes, "@act+0x0:0x100=%1 = silu"));
    text_free(&text);
}
END_TEST

START_TEST(comments_blanks_and_gaps_in_numbers_are_free)
{
    check_prints(
        must_parse("; a comment\n\nmodule \"m\"  ; defaults\n"
                   "weight %w : f16[8,64] = \"w\" : f16[8, 64]\r\n"
                   "graph @step { ; here\n\n"
                   "%70:f32[T,64]=embed %w,%token\n"
                   "\t%12 : f32 [T, 64] = mul %70, 0x1p1\n"
                   "  output \"x\" = %12\n}"),
        "module \"m\" level=built target=ref opt=1 kv=f32 act=f32 batch=512 page=64 context=0 "
        "vocabulary=0\n"
        "weight %w : f16[8,64] = \"w\":f16[8,64]\n"
        "graph @step {\n"
        "  %1 : f32[T,64] = embed %w, %token\n"
        "  %2 : f32[T,64] = mul %1, 2\n"
        "  output \"x\" = %2\n"
        "}\n");
}
END_TEST

START_TEST(constants_keep_their_bits)
{
    Module *module =
        must_parse("module \"m\"\nweight %w : f16[8,64] = \"w\":f16[8,64]\n"
                   "graph @step {\n%1 : f32[T,64] = embed %w, %token\n"
                   "%2 : f32[T,64] = mul %1, -0\n%3 : f32[T,64] = add %2, inf\n"
                   "%4 : f32[T,64] = add %3, nan\n%5 : f32[T,64] = mul %4, 1.17549435e-38\n"
                   "%6 : f32[T,64] = mul %5, 0.1\n}\n");
    check_round_trip(module);
    Text text = {0};
    module_print(module, &text);
    ck_assert_ptr_nonnull(strstr(text.bytes, "mul %1, -0\n"));
    ck_assert_ptr_nonnull(strstr(text.bytes, "add %2, inf\n"));
    ck_assert_ptr_nonnull(strstr(text.bytes, "add %3, nan\n"));
    ck_assert_ptr_nonnull(strstr(text.bytes, "mul %5, 0.1\n"));
    text_free(&text);
}
END_TEST

START_TEST(dimensions_print_as_sums)
{
    Text text = {0};
    dim_print(&text, (Dim){-3, {2, 1, 0, 0}});
    text_append(&text, " ", 1);
    dim_print(&text, (Dim){5, {0, 0, -1, 0}});
    text_append(&text, " ", 1);
    dim_print(&text, (Dim){0, {0}});
    ck_assert_str_eq(text.bytes, "2*T+R-3 -1*B+5 0");
    text_free(&text);
}
END_TEST

// --- round trips of built modules

enum { WIDTH = 64, HEADS = 2, HEAD_DIM = 32 };

static Value *add(Graph *graph, Op op, const Attributes *attributes, int32_t count,
                  Value **operands, int32_t line)
{
    Node *node = graph_add(graph, op, count, operands, attributes,
                           (SourceLocation){"llama.lua", line}, &diag);
    ck_assert_msg(node, "%s", diag.message);
    return node->results[0];
}

static Value *weight(Graph *graph, int32_t layer, const char *name, int32_t rank)
{
    Shape shape = {rank, {dim_constant(WIDTH), dim_constant(WIDTH)}};
    char *full = arena_format(&arena, "blk.%d.%s.weight", layer, name);
    const Recipe *recipe = recipe_tensor(&arena, full, DTYPE_f32, rank == 2 ? WIDTH : 1, WIDTH);
    return graph_weight(graph, module_add_weight(graph->module, full, DTYPE_f32, shape, recipe));
}

static Value *add_layer(Graph *graph, Value *x, int32_t layer)
{
    Value *pos = graph_input(graph, INPUT_POS), *seq = graph_input(graph, INPUT_SEQ);
    Value *table = graph_input(graph, INPUT_TABLE);
    Value *states[2];
    Attributes norm = {.rms_norm = {.eps = 1e-5f}};
    Attributes heads = {.attention = {.heads = HEADS, .scale = 0.25f}};
    for (int i = 0; i < 2; i++)
        states[i] = graph_state(
            graph, module_add_state(graph->module, arena_format(&arena, "%c%d", "kv"[i], layer),
                                    i ? STATE_VALUES : STATE_KEYS, HEADS, HEAD_DIM));
    Value *n = add(graph, OP_rms_norm, &norm, 2, (Value *[]){x, weight(graph, layer, "n", 1)}, 20);
    Value *part[3];
    for (int i = 0; i < 3; i++)
        part[i] = add(graph, OP_matmul, NULL, 2,
                      (Value *[]){n, weight(graph, layer, (char[]){"qkv"[i], 0}, 2)}, 21 + i);
    for (int i = 0; i < 2; i++)
        graph_add(graph, OP_kv_store, 5, (Value *[]){part[1 + i], pos, seq, table, states[i]}, NULL,
                  (SourceLocation){"llama.lua", 25}, &diag);
    Value *mixed = add(graph, OP_attention, &heads, 6,
                       (Value *[]){part[0], pos, seq, table, states[0], states[1]}, 26);
    Value *out =
        add(graph, OP_matmul, NULL, 2, (Value *[]){mixed, weight(graph, layer, "o", 2)}, 27);
    return add(graph, OP_add, NULL, 2, (Value *[]){x, out}, 28);
}

static Module *build_model(int32_t layers)
{
    ModuleOptions options = {
        .target = "avx2", .opt = 1, .kv = DTYPE_f16, .batch = 4, .page_tokens = 32};
    Module *module = module_new(&arena, "llama", options);
    Graph *graph = module_add_graph(module, "step");
    Value *x = add(graph, OP_embed, NULL, 2,
                   (Value *[]){weight(graph, -1, "embed", 2), graph_input(graph, INPUT_TOKEN)}, 10);
    for (int32_t layer = 0; layer < layers; layer++)
        x = add_layer(graph, x, layer);
    x->name = "last";
    x = add(graph, OP_gather_rows, NULL, 2, (Value *[]){x, graph_input(graph, INPUT_ROW)}, 30);
    graph_add_output(graph, "logits", x);
    return module;
}

static int64_t align(int64_t bytes)
{
    return (bytes + PLACE_ALIGNMENT - 1) / PLACE_ALIGNMENT * PLACE_ALIGNMENT;
}

static void place_weights_and_states(Module *module)
{
    for (int32_t i = 0; i < module->weights.count; i++) {
        Weight *one = module->weights.items[i];
        int64_t rows = one->shape.rank == 2 ? WIDTH : 1;
        one->layout = one->shape.rank == 2 ? LAYOUT_n16k1 : LAYOUT_plain;
        one->place =
            (Place){REGION_W, module->w_bytes, layout_bytes(one->dtype, one->layout, rows, WIDTH)};
        module->w_bytes += align(one->place.bytes);
    }
    for (int32_t i = 0; i < module->states.count; i++) {
        State *state = module->states.items[i];
        state->layout = state->role == STATE_KEYS ? LAYOUT_k32 : LAYOUT_v1;
        state->place = (Place){REGION_KV, module->page_bytes,
                               layout_bytes(state->dtype, state->layout, 32, HEADS * HEAD_DIM)};
        module->page_bytes += align(state->place.bytes);
    }
    module_refresh_leaves(module);
}

// What a pipeline without any optimisation would fill in: every result has bytes of its own.
static void plan_by_hand(Module *module)
{
    place_weights_and_states(module);
    for (int32_t g = 0; g < module->graphs.count; g++) {
        Graph *graph = module->graphs.items[g];
        graph->bound_t = g ? module->options.batch : 1;
        GraphOutput *output = graph->outputs.items[0];
        output->io_index = INPUT_COUNT;
        for (Node *node = graph->first; node; node = node->next) {
            node->kernel = "some.kernel.ref";
            node->barrier_before = node->op == OP_matmul;
            if (!node->result_count)
                continue;
            int64_t bytes = 4 * WIDTH * graph->bound_t;
            bool is_output = node->results[0] == output->use.value;
            node->results[0]->place = is_output ? (Place){REGION_IO, INPUT_COUNT, bytes}
                                                : (Place){REGION_ACT, graph->act_bytes, bytes};
            graph->act_bytes += is_output ? 0 : bytes;
        }
    }
}

START_TEST(a_built_module_round_trips_at_every_level)
{
    Module *module = build_model(3);
    check_round_trip(module);
    graph_clone(module->graphs.items[0], "large");
    plan_by_hand(module);
    for (int level = LEVEL_BUILT; level < LEVEL_COUNT; level++) {
        module->level = (Level)level;
        check_round_trip(module);
    }
}
END_TEST

START_TEST(a_thousand_layers_parse_in_under_a_second)
{
    Module *module = build_model(1000);
    plan_by_hand(module);
    module->level = LEVEL_PLANNED;
    Text text = {0};
    module_print(module, &text);
    clock_t begin = clock();
    Module *parsed = must_parse(text.bytes);
    double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
    check_prints(parsed, text.bytes);
    ck_assert_int_eq(parsed->graphs.items[0]->node_count, 9002);
    ck_assert_msg(seconds < 1, "%g s", seconds);
    text_free(&text);
}
END_TEST

// --- refusals

// The text must be refused with "x.ir:" and the message.
static void must_refuse(const char *text, const char *message)
{
    char expected[512];
    snprintf(expected, sizeof expected, "x.ir:%s", message);
    memset(&diag, 0, sizeof diag);
    ck_assert_ptr_null(module_parse(text, "x.ir", &arena, &diag));
    ck_assert_str_eq(diag.message, expected);
}

START_TEST(module_lines_are_checked)
{
    must_refuse("", "1:1: error: expected 'module' and its name: a graph text begins so");
    must_refuse("module x", "1:8: error: expected the module's name, found 'x'");
    must_refuse("module \"m\" level=high", "1:18: error: no level 'high'");
    must_refuse("module \"m\" kv=q4_0", "1:15: error: kv is f32, f16 or q8_0, not 'q4_0'");
    must_refuse("module \"m\" act=f16", "1:16: error: act is auto or f32, not 'f16'");
    must_refuse("module \"m\" batch=0",
                "1:18: error: batch is out of range: expected 1 to 1048576");
    must_refuse("module \"m\" page=99999999999999999999",
                "1:17: error: page is out of range: expected 1 to 1048576");
    must_refuse("module \"m\" colour=1", "1:12: error: a module has no field 'colour'");
    must_refuse("module \"m\nx\"", "1:8: error: the string has no end");
    must_refuse("module \"m\\q\"",
                "1:10: error: expected \\\", \\\\, \\n, \\t or \\u0001 to \\u007f");
    must_refuse("module \"m\"\n  node",
                "2:3: error: expected weight, state or graph, found 'node'");
}
END_TEST

static void must_refuse_line(const char *line, const char *message)
{
    must_refuse(arena_format(&arena, "module \"m\"\n%s\n", line), message);
}

START_TEST(weights_and_states_are_checked)
{
    must_refuse_line("weight w", "2:8: error: expected '%', found 'w'");
    must_refuse_line("weight %w : q9[1,32]", "2:13: error: no dtype 'q9'");
    must_refuse_line("weight %w : q8[1,32] =", "2:13: error: q8 is a type of activations, not of "
                                               "weights");
    must_refuse_line("weight %w : q8_0[1,31] =", "2:13: error: 31 columns do not divide into q8_0 "
                                                 "blocks of 32");
    must_refuse_line("weight %w : f32[T,32] =", "2:13: error: expected a constant shape, "
                                                "[rows,columns] or [elements]");
    must_refuse_line("weight %w : f32[X] =", "2:17: error: no symbol 'X': expected T, R, B or P");
    must_refuse_line("weight %w : f32[1,1,1,1,1] =", "2:25: error: at most 4 dimensions");
    must_refuse_line("weight %w : f32[2147483647,2147483647] =",
                     "2:13: error: more than 281474976710656 elements");
    must_refuse_line("weight %w : f32[8]{k9} =", "2:20: error: no layout 'k9'");
    must_refuse_line("weight %w : f32[8] @act+0x0:0x20 = \"w\":f32[1,8]",
                     "2:20: error: expected a place in region w");
    must_refuse_line("weight %w : f32[8] @w+0x0 = \"w\":f32[1,8]",
                     "2:27: error: expected ':' and the size, found '='");
    must_refuse_line("weight %w : f32[8] = \"w\":f32[1,9]",
                     "2:22: error: the recipe makes [1,9], the weight is [1,8]");
    must_refuse_line("weight %w : f32[8] = \"w\":f32[1,8] x",
                     "2:35: error: expected the end of the line, found 'x'");
    must_refuse_line("weight %w : f32[8] = \"w\":f32[1,8]\nstate %w : f16[page,1,8] keys",
                     "3:7: error: a second weight or state 'w'");
    must_refuse_line("state %k : q4_0[page,1,32] keys",
                     "2:12: error: a state is f32, f16 or q8_0, not q4_0");
    must_refuse_line("state %k : f16[64,1,32] keys",
                     "2:16: error: expected [page,heads,head size]");
    must_refuse_line("state %k : f16[page,1,32] both", "2:27: error: expected keys or values");
    must_refuse_line("state %k : f16[page,65536,65536] keys",
                     "2:27: error: head size is out of range: expected 1 to 32767");
}
END_TEST

START_TEST(recipes_are_checked)
{
    must_refuse_line("weight %w : f32[8,8] = pack(\"a\":f32[8,8])",
                     "2:24: error: no recipe 'pack'");
    must_refuse_line("weight %w : f32[8,8] = concat(\"a\":f32[4,8], \"b\":f32[4,9])",
                     "2:45: error: columns differ: 8 and 9");
    must_refuse_line("weight %w : f32[8,8] = concat(\"a\":f32[2147483647,8], \"b\":f32[1,8])",
                     "2:54: error: more than 2147483647 rows");
    must_refuse_line("weight %w : f32[8,8] = slice(\"a\":f32[9,8], 1, 10)",
                     "2:47: error: end row is out of range: expected 2 to 9");
    must_refuse_line(
        "weight %w : f32[8,8] = interleave(\"a\":f32[4,8], \"b\":f32[4,8], 3)",
        "2:35: error: interleave: expected two recipes of equal rows, a multiple of 3");
    must_refuse_line("weight %w : f32[8,8] = interleave(\"a\":f32[4,8], 2)",
                     "2:49: error: expected a recipe, found '2'");
    Text deep = {0};
    for (int i = 0; i < 100000; i++)
        text_print(&deep, "concat(");
    must_refuse_line(arena_format(&arena, "weight %%w : f32[8,8] = %s", deep.bytes),
                     "2:248: error: 'concat' is nested too deeply");
    text_free(&deep);
}
END_TEST

// `line` is line 6 of the text.
static void must_refuse_node(const char *line, const char *message)
{
    must_refuse(arena_format(&arena,
                             "module \"m\"\n"
                             "weight %%w : f16[8,64] = \"w\":f16[8,64]\n"
                             "state %%k : f32[page,1,64] keys\n"
                             "graph @step {\n"
                             "%%1 : f32[T,64] = embed %%w, %%token\n"
                             "%s\n"
                             "}\n",
                             line),
                message);
}

START_TEST(nodes_are_checked)
{
    must_refuse_node("%2 : f32[T,64] = siluu %1", "6:18: error: no op 'siluu'");
    must_refuse_node("%2 : f32[T,64] = silu %3",
                     "6:24: error: %3 is not produced before it is read");
    must_refuse_node("%2 : f32[T,64] = silu %2",
                     "6:24: error: %2 is not produced before it is read");
    must_refuse_node("%1 : f32[T,64] = silu %1", "6:1: error: %1 is produced twice");
    must_refuse_node("%2 : f32[T,63] = silu %1", "6:6: error: silu gives f32[T,64], not f32[T,63]");
    must_refuse_node("%2 : f32[R,64] = silu %1", "6:6: error: silu gives f32[T,64], not f32[R,64]");
    must_refuse_node("%2, %3 : f32[T,64], f32[T,64] = silu %1",
                     "6:33: error: silu has 1 results, not 2");
    must_refuse_node("silu %1", "6:1: error: silu has 1 results, not 0");
    must_refuse_node("%2 : f32[T,64] = add %1", "6:18: error: add: takes 2 operands, not 1");
    must_refuse_node("%2 : f32[T,64] = silu %nobody",
                     "6:24: error: no weight, state or input 'nobody'");
    must_refuse_node("%2 : f32[T,64] = silu %\"token\"",
                     "6:24: error: no weight, state or input 'token'");
    must_refuse_node("%2 : f32[T,8] = matmul %1, 2",
                     "6:17: error: matmul: operand 2 is f32[], expected a weight matrix [n,k]");
    must_refuse_node("%2 : f32[T,64] = silu silu", "6:23: error: expected a number, found 'silu'");
    must_refuse_node("%2 : f32[T,64] = rms_norm %1, %w",
                     "6:18: error: rms_norm: attribute eps is missing");
    must_refuse_node("%2 : f32[T,64] = rms_norm %1, %w {epsilon=1}",
                     "6:35: error: rms_norm has no attribute 'epsilon'");
    must_refuse_node("%2 : f32[T,64] = rms_norm %1, %w {eps=1, eps=1}",
                     "6:42: error: eps is given twice");
    must_refuse_node("%2 : f32[T,64] = rms_norm %1, %w {eps=1, post=q9}",
                     "6:47: error: post has no value 'q9'");
    must_refuse_node("kv_store %1, %pos, %seq, %table, %k",
                     "6:34: error: kv_store: operand 5 is written: expected rw");
    must_refuse_node("%2 : f32[T,64] = silu rw %1",
                     "6:23: error: silu: operand 1 is not written: unexpected rw");
    must_refuse_node("%2 : f32[T,64] = silu %1 what",
                     "6:26: error: expected the end of the line, found 'what'");
    must_refuse_node("%2 : f32[T,64] = silu %1 loc(7)", "6:30: error: expected a file, found '7'");
    must_refuse_node("%2 : f32[T,64] @moon+1:1 = silu %1",
                     "6:17: error: no region 'moon': expected w, kv, act, own or io");
    must_refuse_node("%2 : f32[T,64] @act+0x0=%9 = silu %1",
                     "6:26: error: %9 is not produced before it is read");
    must_refuse_node("%4294967297 : f32[T,64] = silu %1",
                     "6:2: error: number of a value is out of range: expected 1 to 2147483647");
    must_refuse_node("barrier\nbarrier", "7:1: error: a second barrier");
    must_refuse_node("barrier", "7:2: error: a barrier stands before no node");
    must_refuse_node("output \"x\" = %7", "6:15: error: %7 is not produced before it is read");
    must_refuse_node("output \"x\" = %1 @act+0x0",
                     "6:17: error: expected the index of an output: @io+6 or more");
    must_refuse_node("}\ngraph @step {", " error: the name 'step' is taken twice");
    must_refuse_node("output \"x\" = %1\noutput \"x\" = %1",
                     " error: graph @step: the name 'x' is taken twice");
    must_refuse("module \"m\"\ngraph @step {\n",
                "3:1: error: expected a node, barrier, output or '}', found the end of the text");
    must_refuse("module \"m\"\ngraph @step T<=0 {",
                "2:16: error: bound of T is out of range: expected 1 to 1048576");
    must_refuse("module \"m\"\ngraph @step x {", "2:13: error: a graph has no field 'x'");
}
END_TEST

// Every prefix of a text, and every text with one byte changed: refused or not, never a crash.
START_TEST(damaged_texts_never_crash)
{
    const char *const texts[] = {built, planned};
    for (int which = 0; which < 2; which++) {
        size_t length = strlen(texts[which]);
        for (size_t i = 0; i < length; i++) {
            char *copy = arena_copy_text(&arena, texts[which], length);
            copy[i] = "%0{=\n\"9-"[i % 8];
            memset(&diag, 0, sizeof diag);
            Module *module = module_parse(copy, "x.ir", &arena, &diag);
            ck_assert(!module == diag.failed);
            if (module)
                check_round_trip(module);
            copy[i] = 0;
            memset(&diag, 0, sizeof diag);
            module = module_parse(copy, "x.ir", &arena, &diag);
            ck_assert(!module == diag.failed);
            arena_free(&arena);
        }
    }
}
END_TEST

// --- the verifier at planned

// The planned text with its first `old` replaced must be refused with the message.
static void must_refuse_plan(const char *old, const char *new, const char *message)
{
    const char *at = strstr(planned, old);
    ck_assert_ptr_nonnull(at);
    must_refuse(
        arena_format(&arena, "%.*s%s%s", (int)(at - planned), planned, new, at + strlen(old)),
        message);
}

START_TEST(places_are_checked)
{
    must_refuse_plan("@w+0x1000:0x100", "@w+0xfc0:0x100", " error: w and n overlap in w");
    must_refuse_plan("@w+0x0:0x1000", "@w+0x0:0xfff",
                     " error: w has a place of 0xfff bytes, needs 0x1000");
    must_refuse_plan("@w+0x1000:0x100", "@w+0x1001:0x100",
                     " error: n: expected a place in w, aligned to 64, within 0x2100 bytes");
    must_refuse_plan("@w+0x1000:0x100", "@w+0x2040:0x100",
                     " error: n: expected a place in w, aligned to 64, within 0x2100 bytes");
    must_refuse_plan(" @kv+0x0:0x1000", "", " error: k0 has no place");
    must_refuse_plan(
        "@act+0x0:0x100", "@act+0x0:0xc0",
        " error: graph @decode, %1 = embed: %1 has a place of 0xc0 bytes, needs 0x100");
    must_refuse_plan(
        "@act+0x100:0x80", "@act+0x140:0x80",
        " error: graph @decode, %3 = rms_norm: %3: expected a place aligned to 64 within "
        "0x180 bytes");
    must_refuse_plan("@act+0x100:0x80", "@kv+0x100:0x80",
                     " error: graph @decode, %3 = rms_norm: %3 has no place in act, own or io");
    must_refuse_plan("@act+0x0=%1", "@own+0x0=%1",
                     " error: graph @decode, %2 = silu (m.lua:3): %2 takes the place of %1 but "
                     "lies elsewhere");
    must_refuse_plan("@io+6:0x800", "@own+0x0:0x800",
                     " error: graph @pre fill, %1 = embed: %1 lies in own: expected one token at "
                     "most and nothing else written");
}
END_TEST

START_TEST(values_alive_together_do_not_overlap)
{
    must_refuse_plan("@act+0x100:0x80", "@act+0xc0:0x80",
                     " error: graph @decode, %3 = rms_norm: %3 overlaps %1, which is still alive");
    must_refuse_plan("@act+0x0=%1", "@act+0x0:0x100",
                     " error: graph @decode, %2 = silu (m.lua:3): %2 overlaps %1, which is still "
                     "alive");
}
END_TEST

START_TEST(bytes_are_free_an_epoch_after_the_last_reader)
{
    static const char text[] = "module \"m\" level=planned w=0x400\n"
                               "weight %%w : f32[4,64] @w+0x0:0x400 = \"w\":f32[4,64]\n"
                               "graph @decode T<=1 act=0x200 bound=0x200 {\n"
                               "  %%1 : f32[T,64] @act+0x0:0x100 = embed %%w, %%token !a\n"
                               "  barrier\n"
                               "  %%2 : f32[T,64] @act+0x100:0x100 = silu %%1 !a\n"
                               "%s"
                               "  %%3 : f32[T,64] @act+0x0:0x100 = neg %%2 !a\n"
                               "}\n";
    ck_assert_ptr_nonnull(must_parse(arena_format(&arena, text, "  barrier\n")));
    must_refuse(arena_format(&arena, text, ""),
                " error: graph @decode, %3 = neg: %3 overlaps %1, which is still alive");
}
END_TEST

START_TEST(an_alias_takes_only_what_dies)
{
    must_refuse_plan(
        "rms_norm %2", "rms_norm %1",
        " error: graph @decode, %2 = silu (m.lua:3): %2 takes the place of %1, which must "
        "be an operand that dies here");
    must_refuse_plan(
        "@act+0x0=%1", "@act+0x40=%1",
        " error: graph @decode, %2 = silu (m.lua:3): %2 takes the place of %1 but lies "
        "elsewhere");
}
END_TEST

START_TEST(outputs_lie_in_io)
{
    must_refuse_plan("= %4 @io+6", "= %4 @io+7",
                     " error: graph @decode: output 'logits' needs a result that lies at @io+7");
    must_refuse_plan("= %4 @io+6", "= %4",
                     " error: graph @decode: output 'logits' has no index in io");
    must_refuse_plan("  output \"logits\" = %4 @io+6\n", "",
                     " error: graph @decode: 1 results lie in io, 0 are outputs");
}
END_TEST

START_TEST(graphs_and_layouts_fit_their_level)
{
    must_refuse_plan("T<=8", "T<=1",
                     " error: graph @pre fill: T<=1, expected bounds that ascend from 1 to at most "
                     "1048576");
    must_refuse_plan(
        "{t1}", "",
        " error: graph @decode, %3 = rms_norm: %3: expected layout t1 or t8, found plain");
    must_refuse_plan("{n32k1}", "{n16k4}", " error: weight w: a f16 matrix has no layout n16k4");
    must_refuse_plan("{k32}", "{v1}", " error: state k0: expected layout k32, found v1");
    must_refuse_plan("page=32", "page=48",
                     " error: state k0: layout k32 needs pages of a multiple of 32 tokens, not 48");
    must_refuse_plan(" !silu.any.ref", "",
                     " error: graph @decode, %2 = silu (m.lua:3): no kernel is selected");
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("text_ir");
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, built_text_prints_back);
    tcase_add_test(tests, planned_text_prints_back);
    tcase_add_test(tests, an_alias_writes_its_size_only_if_it_is_another);
    tcase_add_test(tests, comments_blanks_and_gaps_in_numbers_are_free);
    tcase_add_test(tests, constants_keep_their_bits);
    tcase_add_test(tests, dimensions_print_as_sums);
    tcase_add_test(tests, a_built_module_round_trips_at_every_level);
    tcase_add_test(tests, a_thousand_layers_parse_in_under_a_second);
    tcase_add_test(tests, module_lines_are_checked);
    tcase_add_test(tests, weights_and_states_are_checked);
    tcase_add_test(tests, recipes_are_checked);
    tcase_add_test(tests, nodes_are_checked);
    tcase_add_test(tests, damaged_texts_never_crash);
    tcase_add_test(tests, places_are_checked);
    tcase_add_test(tests, values_alive_together_do_not_overlap);
    tcase_add_test(tests, bytes_are_free_an_epoch_after_the_last_reader);
    tcase_add_test(tests, an_alias_takes_only_what_dies);
    tcase_add_test(tests, outputs_lie_in_io);
    tcase_add_test(tests, graphs_and_layouts_fit_their_level);
    return run_cases("text_ir", tests);
}
