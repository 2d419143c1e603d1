// graphc --mem: the memory of a plan, as a table, JSON, a picture or a trace. Forms are described
// in tools/README.md.
#ifndef TOOLS_COMPILER_MEMORY_MAP_H
#define TOOLS_COMPILER_MEMORY_MAP_H

#include "runtime/memory.h"
#include "tools/compiler/lifetimes.h"

typedef enum MemoryForm { MEMORY_TABLE, MEMORY_JSON, MEMORY_SVG, MEMORY_TRACE } MemoryForm;

// What all forms show: computed once.
typedef struct MemoryMap {
    const Plan *plan;
    RunMemory run;
    Vector(PhaseLifetimes) phases;
} MemoryMap;

// Form of an option's argument ("" is table).
bool memory_form_parse(const char *text, MemoryForm *form, Diag *diag);
// Prints the memory of a plan, opened or just lowered, in a run with these options (0: defaults).
bool memory_map_print(const Plan *plan, const ExecOptions *options, MemoryForm form, Text *out,
                      Diag *diag);

// The forms. What is drawn is described in memory_map_draw.c.
void memory_map_table(const MemoryMap *map, Text *out);
void memory_map_json(const MemoryMap *map, Text *out);
void memory_map_svg(const MemoryMap *map, Text *out);
void memory_map_trace(const MemoryMap *map, Text *out);

#endif
