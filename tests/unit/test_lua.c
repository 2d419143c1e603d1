// The model language.
//
// Every tests/errors/NAME.lua runs over the model file of tiny_file (or the path of a first line
// "-- over: PATH") and must fail with exactly the message in NAME.txt, its paths without the
// folder. With BLESS set in the environment the texts are rewritten instead; the diff is the
// review.
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/run_suite.h"
#include "tests/unit/small_lua.h"

static const Metadata tiny_metadata[] = {
    {.key = "general.architecture", .value = {META_TEXT, "string", .text = {"llama", 5}}},
    {.key = "llama.block_count", .value = {META_UINT, "u32", .natural = 1}},
    {.key = "llama.context_length", .value = {META_UINT, "u32", .natural = 128}},
    {.key = "llama.embedding_length", .value = {META_UINT, "u32", .natural = 64}},
    {.key = "llama.rope.freq_base", .value = {META_FLOAT, "f32", .real = 5e5}},
    {.key = "llama.tied", .value = {META_BOOL, "bool", .boolean = true}},
    {.key = "llama.sizes",
     .value = {META_ARRAY, "array",
               .array = {(const MetaValue[]){{META_INT, "i32", .integer = -3},
                                             {META_INT, "i32", .integer = 4}},
                         2, "i32"}}},
};

static const FileTensor tiny_tensors[] = {
    {.name = "token_embd.weight", .dtype = DTYPE_f16, .rank = 2, .shape = {32, 64}},
    {.name = "output_norm.weight", .dtype = DTYPE_f32, .rank = 1, .shape = {64}},
    {.name = "blk.0.attn_norm.weight", .dtype = DTYPE_f32, .rank = 2, .shape = {1, 64}},
    {.name = "blk.0.attn_q.weight", .dtype = DTYPE_q8_0, .rank = 2, .shape = {64, 64}},
    {.name = "blk.0.attn_k.weight", .dtype = DTYPE_q8_0, .rank = 2, .shape = {64, 64}},
    {.name = "blk.0.ffn_down.weight", .dtype = DTYPE_f16, .rank = 2, .shape = {64, 96}},
    {.name = "blk.0.odd.weight",
     .dtype = DTYPE_COUNT,
     .type_name = "number 31",
     .rank = 2,
     .shape = {64, 64}},
};

enum {
    TINY_METADATA = sizeof tiny_metadata / sizeof *tiny_metadata,
    TINY_TENSORS = sizeof tiny_tensors / sizeof *tiny_tensors,
};

// A model file that exists in memory alone.
static ModelFile *tiny_file(void)
{
    ModelFile *file = ARENA_NEW(&arena, ModelFile);
    *file = (ModelFile){.path = "tiny.gguf",
                        .architecture = "llama",
                        .name = "tiny",
                        .metadata_count = TINY_METADATA,
                        .metadata = tiny_metadata,
                        .tensor_count = TINY_TENSORS,
                        .tensors = tiny_tensors,
                        .tensor_index = name_index_new(&arena, TINY_TENSORS),
                        .metadata_index = name_index_new(&arena, TINY_METADATA)};
    for (int i = 0; i < TINY_METADATA; i++)
        ck_assert(name_index_add(&file->metadata_index, tiny_metadata[i].key, i));
    for (int i = 0; i < TINY_TENSORS; i++)
        ck_assert(name_index_add(&file->tensor_index, tiny_tensors[i].name, i));
    return file;
}

// Runs a script, given as text, over the tiny file; the script has the tiny model's logits
// appended.
static Module *build_text(const char *text, const char *const *taps, int tap_count,
                          FileList *inputs)
{
    static const char ending[] = "\nlocal e = model.weight('token_embd.weight', {32, 64})\n"
                                 "output('logits', matmul(gather_rows(embed(e, token), row), e))\n"
                                 "model.describe {context = 128, vocabulary = 32}\n";
    char path[] = "/tmp/test_lua_XXXXXX";
    int descriptor = mkstemp(path);
    ck_assert_int_ge(descriptor, 0);
    ck_assert_int_eq(dprintf(descriptor, "%s%s", text, ending),
                     (int)(strlen(text) + strlen(ending)));
    close(descriptor);
    Module *module = build(path, tiny_file(), taps, tap_count, inputs);
    unlink(path);
    return module;
}

