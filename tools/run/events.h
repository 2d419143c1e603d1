// Chrome's trace format (also for Perfetto): an event for each step of each thread, and for each
// wait at a barrier.
#ifndef TOOLS_RUN_EVENTS_H
#define TOOLS_RUN_EVENTS_H

#include "runtime/exec.h"

typedef struct Events Events;

// The file appears when events_finish succeeds.
Events *events_open(const char *path, const Plan *plan, Diag *diag);
void events_add_run(Events *events, const Exec *exec);
bool events_finish(Events *events, Diag *diag);
// Nothing is left behind unless it was finished.
void events_close(Events *events);

#endif
