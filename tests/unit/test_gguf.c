// Reading GGUF: every value type, the layout of tensors, and how hostile files are refused.
//
// Bad files are made here byte by byte, so that each differs from a good one in one fact.
#include "tests/unit/gguf_writer.h"
#include "tests/unit/run_suite.h"

START_TEST(every_scalar_type_is_read)
{
    Text bytes = {0};
    put_header(&bytes, 3, 0, 12);
    put_key(&bytes, "u8", U8), put_u8(&bytes, 200);
    put_key(&bytes, "i8", I8), put_u8(&bytes, 0xfe);
    put_key(&bytes, "u16", U16), put(&bytes, &(uint16_t){60000}, 2);
    put_key(&bytes, "i16", I16), put(&bytes, &(int16_t){-30000}, 2);
    put_key(&bytes, "u32", U32), put_u32(&bytes, 4000000000u);
    put_key(&bytes, "i32", I32), put(&bytes, &(int32_t){-2000000000}, 4);
    put_key(&bytes, "f32", F32), put_f32(&bytes, 0.25f);
    put_key(&bytes, "bool", BOOL), put_u8(&bytes, 1);
    put_key(&bytes, "string", STRING), put_string(&bytes, "text");
    put_key(&bytes, "u64", U64), put_u64(&bytes, UINT64_MAX);
    put_key(&bytes, "i64", I64), put(&bytes, &(int64_t){INT64_MIN}, 8);
    put_key(&bytes, "f64", F64), put(&bytes, &(double){1e300}, 8);
    ModelFile *file = open_good(&bytes);
    ck_assert_uint_eq(natural(file, "u8"), 200);
    ck_assert_int_eq(model_file_meta(file, "i8")->integer, -2);
    ck_assert_uint_eq(natural(file, "u16"), 60000);
    ck_assert_int_eq(model_file_meta(file, "i16")->integer, -30000);
    ck_assert_uint_eq(natural(file, "u32"), 4000000000u);
    ck_assert_int_eq(model_file_meta(file, "i32")->integer, -2000000000);
    ck_assert_double_eq(model_file_meta(file, "f32")->real, 0.25);
    ck_assert(model_file_meta(file, "bool")->boolean);
    ck_assert_int_eq(model_file_meta(file, "string")->text.length, 4);
    ck_assert_mem_eq(model_file_meta(file, "string")->text.bytes, "text", 4);
    ck_assert_uint_eq(natural(file, "u64"), UINT64_MAX);
    ck_assert_int_eq(model_file_meta(file, "i64")->integer, INT64_MIN);
    ck_assert_double_eq(model_file_meta(file, "f64")->real, 1e300);
    for (int64_t i = 0; i < file->metadata_count; i++)
        ck_assert_str_eq(file->metadata[i].key, file->metadata[i].value.type_name);
    ck_assert_ptr_null(model_file_meta(file, "absent"));
    model_file_close(file);
}
END_TEST

START_TEST(arrays_nest)
{
    Text bytes = {0};
    put_header(&bytes, 3, 0, 1);
    put_key(&bytes, "a", ARRAY), put_array(&bytes, ARRAY, 2);
    put_array(&bytes, I8, 3), put(&bytes, "\x01\xff\x03", 3);
    put_array(&bytes, STRING, 1), put_string(&bytes, "x");
    ModelFile *file = open_good(&bytes);
    const MetaValue *outer = model_file_meta(file, "a");
    ck_assert_int_eq(outer->kind, META_ARRAY);
    ck_assert_int_eq(outer->array.count, 2);
    ck_assert_int_eq(outer->array.items[0].array.count, 3);
    ck_assert_int_eq(outer->array.items[0].array.items[1].integer, -1);
    ck_assert_mem_eq(outer->array.items[1].array.items[0].text.bytes, "x", 1);
    expect_info(file, "a: array[2] of array [[1, -1, 3], [\"x\"]]\n");
    model_file_close(file);
}
END_TEST

START_TEST(deep_arrays_are_refused)
{
    Text bytes = {0};
    put_header(&bytes, 3, 0, 1);
    put_key(&bytes, "deep", ARRAY);
    for (int i = 0; i < 100000; i++)
        put_array(&bytes, ARRAY, 1);
    expect_refusal(&bytes, "key \"deep\": arrays are nested deeper than 4 (at byte 88)");
}
END_TEST

