// The options of a run that both programs take: graphrun to run or to predict, graphc to predict.
#ifndef TOOLS_COMMON_EXEC_OPTIONS_H
#define TOOLS_COMMON_EXEC_OPTIONS_H

#include "runtime/exec.h"
#include "tools/common/options.h"

// A number that was given or, where it was not, 0. False with a message when it is out of range.
bool option_number(const char *name, int64_t given, int64_t least, int64_t most, int64_t *out,
                   Diag *diag);
// -c, -t and --sequences; 0 for what was not given.
bool exec_options_choose(const Options *options, ExecOptions *exec, Diag *diag);

#endif
