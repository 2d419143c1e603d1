// --dump and --format: the module after passes or at the end, as text, JSON, DOT or a page.
#ifndef TOOLS_COMPILER_DUMP_H
#define TOOLS_COMPILER_DUMP_H

#include "tools/compiler/compile.h"

typedef enum DumpWhen { DUMP_NONE, DUMP_FINAL, DUMP_PASS, DUMP_ALL, DUMP_CHANGED } DumpWhen;
typedef enum DumpFormat { DUMP_TEXT, DUMP_JSON, DUMP_DOT, DUMP_HTML, DUMP_FORMATS } DumpFormat;

typedef struct Dump {
    DumpWhen when;
    PassId pass;
    DumpFormat format;
    Text last;   // text of the module so far, to see what changed
    Text stages; // html: the page's stages
    int32_t count;
} Dump;

// Reads --dump and --format.
bool dump_parse(const Options *options, Dump *dump, Diag *diag);
// Takes the module before the first pass.
void dump_begin(Dump *dump, const Module *module);
// For PipelineOptions.after_pass; the context is the Dump. Prints to stdout.
void dump_after(void *dump, PassId pass, const Module *module);
// Prints what comes last. After a pipeline that failed (`ok` is false) that is only the end of what
// was begun. Frees what the dump holds.
void dump_end(Dump *dump, const Compile *compile, bool ok);

#endif