static Module *expect_module(const char *text)
{
    FileList inputs = {0};
    Module *module = build_text(text, NULL, 0, &inputs);
    ck_assert_msg(module != NULL, "%s", diag.message);
    return module;
}

#define X "local x = embed(model.weight('token_embd.weight', {32, 64}), token)\n"

START_TEST(nodes_know_the_innermost_script_line)
{
    const Module *module = expect_module(X "local function double(y)\n"
                                           "    return y + y\n"
                                           "end\n"
                                           "local y = double(x)\n"
                                           "y = require('modules.blocks').double(y)\n"
                                           "y = silu(y)");
    const Node *first = find_node(module, OP_add, 0), *second = find_node(module, OP_add, 1);
    ck_assert_int_eq(first->locations.items[0].line, 3);
    ck_assert_int_eq(strncmp(first->locations.items[0].file, "test_lua_", 9), 0);
    ck_assert_str_eq(second->locations.items[0].file, "modules.blocks.lua");
    ck_assert_int_eq(second->locations.items[0].line, 4);
    ck_assert_int_eq(find_node(module, OP_silu, 0)->locations.items[0].line, 7);
}
END_TEST

START_TEST(operators_build_arithmetic)
{
    const Module *module = expect_module(X "local y = (x * 2 - x) / (x + 1)\n"
                                           "y = -y\n");
    static const Op ops[] = {OP_mul, OP_sub, OP_div, OP_add, OP_neg};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        ck_assert_int_eq(count_nodes(module, ops[i]), 1);
    const Node *mul = find_node(module, OP_mul, 0);
    ck_assert_int_eq(mul->operands[1].value->kind, VALUE_CONSTANT);
    ck_assert_float_eq(mul->operands[1].value->constant, 2.0f);
    ck_assert_ptr_eq(find_node(module, OP_neg, 0)->operands[0].value->producer.node,
                     find_node(module, OP_div, 0));
}
END_TEST

START_TEST(numbers_may_stand_on_the_left)
{
    const Module *module = expect_module(X "local y = 3 - x\n"
                                           "y = 1 / y\n");
    const Node *add = find_node(module, OP_add, 0);
    ck_assert_ptr_eq(add->operands[0].value->producer.node, find_node(module, OP_neg, 0));
    ck_assert_float_eq(add->operands[1].value->constant, 3.0f);
    ck_assert_ptr_eq(find_node(module, OP_reciprocal, 0)->operands[0].value->producer.node, add);
    ck_assert_int_eq(count_nodes(module, OP_mul), 0);
}
END_TEST

START_TEST(a_vector_on_the_left_changes_places)
{
    const Module *module = expect_module(X "x = model.weight('output_norm.weight', {64}) * x\n");
    const Node *mul = find_node(module, OP_mul, 0);
    ck_assert_ptr_eq(mul->operands[0].value->producer.node, find_node(module, OP_embed, 0));
    ck_assert_int_eq(mul->operands[1].value->kind, VALUE_WEIGHT);
}
END_TEST

START_TEST(attributes_have_defaults_and_names)
{
    const Module *module =
        expect_module(X "local angles = rope_table(pos, {dims = 32, theta = 5e5})\n"
                        "rope(x, angles, {head_dim = 32.0, style = \"neox\"})\n");
    const Attributes *table = &find_node(module, OP_rope_table, 0)->attributes;
    ck_assert_float_eq(table->rope_table.theta, 5e5f);
    ck_assert_float_eq(table->rope_table.scale, 1.0f);
    const Attributes *rope = &find_node(module, OP_rope, 0)->attributes;
    ck_assert_int_eq(rope->rope.head_dim, 32);
    ck_assert_int_eq(rope->rope.style, STYLE_neox);
}
END_TEST

