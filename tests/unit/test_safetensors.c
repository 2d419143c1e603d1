// safetensors files and Hugging Face folders: what is read, under which names, and what is refused.
#include "tests/unit/model_folder.h"
#include "tests/unit/run_suite.h"

// A tensor of a header: f32 numbers from `begin` (counted in numbers) on.
#define TENSOR(name, shape, begin, end)                                                            \
    "\"" name "\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":[" #begin "," #end "]}"

static void write_model(const char *config, const char *header, size_t data_bytes)
{
    write_text("config.json", config);
    write_safetensors("model.safetensors", header, data_bytes);
}

// --- the format

static const struct {
    const char *header;
    size_t data_bytes;
    const char *message;
} bad_headers[] = {
    {"{" TENSOR("a", "[2]", 0, 8) "}", 4, "its data end past the file; is the file cut short?"},
    {"{" TENSOR("a", "[2]", 0, 8) "}", 12, "4 bytes after the last tensor belong to none"},
    {"{" TENSOR("a", "[1]", 0, 4) "," TENSOR("b", "[1]", 8, 12) "}", 12,
     "there is a hole before its data"},
    {"{" TENSOR("a", "[2]", 0, 8) "," TENSOR("b", "[1]", 4, 8) "}", 8,
     "overlap those of another tensor"},
    {"{" TENSOR("a", "[1]", 0, 4) "," TENSOR("a", "[1]", 4, 8) "}", 8,
     "the key \"a\" stands twice"},
    {"{" TENSOR("a", "[3]", 0, 8) "}", 8, "3 elements of F32 do not fill 8 bytes"},
    {"{" TENSOR("a", "[1.5]", 0, 8) "}", 8, "a size in its shape is no whole number"},
    {"{" TENSOR("a", "[-2]", 0, 8) "}", 8, "a size in its shape is no whole number"},
    {"{" TENSOR("a", "[4294967296,4294967296]", 0, 8) "}", 8, "its shape overflows 64 bits"},
    {"{" TENSOR("a", "[9007199254740994]", 0, 8) "}", 8, "a size in its shape is no whole number"},
    {"{" TENSOR("a", "[1,1,1,1,1,1,1,1,2]", 0, 8) "}", 8, "more than 8 dimensions"},
    {"{" TENSOR("a", "[2]", 8, 0) "}", 8,
     "data_offsets are not two whole numbers in ascending order"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, "dtype, shape and data_offsets were expected"},
    {"{\"a\":1}", 8, "dtype, shape and data_offsets were expected"},
    {"{" TENSOR("a\\u0001", "[2]", 0, 8) "}", 8, "a tensor's name holds a control byte"},
    {"{\"a\":}", 8, "error: not JSON: a value was expected"},
};

START_TEST(bad_headers_are_refused)
{
    write_safetensors("t.safetensors", bad_headers[_i].header, bad_headers[_i].data_bytes);
    expect_refused("t.safetensors", bad_headers[_i].message);
}
END_TEST

START_TEST(a_header_longer_than_the_file_is_refused)
{
    write_bytes("t.safetensors", "\x10\0\0\0\0\0\0\0{\"a\":1}", 15);
    expect_refused("t.safetensors", "a header of 16 bytes does not fit in this file of 15 bytes");
}
END_TEST

START_TEST(padding_and_notes_are_read)
{
    write_safetensors("t.safetensors",
                      "{\"__metadata__\":{\"format\":\"pt\"}," TENSOR("a", "[1,2]", 0, 8) "}   ",
                      8);
    ModelFile *file = open_in_folder("t.safetensors");
    expect_rows(file, "a", (float[]){0}, 1);
    ck_assert_str_eq(file->architecture, "");
    model_file_close(file);
}
END_TEST

START_TEST(types_that_cannot_be_used_are_kept)
{
    write_safetensors("t.safetensors",
                      "{\"b\":{\"dtype\":\"F8_E4M3\",\"shape\":[3],\"data_offsets\":[0,3]},"
                      "\"n\":{\"dtype\":\"NEW\",\"shape\":[3],\"data_offsets\":[3,4]}}",
                      4);
    ModelFile *file = open_in_folder("t.safetensors");
    FileWeight weight;
    ck_assert_int_eq(model_file_tensor(file, "b")->dtype, DTYPE_COUNT);
    ck_assert(model_file_weight(file, "b", &arena, &weight) && !weight.recipe);
    ck_assert_str_eq(weight.type_name, "F8_E4M3");
    expect_info(file, "NEW");
    model_file_close(file);
}
END_TEST

