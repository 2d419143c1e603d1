// The JSON of model files: what JSONTestSuite says must be refused is refused, its y_ files are
// read but for the two things that no model file needs.
#include <dirent.h>

#include "frontends/json.h"
#include "tests/unit/gguf_writer.h"
#include "tests/unit/run_suite.h"

static const struct {
    const char *text, *message; // NULL: is read
} texts[] = {
    {"{\"a\": [1, -2.5e+3, true, null, \"x\\u00e9\\n\"]}", NULL},
    {"[-0]", NULL},
    {" {} ", NULL},
    {"", "1:1: error: not JSON: a value was expected"},
    {"{\"a\": 1,\n \"a\": 2}", "the key \"a\" stands twice"},
    {"[{\"b\": {\"a\": 1, \"a\": 1}}]", "the key \"a\" stands twice"},
    {"[\n01]", "2:2: error: not JSON: a comma or ] was expected"},
    {"[\"a\tb\"]", "a control byte in a text"},
    {"[\"\\u0000\"]", "\\u0000 in a text is not supported"},
    {"[\"\xc0\xaf\"]", "a text is not UTF-8"},
    {"[\"\xed\xa0\x80\"]", "a text is not UTF-8"},
    {"[\"\\ud800\"]", "an escaped surrogate stands alone"},
    {"[1.]", "a digit was expected"},
    {"{} {}", "something follows the value"},
    {"{\"a\" 1}", "a colon was expected after a key"},
};

START_TEST(texts_are_read_or_refused)
{
    const char *text = texts[_i].text, *message = texts[_i].message;
    cJSON *value = json_parse("t.json", text, strlen(text), &diag);
    ck_assert_msg(value ? !message : message && strstr(diag.message, message),
                  "expected \"%s\" in \"%s\"", message ? message : "", diag.message);
    cJSON_Delete(value);
}
END_TEST

START_TEST(many_keys_are_told_apart)
{
    Text text = {0};
    text_print(&text, "{");
    for (int i = 0; i < 100; i++)
        text_print(&text, "\"k%d\": %d,", i, i);
    text_print(&text, "\"k7\": 1}");
    ck_assert_ptr_null(json_parse("t.json", text.bytes, text.length, &diag));
    ck_assert_ptr_nonnull(strstr(diag.message, "the key \"k7\" stands twice"));
    text_free(&text);
}
END_TEST

START_TEST(nesting_is_limited)
{
    for (int depth = 64; depth <= 65; depth++) {
        Text text = {0};
        diag = (Diag){0};
        for (int i = 0; i < depth; i++)
            text_print(&text, "[");
        for (int i = 0; i < depth; i++)
            text_print(&text, "]");
        cJSON *value = json_parse("t.json", text.bytes, text.length, &diag);
        ck_assert_int_eq(value != NULL, depth == 64);
        cJSON_Delete(value);
        text_free(&text);
    }
    ck_assert_ptr_nonnull(strstr(diag.message, "nested deeper than 64 levels"));
}
END_TEST

START_TEST(counts_are_exact)
{
    int64_t whole;
    static const struct {
        const char *text;
        bool is_whole;
    } numbers[] = {{"0", true},
                   {"9007199254740992", true},
                   {"9007199254740994", false},
                   {"-1", false},
                   {"1.5", false},
                   {"1e300", false},
                   {"1e3", true},
                   {"\"1\"", false}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        cJSON *value = json_parse("t", numbers[i].text, strlen(numbers[i].text), &diag);
        ck_assert_msg(json_whole(value, 0, &whole) == numbers[i].is_whole, "%s", numbers[i].text);
        cJSON_Delete(value);
    }
}
END_TEST

// y_ files that are refused all the same: a key that stands twice, \u0000, a surrogate that stands
// alone is no text.
static bool is_beyond_models(const char *name)
{
    static const char *const refused[] = {"duplicated_key", "null_escape", "escaped_null",
                                          "null_in_key"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (strstr(name, refused[i]))
            return true;
    return false;
}

static void try_file(const char *path, const char *name)
{
    Text text = {0};
    char buffer[4096];
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    for (size_t got; (got = fread(buffer, 1, sizeof buffer, file)) > 0;)
        text_append(&text, buffer, got);
    fclose(file);
    diag = (Diag){0};
    cJSON *value = json_parse(name, text.bytes ? text.bytes : "", text.length, &diag);
    if (*name == 'n')
        ck_assert_msg(!value, "%s is read", name);
    if (*name == 'y' && !is_beyond_models(name))
        ck_assert_msg(value, "%s", diag.message);
    ck_assert_int_eq(value == NULL, diag.failed);
    cJSON_Delete(value);
    text_free(&text);
}

START_TEST(the_suite_agrees)
{
    const char *path = data_path("the_suite_agrees", "malformed/JSONTestSuite/test_parsing");
    if (!path)
        return;
    int seen = 0;
    DIR *suite = opendir(path);
    ck_assert_ptr_nonnull(suite);
    for (const struct dirent *entry; (entry = readdir(suite)); seen++)
        if (*entry->d_name != '.')
            try_file(arena_format(&arena, "%s/%s", path, entry->d_name), entry->d_name);
    closedir(suite);
    ck_assert_int_gt(seen, 300);
}
END_TEST

int main(void)
{
    TCase *cases = new_cases("json");
    LOOP(cases, texts_are_read_or_refused, texts);
    tcase_add_test(cases, many_keys_are_told_apart);
    tcase_add_test(cases, nesting_is_limited);
    tcase_add_test(cases, counts_are_exact);
    tcase_add_test(cases, the_suite_agrees);
    return run_cases("json", cases);
}