START_TEST(hyperparameters_keep_their_kinds)
{
    expect_module("local hp = model.hyperparameters\n"
                  "assert(math.type(hp.block_count) == 'integer' and hp.block_count == 1)\n"
                  "assert(hp['rope.freq_base'] == 500000.0 and hp.tied == true)\n"
                  "assert(hp['general.architecture'] == 'llama')\n"
                  "assert(#hp.sizes == 2 and hp.sizes[1] == -3)\n"
                  "assert(hp:get('vocab_size', 7) == 7 and hp:get('block_count', 7) == 1)\n"
                  "assert(hp:get('vocab_size') == nil)\n");
}
END_TEST

START_TEST(vectors_are_weights_of_given_numbers)
{
    const Module *module = expect_module("local v = vector('factors', {1, 2.5, -1e-3, 4})\n"
                                         "assert(tostring(v) == 'f32[4]')\n"
                                         "rope_table(pos, v, {dims = 8, theta = 1e4})\n");
    const Recipe *recipe = find_node(module, OP_rope_table, 0)->operands[1].value->weight->recipe;
    ck_assert_int_eq(recipe->kind, RECIPE_VALUES);
    ck_assert_int_eq(recipe->columns, 4);
    ck_assert_float_eq(recipe->values[1], 2.5f);
    ck_assert_float_eq(recipe->values[2], -1e-3f);
}
END_TEST

START_TEST(the_model_answers_about_weights)
{
    const Module *module = expect_module(
        "assert(model.has('output_norm.weight') and not model.has('output.weight'))\n"
        "local rows, columns = model.shape('blk.0.ffn_down.weight')\n"
        "assert(rows == 64 and columns == 96)\n"
        "local w = model.weight('blk.0.attn_q.weight', {64, 64.0})\n"
        "assert(tostring(w) == 'q8_0[64,64]' and w:columns() == 64)\n"
        "assert(tostring(model.weight('blk.0.attn_norm.weight', {64})) == 'f32[64]')\n"
        "assert(model.name == 'tiny' and model.architecture == 'llama')\n"
        "assert(tostring(pages) == 'i32[B,P]')\n");
    ck_assert_str_eq(module->weights.items[0]->recipe->tensor, "blk.0.attn_q.weight");
    ck_assert_int_eq(module->context_length, 128);
    ck_assert_int_eq(module->vocabulary_size, 32);
    ck_assert_str_eq(module->name, "tiny");
}
END_TEST

START_TEST(states_come_in_pairs)
{
    const Module *module = expect_module("kv_state('k0', 'v0', {heads = 2, dim = 32})\n");
    ck_assert_int_eq(module->states.count, 2);
    ck_assert_int_eq(module->states.items[0]->role, STATE_KEYS);
    ck_assert_int_eq(module->states.items[1]->role, STATE_VALUES);
    ck_assert_int_eq(module->states.items[1]->kv_heads, 2);
    ck_assert_int_eq(module->states.items[1]->head_dim, 32);
}
END_TEST

START_TEST(taps_become_outputs)
{
    const char *taps[] = {"second", "first", "second"};
    FileList inputs = {0};
    const Module *module = build_text(X "x = named('first', x + 1)\n"
                                        "x = named('second', x + 2)\n",
                                      taps, 3, &inputs);
    ck_assert_msg(module != NULL, "%s", diag.message);
    const Graph *graph = module->graphs.items[0];
    ck_assert_int_eq(graph->outputs.count, 3);
    ck_assert_str_eq(graph->outputs.items[0]->name, "logits");
    ck_assert_str_eq(graph->outputs.items[1]->name, "tap.second");
    ck_assert_str_eq(graph->outputs.items[2]->name, "tap.first");
    ck_assert_str_eq(graph->outputs.items[2]->use.value->name, "first");
    ck_assert_float_eq(
        graph->outputs.items[1]->use.value->producer.node->operands[1].value->constant, 2.0f);
}
END_TEST