// One small file for each type, the values -3 to 2.
START_TEST(samples_of_others_are_read)
{
    static const struct {
        const char *name;
        DType dtype;
    } samples[] = {{"b", DTYPE_i8},    {"h", DTYPE_i16},   {"i", DTYPE_i32},
                   {"e", DTYPE_f16},   {"f", DTYPE_f32},   {"d", DTYPE_f64},
                   {"B", DTYPE_COUNT}, {"H", DTYPE_COUNT}, {"I", DTYPE_COUNT}};
    const char *path = data_path("samples_of_others_are_read", "safetensors_samples");
    for (size_t i = 0; path && i < sizeof samples / sizeof *samples; i++) {
        ModelFile *file =
            open_data(arena_format(&arena, "%s/%s.safetensors", path, samples[i].name));
        ck_assert_int_ge(file->tensor_count, 1);
        for (int64_t j = 0; j < file->tensor_count; j++)
            ck_assert_int_eq(file->tensors[j].dtype, samples[i].dtype);
        model_file_close(file);
    }
}
END_TEST

// --- shards

static const char index_name[] = "model.safetensors.index.json";

static void write_shards(const char *index)
{
    write_text("config.json", "{\"model_type\": \"new\"}");
    write_safetensors("a.safetensors", "{" TENSOR("one", "[1,2]", 0, 8) "}", 8);
    write_safetensors("b.safetensors",
                      "{" TENSOR("two", "[1,1]", 0, 4) "," TENSOR("three", "[1,1]", 4, 8) "}", 8);
    write_text(index_name, index);
}

START_TEST(shards_are_one_model)
{
    write_shards("{\"metadata\": {\"total_size\": 16}, \"weight_map\": {\"one\": \"a.safetensors\","
                 "\"two\": \"b.safetensors\", \"three\": \"b.safetensors\"}}");
    ModelFile *file = open_in_folder("");
    ck_assert_int_eq(file->parts.count, 4); // with config.json and the index
    ck_assert_int_eq(file->tensor_count, 3);
    expect_rows(file, "three", (float[]){1}, 1);
    ck_assert_str_eq(file->architecture, "new");
    model_file_close(file);
}
END_TEST

static const struct {
    const char *index, *message;
} bad_indexes[] = {
    {"{}", "no weight_map that says which file holds a tensor"},
    {"{\"weight_map\": {}}", "no weight_map that says which file holds a tensor"},
    {"[]", "no weight_map that says which file holds a tensor"},
    {"{\"weight_map\": {\"one\": \"model.safetensors.index.json\"}}", "is not the name of"},
    {"{\"weight_map\": {\"one\": \"../a.safetensors\"}}", "is not the name of"},
    {"{\"weight_map\": {\"one\": \"/a.safetensors\"}}", "is not the name of"},
    {"{\"weight_map\": {\"one\": \"..safetensors\"}}", "is not the name of"},
    {"{\"weight_map\": {\"one\": 1}}", "is not the name of"},
    {"{\"weight_map\": {\"one\": \"c.safetensors\"}}", "cannot be opened"},
    {"{\"weight_map\": {\"one\": \"a.safetensors\", \"two\": \"a.safetensors\"}}",
     "tensor \"two\" is not in a.safetensors"},
    {"{\"weight_map\": {\"one\": \"b.safetensors\", \"two\": \"a.safetensors\"}}",
     "tensor \"one\" is not in b.safetensors"},
    {"{\"weight_map\": {\"one\": \"a.safetensors\", \"two\": \"b.safetensors\"}}",
     "the shards hold 3 tensors, the index names 2"},
};

START_TEST(bad_indexes_are_refused)
{
    write_shards(bad_indexes[_i].index);
    diag = (Diag){0};
    ck_assert_ptr_null(model_file_open(folder, &arena, &diag));
    ck_assert_msg(strstr(diag.message, bad_indexes[_i].message), "expected \"%s\" in \"%s\"",
                  bad_indexes[_i].message, diag.message);
}
END_TEST

START_TEST(a_tensor_in_two_shards_is_refused)
{
    write_shards("{\"weight_map\": {\"one\": \"a.safetensors\", \"two\": \"c.safetensors\"}}");
    write_safetensors("c.safetensors", "{" TENSOR("one", "[1]", 0, 4) "}", 4);
    diag = (Diag){0};
    ck_assert_ptr_null(model_file_open(folder, &arena, &diag));
    ck_assert_ptr_nonnull(strstr(diag.message, "stands in another part of the model too"));
}
END_TEST

