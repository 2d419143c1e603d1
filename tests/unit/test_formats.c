// The module for other programs: JSON is read back by another parser and says what the module
// holds, DOT has a node for each node and an edge for each result that is read.
#include <cJSON.h>
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "graph/formats.h"
#include "tests/unit/run_suite.h"

static Arena arena;
static Diag diag;
static cJSON *json;
static Text text;

static void set_up(void)
{
    memset(&diag, 0, sizeof diag);
    json = NULL;
    text = (Text){0};
}

static void tear_down(void)
{
    cJSON_Delete(json);
    text_free(&text);
    arena_free(&arena);
}

static const char planned[] =
    "module \"a \\\"name\\\"\" level=planned target=ref opt=1 kv=f32 act=f32 batch=8 page=32 "
    "context=64 vocabulary=32 w=0x2100 page_bytes=0x1000\n"
    "weight %w : f16[32,64]{n32k1} @w+0x0:0x1000 = "
    "interleave(slice(\"w\":f16[32,64], 16, 32), \"v\":f16[16,64], 16)\n"
    "weight %n : f32[64] @w+0x1000:0x100 = \"n\":f16[1,64]\n"
    "graph @decode T<=8 act=0x1000 bound=0x800 {\n"
    "  %1\"x\" : f32[T,64] @act+0x0:0x800 = embed %w, %token !embed.any.ref "
    "loc(\"m.lua\":3,5)\n"
    "  %2 : f32[T,64] @act+0x0=%1 = mul %1, -0.5 !mul.f32.ref\n"
    "  barrier\n"
    "  %3 : f32[T,64] @act+0x800:0x800 = rms_norm %2, %n {eps=1e-05} !rms_norm.f32.ref\n"
    "  %4 : f32[R,64] @io+6:0x800 = gather_rows %3, %row !gather_rows.f32.ref\n"
    "  output \"logits\" = %4 @io+6\n"
    "}\n";

static const Module *must_parse(const char *ir)
{
    const Module *module = module_parse(ir, "x.ir", &arena, &diag);
    ck_assert_msg(module, "%s", diag.message);
    return module;
}

static const cJSON *parsed(const Module *module)
{
    module_print_json(module, NULL, &text);
    json = cJSON_ParseWithOpts(text.bytes, NULL, true);
    ck_assert_msg(json, "not JSON: %s", text.bytes);
    return json;
}

// The member at a path: names and, for elements, numbers.
static const cJSON *at(const char *path)
{
    const cJSON *found = json;
    char *copy = arena_copy_text(&arena, path, strlen(path));
    for (char *save, *key = strtok_r(copy, ".", &save); key; key = strtok_r(NULL, ".", &save)) {
        found = *key >= '0' && *key <= '9' ? cJSON_GetArrayItem(found, atoi(key))
                                           : cJSON_GetObjectItemCaseSensitive(found, key);
        ck_assert_msg(found, "%s: no %s", path, key);
    }
    return found;
}

static void check_string(const char *path, const char *expected)
{
    ck_assert_msg(cJSON_IsString(at(path)), "%s is no string", path);
    ck_assert_str_eq(at(path)->valuestring, expected);
}

static void check_number(const char *path, double expected)
{
    ck_assert_msg(cJSON_IsNumber(at(path)), "%s is no number", path);
    ck_assert_double_eq(at(path)->valuedouble, expected);
}

START_TEST(module_members)
{
    parsed(must_parse(planned));
    check_string("schema", "graphc.module/1");
    check_string("name", "a \"name\"");
    check_string("level", "planned");
    check_string("options.target", "ref");
    check_number("options.batch", 8);
    check_number("w_bytes", 0x2100);
    check_number("page_bytes", 0x1000);
    check_number("graphs.0.bound_t", 8);
    check_number("graphs.0.act_bytes", 0x1000);
    check_number("graphs.0.act_lower_bound", 0x800);
}
END_TEST

START_TEST(recipes_are_trees)
{
    parsed(must_parse(planned));
    check_string("weights.0.recipe.kind", "interleave");
    check_number("weights.0.recipe.rows_in_turn", 16);
    check_string("weights.0.recipe.of.0.kind", "slice");
    check_number("weights.0.recipe.of.0.begin", 16);
    check_number("weights.0.recipe.of.0.end", 32);
    check_string("weights.0.recipe.of.0.of.0.tensor", "w");
    check_number("weights.0.recipe.of.0.of.0.rows", 32);
    check_string("weights.1.recipe.dtype", "f16");
    check_string("weights.0.layout", "n32k1");
    check_number("weights.1.place.offset", 0x1000);
}
END_TEST