START_TEST(arrays_larger_than_the_file_are_refused)
{
    Text bytes = {0};
    put_header(&bytes, 3, 0, 1);
    put_key(&bytes, "a", ARRAY), put_array(&bytes, F64, UINT64_MAX / 8 + 2);
    put_u64(&bytes, 0), put_u64(&bytes, 0);
    expect_refusal(&bytes, "an array of 2305843009213693953 f64 does not fit in this file of 65");
}
END_TEST

START_TEST(array_elements_of_a_file_are_limited)
{
    enum { COUNT = 1 << 24 };
    Text bytes = {0};
    put_header(&bytes, 3, 0, 1);
    put_key(&bytes, "a", ARRAY), put_array(&bytes, U8, COUNT + 1);
    char *zeros = arena_alloc(&arena, COUNT + 1);
    put(&bytes, zeros, COUNT + 1);
    expect_refusal(&bytes, "key \"a\": more than 16777216 array elements");
}
END_TEST

START_TEST(values_out_of_their_type_are_refused)
{
    Text bytes = {0};
    put_header(&bytes, 3, 0, 1);
    put_key(&bytes, "flag", BOOL), put_u8(&bytes, 2);
    expect_refusal(&bytes, "key \"flag\": a bool must be 0 or 1, not 2 (at byte 40)");
}
END_TEST

START_TEST(unknown_value_types_are_refused)
{
    Text bytes = {0};
    put_header(&bytes, 3, 0, 1);
    put_key(&bytes, "k", 13), put_u64(&bytes, 0);
    expect_refusal(&bytes,
                   "key \"k\": value type 13 is unknown (0 to 12 are defined) (at byte 33)");
}
END_TEST

START_TEST(version_2_is_read)
{
    Text bytes = {0};
    put_header(&bytes, 2, 0, 1);
    put_key_text(&bytes, "general.architecture", "qwen2");
    ModelFile *file = open_good(&bytes);
    ck_assert_str_eq(file->architecture, "qwen2");
    model_file_close(file);
}
END_TEST

static const struct {
    uint32_t version;
    const char *message;
} bad_versions[] = {
    {0, "GGUF version 0 is not supported, only 2 and 3"},
    {1, "GGUF version 1 is not supported, only 2 and 3"},
    {4, "GGUF version 4 is not supported, only 2 and 3"},
    {0x02000000, "big-endian GGUF files are not supported"},
    {0x03000000, "big-endian GGUF files are not supported"},
};

START_TEST(other_versions_are_refused)
{
    Text bytes = {0};
    put_header(&bytes, bad_versions[_i].version, 0, 0);
    expect_refusal(&bytes, bad_versions[_i].message);
}
END_TEST

static const struct {
    const char *key, *message;
} bad_keys[] = {
    {"", "key 2 of 2: the name of 0 bytes; it must have 1 to 65535 (at byte 41)"},
    {"a", "key \"a\": stands in the file twice (at byte 41)"},
    {"x\ny", "key 2 of 2: the name holds the control byte 0x0a (at byte 50)"},
};

START_TEST(bad_keys_are_refused)
{
    Text bytes = {0};
    put_header(&bytes, 3, 0, 2);
    put_key_u32(&bytes, "a", 1);
    put_key_u32(&bytes, bad_keys[_i].key, 2);
    expect_refusal(&bytes, bad_keys[_i].message);
}
END_TEST

START_TEST(alignment_places_the_data)
{
    Text bytes = {0};
    put_header(&bytes, 3, 2, 1);
    put_key_u32(&bytes, "general.alignment", 64);
    put_tensor(&bytes, "a", 0, 2, 3, 0);
    put_tensor(&bytes, "b", 1, 4, 1, 64);
    put_padding(&bytes, 64);
    uint64_t data = bytes.length;
    for (int i = 0; i < 6; i++)
        put_f32(&bytes, (float)i);
    put_padding(&bytes, 64);
    put(&bytes, "\x00\x3c\x00\x3c\x00\x3c\x00\x3c", 8);
    ModelFile *file = open_good(&bytes);
    const FileTensor *a = model_file_tensor(file, "a"), *b = model_file_tensor(file, "b");
    ck_assert_int_eq(a->rank, 2);
    ck_assert_int_eq(a->shape[0], 3);
    ck_assert_int_eq(a->shape[1], 2);
    ck_assert_int_eq(a->dtype, DTYPE_f32);
    ck_assert_uint_eq(a->bytes, 24);
    ck_assert_uint_eq(a->file_offset, data);
    ck_assert_float_eq(((const float *)a->data)[5], 5.0f);
    ck_assert_int_eq(b->dtype, DTYPE_f16);
    ck_assert_uint_eq(b->file_offset, data + 64);
    ck_assert_ptr_eq(b->data, (const char *)file->parts.items[0].mapping + data + 64);
    ck_assert_ptr_null(model_file_tensor(file, "c"));
    model_file_close(file);
}
END_TEST

