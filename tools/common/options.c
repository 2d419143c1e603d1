// Parsing follows the habits of getopt_long: -n 64, -n64, --predict 64, --predict=64, "--" ends
// options. Options may stand after operands. A long name may follow one dash (-sys).
#include "tools/common/options.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum OptionKind {
    KIND_FLAG,
    KIND_TEXT,
    KIND_MAYBE,
    KIND_INT,
    KIND_REAL,
    KIND_LIST,
    KIND_PAIR
} OptionKind;

typedef struct OptionRow {
    int programs;
    OptionKind kind;
    size_t offset;
    char letter;
    const char *name, *argument, *group, *help;
} OptionRow;

enum { C = PROGRAM_GRAPHC, R = PROGRAM_GRAPHRUN, Q = PROGRAM_GRAPHQUANT };

static const OptionRow rows[] = {
#define OPTION(programs, kind, field, letter, name, argument, group, help)                         \
    {programs, KIND_##kind, offsetof(Options, field), letter, name, argument, group, help},
#include "tools/common/options.def"
#undef OPTION
};
enum { ROW_COUNT = sizeof rows / sizeof *rows };

static void set_defaults(Options *options)
{
    memset(options, 0, sizeof *options);
    for (int i = 0; i < ROW_COUNT; i++) {
        void *field = (char *)options + rows[i].offset;
        if (rows[i].kind == KIND_INT)
            *(int64_t *)field = OPTION_UNSET_INT;
        if (rows[i].kind == KIND_REAL)
            *(double *)field = NAN;
    }
}

static bool set_value(const OptionRow *row, const char *given, const char *value, Options *options,
                      Diag *diag)
{
    void *field = (char *)options + row->offset;
    char *end = NULL;
    errno = 0;
    switch (row->kind) {
    case KIND_FLAG: *(bool *)field = true; return true;
    case KIND_TEXT:
    case KIND_MAYBE: *(const char **)field = value; return true;
    case KIND_INT: *(int64_t *)field = strtoll(value, &end, 10); break;
    case KIND_REAL: *(double *)field = strtod(value, &end); break;
    case KIND_PAIR:
    case KIND_LIST: {
        OptionList *list = field;
        if (list->count == OPTION_LIST_MAX)
            return diag_fail(diag, (Where){0}, "%s is given too often", given);
        list->items[list->count++] = value;
        return true;
    }
    }
    if (end == value || *end || errno ||
        (row->kind == KIND_REAL && !isfinite(*(const double *)field)))
        return diag_fail(diag, (Where){0}, "%s wants a number, not \"%s\"", given, value);
    return true;
}

static const OptionRow *find_long(Program program, const char *name, size_t length)
{
    for (int i = 0; i < ROW_COUNT; i++)
        if (rows[i].programs & (int)program && strlen(rows[i].name) == length &&
            memcmp(rows[i].name, name, length) == 0)
            return &rows[i];
    return NULL;
}

static const OptionRow *find_letter(Program program, char letter)
{
    for (int i = 0; i < ROW_COUNT; i++)
        if (rows[i].programs & (int)program && rows[i].letter == letter)
            return &rows[i];
    return NULL;
}

// Takes one option and its value from argv[*index] on.
static bool take_option(Program program, char **argv, int argc, int *index, Options *options,
                        Diag *diag)
{
    const char *given = argv[*index], *value = NULL;
    const OptionRow *row =
        given[1] == '-' ? NULL : find_long(program, given + 1, strlen(given + 1));
    if (row) {
        value = NULL;
    } else if (given[1] == '-') {
        const char *equals = strchr(given, '=');
        size_t length = equals ? (size_t)(equals - given) - 2 : strlen(given) - 2;
        row = find_long(program, given + 2, length);
        value = equals ? equals + 1 : NULL;
    } else {
        row = find_letter(program, given[1]);
        value = given[2] ? given + 2 : NULL;
    }
    if (!row)
        return diag_fail(diag, (Where){0}, "unknown option %s; --help lists the options", given);
    if (row->kind == KIND_FLAG && value)
        return diag_fail(diag, (Where){0}, "--%s takes no value", row->name);
    if (row->kind == KIND_MAYBE && !value)
        value = "";
    if (row->kind != KIND_FLAG && !value) {
        if (*index + 1 >= argc)
            return diag_fail(diag, (Where){0}, "%s wants a value: %s", given, row->argument);
        value = argv[++*index];
    }
    if (row->kind == KIND_PAIR) {
        if (*index + 1 >= argc)
            return diag_fail(diag, (Where){0}, "%s wants two values: %s", given, row->argument);
        return set_value(row, given, value, options, diag) &&
               set_value(row, given, argv[++*index], options, diag);
    }
    return set_value(row, given, value, options, diag);
}

bool options_parse(Program program, int argc, char **argv, Options *options, Diag *diag)
{
    set_defaults(options);
    bool only_operands = false;
    for (int i = 1; i < argc; i++) {
        if (!only_operands && strcmp(argv[i], "--") == 0) {
            only_operands = true;
        } else if (!only_operands && argv[i][0] == '-' && argv[i][1]) {
            if (!take_option(program, argv, argc, &i, options, diag))
                return false;
        } else if (options->operands.count == OPTION_LIST_MAX) {
            return diag_fail(diag, (Where){0}, "too many operands: %s", argv[i]);
        } else {
            options->operands.items[options->operands.count++] = argv[i];
        }
    }
    return true;
}

static bool set_flag(bool *flag, const char *name, const char *value, Diag *diag)
{
    bool off = strcmp(value, "off") == 0;
    if (*value && !off && strcmp(value, "on") != 0)
        return diag_fail(diag, (Where){0}, "%s is on or off, not \"%s\"", name, value);
    *flag = !off;
    return true;
}

bool options_set(Program program, const char *group, const char *name, const char *value,
                 Options *options, Diag *diag)
{
    const OptionRow *row = find_long(program, name, strlen(name));
    if (!row || strcmp(row->group, group) != 0)
        return diag_fail(diag, (Where){0}, "%s cannot be set here", name);
    if (row->kind == KIND_FLAG)
        return set_flag((bool *)((char *)options + row->offset), name, value, diag);
    if (!*value)
        return diag_fail(diag, (Where){0}, "%s wants a value: %s", name, row->argument);
    return set_value(row, name, value, options, diag);
}

static void print_row(const OptionRow *row)
{
    char left[80];
    const char *argument = row->argument ? row->argument : "";
    const char *open = row->kind == KIND_MAYBE ? "[=" : row->argument ? " " : "";
    int length = snprintf(left, sizeof left, "  %c%c%s --%s%s%s%s", row->letter ? '-' : ' ',
                          row->letter ? row->letter : ' ', row->letter ? "," : " ", row->name, open,
                          argument, row->kind == KIND_MAYBE ? "]" : "");
    if (length < 34)
        printf("%-34s %s\n", left, row->help);
    else
        printf("%s\n%34s %s\n", left, "", row->help);
}

void options_print_help(Program program, const char *usage, const char *footer)
{
    printf("%s", usage);
    const char *group = "";
    for (int i = 0; i < ROW_COUNT; i++) {
        if (!(rows[i].programs & (int)program))
            continue;
        if (strcmp(group, rows[i].group) != 0)
            printf("\n%s\n", rows[i].group);
        group = rows[i].group;
        print_row(&rows[i]);
    }
    printf("\n%s", footer);
}

void shell_word_print(Text *out, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-./=:,+";
    text_print(out, " ");
    if (*word && strspn(word, plain) == strlen(word)) {
        text_print(out, "%s", word);
        return;
    }
    text_print(out, "'");
    for (; *word; word++)
        text_append(out, *word == '\'' ? "'\\''" : word, *word == '\'' ? 4 : 1);
    text_print(out, "'");
}

static void print_values(const OptionRow *row, const OptionList *list, Text *out)
{
    int together = row->kind == KIND_PAIR ? 2 : 1;
    for (int32_t i = 0; i + together <= list->count; i += together) {
        text_print(out, " --%s", row->name);
        for (int j = 0; j < together; j++)
            shell_word_print(out, list->items[i + j]);
    }
}

static void print_option(const OptionRow *row, const void *field, Text *out)
{
    const char *text =
        row->kind == KIND_TEXT || row->kind == KIND_MAYBE ? *(const char *const *)field : NULL;
    switch (row->kind) {
    case KIND_FLAG:
        if (*(const bool *)field)
            text_print(out, " --%s", row->name);
        break;
    case KIND_TEXT:
        if (text)
            text_print(out, " --%s", row->name), shell_word_print(out, text);
        break;
    case KIND_MAYBE:
        if (text)
            text_print(out, *text ? " --%s=%s" : " --%s", row->name, text);
        break;
    case KIND_INT:
        if (*(const int64_t *)field != OPTION_UNSET_INT)
            text_print(out, " --%s %lld", row->name, (long long)*(const int64_t *)field);
        break;
    case KIND_REAL:
        if (!isnan(*(const double *)field))
            text_print(out, " --%s %.17g", row->name, *(const double *)field);
        break;
    case KIND_LIST:
    case KIND_PAIR: print_values(row, field, out); break;
    }
}

void options_print_group(Program program, const char *group, const Options *options, Text *out)
{
    for (int i = 0; i < ROW_COUNT; i++)
        if (rows[i].programs & (int)program && strcmp(rows[i].group, group) == 0)
            print_option(&rows[i], (const char *)options + rows[i].offset, out);
}

void options_print(Program program, const Options *options, Text *out)
{
    for (int i = 0; i < ROW_COUNT; i++)
        if (rows[i].programs & (int)program)
            print_option(&rows[i], (const char *)options + rows[i].offset, out);
    if (options->operands.count)
        text_print(out, " --");
    for (int32_t i = 0; i < options->operands.count; i++)
        shell_word_print(out, options->operands.items[i]);
}