// --- config

static void expect_real(const ModelFile *file, const char *key, double real)
{
    const MetaValue *value = model_file_meta(file, key);
    ck_assert_msg(value && value->kind == META_FLOAT, "no %s", key);
    ck_assert_double_eq(value->real, real);
}

static ModelFile *open_config(const char *config)
{
    write_model(config, "{" TENSOR("lm_head.weight", "[1,2]", 0, 8) "}", 8);
    return open_in_folder("");
}

START_TEST(config_has_the_names_of_gguf)
{
    ModelFile *file = open_config(
        "{\"model_type\": \"qwen2_moe\", \"num_hidden_layers\": 2, \"hidden_size\": 8,"
        "\"num_attention_heads\": 2, \"num_key_value_heads\": [1, 2], \"rms_norm_eps\": 1e-6,"
        "\"rope_theta\": 10000.0, \"rope_scaling\": {\"type\": \"su\", \"factor\": 4,"
        "\"long_factor\": [1, 2.5]}, \"sliding_window\": 16, \"use_sliding_window\": false,"
        "\"norm_topk_prob\": true, \"n_new\": {\"x\": [\"a\", null]}, \"other\": {\"y\": -3},"
        "\"head_dim\": null, \"layer_types\": [\"full\", \"sliding\"]}");
    ck_assert_str_eq(file->architecture, "qwen2moe");
    ck_assert_uint_eq(natural(file, "qwen2moe.block_count"), 2);
    ck_assert_int_eq(model_file_meta(file, "qwen2moe.attention.head_count_kv")->array.count, 2);
    expect_real(file, "qwen2moe.rope.freq_base", 10000);
    expect_real(file, "qwen2moe.rope.scaling.factor", 4);
    expect_info(file, "qwen2moe.rope.scaling.type: string = \"longrope\"");
    expect_info(file, "qwen2moe.rope.scaling.long_factor: array[2] of number [1, 2.5]");
    expect_info(file, "qwen2moe.expert_weights_norm: bool = true");
    expect_info(file, "layer_types: array[2] of string [\"full\", \"sliding\"]");
    ck_assert_int_eq(model_file_meta(file, "other.y")->integer, -3);
    ck_assert_ptr_null(model_file_meta(file, "qwen2moe.attention.sliding_window"));
    ck_assert_ptr_null(model_file_meta(file, "qwen2moe.attention.key_length"));
    ck_assert_ptr_null(model_file_meta(file, "n_new.x"));
    model_file_close(file);
}
END_TEST

START_TEST(rope_parameters_are_read)
{
    ModelFile *file = open_config(
        "{\"model_type\": \"gemma3_text\", \"query_pre_attn_scalar\": 16, \"rope_parameters\":"
        "{\"full_attention\": {\"rope_theta\": 1e6, \"rope_type\": \"linear\", \"factor\": 8},"
        "\"sliding_attention\": {\"rope_theta\": 1e4, \"rope_type\": \"default\"}}}");
    ck_assert_str_eq(file->architecture, "gemma3");
    expect_real(file, "gemma3.rope.freq_base", 1e6);
    expect_real(file, "gemma3.rope.freq_base_swa", 1e4);
    expect_real(file, "gemma3.rope.scaling.factor", 8);
    expect_real(file, "gemma3.attention.scale", 0.25);
    model_file_close(file);
    file = open_config("{\"model_type\": \"gpt_neox\", \"hidden_size\": 64, \"rotary_pct\": 0.25,"
                       "\"num_attention_heads\": 2}");
    ck_assert_uint_eq(natural(file, "gptneox.rope.dimension_count"), 8);
    model_file_close(file);
}
END_TEST