static const uint32_t bad_alignments[] = {0, 4, 24, 48, 33, UINT32_MAX};

START_TEST(bad_alignments_are_refused)
{
    Text bytes = {0};
    put_header(&bytes, 3, 0, 1);
    put_key_u32(&bytes, "general.alignment", bad_alignments[_i]);
    expect_refusal(&bytes, "must be a power of two and a multiple of 8 (at byte 24)");
}
END_TEST

static const struct {
    uint32_t type;
    uint64_t columns, rows, offset;
    const char *message;
} bad_tensors[] = {
    {0, 8, 1, 8, "tensor \"t\": offset 8 is not a multiple of the alignment 32"},
    {0, 8, 5, 0, "data of 160 bytes at offset 0 ends past the file of 224 bytes"},
    {0, 8, 1, 128, "data of 32 bytes at offset 128 ends past the file of 224 bytes"},
    {0, 8, 1, UINT64_MAX - 31, "data of 32 bytes at offset 18446744073709551584 ends past"},
    {77, 8, 1, 160, "data of 0 bytes at offset 160 ends past"},
    {0, 0, 1, 0, "tensor \"t\": dimension 0 is 0"},
    {8, 33, 1, 0, "rows of 33 elements are not whole blocks of q8_0 (32)"},
    {14, 128, 2, 0, "rows of 128 elements are not whole blocks of q6_k (256)"},
    {0, 1ull << 32, 1ull << 32, 0, "4294967296 x 4294967296 elements do not fit in this file"},
    {0, 1ull << 62, 1, 0, "4611686018427387904 x 1 elements do not fit in this file"},
    {77, 1ull << 63, 1, 0, "9223372036854775808 x 1 elements do not fit in this file"},
    {0, 57, 1, 0, "57 x 1 elements do not fit in this file of 224 bytes"},
};

START_TEST(bad_tensors_are_refused)
{
    Text bytes = {0};
    put_header(&bytes, 3, 1, 0);
    put_tensor(&bytes, "t", bad_tensors[_i].type, bad_tensors[_i].columns, bad_tensors[_i].rows,
               bad_tensors[_i].offset);
    put_padding(&bytes, 32);
    while (bytes.length < 224)
        put_u8(&bytes, 0);
    expect_refusal(&bytes, bad_tensors[_i].message);
}
END_TEST

START_TEST(rank_5_is_refused)
{
    Text bytes = {0};
    put_header(&bytes, 3, 1, 0);
    put_string(&bytes, "t"), put_u32(&bytes, 5);
    expect_refusal(&bytes, "tensor \"t\": 5 dimensions; at most 4 are allowed (at byte 33)");
}
END_TEST

START_TEST(duplicate_tensors_are_refused)
{
    Text bytes = {0};
    put_header(&bytes, 3, 2, 0);
    put_tensor(&bytes, "t", 0, 1, 1, 0);
    put_tensor(&bytes, "t", 0, 1, 1, 32);
    expect_refusal(&bytes, "tensor \"t\": stands in the file twice (at byte 65)");
}
END_TEST

START_TEST(unknown_tensor_types_are_kept)
{
    Text bytes = {0};
    put_header(&bytes, 3, 1, 0);
    put_tensor(&bytes, "t", 33, 32, 2, 0);
    put_padding(&bytes, 32);
    ModelFile *file = open_good(&bytes);
    const FileTensor *tensor = model_file_tensor(file, "t");
    ck_assert_int_eq(tensor->dtype, DTYPE_COUNT);
    ck_assert_str_eq(tensor->type_name, "number 33");
    ck_assert_int_eq(tensor->shape[0], 2);
    ck_assert_ptr_null(tensor->data);
    expect_info(file, "1 tensors are of unknown types");
    model_file_close(file);
}
END_TEST

START_TEST(a_part_needs_its_name)
{
    Text bytes = {0};
    put_header(&bytes, 3, 0, 1);
    put_key(&bytes, "split.count", U16), put(&bytes, &(uint16_t){2}, 2);
    expect_refusal(&bytes, "the first part of 2 must be called NAME-00001-of-00002.gguf");
}
END_TEST

