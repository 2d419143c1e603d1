// Diagnostics: how bad input (script, file, IR, plan, flags) is reported.
//
// A function that can meet bad input takes a Diag, fills it once with a message that names the
// place and the remedy, and returns false or NULL. The first message wins; whoever called prints it
// and exits non-zero. Bugs are asserts, never Diags.
#ifndef GRAPH_BASE_DIAG_H
#define GRAPH_BASE_DIAG_H

#include <stdbool.h>

typedef struct Diag {
    bool failed;
    char message[1024]; // "file:line:col: error: text", without a newline
} Diag;

// A place in an input; line and column count from 1, 0 means not known.
typedef struct Where {
    const char *file;
    int line, column;
} Where;

// Records the message unless one is recorded already. Always returns false, so that
// `return diag_fail(...)` reads well.
bool diag_fail(Diag *diag, Where where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
