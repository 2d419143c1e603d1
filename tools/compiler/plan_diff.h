// graphc --diff: what differs between two plans, in lines.
#ifndef TOOLS_COMPILER_PLAN_DIFF_H
#define TOOLS_COMPILER_PLAN_DIFF_H

#include "runtime/plan.h"

// Prints a line for each difference; nothing for plans that do the same with the same bytes. Not
// compared: who made the plans, from which paths. False with a message when memory runs out.
bool plan_diff(const Plan *a, const Plan *b, Text *out, Diag *diag);

#endif
