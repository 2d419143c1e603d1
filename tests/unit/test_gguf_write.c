// Writing GGUF: what is written reads back as it was; a folder becomes what llama.cpp's converter
// makes of it; what has no form there is refused.
#include "frontends/gguf/gguf_export.h"
#include "tests/unit/model_folder.h"
#include "tests/unit/run_suite.h"

// The header of the model's GGUF file, with zeros where data will stand, opened again.
static ModelFile *written(const ModelFile *model, const GgufMix *mix, GgufContents *contents)
{
    Text bytes = {0};
    ck_assert_msg(gguf_export(model, mix, false, &arena, contents, &diag) &&
                      gguf_print_header(contents, "x", &bytes, &diag),
                  "%s", diag.message);
    ck_assert_uint_eq(bytes.length % GGUF_ALIGNMENT, 0);
    for (int32_t i = 0; i < contents->tensors.count; i++) {
        const GgufTensor *tensor = &contents->tensors.items[i];
        ck_assert_uint_eq(tensor->offset % GGUF_ALIGNMENT, 0);
        while (bytes.length < tensor->offset + tensor->bytes)
            put_u8(&bytes, 0);
    }
    return open_good(&bytes);
}

static void put_every_type(Text *bytes)
{
    put_key(bytes, "u8", U8), put_u8(bytes, 200);
    put_key(bytes, "i8", I8), put_u8(bytes, 0xfe);
    put_key(bytes, "u16", U16), put(bytes, &(uint16_t){60000}, 2);
    put_key(bytes, "i16", I16), put(bytes, &(int16_t){-30000}, 2);
    put_key(bytes, "u32", U32), put_u32(bytes, 4000000000u);
    put_key(bytes, "i32", I32), put(bytes, &(int32_t){-2000000000}, 4);
    put_key(bytes, "f32", F32), put_f32(bytes, 0.1f);
    put_key(bytes, "bool", BOOL), put_u8(bytes, 1);
    put_key(bytes, "string", STRING), put_string(bytes, "text");
    put_key(bytes, "u64", U64), put_u64(bytes, UINT64_MAX);
    put_key(bytes, "i64", I64), put(bytes, &(int64_t){INT64_MIN}, 8);
    put_key(bytes, "f64", F64), put(bytes, &(double){0.1}, 8);
    put_key(bytes, "array", ARRAY), put_array(bytes, ARRAY, 2);
    put_array(bytes, I8, 3), put(bytes, "\x01\xff\x03", 3);
    put_array(bytes, STRING, 0);
}

// One tensor of 33 vectors of three columns, so that data would end at no multiple of 32.
static void put_file(Text *bytes)
{
    put_header(bytes, 3, 2, 16);
    put_every_type(bytes);
    put_key_u32(bytes, "general.alignment", 64);
    put_key_u32(bytes, "split.count", 1);
    put_key_u32(bytes, "general.file_type", 17);
    put_tensor(bytes, "odd.weight", 0, 3, 33, 0);
    put_tensor(bytes, "blocks.weight", 8, 32, 2, 448);
    put_padding(bytes, 64);
    for (int i = 0; i < 448 + 2 * 34; i++)
        put_u8(bytes, 0);
}

