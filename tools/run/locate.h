// From what the user names (a plan, or a model file that graphc can compile) to an open plan.
#ifndef TOOLS_RUN_LOCATE_H
#define TOOLS_RUN_LOCATE_H

#include "runtime/plan.h"
#include "tools/common/options.h"

// Opens a plan; any other file goes through the graphc that stands beside this program, which keeps
// the result in its cache and tells on stderr what is wrong (the message is empty then).
// `vocab_only` asks for a plan that holds at least the vocabulary.
Plan *locate_plan(const char *path, bool vocab_only, const Options *options, Diag *diag);

#endif
