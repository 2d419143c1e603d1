// Chat templates against python-jinja2: small cases for what the language means, and every real
// template over conversations. templates/oracle.py wrote what is expected.
#include <check.h>
#include <glob.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "runtime/text/chat_template.h"
#include "tests/unit/run_suite.h"

enum { NOW = 1700000000, LINE_BYTES_MAX = 4096 };

static const char folder[] = "tests/unit/templates/";

// NULL if there is none.
static char *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *bytes = NULL;
    size_t capacity = 0;
    if (!file)
        return NULL;
    // A file without a NUL is one record.
    if (getdelim(&bytes, &capacity, 0, file) < 0 && bytes)
        *bytes = 0;
    fclose(file);
    return bytes;
}

// The files of DATA that fit; false, loudly, where there are none.
static bool find_data(const char *files, glob_t *found)
{
    const char *data = getenv("DATA") ? getenv("DATA") : "../shared/data", *ci = getenv("CI");
    char pattern[1024];
    snprintf(pattern, sizeof pattern, "%s/%s", data, files);
    if (glob(pattern, 0, NULL, found) == 0)
        return true;
    ck_assert_msg(!ci || strcmp(ci, "true") != 0, "needs DATA (%s)", pattern);
    printf("skip: chat_template: needs DATA (%s)\n", pattern);
    return false;
}

// A file of lines that are JSON objects, each the variables of a template.
static char *read_lines(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s%s", folder, name);
    char *text = read_file(path);
    ck_assert_msg(text != NULL, "%s cannot be read", path);
    return text;
}

static bool render(ChatTemplate *chat, const char *line, Text *out, Diag *diag)
{
    ChatInput input = {
        .messages = "[]", .variables = line, .bos = "<s>", .eos = "</s>", .now = NOW};
    bool good = chat && chat_template_render(chat, &input, out, diag);
    text_append(out, "", 0);
    return good;
}

static const char *message_text(const Diag *diag)
{
    const char *text = strstr(diag->message, ": error: ");
    return text ? text + strlen(": error: ") : diag->message;
}

static bool language_case(const char *line)
{
    cJSON *row = cJSON_Parse(line);
    ck_assert_msg(row != NULL, "not JSON: %s", line);
    const char *source = cJSON_GetStringValue(cJSON_GetObjectItem(row, "template"));
    const char *expected = cJSON_GetStringValue(cJSON_GetObjectItem(row, "expected"));
    const char *error = cJSON_GetStringValue(cJSON_GetObjectItem(row, "error"));
    Text out = {0};
    Diag diag = {0};
    ChatTemplate *chat = chat_template_new("case", source, strlen(source), &diag);
    bool good = render(chat, line, &out, &diag);
    bool right = good ? expected && strcmp(out.bytes, expected) == 0
                      : error && (!*error || strcmp(message_text(&diag), error) == 0);
    if (!right)
        printf("%s\n  gives    %s\n  expected %s%s\n", source, good ? out.bytes : diag.message,
               expected ? "" : "error: ", expected ? expected : error);
    chat_template_free(chat);
    text_free(&out);
    cJSON_Delete(row);
    return right;
}

START_TEST(language)
{
    char *lines = read_lines("language.jsonl"), *rest = lines;
    int bad = 0, count = 0;
    for (char *line; (line = strtok_r(rest, "\n", &rest)); count++)
        bad += !language_case(line);
    free(lines);
    fflush(stdout);
    ck_assert_int_gt(count, 400);
    ck_assert_int_eq(bad, 0);
}
END_TEST

static uint64_t hash(const Text *text)
{
    uint64_t value = 0xcbf29ce484222325;
    for (size_t i = 0; i < text->length; i++)
        value = (value ^ (unsigned char)text->bytes[i]) * 0x100000001b3;
    return value;
}

// What oracle.py writes as the result of a rendering, but that messages of other errors than
// raise_exception's are not compared.
static bool is_expected(const char *expected, bool good, const Text *out, const Diag *diag)
{
    char digits[17];
    if (good) {
        snprintf(digits, sizeof digits, "%016" PRIx64, hash(out));
        return strcmp(digits, expected) == 0;
    }
    if (strncmp(expected, "error ", 6) == 0)
        return strcmp(expected + 6, message_text(diag)) == 0;
    return strcmp(expected, "error") == 0;
}