static const struct {
    const char *config, *message;
} bad_configs[] = {
    {"[]", "a JSON object was expected"},
    {"{}", "model_type: the text that names the architecture is missing"},
    {"{\"model_type\": 1}", "model_type: the text"},
    {"{\"model_type\": \"\"}", "model_type: the text"},
    {"{\"model_type\": \"m\", \"hidden_size\": 1.5}", "hidden_size: a whole number"},
    {"{\"model_type\": \"m\", \"num_hidden_layers\": 1e10}", "num_hidden_layers: a whole number"},
    {"{\"model_type\": \"m\", \"hidden_size\": -1}", "hidden_size: a whole number"},
    {"{\"model_type\": \"m\", \"n_head\": 0}", "n_head: a whole number from 1"},
    {"{\"model_type\": \"m\", \"hidden_size\": 18446744073709551617}", "hidden_size: a whole"},
    {"{\"model_type\": \"m\", \"rms_norm_eps\": \"x\"}", "rms_norm_eps: a number"},
    {"{\"model_type\": \"m\", \"rms_norm_eps\": NaN}", "error: not JSON: a value was expected"},
    {"{\"model_type\": \"m\", \"norm_topk_prob\": 1}", "norm_topk_prob: true or false"},
    {"{\"model_type\": \"m\", \"rope_scaling\": {\"type\": 1}}", "rope_scaling.type: a text"},
    {"{\"model_type\": \"m\", \"m.block_count\": 1, \"num_hidden_layers\": 1}", NULL},
    {"{\"model_type\": \"m\", \"general.architecture\": \"x\"}",
     "stands in the model's files twice"},
    {"{\"model_type\": \"m\", \"a.b\": 1, \"a\": {\"b\": 1}}", "stands in the model's files twice"},
    {"{\"model_type\": \"m\", \"partial_rotary_factor\": 2, \"head_dim\": 8}", "partial_rotary"},
    {"{\"model_type\": \"m\", \"query_pre_attn_scalar\": 0}", "query_pre_attn_scalar: a number"},
};

START_TEST(bad_configs_are_refused)
{
    const char *message = bad_configs[_i].message;
    write_model(bad_configs[_i].config, "{" TENSOR("a", "[1]", 0, 4) "}", 4);
    diag = (Diag){0};
    ModelFile *file = model_file_open(folder, &arena, &diag);
    ck_assert_msg(file ? !message : message && strstr(diag.message, message),
                  "expected \"%s\" in \"%s\"", message ? message : "", diag.message);
    model_file_close(file);
}
END_TEST

static ModelFile *try_generation(const char *text)
{
    write_model("{\"model_type\": \"new\"}", "{" TENSOR("a", "[1]", 0, 4) "}", 4);
    write_text("generation_config.json", text);
    diag = (Diag){0};
    return model_file_open(folder, &arena, &diag);
}

START_TEST(settings_are_read)
{
    ModelFile *file = try_generation("{\"top_k\": 20, \"temperature\": 0.5, \"new\": 1}");
    ck_assert_int_eq(file->setting_count, 2);
    ck_assert_uint_eq(file->settings[0].kind, SETTING_temperature);
    ck_assert_float_eq(file->settings[0].value, 0.5f);
    ck_assert_uint_eq(file->settings[1].kind, SETTING_top_k);
    ck_assert_float_eq(file->settings[1].value, 20);
    model_file_close(file);
    file = try_generation("{\"do_sample\": false, \"temperature\": 0.5}");
    ck_assert_int_eq(file->setting_count, 1);
    ck_assert_float_eq(file->settings[0].value, 0);
    model_file_close(file);
    static const char *const bad[] = {"{\"top_p\": 1.5}", "{\"top_k\": 1.5}",
                                      "{\"temperature\": \"hot\"}", "{\"repetition_penalty\": 0}"};
    for (int i = 0; i < 4; i++) {
        ck_assert_ptr_null(try_generation(bad[i]));
        ck_assert_ptr_nonnull(strstr(diag.message, "/generation_config.json: error: "));
        ck_assert_ptr_nonnull(strstr(diag.message, "this is no value that it can have"));
    }
}
END_TEST

// --- names and recipes

static ModelFile *open_named(const char *type, const char *header, size_t data_bytes)
{
    write_model(arena_format(&arena,
                             "{\"model_type\": \"%s\", \"num_attention_heads\": 2,"
                             "\"tie_word_embeddings\": true}",
                             type),
                header, data_bytes);
    return open_in_folder("");
}

START_TEST(names_become_those_of_gguf)
{
    ModelFile *file = open_named(
        "llama",
        "{" TENSOR("model.layers.12.self_attn.q_proj.weight", "[1,1]", 0, 4) "," TENSOR(
            "model.layers.12.self_attn.q_proj.bias", "[1]", 4,
            8) "," TENSOR("model.layers.012.self_attn.q_proj.bias", "[1]", 8,
                          12) "," TENSOR("model.layers.0.post_attention_layernorm.weight", "[1]",
                                         12, 16) "," TENSOR("other", "[1]", 16, 20) "}",
        20);
    expect_rows(file, "blk.12.attn_q.weight", (float[]){0}, 1);
    expect_rows(file, "blk.12.attn_q.bias", (float[]){1}, 1);
    expect_rows(file, "blk.0.ffn_norm.weight", (float[]){3}, 1);
    expect_rows(file, "other", (float[]){4}, 1);
    ck_assert_int_eq(file->weights.count, 3);
    model_file_close(file);
}
END_TEST

