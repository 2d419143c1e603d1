// Common subexpressions: restores, after edits, what the builder's hash-consing gives.
#include "passes/passes.h"

bool pass_cse(PassContext *context)
{
    Module *module = context->module;
    for (int32_t i = 0; i < module->graphs.count; i++)
        context->matches += graph_cse(module->graphs.items[i]);
    return true;
}
