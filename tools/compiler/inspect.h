// graphc's modes that look at the memory of plans and at what differs between two.
#ifndef TOOLS_COMPILER_INSPECT_H
#define TOOLS_COMPILER_INSPECT_H

#include "tools/compiler/compile.h"

// --mem, over the plan file that is the only operand, and over what was just compiled. The second
// takes a shape without weights too.
bool inspect_plan_memory(const Options *options, Diag *diag);
bool inspect_compile_memory(Compile *compile, Diag *diag);
// --diff: 0 when nothing differs, 1 when something does, -1 with a message.
int inspect_diff(const Options *options, Diag *diag);

#endif
