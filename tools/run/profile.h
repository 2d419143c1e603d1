// --profile and --trace: where the time of a run goes, as a table on stderr and as Chrome's trace.
#ifndef TOOLS_RUN_PROFILE_H
#define TOOLS_RUN_PROFILE_H

#include "runtime/session.h"
#include "tools/run/run.h"

// NULL when neither is asked for, or with a message.
RunProfile *run_profile_open(const Run *run, Diag *diag);
void run_profile_close(RunProfile *profile);
// Lets a session's runs be watched. Nothing happens without a profile, here and below.
void run_profile_watch(RunProfile *profile, SessionOptions *options);
// Runs are not counted while it is paused.
void run_profile_pause(RunProfile *profile, bool paused);
// Prints what the session's runs took and finishes the trace; to be called before it is closed.
bool run_profile_report(RunProfile *profile, const Session *session, Diag *diag);

#endif