START_TEST(equal_values_may_have_two_names)
{
    const char *taps[] = {"b"};
    FileList inputs = {0};
    const Module *module =
        build_text(X "named('a', x + 1)\nnamed('a', x + 1)\nnamed('b', x + 1)\n", taps, 1, &inputs);
    ck_assert_msg(module != NULL, "%s", diag.message);
    ck_assert_str_eq(module->graphs.items[0]->outputs.items[1]->use.value->name, "a");
}
END_TEST

START_TEST(an_unknown_tap_lists_the_names)
{
    const char *taps[] = {"third"};
    FileList inputs = {0};
    ck_assert_ptr_null(
        build_text(X "named('first', x + 1)\nnamed('second', x + 2)\n", taps, 1, &inputs));
    const char *message = strstr(diag.message, ": error: ");
    ck_assert_ptr_nonnull(message);
    ck_assert_str_eq(message,
                     ": error: no value is named \"third\" for a tap; named are: first, second");
}
END_TEST

START_TEST(scripts_that_were_read_are_inputs)
{
    FileList inputs = {0};
    ck_assert_ptr_nonnull(build_text("require 'modules.blocks'", NULL, 0, &inputs));
    ck_assert_int_eq(inputs.count, 2);
    ck_assert_int_eq(strncmp(inputs.items[0], "/tmp/test_lua_", 14), 0);
    ck_assert_str_eq(inputs.items[1], ERRORS "registry/modules.blocks.lua");
}
END_TEST

START_TEST(any_operands_are_refused_politely)
{
    // Every op with every mix of four kinds of operand: an assertion would end the test.
    expect_module(
        X "local keys, values = kv_state('k', 'v', {heads = 2, dim = 32})\n"
          "local kinds = {x, keys, values, token, pages, 1.5, row, "
          "model.weight('output_norm.weight', {64}),\n"
          "    model.weight('blk.0.attn_q.weight', {64, 64}), reduce_sum(x)}\n"
          "local names = {'embed', 'gather_rows', 'slice', 'concat', 'add', 'sub', 'mul', 'div', "
          "'neg',\n"
          "    'exp', 'sqrt', 'reciprocal', 'silu', 'reduce_sum', 'reduce_max', 'matmul', "
          "'rms_norm',\n"
          "    'softmax', 'swiglu', 'rope_table', 'rope', 'kv_store', 'attention', 'quantise',\n"
          "    'add_rms_norm', 'rope_qk_store'}\n"
          "local all = {axis = 0, begin = 0, ['end'] = 1, eps = 0, dims = 32, theta = 1, head_dim "
          "= 32,\n"
          "    style = 'norm', heads = 2, kv_heads = 2, scale = 1, type = 'q8'}\n"
          "local seed = 1\n"
          "local function pick() seed = seed * 1103515245 + 12345 & 0x7fffffff; return seed >> 8 "
          "end\n"
          "for i = 1, 40000 do\n"
          "    local f, attributes, operands = _G[names[i % #names + 1]], {}, {}\n"
          "    for j = 1, pick() % 8 do operands[j] = kinds[pick() % #kinds + 1] end\n"
          "    for name, value in pairs(all) do\n"
          "        attributes[name] = value\n"
          "        if pick() % 4 == 0 and math.type(value) then attributes[name] = pick() % 100 - "
          "3 end\n"
          "    end\n"
          "    for trial = 1, 16 do\n"
          "        operands[#operands + 1] = attributes\n"
          "        local fine, message = pcall(f, table.unpack(operands))\n"
          "        operands[#operands] = nil\n"
          "        local unknown = not fine and message:match('\"([%w_]+)\" is not known here')\n"
          "        if not unknown then break end\n"
          "        attributes[unknown] = nil\n"
          "    end\n"
          "end\n");
}
END_TEST

