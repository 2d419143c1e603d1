// A text buffer that grows, and the one way numbers are written.
#ifndef GRAPH_BASE_TEXT_H
#define GRAPH_BASE_TEXT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Text {
    char *bytes; // always NUL-terminated once written to; free with text_free
    size_t length, capacity;
} Text;

void text_append(Text *text, const char *bytes, size_t length);
void text_print(Text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_vprint(Text *text, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));
// A JSON (and IR) string literal with quotes: \" \\ \n \t and \u00XX escapes; other bytes as they
// are.
void text_quote(Text *text, const char *bytes, size_t length);
// The shortest decimal that reads back to the same float, e.g. 1e-05, 0.5, 10000.
void text_float(Text *text, float value);
void text_free(Text *text);

#endif
