// The modelled cost of a node in JSON and in the page.
#ifndef TOOLS_COMPILER_COST_NOTE_H
#define TOOLS_COMPILER_COST_NOTE_H

#include "graph/formats.h"

// For module_print_json: member `cost` of nodes whose kernel is selected and in this program.
JsonNote cost_note;

#endif