// --- golden errors

static char *read_text(const char *path)
{
    FILE *file = fopen(path, "r");
    ck_assert_msg(file != NULL, "%s is missing; BLESS=1 writes it", path);
    char *text = arena_alloc(&arena, 65536);
    fread(text, 1, 65535, file);
    fclose(file);
    text[strcspn(text, "\n")] = 0;
    return text;
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fprintf(file, "%s\n", text);
    fclose(file);
}

static void remove_folder(char *text)
{
    for (char *at; (at = strstr(text, ERRORS));)
        memmove(at, at + strlen(ERRORS), strlen(at + strlen(ERRORS)) + 1);
}

static ModelFile *file_for(const char *script)
{
    static const char over[] = "-- over: ";
    const char *first_line = read_text(script);
    if (strncmp(first_line, over, strlen(over)) != 0)
        return tiny_file();
    ModelFile *file = model_file_open(first_line + strlen(over), &arena, &diag);
    ck_assert_msg(file != NULL, "%s", diag.message);
    return file;
}

static void check_golden(const char *name)
{
    char script[300], golden[300];
    snprintf(script, sizeof script, ERRORS "%s", name);
    snprintf(golden, sizeof golden, ERRORS "%.*s.txt", (int)strlen(name) - 4, name);
    FileList inputs = {0};
    set_up();
    ModelFile *file = file_for(script);
    ck_assert_msg(!build(script, file, NULL, 0, &inputs), "%s: no error", script);
    remove_folder(diag.message);
    if (getenv("BLESS"))
        write_text(golden, diag.message);
    else
        ck_assert_str_eq(diag.message, read_text(golden));
    model_file_close(file);
    tear_down();
}

static int is_script(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return length > 4 && strcmp(entry->d_name + length - 4, ".lua") == 0;
}

START_TEST(every_error_has_its_text)
{
    struct dirent **entries;
    int count = scandir(ERRORS, &entries, is_script, alphasort);
    ck_assert_int_gt(count, 0);
    for (int i = 0; i < count; i++) {
        check_golden(entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
}
END_TEST

static void add_language_tests(TCase *tests)
{
    tcase_add_test(tests, nodes_know_the_innermost_script_line);
    tcase_add_test(tests, operators_build_arithmetic);
    tcase_add_test(tests, numbers_may_stand_on_the_left);
    tcase_add_test(tests, a_vector_on_the_left_changes_places);
    tcase_add_test(tests, attributes_have_defaults_and_names);
    tcase_add_test(tests, hyperparameters_keep_their_kinds);
    tcase_add_test(tests, vectors_are_weights_of_given_numbers);
    tcase_add_test(tests, the_model_answers_about_weights);
    tcase_add_test(tests, states_come_in_pairs);
    tcase_add_test(tests, taps_become_outputs);
    tcase_add_test(tests, equal_values_may_have_two_names);
    tcase_add_test(tests, an_unknown_tap_lists_the_names);
    tcase_add_test(tests, scripts_that_were_read_are_inputs);
    tcase_add_test(tests, any_operands_are_refused_politely);
}

int main(void)
{
    Suite *suite = suite_create("lua");
    TCase *language = tcase_create("language");
    tcase_add_checked_fixture(language, set_up, tear_down);
    tcase_set_timeout(language, 120);
    add_language_tests(language);
    suite_add_tcase(suite, language);
    TCase *golden = tcase_create("errors");
    tcase_set_timeout(golden, 300);
    tcase_add_test(golden, every_error_has_its_text);
    suite_add_tcase(suite, golden);
    return run_suite(suite);
}
