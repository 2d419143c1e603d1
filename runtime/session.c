// Sequences on top of an Exec: checks what the caller gives, keeps the pages, fills the step's
// inputs.
#include "runtime/session.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/kv.h"

struct Session {
    const Plan *plan;
    Exec *exec;
    Kv *kv;
    int32_t logits; // index of the output
    int64_t chunk;
    bool *in_step; // by sequence, while a step is checked
};

static bool check_logits(Session *session, Diag *diag)
{
    const Plan *plan = session->plan;
    int64_t vocabulary = plan->info.vocabulary_size;
    session->logits = exec_find_output(session->exec, "logits");
    const Shape *shape = session->logits < 0 ? NULL : &plan->outputs[session->logits].shape;
    if (!shape || vocabulary < 1 || !dim_equal(shape->dims[0], dim_symbol(SYMBOL_R)) ||
        shape->dims[1].constant != vocabulary)
        return diag_fail(diag, (Where){.file = plan->path},
                         "the plan has no output \"logits\" of its vocabulary size (%lld)",
                         (long long)vocabulary);
    return true;
}

static bool open_parts(Session *session, const SessionOptions *options, Diag *diag)
{
    ExecOptions wanted = {options->threads,  options->context, options->sequences,
                          options->rows_max, options->watch,   options->watch_context};
    session->exec = exec_open(session->plan, &wanted, diag);
    if (!session->exec || !check_logits(session, diag))
        return false;
    const ExecOptions *settled = exec_options(session->exec);
    int32_t pages = exec_pages_per_sequence(session->exec);
    KvOptions kv = {pages * settled->sequences, session->plan->info.page_tokens, pages,
                    settled->sequences};
    session->kv = kv_open(&kv, diag);
    session->in_step = calloc((size_t)settled->sequences, sizeof *session->in_step);
    if (!session->in_step)
        return diag_fail(diag, (Where){0}, "out of memory");
    int64_t batch = session->plan->info.batch;
    session->chunk = options->chunk > 0 && options->chunk < batch ? options->chunk : batch;
    return session->kv != NULL;
}

Session *session_open(const Plan *plan, const SessionOptions *options, Diag *diag)
{
    Session *session = calloc(1, sizeof *session);
    if (!session) {
        diag_fail(diag, (Where){0}, "out of memory");
        return NULL;
    }
    session->plan = plan;
    if (!open_parts(session, options, diag)) {
        session_close(session);
        return NULL;
    }
    return session;
}

void session_close(Session *session)
{
    if (!session)
        return;
    exec_close(session->exec);
    kv_close(session->kv);
    free(session->in_step);
    free(session);
}

const Plan *session_plan(const Session *session)
{
    return session->plan;
}

const Exec *session_exec(const Session *session)
{
    return session->exec;
}

int32_t session_add_sequence(Session *session, Diag *diag)
{
    return kv_add_sequence(session->kv, diag);
}

void session_remove_sequence(Session *session, int32_t sequence)
{
    kv_remove_sequence(session->kv, sequence);
}

int64_t session_length(const Session *session, int32_t sequence)
{
    return kv_length(session->kv, sequence);
}

int64_t session_context(const Session *session)
{
    return exec_options(session->exec)->context;
}

void session_truncate(Session *session, int32_t sequence, int64_t length)
{
    Diag diag = {0};
    assert(length >= 0 && length <= kv_length(session->kv, sequence));
    kv_set_length(session->kv, sequence, length, &diag);
}

static int64_t rows_of(const SessionInput *input)
{
    return input->rows == ROWS_ALL ? input->token_count : input->rows == ROWS_LAST;
}

static bool check_input(const Session *session, const SessionInput *input, Diag *diag)
{
    int64_t vocabulary = session->plan->info.vocabulary_size;
    if (!kv_has_sequence(session->kv, input->sequence))
        return diag_fail(diag, (Where){0}, "there is no sequence %d", input->sequence);
    if (input->token_count < 1)
        return diag_fail(diag, (Where){0}, "no tokens for sequence %d", input->sequence);
    int64_t context = session_context(session), length = kv_length(session->kv, input->sequence);
    if (length == 0 && input->token_count > context)
        return diag_fail(diag, (Where){0},
                         "the prompt has %lld tokens but the context holds %lld: raise -c",
                         (long long)input->token_count, (long long)context);
    if (input->token_count > context - length)
        return diag_fail(diag, (Where){0},
                         "%lld tokens are to follow %lld but the context holds %lld: raise -c",
                         (long long)input->token_count, (long long)length, (long long)context);
    for (int64_t i = 0; i < input->token_count; i++)
        if (input->tokens[i] < 0 || input->tokens[i] >= vocabulary)
            return diag_fail(diag, (Where){0}, "token %d is not in the vocabulary of %lld",
                             input->tokens[i], (long long)vocabulary);
    return true;
}