START_TEST(values_of_every_type_are_copied)
{
    Text bytes = {0};
    GgufContents contents;
    put_file(&bytes);
    ModelFile *model = open_good(&bytes), *copy = written(model, NULL, &contents);
    for (int i = 0; i < 13; i++) {
        const MetaValue *a = &model->metadata[i].value, *b = &copy->metadata[i].value;
        ck_assert_str_eq(model->metadata[i].key, copy->metadata[i].key);
        ck_assert_str_eq(a->type_name, b->type_name);
        if (a->kind == META_TEXT)
            ck_assert_mem_eq(a->text.bytes, b->text.bytes, 4);
        else if (a->kind != META_ARRAY)
            ck_assert_uint_eq(a->natural, b->natural);
    }
    expect_info(copy, "array: array[2] of array [[1, -1, 3], []]\n");
    ck_assert_str_eq(model_file_meta(copy, "array")->array.items[1].array.item_type, "string");
    // Keys of the file that was read do not follow.
    ck_assert_ptr_null(model_file_meta(copy, "general.alignment"));
    ck_assert_ptr_null(model_file_meta(copy, "split.count"));
    ck_assert_uint_eq(natural(copy, "general.file_type"), 17);
    ck_assert_uint_eq(natural(copy, "general.quantization_version"), 2);
    ck_assert_int_eq(model_file_tensor(copy, "odd.weight")->shape[0], 33);
    ck_assert_int_eq(model_file_tensor(copy, "blocks.weight")->dtype, DTYPE_q8_0);
    model_file_close(model);
    model_file_close(copy);
}
END_TEST

START_TEST(matrices_become_the_type_that_holds_their_rows)
{
    Text bytes = {0};
    GgufContents contents;
    put_file(&bytes);
    ModelFile *model = open_good(&bytes), *copy = written(model, gguf_mix_find("q8_0"), &contents);
    ck_assert_int_eq(model_file_tensor(copy, "odd.weight")->dtype, DTYPE_f16);
    ck_assert_int_eq(model_file_tensor(copy, "blocks.weight")->dtype, DTYPE_q8_0);
    ck_assert_uint_eq(natural(copy, "general.file_type"), 7);
    model_file_close(model);
    model_file_close(copy);
}
END_TEST

// A llama of one layer with four heads of size 4 for q and two for k, all that a test looks at.
#define CONFIG(more)                                                                               \
    "{\"model_type\": \"llama\", \"num_hidden_layers\": 1, \"hidden_size\": 2,"                    \
    "\"num_attention_heads\": 2, \"num_key_value_heads\": 1, \"head_dim\": 4,"                     \
    "\"max_position_embeddings\": 64, \"rms_norm_eps\": 1e-5, \"vocab_size\": 3" more "}"

static const char header[] =
    "{\"model.embed_tokens.weight\":{\"dtype\":\"F32\",\"shape\":[3,2],\"data_offsets\":[0,24]},"
    "\"model.layers.0.self_attn.q_proj.weight\":"
    "{\"dtype\":\"F32\",\"shape\":[8,2],\"data_offsets\":[24,88]},"
    "\"model.layers.0.self_attn.k_proj.bias\":"
    "{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[88,104]},"
    "\"%s\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[104,108]}}";

static ModelFile *open_model(const char *config, const char *last)
{
    write_text("config.json", config);
    write_safetensors("model.safetensors", arena_format(&arena, header, last), 108);
    return open_in_folder("");
}

static float element(const ModelFile *model, const GgufContents *contents, const char *name,
                     int64_t row, int64_t column)
{
    for (int32_t i = 0; i < contents->tensors.count; i++) {
        const GgufTensor *tensor = &contents->tensors.items[i];
        if (strcmp(tensor->name, name) != 0)
            continue;
        float *scratch = arena_alloc(&arena, (size_t)recipe_row_scratch(tensor->recipe->columns));
        rows_of = model;
        RecipeRow made = recipe_read_row(tensor->recipe, row, tensor_bytes, NULL, scratch);
        float value;
        memcpy(&value, (const char *)made.bytes + column * (int64_t)sizeof value, sizeof value);
        return value;
    }
    ck_abort_msg("no tensor %s", name);
}

