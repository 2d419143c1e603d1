// The API of conversation, and the library's public header: tokens in, logits out. A session owns
// the memory and threads of a run and the sequences that share them. Errors are messages in a Diag;
// nothing here ends the program. A session serves one caller at a time.
#ifndef RUNTIME_SESSION_H
#define RUNTIME_SESSION_H

#include "runtime/exec.h"

typedef struct Session Session;

typedef struct SessionOptions {
    int32_t threads;   // 0: as many as this process may use
    int64_t context;   // tokens a sequence can hold; 0: the model's
    int32_t sequences; // 0: 1
    int64_t rows_max;  // most rows of logits in a step; 0: one a sequence
    int64_t chunk;     // most tokens session_feed gives a step; 0: the plan's batch
    ExecWatch *watch;  // see exec.h
    void *watch_context;
} SessionOptions;

typedef enum RowsWanted { ROWS_NONE, ROWS_LAST, ROWS_ALL } RowsWanted;

// Tokens that a step appends to one sequence, and which of them it gives logits for.
typedef struct SessionInput {
    int32_t sequence;
    const int32_t *tokens;
    int64_t token_count; // at least 1
    RowsWanted rows;
} SessionInput;

// The plan must outlive the session and have an output "logits" of its vocabulary size.
Session *session_open(const Plan *plan, const SessionOptions *options, Diag *diag);
void session_close(Session *session);
const Plan *session_plan(const Session *session);
// Memory, times: see exec.h.
const Exec *session_exec(const Session *session);

// Id of a new, empty sequence; -1 with a message when there is no room for one.
int32_t session_add_sequence(Session *session, Diag *diag);
void session_remove_sequence(Session *session, int32_t sequence);
int64_t session_length(const Session *session, int32_t sequence);
int64_t session_context(const Session *session);
// Forgets the tokens from `length` on; `length` is at most the sequence's.
void session_truncate(Session *session, int32_t sequence, int64_t length);

// One step over several sequences, of different lengths and at most the plan's batch tokens in all;
// no sequence may appear twice. When it fails no sequence has changed.
bool session_step(Session *session, const SessionInput *inputs, int32_t count, Diag *diag);
// Logits of the last step's row `row` (rows wanted, in the order of the inputs and their tokens):
// vocabulary_size floats, valid until the next step.
const float *session_logits(const Session *session, int64_t row);

// Receives the logits of token `index` of what is fed. False stops the feeding.
typedef bool SessionRows(void *context, int64_t index, const float *logits);
// Appends any number of tokens to a sequence, chunk by chunk. Fails before the first chunk when
// tokens are invalid or the context cannot hold them; returns true as well when `rows` stopped it.
// `rows` may be NULL; the last row's logits are then session_logits(session, 0) for ROWS_LAST.
bool session_feed(Session *session, int32_t sequence, const int32_t *tokens, int64_t count,
                  RowsWanted wanted, SessionRows *rows, void *context, Diag *diag);

#endif
