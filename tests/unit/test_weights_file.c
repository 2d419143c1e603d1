// Weights files: what a plan finds in one is what it would embed, whatever else stands there is
// refused; and the files that appear whole, or not at all.
#include <check.h>
#include <fcntl.h>

#include "runtime/plan_file.h"
#include "runtime/weights_file.h"
#include "tests/unit/plan_files.h"
#include "tests/unit/run_suite.h"

// A plan whose weights stand in a file beside it; both paths are given.
static SmallPlan *write_apart(char path[400], char weights[WEIGHTS_PATH_MAX])
{
    SmallPlan *small = small_new(false);
    Diag diag = {0};
    NewFile file;
    small->plan.info.weights_in = WEIGHTS_IN_FILE;
    small->plan.info.weights_key = (Hash128){0x1234, 0xabcd};
    write_plan(small, "small.plan", path);
    ck_assert(weights_file_path(path, small->plan.info.weights_key, weights));
    ck_assert_msg(new_file_begin(&file, weights, &diag), "%s", diag.message);
    ck_assert_msg(weights_file_write(&small->plan, &file, NULL, NULL, &diag), "%s", diag.message);
    ck_assert_msg(new_file_finish(&file, &diag), "%s", diag.message);
    return small;
}

static void free_apart(SmallPlan *small, const char *path, const char *weights)
{
    unlink(path);
    unlink(weights);
    ck_assert(small_free(small));
}

START_TEST(test_weights_in_a_file_are_those_of_the_plan)
{
    char path[400], weights[WEIGHTS_PATH_MAX], whole[400];
    SmallPlan *small = write_apart(path, weights), *other = small_new(true);
    ck_assert_str_eq(strrchr(weights, '/'), "/000000000000abcd0000000000001234.weights");
    write_plan(other, "small.plan", whole);
    Plan *apart = open_plan(path), *embedded = open_plan(whole);
    Diag diag = {0};
    ck_assert_uint_eq((uintptr_t)apart->data % PLAN_DATA_ALIGNMENT, 0);
    ck_assert_mem_eq(apart->data, embedded->data, (size_t)embedded->info.w_bytes);
    ck_assert(plan_hash_equal(plan_data_hash(apart), plan_data_hash(embedded)));
    ck_assert_str_eq(plan_string(apart, apart->files[0].path), "model.bin");
    ck_assert(plan_check_data(apart, &diag));
    plan_close(apart);
    Bytes file = read_file(weights);
    file.bytes[file.length - 1] ^= 1;
    write_file(weights, file.bytes, file.length);
    apart = open_plan(path);
    ck_assert(!plan_check_data(apart, &diag));
    ck_assert_ptr_nonnull(strstr(diag.message, "the weight data is damaged: remove"));
    plan_close(apart);
    plan_close(embedded);
    free(file.bytes);
    unlink(whole);
    ck_assert(small_free(other));
    free_apart(small, path, weights);
}
END_TEST

static void refuse_header(const char *path, const char *weights, const WeightsHeader *header)
{
    Diag diag = {0};
    int file = open(weights, O_WRONLY);
    ck_assert_int_eq(pwrite(file, header, sizeof *header, 0), sizeof *header);
    close(file);
    ck_assert_ptr_null(plan_open(path, &diag));
    ck_assert_ptr_nonnull(strstr(diag.message, "no weights ("));
    ck_assert_msg(!strstr(diag.message, "cut short"), "%s", diag.message);
}

// Whatever the header says but the one thing that it must is refused, with hashes that vouch for
// it too.
START_TEST(test_hostile_weights_files_are_refused)
{
    char path[400], weights[WEIGHTS_PATH_MAX];
    SmallPlan *small = write_apart(path, weights);
    Bytes file = read_file(weights);
    WeightsHeader header;
    memcpy(&header, file.bytes, sizeof header);
    char *bytes = (char *)&header;
    for (size_t bit = 0; bit < 8 * sizeof header; bit++) {
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
        refuse_header(path, weights, &header);
        if (bit < 8 * offsetof(WeightsHeader, data)) {
            header.hash = hash128(&header, offsetof(WeightsHeader, hash));
            refuse_header(path, weights, &header);
        }
        memcpy(&header, file.bytes, sizeof header);
    }
    static const size_t cut[] = {0, 7, sizeof header - 1, sizeof header, PLAN_DATA_ALIGNMENT};
    for (size_t i = 0; i < sizeof cut / sizeof *cut; i++) {
        write_file(weights, file.bytes, cut[i]);
        refuse_plan(path, "the weights file is cut short: remove it");
    }
    write_file(weights, file.bytes, file.length - 1);
    refuse_plan(path, "cut short");
    unlink(weights);
    refuse_plan(path, "make the plan again with: graphc model.bin -o small.plan");
    write_file(weights, file.bytes, file.length);
    plan_close(open_plan(path));
    free(file.bytes);
    free_apart(small, path, weights);
}
END_TEST

// A key stands in a plan exactly when there is a file to name.
START_TEST(test_weights_keys_without_files_are_refused)
{
    SmallPlan *small = small_new(false);
    char path[400];
    small_path(small, "small.plan", path);
    for (uint32_t in = 0; in <= WEIGHTS_IN_COUNT; in++) {
        Diag diag = {0};
        small->plan.info.weights_in = in;
        small->plan.info.weights_key = (Hash128){in != WEIGHTS_IN_FILE, 0};
        ck_assert(!plan_write(&small->plan, path, NULL, NULL, &diag));
        ck_assert_ptr_nonnull(strstr(diag.message, "a number of the plan's info is out of range"));
    }
    ck_assert(small_free(small));
}
END_TEST

// A part that nobody has locked was left by a process that is gone.
START_TEST(test_parts_of_killed_writers_are_taken_over)
{
    SmallPlan *small = small_new(true);
    char path[400], part[400];
    small_path(small, "small.plan.part", part);
    write_file(part, small->kv, sizeof small->kv);
    write_plan(small, "small.plan", path);
    plan_close(open_plan(path));
    ck_assert_int_ne(access(part, F_OK), 0);
    ck_assert_int_eq(symlink(small->model, part), 0);
    Diag diag = {0};
    ck_assert(!plan_write(&small->plan, path, NULL, NULL, &diag));
    ck_assert_ptr_nonnull(strstr(diag.message, "cannot be written"));
    unlink(part);
    unlink(path);
    ck_assert(small_free(small));
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("weights_file");
    tcase_add_test(tests, test_weights_in_a_file_are_those_of_the_plan);
    tcase_add_test(tests, test_hostile_weights_files_are_refused);
    tcase_add_test(tests, test_weights_keys_without_files_are_refused);
    tcase_add_test(tests, test_parts_of_killed_writers_are_taken_over);
    return run_cases("weights_file", tests);
}
