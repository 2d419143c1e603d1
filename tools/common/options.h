// The option table in C: every program parses, and prints its --help, from options.def.
#ifndef TOOLS_COMMON_OPTIONS_H
#define TOOLS_COMMON_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "graph/base/diag.h"
#include "graph/base/text.h"

typedef enum Program { PROGRAM_GRAPHC = 1, PROGRAM_GRAPHRUN = 2, PROGRAM_GRAPHQUANT = 4 } Program;

enum { OPTION_LIST_MAX = 32 };
#define OPTION_UNSET_INT INT64_MIN

typedef struct OptionList {
    const char *items[OPTION_LIST_MAX];
    int32_t count;
} OptionList;

typedef bool OptionType_FLAG;
typedef const char *OptionType_TEXT, *OptionType_MAYBE;
typedef int64_t OptionType_INT;
typedef double OptionType_REAL;
typedef OptionList OptionType_LIST, OptionType_PAIR; // of a pair: first, second, first, …

typedef struct Options {
#define OPTION(programs, kind, field, letter, name, argument, group, help) OptionType_##kind field;
#include "tools/common/options.def"
#undef OPTION
    OptionList operands;
} Options;

// Fills `options` from the command line. False with a message that names the option and the remedy
// (exit status 2).
bool options_parse(Program program, int argc, char **argv, Options *options, Diag *diag);
// Appends the options that are given, and the operands, as a command line that parses to the same.
void options_print(Program program, const Options *options, Text *out);
// Sets one option of a group by its long name; a flag's value is on, off or "", which is on. The
// value must outlive the options.
bool options_set(Program program, const char *group, const char *name, const char *value,
                 Options *options, Diag *diag);
// Appends the options of a group that are given.
void options_print_group(Program program, const char *group, const Options *options, Text *out);
// Appends a blank and the word, quoted for a shell where it needs to be.
void shell_word_print(Text *out, const char *word);
// Usage line, options by group, and what follows them.
void options_print_help(Program program, const char *usage, const char *footer);

#endif