// Each input on its own, then what they need together.
static bool check_inputs(Session *session, const SessionInput *inputs, int32_t count, int64_t *rows,
                         Diag *diag)
{
    const ExecOptions *options = exec_options(session->exec);
    int64_t tokens = 0, batch = session->plan->info.batch;
    *rows = 0;
    if (count < 1 || count > options->sequences)
        return diag_fail(diag, (Where){0}, "a step has 1 to %d sequences, not %d",
                         options->sequences, count);
    memset(session->in_step, 0, (size_t)options->sequences * sizeof *session->in_step);
    for (int32_t i = 0; i < count; i++) {
        if (!check_input(session, &inputs[i], diag))
            return false;
        if (session->in_step[inputs[i].sequence])
            return diag_fail(diag, (Where){0}, "sequence %d appears twice in a step",
                             inputs[i].sequence);
        session->in_step[inputs[i].sequence] = true;
        tokens += inputs[i].token_count;
        *rows += rows_of(&inputs[i]);
        if (tokens > batch)
            return diag_fail(diag, (Where){0}, "a step takes at most %lld tokens: compile with -b",
                             (long long)batch);
    }
    if (*rows > options->rows_max)
        return diag_fail(diag, (Where){0}, "%lld rows of logits are wanted, the session gives %lld",
                         (long long)*rows, (long long)options->rows_max);
    return true;
}

// Pages for all that the step appends, or for nothing of it.
static bool take_pages(Session *session, const SessionInput *inputs, int32_t count, Diag *diag)
{
    for (int32_t i = 0; i < count; i++) {
        int64_t length = kv_length(session->kv, inputs[i].sequence);
        if (kv_set_length(session->kv, inputs[i].sequence, length + inputs[i].token_count, diag))
            continue;
        while (i-- > 0) {
            length = kv_length(session->kv, inputs[i].sequence) - inputs[i].token_count;
            session_truncate(session, inputs[i].sequence, length);
        }
        return false;
    }
    return true;
}

static void fill_inputs(Session *session, const SessionInput *inputs, int32_t count)
{
    Exec *exec = session->exec;
    int32_t *token = exec_input(exec, INPUT_TOKEN), *pos = exec_input(exec, INPUT_POS);
    int32_t *seq = exec_input(exec, INPUT_SEQ), *row = exec_input(exec, INPUT_ROW);
    int32_t *table = exec_input(exec, INPUT_TABLE), *length = exec_input(exec, INPUT_LENGTH);
    int32_t pages = exec_pages_per_sequence(exec), at = 0;
    for (int32_t i = 0; i < count; i++) {
        const SessionInput *input = &inputs[i];
        int32_t end = (int32_t)kv_length(session->kv, input->sequence);
        int32_t tokens = (int32_t)input->token_count, wanted = (int32_t)rows_of(input);
        for (int32_t j = 0; j < tokens; j++, at++) {
            token[at] = input->tokens[j];
            pos[at] = end - tokens + j;
            seq[at] = i;
            if (j >= tokens - wanted)
                *row++ = at;
        }
        memcpy(table + (int64_t)i * pages, kv_table(session->kv, input->sequence),
               (size_t)pages * sizeof *table);
        length[i] = end;
    }
}

bool session_step(Session *session, const SessionInput *inputs, int32_t count, Diag *diag)
{
    int64_t rows, tokens = 0;
    if (!check_inputs(session, inputs, count, &rows, diag) ||
        !take_pages(session, inputs, count, diag))
        return false;
    for (int32_t i = 0; i < count; i++)
        tokens += inputs[i].token_count;
    fill_inputs(session, inputs, count);
    exec_run(session->exec, tokens, rows, count);
    return true;
}

const float *session_logits(const Session *session, int64_t row)
{
    return exec_output(session->exec, session->logits) + row * session->plan->info.vocabulary_size;
}

// Gives the rows of a chunk that begins at token `begin`. False when the receiver has had enough.
static bool give_rows(const Session *session, const SessionInput *chunk, int64_t begin,
                      SessionRows *rows, void *context)
{
    int64_t count = rows_of(chunk), first = begin + chunk->token_count - count;
    for (int64_t i = 0; i < count && rows; i++)
        if (!rows(context, first + i, session_logits(session, i)))
            return false;
    return true;
}

bool session_feed(Session *session, int32_t sequence, const int32_t *tokens, int64_t count,
                  RowsWanted wanted, SessionRows *rows, void *context, Diag *diag)
{
    SessionInput all = {sequence, tokens, count, wanted};
    if (!check_input(session, &all, diag))
        return false;
    int64_t rows_max = exec_options(session->exec)->rows_max, most = session->chunk;
    if (wanted == ROWS_ALL && rows_max < most)
        most = rows_max;
    for (int64_t begin = 0; begin < count; begin += most) {
        int64_t rest = count - begin;
        SessionInput chunk = {sequence, tokens + begin, rest < most ? rest : most, wanted};
        if (wanted == ROWS_LAST && rest > most)
            chunk.rows = ROWS_NONE;
        if (!session_step(session, &chunk, 1, diag))
            return false;
        if (!give_rows(session, &chunk, begin, rows, context))
            return true;
    }
    return true;
}
