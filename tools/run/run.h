// One run of graphrun: the plan and what stands on it, and the modes it can run in.
#ifndef TOOLS_RUN_RUN_H
#define TOOLS_RUN_RUN_H

#include <signal.h>

#include "runtime/session.h"
#include "runtime/text/tokenizer.h"
#include "tools/common/options.h"

typedef struct RunProfile RunProfile; // profile.h

typedef struct Run {
    const Options *options;
    Plan *plan;
    Tokenizer *tokenizer; // NULL for plans without a vocabulary
    double began;         // seconds, monotonic
    double load_seconds;
    RunProfile *profile; // NULL unless it is asked for
} Run;

// Set by the first SIGINT after run_catch_interrupt; loops end at the next token. A second one ends
// the program.
extern volatile sig_atomic_t run_interrupted;
void run_catch_interrupt(void);

double run_seconds(void);
// A session for one sequence (of at most rows_max rows a step); sets load_seconds. Where there is
// no vocabulary a mode that needs text has failed before.
Session *run_open_session(Run *run, int64_t rows_max, Diag *diag);
// The options of that session, settled as far as the command line does.
bool run_session_options(const Run *run, int64_t rows_max, SessionOptions *session, Diag *diag);
bool run_need_tokenizer(const Run *run, Diag *diag);

// Each returns the exit status, or -1 with a message.
int run_generate(Run *run, Diag *diag);   // text in, text out (generate.c)
int run_trace(Run *run, Diag *diag);      // --logits, --tap (trace.c)
int run_perplexity(Run *run, Diag *diag); // --perplexity (perplexity.c)
int run_chat(Run *run, Diag *diag);       // --chat (chat.c)
int run_apply(Run *run, Diag *diag);      // --apply-template (conversation.c)
int run_bench(Run *run, Diag *diag);      // --bench (bench.c)
int run_dry(Run *run, Diag *diag);        // --dry-run (dry_run.c)

#endif
