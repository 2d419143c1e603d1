#include "graph/base/text.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void reserve(Text *text, size_t more)
{
    size_t needed = text->length + more + 1;
    if (needed <= text->capacity)
        return;
    size_t capacity = text->capacity ? text->capacity * 2 : 256;
    if (capacity < needed)
        capacity = needed;
    char *bytes = realloc(text->bytes, capacity);
    if (!bytes) {
        fprintf(stderr, "error: out of memory (%zu bytes asked for)\n", capacity);
        exit(1);
    }
    text->bytes = bytes;
    text->capacity = capacity;
}

void text_append(Text *text, const char *bytes, size_t length)
{
    reserve(text, length);
    if (length)
        memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
    text->bytes[text->length] = 0;
}

void text_vprint(Text *text, const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    size_t length = (size_t)vsnprintf(NULL, 0, format, arguments);
    reserve(text, length);
    vsnprintf(text->bytes + text->length, length + 1, format, again);
    text->length += length;
    va_end(again);
}

void text_print(Text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    text_vprint(text, format, arguments);
    va_end(arguments);
}

void text_quote(Text *text, const char *bytes, size_t length)
{
    text_append(text, "\"", 1);
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        if (byte == '"' || byte == '\\')
            text_print(text, "\\%c", byte);
        else if (byte == '\n')
            text_append(text, "\\n", 2);
        else if (byte == '\t')
            text_append(text, "\\t", 2);
        else if (byte < 0x20)
            text_print(text, "\\u%04x", byte);
        else
            text_append(text, (const char *)&bytes[i], 1);
    }
    text_append(text, "\"", 1);
}

void text_float(Text *text, float value)
{
    char digits[32];
    bool whole = value > -1e6f && value < 1e6f && value == (float)(int32_t)value;
    if (whole && (value != 0 || !signbit(value))) {
        text_print(text, "%d", (int32_t)value);
        return;
    }
    for (int precision = 1; precision <= 9; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, (double)value);
        if (strtof(digits, NULL) == value)
            break;
    }
    text_append(text, digits, strlen(digits));
}

void text_free(Text *text)
{
    free(text->bytes);
    *text = (Text){0};
}
