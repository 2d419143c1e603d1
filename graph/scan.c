#include "graph/scan.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void scan_blanks(Scanner *scanner)
{
    while (*scanner->at == ' ' || *scanner->at == '\t' || *scanner->at == '\r')
        scanner->at++;
    if (*scanner->at == ';')
        while (*scanner->at && *scanner->at != '\n')
            scanner->at++;
}

void scan_lines(Scanner *scanner)
{
    for (scan_blanks(scanner); *scanner->at == '\n'; scan_blanks(scanner)) {
        scanner->line_begin = ++scanner->at;
        scanner->line++;
    }
}

ScanMark scan_mark(Scanner *scanner)
{
    scan_blanks(scanner);
    return (ScanMark){scanner->line, (int)(scanner->at - scanner->line_begin) + 1};
}

bool scan_fail(Scanner *scanner, ScanMark mark, const char *format, ...)
{
    char message[768];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return diag_fail(scanner->diag, (Where){scanner->path, mark.line, mark.column}, "%s", message);
}

bool scan_expected(Scanner *scanner, const char *what)
{
    ScanMark mark = scan_mark(scanner);
    if (!*scanner->at)
        return scan_fail(scanner, mark, "expected %s, found the end of the text", what);
    if (*scanner->at == '\n')
        return scan_fail(scanner, mark, "expected %s, found the end of the line", what);
    size_t shown = strcspn(scanner->at + 1, " \t\r\n,()[]{}=:%@;\"");
    return scan_fail(scanner, mark, "expected %s, found '%.*s'", what,
                     shown < 40 ? (int)shown + 1 : 40, scanner->at);
}

bool scan_accept(Scanner *scanner, char character)
{
    scan_blanks(scanner);
    if (*scanner->at != character)
        return false;
    scanner->at++;
    return true;
}

bool scan_expect(Scanner *scanner, char character)
{
    char what[] = {'\'', character, '\'', 0};
    return scan_accept(scanner, character) || scan_expected(scanner, what);
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static void take(Scanner *scanner, size_t length)
{
    scanner->token.length = 0;
    text_append(&scanner->token, scanner->at, length);
    scanner->at += length;
}

bool scan_word(Scanner *scanner, const char *also)
{
    scan_blanks(scanner);
    const char *at = scanner->at;
    if (!is_letter(*at))
        return false;
    while (*at && (is_letter(*at) || is_digit(*at) || strchr(also, *at)))
        at++;
    take(scanner, (size_t)(at - scanner->at));
    return true;
}

static int digit_of(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 16;
}

bool scan_integer(Scanner *scanner, const char *what, int64_t least, int64_t most, int64_t *value)
{
    ScanMark mark = scan_mark(scanner);
    const char *at = scanner->at;
    bool negative = *at == '-', overflow = false;
    at += negative;
    int base = at[0] == '0' && at[1] == 'x' ? 16 : 10;
    at += base == 16 ? 2 : 0;
    if (digit_of(*at) >= base)
        return scan_expected(scanner, what);
    int64_t result = 0;
    for (; digit_of(*at) < base; at++)
        overflow = overflow || __builtin_mul_overflow(result, base, &result) ||
                   __builtin_add_overflow(result, digit_of(*at), &result);
    *value = negative ? -result : result;
    if (overflow || *value < least || *value > most)
        return scan_fail(scanner, mark, "%s is out of range: expected %lld to %lld", what,
                         (long long)least, (long long)most);
    scanner->at = at;
    return true;
}

bool scan_float(Scanner *scanner, float *value)
{
    scan_blanks(scanner);
    const char *digits = scanner->at + (*scanner->at == '-');
    char *end;
    *value = strtof(scanner->at, &end);
    bool named = strncmp(digits, "inf", 3) == 0 || strncmp(digits, "nan", 3) == 0;
    if ((!named && !is_digit(*digits)) || end == scanner->at)
        return scan_expected(scanner, "a number");
    scanner->at = end;
    return true;
}

// The byte that the escape at `at` stands for, 0 if it is none; `*length` is that of the escape.
static char unescape(const char *at, size_t *length)
{
    *length = 2;
    if (at[1] == '"' || at[1] == '\\')
        return at[1];
    if (at[1] == 'n' || at[1] == 't')
        return at[1] == 'n' ? '\n' : '\t';
    *length = 6;
    if (strncmp(at, "\\u00", 4) == 0 && digit_of(at[4]) < 8 && digit_of(at[5]) < 16)
        return (char)(digit_of(at[4]) * 16 + digit_of(at[5]));
    return 0;
}

bool scan_string(Scanner *scanner, const char *what)
{
    ScanMark begin = scan_mark(scanner);
    if (!scan_accept(scanner, '"'))
        return scan_expected(scanner, what);
    scanner->token.length = 0;
    text_append(&scanner->token, "", 0);
    while (*scanner->at != '"') {
        size_t length = 1;
        char byte = *scanner->at;
        if (!byte || byte == '\n')
            return scan_fail(scanner, begin, "the string has no end");
        if (byte == '\\') {
            byte = unescape(scanner->at, &length);
            ScanMark here = {scanner->line, (int)(scanner->at - scanner->line_begin) + 1};
            if (!byte)
                return scan_fail(scanner, here,
                                 "expected \\\", \\\\, \\n, \\t or \\u0001 to \\u007f");
        }
        text_append(&scanner->token, &byte, 1);
        scanner->at += length;
    }
    scanner->at++;
    return true;
}

bool scan_line_end(Scanner *scanner)
{
    scan_blanks(scanner);
    return !*scanner->at || *scanner->at == '\n' || scan_expected(scanner, "the end of the line");
}