START_TEST(norms_of_gemma_have_their_one)
{
    ModelFile *file = open_named(
        "gemma2",
        "{" TENSOR("model.layers.0.post_attention_layernorm.weight", "[2]", 0, 8) "," TENSOR(
            "model.layers.0.pre_feedforward_layernorm.weight", "[2]", 8, 16) "}",
        16);
    expect_rows(file, "blk.0.post_attention_norm.weight", (float[]){1}, 1);
    expect_rows(file, "blk.0.ffn_norm.weight", (float[]){3}, 1);
    ck_assert_float_eq(weight_row(file, "blk.0.ffn_norm.weight", 0)[1], 4);
    model_file_close(file);
}
END_TEST

START_TEST(columns_of_gpt2_become_rows)
{
    ModelFile *file = open_named("gpt2",
                                 "{" TENSOR("h.0.attn.c_attn.weight", "[2,3]", 0, 24) "," TENSOR(
                                     "transformer.h.0.attn.c_attn.bias", "[3]", 24, 36) "}",
                                 36);
    FileWeight weight;
    expect_rows(file, "blk.0.attn_qkv.weight", (float[]){0, 1, 2}, 3);
    ck_assert_float_eq(weight_row(file, "blk.0.attn_qkv.weight", 1)[1], 4);
    expect_rows(file, "blk.0.attn_qkv.bias", (float[]){6}, 1);
    ck_assert(model_file_weight(file, "blk.0.attn_qkv.weight", &arena, &weight));
    ck_assert(weight.shape[0] == 3 && weight.shape[1] == 2);
    model_file_close(file);
}
END_TEST

// Two heads of one number: q0 k0 v0 q1 k1 v1 become q0 q1 k0 k1 v0 v1.
START_TEST(heads_of_gpt_neox_stand_together)
{
    ModelFile *file = open_named(
        "gpt_neox",
        "{" TENSOR("gpt_neox.layers.0.attention.query_key_value.weight", "[6,1]", 0, 24) "," TENSOR(
            "gpt_neox.layers.0.attention.query_key_value.bias", "[6]", 24, 48) "}",
        48);
    expect_rows(file, "blk.0.attn_qkv.weight", (float[]){0, 3, 1, 4, 2, 5}, 6);
    static const float expected[] = {6, 9, 7, 10, 8, 11};
    ck_assert_mem_eq(weight_row(file, "blk.0.attn_qkv.bias", 0), expected, sizeof expected);
    model_file_close(file);
}
END_TEST

START_TEST(experts_are_stacked)
{
    ModelFile *file = open_named(
        "mixtral",
        "{" TENSOR("model.layers.0.block_sparse_moe.experts.1.w1.weight", "[2,1]", 0, 8) "," TENSOR(
            "model.layers.0.block_sparse_moe.experts.0.w1.weight", "[2,1]", 8, 16) "}",
        16);
    FileWeight weight;
    expect_rows(file, "blk.0.ffn_gate_exps.weight", (float[]){2, 3, 0, 1}, 4);
    ck_assert(model_file_weight(file, "blk.0.ffn_gate_exps.weight", &arena, &weight));
    ck_assert(weight.rank == 3 && weight.shape[0] == 2 && weight.shape[1] == 2 &&
              weight.shape[2] == 1);
    model_file_close(file);
}
END_TEST

// [2 experts, gate over up of 2 rows, 1 column].
START_TEST(stacked_experts_are_taken_apart)
{
    ModelFile *file =
        open_named("qwen3_moe",
                   "{" TENSOR("model.layers.0.mlp.experts.gate_up_proj", "[2,4,1]", 0, 32) "}", 32);
    expect_rows(file, "blk.0.ffn_gate_exps.weight", (float[]){0, 1, 4, 5}, 4);
    expect_rows(file, "blk.0.ffn_up_exps.weight", (float[]){2, 3, 6, 7}, 4);
    model_file_close(file);
}
END_TEST

