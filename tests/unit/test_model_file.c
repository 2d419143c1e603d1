// Model files as their users see them: real files, other formats, shapes without weights, --info.
#include "tests/unit/gguf_writer.h"
#include "tests/unit/run_suite.h"

START_TEST(other_formats_are_refused_by_name)
{
    static const struct {
        const char *bytes;
        size_t length;
        const char *message;
    } formats[] = {
        {"PK\x03\x04rest", 8, "this is a zip archive"},
        {"tjgg\x03\0\0\0", 8, "this is an old GGML file"},
        {"version https://git-lfs", 23, "this is a Git LFS pointer"},
        {"anything else", 13, "not a model file we know (no magic \"GGUF\" at byte 0)"},
        {"GG", 2, "a file of 2 bytes is too short to be a model"},
        {"", 0, "the file is empty"},
    };
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        Text bytes = {0};
        diag = (Diag){0};
        put(&bytes, formats[i].bytes, formats[i].length);
        expect_refusal(&bytes, formats[i].message);
    }
}
END_TEST

START_TEST(paths_that_are_no_files_are_refused)
{
    expect_refused_path("/", "this folder holds neither config.json nor a tokenizer");
    expect_refused_path("/nonexistent/model.gguf", "cannot be opened: No such file");
    expect_refused_path("/dev/null", "not a regular file");
}
END_TEST

START_TEST(other_vocabularies_can_be_inspected)
{
    static const char *const models[] = {"bert", "plamo2", "rwkv"};
    for (int i = 0; i < 3; i++) {
        Text bytes = {0};
        put_header(&bytes, 3, 0, 1);
        put_key_text(&bytes, "tokenizer.ggml.model", models[i]);
        ModelFile *file = open_good(&bytes);
        ck_assert(!file->has_vocabulary);
        expect_info(file, arena_format(&arena, "vocabulary: of kind \"%s\", which is not supported",
                                       models[i]));
        model_file_close(file);
    }
}
END_TEST

START_TEST(info_cuts_long_text_between_characters)
{
    Text bytes = {0}, text = {0};
    for (int i = 0; i < 100; i++)
        text_print(&text, "%s", i == 0 ? "x" : "\xc3\xa9");
    put_header(&bytes, 3, 0, 1);
    put_key_text(&bytes, "k", text.bytes);
    text_free(&text);
    ModelFile *file = open_good(&bytes);
    expect_info(file, "\xc3\xa9\"... (199 bytes)\n");
    model_file_close(file);
}
END_TEST

START_TEST(valid_small_file_is_read)
{
    const char *path = data_path("valid_small_file_is_read", "malformed/gguf/valid-small.gguf");
    if (!path)
        return;
    ModelFile *file = open_data(path);
    ck_assert_int_eq(file->vocabulary.kind, VOCABULARY_MERGES);
    ck_assert_int_eq(file->vocabulary.count, 287);
    ck_assert_int_eq(file->vocabulary.merge_count, 31);
    ck_assert_int_eq(file->vocabulary.merges[0].left, piece(file, "t"));
    ck_assert_int_eq(file->vocabulary.merges[0].right, piece(file, "o"));
    model_file_close(file);
}
END_TEST

START_TEST(empty_file_is_read)
{
    const char *path = data_path("empty_file_is_read", "malformed/gguf/v3-empty.bin");
    if (!path)
        return;
    ModelFile *file = open_data(path);
    ck_assert_int_eq(file->metadata_count + file->tensor_count, 0);
    ck_assert_str_eq(file->architecture, "");
    ck_assert_str_eq(file->name, "v3-empty.bin");
    expect_info(file, "vocabulary: none\n");
    model_file_close(file);
}
END_TEST

static void expect_tensor(const ModelFile *file, const char *name, DType dtype, int64_t rows,
                          int64_t columns)
{
    const FileTensor *tensor = model_file_tensor(file, name);
    ck_assert_ptr_nonnull(tensor);
    ck_assert_int_eq(tensor->dtype, dtype);
    ck_assert_int_eq(tensor->rank, rows ? 2 : 1);
    ck_assert_int_eq(tensor->shape[0], rows ? rows : columns);
    if (rows)
        ck_assert_int_eq(tensor->shape[1], columns);
    ck_assert_uint_eq(tensor->bytes,
                      (uint64_t)((rows ? rows : 1) * dtype_row_bytes(dtype, columns)));
    ck_assert_uint_le(tensor->file_offset + tensor->bytes, file->parts.items[0].bytes);
}

START_TEST(stories_file_is_read)
{
    const char *path =
        data_path("stories_file_is_read", "weights/TinyStories-656K/TinyStories-656K-Q8_0.gguf");
    if (!path)
        return;
    ModelFile *file = open_data(path);
    ck_assert_str_eq(file->architecture, "llama");
    ck_assert_str_eq(file->name, "Raincandy U TinyStories 656K");
    ck_assert_int_eq(file->tensor_count, 20);
    ck_assert_uint_eq(natural(file, "llama.feed_forward_length"), 384);
    expect_tensor(file, "token_embd.weight", DTYPE_q8_0, 2048, 128);
    expect_tensor(file, "blk.0.attn_k.weight", DTYPE_q8_0, 64, 128);
    expect_tensor(file, "blk.1.ffn_down.weight", DTYPE_q8_0, 128, 384);
    expect_tensor(file, "output_norm.weight", DTYPE_f32, 0, 128);
    ck_assert_uint_eq(model_file_tensor(file, "blk.1.ffn_up.weight")->file_offset, 697504);
    expect_info(file, "20 tensors, 656000 parameters in 698880 bytes, file of 749728 bytes\n");
    expect_info(file, "blk.1.ffn_down.weight     q8_0    (128, 384) ");
    expect_info(file, "output_norm.weight        f32     (128,) ");
    model_file_close(file);
}
END_TEST

