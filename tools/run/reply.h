// A reply in the making: tokens go in, then one token after another is drawn and shown until an end
// token, a stop text, a limit, the end of the context or Ctrl-C.
//
// Text is shown as soon as it is certain: whole characters only, and nothing that may turn out to
// begin a stop text.
#ifndef TOOLS_RUN_REPLY_H
#define TOOLS_RUN_REPLY_H

#include "runtime/sample.h"
#include "runtime/text/text_stream.h"
#include "tools/run/run.h"

typedef struct Reply {
    Run *run;
    const Options *options; // what is asked for now: a chat changes them between replies
    Session *session;
    Sampler *sampler;
    int32_t sequence;
    OptionList stops;
    const char *turn_end;
    bool quiet;    // keep the text in `shown`, print nothing
    bool at_start; // no text stands before the reply
    TextStream stream;
    TokenList ids;
    Text pending;       // not shown yet: may begin a stop text
    Text shown;         // all that was shown
    float *logits;      // a copy: the sampler changes them
    const char *finish; // why it ended: stop, length, context
} Reply;

// Opens a session for one sequence and a sampler. `turn_end` is a stop text besides those of the
// options, or NULL. Close after a failure too.
bool reply_open(Reply *reply, Run *run, const char *turn_end, Diag *diag);
void reply_close(Reply *reply);
// Sampling and stop texts as reply->options say now; after a failure they are as they were.
bool reply_take_options(Reply *reply, Diag *diag);

// Begins a reply: appends tokens to the sequence; the sampler sees them too.
bool reply_feed(Reply *reply, const int32_t *ids, int64_t count, Diag *diag);
// Shows bytes as they are.
void reply_show(Reply *reply, const char *bytes, size_t length);
// Makes the reply to what was fed: ids, shown and finish tell of it afterwards.
bool reply_make(Reply *reply, Diag *diag);

#endif