START_TEST(tied_heads_are_known_by_either_name)
{
    FileWeight weight;
    static const char *const headers[] = {
        "{" TENSOR("lm_head.weight", "[2,1]", 0, 8) "}",
        "{" TENSOR("model.embed_tokens.weight", "[2,1]", 0, 8) "}",
        "{" TENSOR("model.embed_tokens.weight", "[2,1]", 0, 8) "," TENSOR("lm_head.weight", "[2,1]",
                                                                          8, 16) "}",
    };
    for (int i = 0; i < 3; i++) {
        ModelFile *file = open_named("llama", headers[i], i == 2 ? 16 : 8);
        expect_rows(file, "token_embd.weight", (float[]){0, 1}, 2);
        ck_assert(!model_file_weight(file, "output.weight", &arena, &weight));
        model_file_close(file);
    }
    write_model("{\"model_type\": \"llama\"}", headers[2], 16);
    ModelFile *file = open_in_folder("");
    expect_rows(file, "output.weight", (float[]){2, 3}, 2);
    model_file_close(file);
}
END_TEST

static const struct {
    const char *type, *header, *message;
} bad_names[] = {
    {"llama",
     "{" TENSOR("lm_head.weight", "[1]", 0, 4) "," TENSOR("model.lm_head.weight", "[1]", 4, 8) "}",
     "another tensor is the same weight"},
    {"mixtral",
     "{" TENSOR("layers.0.mlp.experts.0.up_proj.weight", "[1,1]", 0,
                4) "," TENSOR("layers.0.mlp.experts.2.up_proj.weight", "[1,1]", 4, 8) "}",
     "the expert before it is missing, or stands twice"},
    {"mixtral",
     "{" TENSOR("layers.0.mlp.experts.0.up_proj.weight", "[1,1]", 0, 4) "," TENSOR(
         "layers.0.mlp.experts.1.up_proj.weight", "[0,1]", 4, 4) "," TENSOR("x", "[1]", 4, 8) "}",
     "an expert's weight must be a matrix"},
    {"mixtral",
     "{" TENSOR("layers.0.mlp.experts.0.up_proj.weight", "[1,1]", 0, 4) "," TENSOR(
         "layers.0.mlp.experts.1.up_proj.weight", "[2,0]", 4, 4) "," TENSOR("x", "[1]", 4, 8) "}",
     "its type or shape is not that of the first expert"},
    {"mixtral", "{" TENSOR("layers.0.mlp.experts.gate_up_proj", "[1,1,2]", 0, 8) "}",
     "[experts, 2 x rows, columns] was expected"},
    {"gpt_neox", "{" TENSOR("layers.0.attention.query_key_value.weight", "[2,1]", 0, 8) "}",
     "its rows are not q, k and v of num_attention_heads heads"},
};

START_TEST(bad_names_are_refused)
{
    write_model(arena_format(&arena, "{\"model_type\": \"%s\", \"num_attention_heads\": 2}",
                             bad_names[_i].type),
                bad_names[_i].header, 8);
    diag = (Diag){0};
    ck_assert_ptr_null(model_file_open(folder, &arena, &diag));
    ck_assert_msg(strstr(diag.message, bad_names[_i].message), "expected \"%s\" in \"%s\"",
                  bad_names[_i].message, diag.message);
}
END_TEST

int main(void)
{
    TCase *cases = folder_cases("safetensors");
    LOOP(cases, bad_headers_are_refused, bad_headers);
    tcase_add_test(cases, a_header_longer_than_the_file_is_refused);
    tcase_add_test(cases, padding_and_notes_are_read);
    tcase_add_test(cases, types_that_cannot_be_used_are_kept);
    tcase_add_test(cases, samples_of_others_are_read);
    tcase_add_test(cases, shards_are_one_model);
    LOOP(cases, bad_indexes_are_refused, bad_indexes);
    tcase_add_test(cases, a_tensor_in_two_shards_is_refused);
    tcase_add_test(cases, config_has_the_names_of_gguf);
    tcase_add_test(cases, rope_parameters_are_read);
    LOOP(cases, bad_configs_are_refused, bad_configs);
    tcase_add_test(cases, settings_are_read);
    tcase_add_test(cases, names_become_those_of_gguf);
    tcase_add_test(cases, norms_of_gemma_have_their_one);
    tcase_add_test(cases, columns_of_gpt2_become_rows);
    tcase_add_test(cases, heads_of_gpt_neox_stand_together);
    tcase_add_test(cases, experts_are_stacked);
    tcase_add_test(cases, stacked_experts_are_taken_apart);
    tcase_add_test(cases, tied_heads_are_known_by_either_name);
    LOOP(cases, bad_names_are_refused, bad_names);
    return run_cases("safetensors", cases);
}
