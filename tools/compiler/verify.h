// graphc --verify: translation validation on the model's own weights, or on random ones.
#ifndef TOOLS_COMPILER_VERIFY_H
#define TOOLS_COMPILER_VERIFY_H

#include "tools/compiler/compile.h"

// compile_module, checked after every pass; tells on stderr what each pass kept or cost. When a
// pass is wrong, the module before it is written to ./graphc-verify-PASS.ir and the command that
// replays the pass is printed.
bool compile_verified(Compile *compile, PipelineOptions *pipeline, Diag *diag);

#endif
