// graphc --repro=FOLDER: what a bug report needs, whether the compile succeeds, fails or crashes.
#ifndef TOOLS_COMPILER_REPRO_H
#define TOOLS_COMPILER_REPRO_H

#include "tools/compiler/compile.h"

typedef struct Repro {
    Arena arena;
    const char *folder; // NULL: nobody asked, and every call does nothing
    int stages;
    const char *failure; // the first file that could not be written and why, NULL if none
} Repro;

// Makes the folder, which must not exist, and writes about.txt. False with a message if it cannot.
bool repro_begin(Repro *repro, const Options *options, int argc, char **argv, Diag *diag);
// Copies the script or text and the model file's header, writes run.sh; as far as compile_open
// came.
void repro_add_inputs(Repro *repro, const Compile *compile);
// Copies the scripts that were required.
void repro_add_scripts(Repro *repro, const Compile *compile);
// Writes the module as it is now to NN-NAME.ir.
void repro_add_stage(Repro *repro, const char *name, const Module *module);
// Writes what went wrong (NULL: nothing), says where the bundle is. False with a message when the
// bundle is not complete.
bool repro_end(Repro *repro, const char *message, Diag *diag);

#endif
