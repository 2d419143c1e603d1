// Scanning the text: blanks, words, numbers, strings, and messages that name line and column.
//
// Invariants: `at` never passes the NUL that ends the text; a line end is a token of its own, so
// blanks are spaces, tabs, carriage returns and comments (`;` to the end of the line). What a
// scan_… function read last stands in `token` until the next call. All return false after a
// message, except scan_accept and scan_word, which only look.
#ifndef GRAPH_SCAN_H
#define GRAPH_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "graph/base/diag.h"
#include "graph/base/text.h"

typedef struct Scanner {
    const char *at, *line_begin;
    int line;
    const char *path;
    Diag *diag;
    Text token;
} Scanner;

// A place to complain about later.
typedef struct ScanMark {
    int line, column;
} ScanMark;

void scan_blanks(Scanner *scanner);
// Blanks and line ends.
void scan_lines(Scanner *scanner);
// The place of the next token.
ScanMark scan_mark(Scanner *scanner);
bool scan_fail(Scanner *scanner, ScanMark mark, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// Complains at the next token and shows it: "expected WHAT, found …".
bool scan_expected(Scanner *scanner, const char *what);
// Takes the character if it comes next.
bool scan_accept(Scanner *scanner, char character);
bool scan_expect(Scanner *scanner, char character);
// [A-Za-z_][A-Za-z0-9_]* and characters of `also`; false if no letter comes next.
bool scan_word(Scanner *scanner, const char *also);
bool scan_integer(Scanner *scanner, const char *what, int64_t least, int64_t most, int64_t *value);
bool scan_float(Scanner *scanner, float *value);
// A literal of text_quote.
bool scan_string(Scanner *scanner, const char *what);
bool scan_line_end(Scanner *scanner);

#endif