START_TEST(a_split_of_one_is_read)
{
    Text bytes = {0};
    put_header(&bytes, 3, 0, 1);
    put_key(&bytes, "split.count", U16), put(&bytes, &(uint16_t){1}, 2);
    model_file_close(open_good(&bytes));
}
END_TEST

START_TEST(architecture_must_be_text)
{
    Text bytes = {0};
    put_header(&bytes, 3, 0, 1);
    put_key_u32(&bytes, "general.architecture", 1);
    expect_refusal(&bytes, "key \"general.architecture\": must be a string, not u32");
}
END_TEST

START_TEST(many_names_are_found)
{
    enum { COUNT = 5000 };
    Text bytes = {0};
    put_header(&bytes, 3, 0, COUNT);
    for (uint32_t i = 0; i < COUNT; i++)
        put_key_u32(&bytes, arena_format(&arena, "key.%" PRIu32, i), i);
    ModelFile *file = open_good(&bytes);
    for (uint32_t i = 0; i < COUNT; i++)
        ck_assert_uint_eq(natural(file, arena_format(&arena, "key.%" PRIu32, i)), i);
    model_file_close(file);
}
END_TEST

START_TEST(malformed_files_are_refused)
{
    static const struct {
        const char *name, *message;
    } files[] = {
        {"bad-version.bin", "GGUF version 1 is not supported"},
        {"huge-counts.bin", "18446744073709551615 tensors do not fit in this file of 24 bytes"},
        {"kv-huge-strlen.bin", "key 1 of 1: the name of 281474976710655 bytes does not fit"},
        {"tensor-huge-dims.bin", "tensor \"t\": 281474976710655 x 281474976710655 x"},
        {"trunc-magic.bin", "a file of 3 bytes is too short"},
    };
    const char *folder = data_path("malformed_files_are_refused", "malformed/gguf");
    for (size_t i = 0; folder && i < sizeof files / sizeof *files; i++)
        expect_refused_path(arena_format(&arena, "%s/%s", folder, files[i].name), files[i].message);
}
END_TEST

START_TEST(every_truncation_is_survived)
{
    const char *path = data_path("every_truncation_is_survived", "malformed/gguf/valid-small.gguf");
    if (!path)
        return;
    ModelFile *whole = open_data(path);
    for (uint64_t length = 0; length < whole->parts.items[0].bytes; length++) {
        Text bytes = {0};
        diag = (Diag){0};
        put(&bytes, whole->parts.items[0].mapping, length);
        // Only the padding before the data, of which there is none, may be missing.
        ModelFile *file = open_bytes(&bytes);
        ck_assert(!file || length > whole->parts.items[0].bytes - 32);
        model_file_close(file);
    }
    model_file_close(whole);
}
END_TEST

int main(void)
{
    TCase *cases = new_cases("gguf");
    tcase_set_timeout(cases, 60); // sanitised, every_truncation_is_survived opens 4864 files
    tcase_add_test(cases, every_scalar_type_is_read);
    tcase_add_test(cases, arrays_nest);
    tcase_add_test(cases, deep_arrays_are_refused);
    tcase_add_test(cases, arrays_larger_than_the_file_are_refused);
    tcase_add_test(cases, array_elements_of_a_file_are_limited);
    tcase_add_test(cases, values_out_of_their_type_are_refused);
    tcase_add_test(cases, unknown_value_types_are_refused);
    tcase_add_test(cases, version_2_is_read);
    LOOP(cases, other_versions_are_refused, bad_versions);
    LOOP(cases, bad_keys_are_refused, bad_keys);
    tcase_add_test(cases, alignment_places_the_data);
    LOOP(cases, bad_alignments_are_refused, bad_alignments);
    LOOP(cases, bad_tensors_are_refused, bad_tensors);
    tcase_add_test(cases, rank_5_is_refused);
    tcase_add_test(cases, duplicate_tensors_are_refused);
    tcase_add_test(cases, unknown_tensor_types_are_kept);
    tcase_add_test(cases, a_part_needs_its_name);
    tcase_add_test(cases, a_split_of_one_is_read);
    tcase_add_test(cases, architecture_must_be_text);
    tcase_add_test(cases, many_names_are_found);
    tcase_add_test(cases, malformed_files_are_refused);
    tcase_add_test(cases, every_truncation_is_survived);
    return run_cases("gguf", cases);
}
