// examples/models/llama.lua: the module that it builds over shapes and files, and what it refuses.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/run_suite.h"
#include "tests/unit/small_lua.h"

static void check_llama(const Module *module, int layers, int64_t vocabulary)
{
    static const Op once_a_layer[] = {OP_swiglu, OP_attention};
    ck_assert_msg(module != NULL, "%s", diag.message);
    for (size_t i = 0; i < sizeof once_a_layer / sizeof *once_a_layer; i++)
        ck_assert_int_eq(count_nodes(module, once_a_layer[i]), layers);
    ck_assert_int_eq(count_nodes(module, OP_kv_store), 2 * layers);
    ck_assert_int_eq(count_nodes(module, OP_matmul), 7 * layers + 1);
    ck_assert_int_eq(count_nodes(module, OP_rope_table), 1);
    ck_assert_int_eq(module->states.count, 2 * layers);
    ck_assert_int_eq(module->vocabulary_size, vocabulary);
    ck_assert_msg(module_verify(module, &diag), "%s", diag.message);
    const GraphOutput *logits = module->graphs.items[0]->outputs.items[0];
    ck_assert_str_eq(logits->name, "logits");
    ck_assert(dim_equal(logits->use.value->shape.dims[0], dim_symbol(SYMBOL_R)));
}

START_TEST(llama_builds_a_shape)
{
    ModelFile *file = model_file_open("shape:tinyllama-1.1b", &arena, &diag);
    ck_assert_msg(file != NULL, "%s", diag.message);
    FileList inputs = {0};
    const Module *module = build("examples/models/llama.lua", file, NULL, 0, &inputs);
    check_llama(module, 22, 32000);
    ck_assert_int_eq(module->weights.count, 9 * 22 + 3);
    ck_assert_int_eq(module->context_length, 2048);
    ck_assert_int_eq(find_node(module, OP_rope, 0)->attributes.rope.style, STYLE_neox);
    ck_assert_int_eq(find_node(module, OP_attention, 0)->attributes.attention.heads, 32);
    ck_assert_float_eq(find_node(module, OP_attention, 0)->attributes.attention.scale, 0.125f);
    model_file_close(file);
}
END_TEST

START_TEST(llama_ties_the_head)
{
    ModelFile *file = model_file_open("shape:stories15m", &arena, &diag);
    ck_assert_msg(file != NULL, "%s", diag.message);
    FileList inputs = {0};
    const Module *module = build("examples/models/llama.lua", file, NULL, 0, &inputs);
    check_llama(module, 6, 32000);
    ck_assert_ptr_eq(find_node(module, OP_matmul, 7 * 6)->operands[1].value,
                     find_node(module, OP_embed, 0)->operands[0].value);
    model_file_close(file);
}
END_TEST

// The file with one more metadata entry.
static ModelFile *open_with(const char *path, Metadata entry)
{
    ModelFile *file = model_file_open(path, &arena, &diag);
    ck_assert_msg(file != NULL, "%s", diag.message);
    Metadata *entries = ARENA_ARRAY(&arena, Metadata, file->metadata_count + 1);
    file->metadata_index = name_index_new(&arena, file->metadata_count + 1);
    for (int64_t i = 0; i <= file->metadata_count; i++) {
        entries[i] = i < file->metadata_count ? file->metadata[i] : entry;
        ck_assert(name_index_add(&file->metadata_index, entries[i].key, i));
    }
    file->metadata = entries;
    file->metadata_count++;
    return file;
}

// What a GGUF file with the shape's weights and one more would look like.
static void make_real(ModelFile *file, const Module *like, FileTensor more)
{
    int32_t count = like->weights.count;
    FileTensor *tensors = ARENA_ARRAY(&arena, FileTensor, count + 1);
    file->tensor_index = name_index_new(&arena, count + 1);
    for (int32_t i = 0; i < count; i++) {
        const Weight *weight = like->weights.items[i];
        tensors[i] =
            (FileTensor){.name = weight->name,
                         .dtype = weight->dtype,
                         .rank = weight->shape.rank,
                         .shape = {weight->shape.dims[0].constant, weight->shape.dims[1].constant}};
    }
    tensors[count] = more;
    for (int32_t i = 0; i <= count; i++)
        ck_assert(name_index_add(&file->tensor_index, tensors[i].name, i));
    file->tensors = tensors;
    file->tensor_count = count + 1;
    file->weightless = false;
}

static Module *build_llama(const ModelFile *file)
{
    FileList inputs = {0};
    return build("examples/models/llama.lua", file, NULL, 0, &inputs);
}

