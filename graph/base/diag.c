#include "graph/base/diag.h"

#include <stdarg.h>
#include <stdio.h>

bool diag_fail(Diag *diag, Where where, const char *format, ...)
{
    if (diag->failed)
        return false;
    diag->failed = true;
    char *out = diag->message;
    int room = (int)sizeof diag->message, used = 0;
    if (where.file && where.line && where.column)
        used = snprintf(out, (size_t)room, "%s:%d:%d: ", where.file, where.line, where.column);
    else if (where.file && where.line)
        used = snprintf(out, (size_t)room, "%s:%d: ", where.file, where.line);
    else if (where.file)
        used = snprintf(out, (size_t)room, "%s: ", where.file);
    if (used < room)
        used += snprintf(out + used, (size_t)(room - used), "error: ");
    if (used < room) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(out + used, (size_t)(room - used), format, arguments);
        va_end(arguments);
    }
    return false;
}