// What expected.txt says of a template over a conversation, "" where it says nothing.
static void find_expected(const char *rows, const char *name, const char *conversation,
                          char expected[LINE_BYTES_MAX])
{
    char key[512];
    int length = snprintf(key, sizeof key, "\n%s\t%s\t", name, conversation);
    const char *row = strstr(rows, key);
    *expected = 0;
    if (!row)
        return;
    row += length;
    char *text = strndup(row, strcspn(row, "\n"));
    cJSON *json = cJSON_Parse(text);
    ck_assert_ptr_nonnull(cJSON_GetStringValue(json));
    snprintf(expected, LINE_BYTES_MAX, "%s", cJSON_GetStringValue(json));
    cJSON_Delete(json);
    free(text);
}

// Every conversation through one template; counts what differs.
static int real_template(const char *path, const char *name, const char *rows, int *count)
{
    char *source = read_file(path), *lines = read_lines("conversations.jsonl"), *rest = lines;
    Diag broken = {0};
    ck_assert_msg(source != NULL, "%s cannot be read", path);
    ChatTemplate *chat = chat_template_new(name, source, strlen(source), &broken);
    int bad = 0;
    for (char *line; (line = strtok_r(rest, "\n", &rest)); ++*count) {
        cJSON *row = cJSON_Parse(line);
        const char *conversation = cJSON_GetStringValue(cJSON_GetObjectItem(row, "case"));
        char expected[LINE_BYTES_MAX];
        Text out = {0};
        Diag diag = broken;
        bool good = render(chat, line, &out, &diag);
        find_expected(rows, name, conversation, expected);
        if (!is_expected(expected, good, &out, &diag)) {
            printf("%s over %s: %s\n", name, conversation, good ? "another text" : diag.message);
            bad++;
        }
        text_free(&out);
        cJSON_Delete(row);
    }
    chat_template_free(chat);
    free(lines);
    free(source);
    return bad;
}

START_TEST(real_templates)
{
    glob_t found;
    if (!find_data("templates/*.jinja", &found))
        return;
    char *rows = read_lines("expected.txt");
    int bad = 0, count = 0;
    for (size_t i = 0; i < found.gl_pathc; i++)
        bad += real_template(found.gl_pathv[i], strrchr(found.gl_pathv[i], '/') + 1, rows, &count);
    globfree(&found);
    free(rows);
    fflush(stdout);
    ck_assert_int_gt(count, 1000);
    ck_assert_int_eq(bad, 0);
}
END_TEST