START_TEST(stories_f16_file_is_read)
{
    const char *path =
        data_path("stories_f16_file_is_read", "weights/TinyStories-656K/TinyStories-656K.f16.gguf");
    if (!path)
        return;
    ModelFile *file = open_data(path);
    expect_tensor(file, "token_embd.weight", DTYPE_f16, 2048, 128);
    expect_tensor(file, "blk.0.attn_norm.weight", DTYPE_f32, 0, 128);
    ck_assert_int_eq(file->vocabulary.padding, 0);
    ck_assert_float_eq(file->vocabulary.scores[7], -1000.0f);
    model_file_close(file);
}
END_TEST

START_TEST(shapes_answer_like_files)
{
    ModelFile *file = open_data("shape:qwen2-0.5b");
    ck_assert_str_eq(file->path, "shape:qwen2-0.5b");
    ck_assert_str_eq(file->architecture, "qwen2");
    ck_assert_uint_eq(natural(file, "qwen2.block_count"), 24);
    ck_assert_uint_eq(natural(file, "qwen2.embedding_length"), 896);
    ck_assert_uint_eq(natural(file, "qwen2.attention.head_count_kv"), 2);
    ck_assert_double_eq(model_file_meta(file, "qwen2.rope.freq_base")->real, 1e6);
    ck_assert(file->weightless && file->weightless_tied && !file->has_vocabulary);
    ck_assert_int_eq(file->weightless_type, DTYPE_f16);
    ck_assert_ptr_null(model_file_tensor(file, "token_embd.weight"));
    expect_info(file, "a shape without weights (f16, tied)\n");
    model_file_close(file);
}
END_TEST

START_TEST(shapes_take_type_and_layers)
{
    ModelFile *file = open_data("shape:tinyllama-1.1b,type=q8_0,layers=3");
    ck_assert_int_eq(file->weightless_type, DTYPE_q8_0);
    ck_assert_uint_eq(natural(file, "llama.block_count"), 3);
    ck_assert(!file->weightless_tied);
    model_file_close(file);
}
END_TEST

START_TEST(shapes_take_dimensions)
{
    ModelFile *file = open_data(
        "shape:llama,type=q4_k,embd=512,ff=1024,heads=8,kv_heads=4,vocab=900,ctx=64,layers=5");
    ck_assert_uint_eq(natural(file, "llama.embedding_length"), 512);
    ck_assert_uint_eq(natural(file, "llama.feed_forward_length"), 1024);
    ck_assert_uint_eq(natural(file, "llama.attention.head_count"), 8);
    ck_assert_uint_eq(natural(file, "llama.attention.head_count_kv"), 4);
    ck_assert_uint_eq(natural(file, "llama.vocab_size"), 900);
    ck_assert_uint_eq(natural(file, "llama.context_length"), 64);
    ck_assert_uint_eq(natural(file, "llama.block_count"), 5);
    model_file_close(file);
}
END_TEST

START_TEST(bad_shapes_are_refused)
{
    expect_refused_path("shape:none",
                        "known are tinyllama-1.1b, qwen2-0.5b, stories15m, llama-2-7b");
    expect_refused_path("shape:", "no shape is called \"\"");
    expect_refused_path("shape:tinyllama", "no shape is called \"tinyllama\"");
    expect_refused_path("shape:stories15m,type=q9", "\"q9\" is not a weight type");
    expect_refused_path("shape:stories15m,type=i32", "\"i32\" is not a weight type");
    expect_refused_path("shape:qwen2-0.5b,type=q6_k", "do not fit q6_k, whose blocks hold 256");
    expect_refused_path("shape:stories15m,layers=-1",
                        "layers=-1: expected a number from 1 to 1024");
    expect_refused_path("shape:stories15m,layers=2x", "layers=2x: expected a number");
    expect_refused_path("shape:stories15m,head=2", "\"head=2\" is not an option of a shape");
    expect_refused_path("shape:stories15m,heads=5", "5 heads over 6 kv heads do not share 288");
}
END_TEST

int main(void)
{
    TCase *cases = new_cases("model_file");
    tcase_add_test(cases, other_formats_are_refused_by_name);
    tcase_add_test(cases, paths_that_are_no_files_are_refused);
    tcase_add_test(cases, other_vocabularies_can_be_inspected);
    tcase_add_test(cases, info_cuts_long_text_between_characters);
    tcase_add_test(cases, valid_small_file_is_read);
    tcase_add_test(cases, empty_file_is_read);
    tcase_add_test(cases, stories_file_is_read);
    tcase_add_test(cases, stories_f16_file_is_read);
    tcase_add_test(cases, shapes_answer_like_files);
    tcase_add_test(cases, shapes_take_type_and_layers);
    tcase_add_test(cases, shapes_take_dimensions);
    tcase_add_test(cases, bad_shapes_are_refused);
    return run_cases("model_file", cases);
}
