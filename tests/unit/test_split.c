// Split GGUF models: read whole from their first part, refused where a part is not what it must be.
#include "tests/unit/model_folder.h"
#include "tests/unit/run_suite.h"

typedef struct Part {
    const char *name, *tensor;
    uint16_t number, count;
    int32_t total;
} Part;

static void write_part(const Part *part)
{
    Text bytes = {0};
    put_header(&bytes, 3, 1, 3);
    put_key(&bytes, "split.no", U16), put(&bytes, &part->number, 2);
    put_key(&bytes, "split.count", U16), put(&bytes, &part->count, 2);
    put_key(&bytes, "split.tensors.count", I32), put(&bytes, &part->total, 4);
    put_tensor(&bytes, part->tensor, 0, 4, 1, 0);
    put_padding(&bytes, 32);
    for (int i = 0; i < 4; i++)
        put_f32(&bytes, (float)(10 * part->number + i));
    write_bytes(part->name, bytes.bytes, bytes.length);
    text_free(&bytes);
}

static const Part first = {"m-00001-of-00002.gguf", "a", 0, 2, 2};
static const Part second = {"m-00002-of-00002.gguf", "b", 1, 2, 2};

START_TEST(parts_are_one_model)
{
    write_part(&first);
    write_part(&second);
    ModelFile *file = open_in_folder(first.name);
    ck_assert_int_eq(file->parts.count, 2);
    ck_assert_int_eq(file->tensor_count, 2);
    expect_rows(file, "a", (float[]){0}, 1);
    expect_rows(file, "b", (float[]){10}, 1);
    ck_assert_int_eq(model_file_tensor(file, "b")->part, 1);
    model_file_close(file);
}
END_TEST

static const struct {
    Part first, second;
    const char *message;
} bad_parts[] = {
    {{"m-00001-of-00002.gguf", "a", 0, 2, 2}, {"x", "b", 1, 2, 2}, "cannot be opened"},
    {{"m.gguf", "a", 0, 2, 2}, {"x", "b", 1, 2, 2}, "must be called NAME-00001-of-00002.gguf"},
    {{"m-00001-of-00002.gguf", "a", 1, 2, 2}, {"x", "b", 1, 2, 2}, "this is part 2 of 2"},
    {{"m-00001-of-00002.gguf", "a", 0, 2, 2},
     {"m-00002-of-00002.gguf", "b", 0, 2, 2},
     "this must be part 2 of 2, but split.no is 0"},
    {{"m-00001-of-00002.gguf", "a", 0, 2, 2},
     {"m-00002-of-00002.gguf", "b", 1, 3, 2},
     "split.count is 3"},
    {{"m-00001-of-00002.gguf", "a", 0, 2, 2},
     {"m-00002-of-00002.gguf", "a", 1, 2, 2},
     "tensor \"a\" stands in another part too"},
    {{"m-00001-of-00002.gguf", "a", 0, 2, 3},
     {"m-00002-of-00002.gguf", "b", 1, 2, 3},
     "its parts hold 2 tensors, split.tensors.count is 3"},
};

START_TEST(bad_parts_are_refused)
{
    write_part(&bad_parts[_i].first);
    write_part(&bad_parts[_i].second);
    diag = (Diag){0};
    ck_assert_ptr_null(model_file_open(in_folder(bad_parts[_i].first.name), &arena, &diag));
    ck_assert_msg(strstr(diag.message, bad_parts[_i].message), "expected \"%s\" in \"%s\"",
                  bad_parts[_i].message, diag.message);
}
END_TEST

START_TEST(a_part_may_be_no_gguf_file)
{
    write_part(&first);
    write_text(second.name, "something else that is long enough");
    diag = (Diag){0};
    ck_assert_ptr_null(model_file_open(in_folder(first.name), &arena, &diag));
    ck_assert_ptr_nonnull(strstr(diag.message, "no magic \"GGUF\""));
}
END_TEST

int main(void)
{
    TCase *cases = folder_cases("split");
    tcase_add_test(cases, parts_are_one_model);
    LOOP(cases, bad_parts_are_refused, bad_parts);
    tcase_add_test(cases, a_part_may_be_no_gguf_file);
    return run_cases("split", cases);
}