START_TEST(llama_scales_positions_linearly)
{
    static const char *const keys[] = {"llama.rope.scaling.factor", "llama.rope.scale_linear"};
    Metadata factor = {.key = keys[_i], .value = {META_FLOAT, "f32", .real = 4}};
    const Module *module = build_llama(open_with("shape:tinyllama-1.1b,layers=1", factor));
    ck_assert_msg(module != NULL, "%s", diag.message);
    ck_assert_float_eq(find_node(module, OP_rope_table, 0)->attributes.rope_table.scale, 0.25f);
}
END_TEST

START_TEST(llama_refuses_other_scalings)
{
    Metadata other = {.key = "llama.rope.scaling.type",
                      .value = {META_TEXT, "string", .text = {"other", 5}}};
    ck_assert_ptr_null(build_llama(open_with("shape:tinyllama-1.1b,layers=1", other)));
    ck_assert_str_eq(diag.message,
                     "examples/models/llama.lua:7: error: rope scaling \"other\" is not "
                     "supported; dynamic, linear, llama3, longrope, none, yarn are");
}
END_TEST

START_TEST(llama_reads_rope_factors)
{
    ModelFile *file = model_file_open("shape:tinyllama-1.1b,layers=1", &arena, &diag);
    const Module *like = build_llama(file);
    ck_assert_msg(like != NULL, "%s", diag.message);
    make_real(
        file, like,
        (FileTensor){.name = "rope_freqs.weight", .dtype = DTYPE_f32, .rank = 1, .shape = {32}});
    const Module *module = build_llama(file);
    ck_assert_msg(module != NULL, "%s", diag.message);
    const Node *table = find_node(module, OP_rope_table, 0);
    ck_assert_int_eq(table->operand_count, 2);
    ck_assert_str_eq(table->operands[1].value->weight->name, "rope_freqs.weight");
}
END_TEST

START_TEST(llama_adds_biases)
{
    ModelFile *file = model_file_open("shape:tinyllama-1.1b,layers=1", &arena, &diag);
    const Module *like = build_llama(file);
    ck_assert_msg(like != NULL, "%s", diag.message);
    make_real(
        file, like,
        (FileTensor){.name = "blk.0.attn_k.bias", .dtype = DTYPE_f32, .rank = 1, .shape = {256}});
    const Module *module = build_llama(file);
    ck_assert_msg(module != NULL, "%s", diag.message);
    ck_assert_int_eq(count_nodes(module, OP_add), count_nodes(like, OP_add) + 1);
    const Node *sum = find_node(module, OP_add, 0);
    ck_assert_str_eq(sum->operands[1].value->weight->name, "blk.0.attn_k.bias");
}
END_TEST

static bool data_path(const char *name, char *path, size_t bytes)
{
    const char *folder = getenv("DATA"), *strict = getenv("CI");
    snprintf(path, bytes, "%s/%s", folder ? folder : "../shared/data", name);
    if (access(path, R_OK) == 0)
        return true;
    ck_assert_msg(!strict || strcmp(strict, "true") != 0, "%s is missing", path);
    printf("skip: test_llama: needs DATA (%s)\n", name);
    return false;
}

static const char *const trained[] = {
    "weights/TinyStories-656K/TinyStories-656K-Q8_0.gguf",
    "weights/TinyStories-656K/TinyStories-656K.f16.gguf",
};

START_TEST(llama_builds_a_trained_model)
{
    char path[1000];
    if (!data_path(trained[_i], path, sizeof path))
        return;
    ModelFile *file = model_file_open(path, &arena, &diag);
    ck_assert_msg(file != NULL, "%s", diag.message);
    FileList inputs = {0};
    const char *taps[] = {"l0.attn", "l1"};
    const Module *module = build("examples/models/llama.lua", file, taps, 2, &inputs);
    check_llama(module, 2, 2048);
    ck_assert_int_eq(module->weights.count, 9 * 2 + 2);
    ck_assert_str_eq(module->graphs.items[0]->outputs.items[2]->name, "tap.l1");
    ck_assert_int_eq(find_node(module, OP_attention, 0)->attributes.attention.heads, 8);
    ck_assert_float_eq(find_node(module, OP_rms_norm, 0)->attributes.rms_norm.eps, 1e-6f);
    model_file_close(file);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("llama");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, llama_builds_a_shape);
    tcase_add_test(tests, llama_ties_the_head);
    tcase_add_loop_test(tests, llama_scales_positions_linearly, 0, 2);
    tcase_add_test(tests, llama_refuses_other_scalings);
    tcase_add_test(tests, llama_reads_rope_factors);
    tcase_add_test(tests, llama_adds_biases);
    tcase_add_loop_test(tests, llama_builds_a_trained_model, 0,
                        (int)(sizeof trained / sizeof *trained));
    return run_cases("llama", tests);
}