// Templates that would take all time, memory or stack; and how far into the message to look.
static const struct {
    const char *source, *message;
} hostile[] = {
    {"{% for a in range(100000) %}\n{% for b in range(100000) %}{% endfor %}{% endfor %}",
     "t:2: error: instruction limit passed"},
    {"{{ 'a' * 1000000000 }}", "t:1: error: memory limit passed"},
    {"{{ [1] * 1000000000 }}", "t:1: error: memory limit passed"},
    {"\n{% set ns = namespace(s='a') %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}"
     "{% endfor %}",
     "t:2: error: memory limit passed"},
    {"{{ ('a' * 1000000).replace('', 'b' * 1000) }}", "t:1: error: memory limit passed"},
    {"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "t:1: error: macros call each other too"},
    {"{{ range(1000000000) }}", "t:1: error: Range too big."},
    {"{% set ns = namespace() %}{% set ns.ns = ns %}{{ ns }}", "t:1: error: stack overflow"},
    {"{{ 'a'.center(100000000000) }}", "t:1: error: resulting string too large"},
    {"{{ strftime_now('%999999999d') }}", "t:1: error: a format of time gives too long a text"},
    {"{{ '%999999999d' % 1 }}", "t:1: error: the format %999999999d is not supported"},
    {"{{ 2 ** 10000 }}", "t:1: error: an integer of more than 64 bits"},
    {"a\xff", "t:1: error: the template is not valid UTF-8"},
    {"{% include 'a' %}", "t:1: error: the tag 'include' is not supported"},
    {"{{ 'a'|random }}", "t:1: error: the filter 'random' is not supported"},
    {"{{ 'a'.encode() }}", "t:1: error: 'encode' of 'str' is not supported"},
};

static void check_hostile(const char *source, const char *message)
{
    Text out = {0};
    Diag diag = {0};
    ChatTemplate *chat = chat_template_new("t", source, strlen(source), &diag);
    ck_assert(!render(chat, "{}", &out, &diag));
    ck_assert_msg(strncmp(diag.message, message, strlen(message)) == 0, "%s", diag.message);
    ck_assert_uint_eq(out.length, 0);
    chat_template_free(chat);
    text_free(&out);
}

START_TEST(hostile_templates_end_with_an_error)
{
    check_hostile(hostile[_i].source, hostile[_i].message);
}
END_TEST

static const struct {
    const char *open, *close;
} nesting[] = {
    {"(", ")"},   {"[", "]"},           {"{1:", "}"}, {"-", ""},
    {"not ", ""}, {"1 if 1 else ", ""}, {"a[", "]"},  {"a(", ")"},
};

START_TEST(nesting_has_a_limit)
{
    Text source = {0};
    text_print(&source, "{{ ");
    for (int i = 0; i < 20000; i++)
        text_print(&source, "%s", nesting[_i].open);
    text_print(&source, "1");
    for (int i = 0; i < 20000; i++)
        text_print(&source, "%s", nesting[_i].close);
    text_print(&source, " }}");
    check_hostile(source.bytes, "t:1: error: nested too deeply");
    text_free(&source);
}
END_TEST

START_TEST(a_limit_is_not_for_ever)
{
    static const char source[] = "{{ 'abc' * n }}";
    Text out = {0};
    Diag diag = {0}, none = {0};
    ChatTemplate *chat = chat_template_new("t", source, strlen(source), &none);
    ck_assert(!render(chat, "{\"n\": 1000000000}", &out, &diag));
    ck_assert_msg(render(chat, "{\"n\": 2}", &out, &none), "%s", none.message);
    ck_assert_str_eq(out.bytes, "abcabc");
    chat_template_free(chat);
    text_free(&out);
}
END_TEST

static const struct {
    const char *variables, *message;
} bad_json[] = {
    {"[]", "t: error: the variables are not a JSON object (line 1 of the JSON)"},
    {"{", "t: error: '\"' was expected (line 1 of the JSON)"},
    {"{\"a\":\n01}", "t: error: '}' was expected (line 2 of the JSON)"},
    {"{\"a\": \"\\ud800\"}", "t: error: half of a surrogate pair (line 1 of the JSON)"},
    {"{\"a\": 99999999999999999999}",
     "t: error: an integer of more than 64 bits (line 1 of the JSON)"},
    {"{\"a\": \"\xff\"}", "t: error: the JSON is not valid UTF-8 (line 1 of the JSON)"},
    {"{} x", "t: error: something follows the value (line 1 of the JSON)"},
    {"{\"a\": \"\n\"}", "t: error: a control character in a string (line 1 of the JSON)"},
};

START_TEST(bad_json_is_refused)
{
    Text out = {0};
    Diag diag = {0};
    ChatTemplate *chat = chat_template_new("t", "x", 1, &diag);
    ck_assert(!render(chat, bad_json[_i].variables, &out, &diag));
    ck_assert_str_eq(diag.message, bad_json[_i].message);
    chat_template_free(chat);
    text_free(&out);
}
END_TEST

// Which files of a folder of JSON tests are taken: y_ all, n_ none.
START_TEST(json_suite)
{
    glob_t found;
    if (!find_data("malformed/JSONTestSuite/test_parsing/[ny]_*.json", &found))
        return;
    Diag none = {0};
    ChatTemplate *chat = chat_template_new("t", "x", 1, &none);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        const char *name = strrchr(found.gl_pathv[i], '/') + 1;
        // Its NUL would end the text, which is given as a string.
        if (strcmp(name, "n_multidigit_number_then_00.json") == 0)
            continue;
        char *value = read_file(found.gl_pathv[i]);
        Text text = {0}, out = {0};
        Diag diag = {0};
        text_print(&text, "{\"v\": %s\n}", value);
        bool good = render(chat, text.bytes, &out, &diag);
        ck_assert_msg(good == (*name == 'y'), "%s: %s", name, diag.message);
        text_free(&text);
        text_free(&out);
        free(value);
    }
    chat_template_free(chat);
    globfree(&found);
}
END_TEST

int main(void)
{
    setenv("TZ", "UTC", 1);
    TCase *cases = tcase_create("templates");
    tcase_set_timeout(cases, 120); // seconds; a state a case, on a machine that may be busy
    tcase_add_test(cases, language);
    tcase_add_test(cases, real_templates);
    tcase_add_loop_test(cases, hostile_templates_end_with_an_error, 0,
                        sizeof hostile / sizeof *hostile);
    tcase_add_loop_test(cases, nesting_has_a_limit, 0, sizeof nesting / sizeof *nesting);
    tcase_add_test(cases, a_limit_is_not_for_ever);
    tcase_add_loop_test(cases, bad_json_is_refused, 0, sizeof bad_json / sizeof *bad_json);
    tcase_add_test(cases, json_suite);
    return run_cases("chat_template", cases);
}
