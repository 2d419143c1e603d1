// What the user gives a model to read: text or ids, from options, files or stdin.
#ifndef TOOLS_RUN_PROMPT_H
#define TOOLS_RUN_PROMPT_H

#include "graph/base/text.h"
#include "runtime/text/tokenizer.h"
#include "tools/common/options.h"

// Appends a whole file ("-" is stdin).
bool prompt_read_file(const char *path, Text *out, Diag *diag);
// Appends ids written in decimal, separated by commas or white space; `what` names the source.
bool prompt_parse_ids(const char *text, const char *what, TokenList *out, Diag *diag);
// Appends the text that -p, -f or stdin give.
bool prompt_read(const Options *options, Text *text, Diag *diag);
// The ids that --ids, -p, -f or stdin give. `text` receives the text they were made of, if any.
bool prompt_tokens(const Options *options, const Tokenizer *tokenizer, TokenList *out, Text *text,
                   Diag *diag);

#endif