START_TEST(nodes_and_outputs)
{
    parsed(must_parse(planned));
    check_string("graphs.0.nodes.0.op", "embed");
    check_string("graphs.0.nodes.0.operands.0.weight", "w");
    check_string("graphs.0.nodes.0.operands.1.input", "token");
    check_string("graphs.0.nodes.0.results.0.name", "x");
    check_string("graphs.0.nodes.0.results.0.shape.0", "T");
    check_number("graphs.0.nodes.0.results.0.shape.1", 64);
    check_number("graphs.0.nodes.0.locations.1.line", 5);
    check_number("graphs.0.nodes.1.operands.0.value", 1);
    check_number("graphs.0.nodes.1.operands.1.constant", -0.5);
    check_number("graphs.0.nodes.1.results.0.alias", 1);
    check_number("graphs.0.nodes.2.attributes.eps", 1e-05);
    check_string("graphs.0.nodes.2.attributes.post", "f32");
    check_string("graphs.0.nodes.2.kernel", "rms_norm.f32.ref");
    ck_assert(cJSON_IsTrue(at("graphs.0.nodes.2.barrier")));
    ck_assert(!cJSON_GetObjectItem(at("graphs.0.nodes.1"), "barrier"));
    check_string("graphs.0.nodes.3.results.0.place.region", "io");
    check_string("graphs.0.outputs.0.name", "logits");
    check_number("graphs.0.outputs.0.value", 4);
    check_number("graphs.0.outputs.0.io", 6);
}
END_TEST

START_TEST(states_that_are_written)
{
    parsed(must_parse("module \"m\" kv=f16\n"
                      "weight %e : f32[8,64] = \"e\":f32[8,64]\n"
                      "state %k0 : f16[page,2,32] keys\n"
                      "graph @step {\n"
                      "  %1 : f32[T,64] = embed %e, %token\n"
                      "  kv_store %1, %pos, %seq, %table, rw %k0\n"
                      "}\n"));
    check_string("states.0.role", "keys");
    check_string("states.0.shape.0", "page");
    check_number("states.0.shape.2", 32);
    check_string("graphs.0.nodes.1.operands.4.state", "k0");
    ck_assert(cJSON_IsTrue(at("graphs.0.nodes.1.operands.4.written")));
    ck_assert_int_eq(cJSON_GetArraySize(at("graphs.0.nodes.1.results")), 0);
}
END_TEST

START_TEST(infinities_are_strings)
{
    parsed(must_parse("module \"m\"\n"
                      "weight %e : f32[8,64] = \"e\":f32[8,64]\n"
                      "graph @step {\n"
                      "  %1 : f32[T,64] = embed %e, %token\n"
                      "  %2 : f32[T,64] = add %1, -inf\n"
                      "}\n"));
    check_string("graphs.0.nodes.1.operands.1.constant", "-inf");
}
END_TEST

static const struct {
    const char *bytes, *quoted;
} strings[] = {
    {"plain", "\"plain\""},
    {"\"\\\n\x01", "\"\\\"\\\\\\n\\u0001\""},
    {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
    {"a\xff", "\"a\xef\xbf\xbd\""},                                               // no first byte
    {"\xe2\x82", "\"\xef\xbf\xbd\xef\xbf\xbd\""},                                 // ends too early
    {"\xc0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\""},                                 // overlong
    {"\xe0\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},                 // overlong
    {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},                 // a surrogate
    {"\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, // beyond
};

START_TEST(only_utf8_is_quoted)
{
    quote_utf8(&text, strings[_i].bytes);
    ck_assert_str_eq(text.bytes, strings[_i].quoted);
}
END_TEST

START_TEST(equal_bytes_twice)
{
    Text again = {0};
    const Module *module = must_parse(planned);
    module_print_json(module, NULL, &text);
    module_print_json(module, NULL, &again);
    ck_assert_str_eq(text.bytes, again.bytes);
    text_free(&again);
}
END_TEST

static int occurrences(const char *what)
{
    int count = 0;
    for (const char *c = text.bytes; (c = strstr(c, what)); c++)
        count++;
    return count;
}

START_TEST(dot_nodes_and_edges)
{
    module_print_dot(must_parse(planned), &text);
    ck_assert_int_eq(occurrences("digraph \"a \\\"name\\\"\" {"), 1);
    ck_assert_int_eq(occurrences("subgraph cluster_"), 1);
    ck_assert_int_eq(occurrences("label=\"@decode T<=8\""), 1);
    ck_assert_int_eq(occurrences(" [label="), 4);
    ck_assert_int_eq(occurrences(" -> "), 4);
    ck_assert_int_eq(occurrences("g0n0 -> g0n1;"), 1);
    ck_assert_int_eq(occurrences("g0n3 -> g0o0;"), 1);
    ck_assert_int_eq(occurrences("rms_norm\\n%3 : f32[T,64]\\n!rms_norm.f32.ref\\n%n"), 1);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("formats");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, module_members);
    tcase_add_test(tests, recipes_are_trees);
    tcase_add_test(tests, nodes_and_outputs);
    tcase_add_test(tests, states_that_are_written);
    tcase_add_test(tests, infinities_are_strings);
    tcase_add_loop_test(tests, only_utf8_is_quoted, 0, sizeof strings / sizeof *strings);
    tcase_add_test(tests, equal_bytes_twice);
    tcase_add_test(tests, dot_nodes_and_edges);
    return run_cases("formats", tests);
}