START_TEST(a_folder_follows_the_conventions)
{
    GgufContents contents;
    ModelFile *model = open_model(CONFIG(), "model.norm.weight");
    ModelFile *copy = written(model, NULL, &contents);
    ck_assert_str_eq(copy->architecture, "llama");
    ck_assert_uint_eq(natural(copy, "llama.block_count"), 1);
    ck_assert_uint_eq(natural(copy, "llama.rope.dimension_count"), 4);
    ck_assert_uint_eq(natural(copy, "general.file_type"), 0);
    // Row i of a head of size 4 and row i + 2 become neighbours.
    static const int rows[] = {0, 2, 1, 3, 4, 6, 5, 7};
    for (int i = 0; i < 8; i++)
        ck_assert_float_eq(element(model, &contents, "blk.0.attn_q.weight", i, 0),
                           (float)(6 + 2 * rows[i]));
    for (int i = 0; i < 4; i++)
        ck_assert_float_eq(element(model, &contents, "blk.0.attn_k.bias", 0, i),
                           (float)(22 + rows[i]));
    ck_assert_int_eq(model_file_tensor(copy, "output_norm.weight")->dtype, DTYPE_f32);
    model_file_close(model);
    model_file_close(copy);
}
END_TEST

static const struct {
    const char *config, *last, *message;
} refusals[] = {
    {CONFIG(), "model.layers.0.what.weight", "\"model.layers.0.what.weight\": it has no name in"},
    {CONFIG(",\"rope_scaling\":{\"rope_type\":\"odd\"}"), "model.norm.weight",
     "rope scaling \"odd\" has no form in GGUF files"},
    {CONFIG(",\"rope_scaling\":{\"rope_type\":\"longrope\"}"), "model.norm.weight",
     "needs rope.scaling.long_factor"},
    {CONFIG(",\"sliding_window\":4,\"layer_types\":[\"chunked_attention\"]"), "model.norm.weight",
     "layer 0 is neither sliding_attention nor full_attention"},
};

START_TEST(what_has_no_form_is_refused)
{
    GgufContents contents;
    ModelFile *model = open_model(refusals[_i].config, refusals[_i].last);
    ck_assert(!gguf_export(model, NULL, false, &arena, &contents, &diag));
    ck_assert_msg(strstr(diag.message, refusals[_i].message), "%s", diag.message);
    model_file_close(model);
}
END_TEST

START_TEST(buffers_and_a_tied_head_are_left_out)
{
    GgufContents contents;
    ModelFile *model = open_model(CONFIG(), "model.layers.0.self_attn.rotary_emb.inv_freq");
    ck_assert_msg(gguf_export(model, NULL, false, &arena, &contents, &diag), "%s", diag.message);
    ck_assert_int_eq(contents.tensors.count, 3);
    model_file_close(model);
    model = open_model(CONFIG(",\"tie_word_embeddings\":true"), "lm_head.weight");
    ck_assert_msg(gguf_export(model, NULL, false, &arena, &contents, &diag), "%s", diag.message);
    ck_assert_int_eq(contents.tensors.count, 3);
    model_file_close(model);
}
END_TEST

START_TEST(names_that_are_too_long_are_refused)
{
    GgufTensor tensor = {.dtype = DTYPE_f32, .rank = 1, .shape = {1}};
    GgufContents contents = {0};
    Text bytes = {0};
    tensor.name = arena_format(&arena, "%065d", 0);
    vector_push(&arena, &contents.tensors, tensor);
    ck_assert(!gguf_print_header(&contents, "x", &bytes, &diag));
    ck_assert_ptr_nonnull(strstr(diag.message, "names of at most 64 bytes"));
    text_free(&bytes);
}
END_TEST

int main(void)
{
    TCase *cases = folder_cases("gguf_write");
    tcase_add_test(cases, values_of_every_type_are_copied);
    tcase_add_test(cases, matrices_become_the_type_that_holds_their_rows);
    tcase_add_test(cases, a_folder_follows_the_conventions);
    LOOP(cases, what_has_no_form_is_refused, refusals);
    tcase_add_test(cases, buffers_and_a_tied_head_are_left_out);
    tcase_add_test(cases, names_that_are_too_long_are_refused);
    return run_cases("gguf_write", cases);
}
