// --logits and --tap: runs exactly the prompt's ids, chunk by chunk, and writes float32 rows of
// every token as they come.
#include <stdlib.h>
#include <string.h>

#include "tools/run/npy.h"
#include "tools/run/profile.h"
#include "tools/run/prompt.h"

enum { TRACE_MAX = OPTION_LIST_MAX / 2 + 1 };

// One output that is written.
typedef struct Trace {
    int32_t output; // of the plan
    NpyWriter *writer;
} Trace;

static int32_t find_output(const Plan *plan, const char *prefix, const char *name, Diag *diag)
{
    Text wanted = {0}, known = {0};
    text_print(&wanted, "%s%s", prefix, name);
    int32_t found = -1;
    for (uint32_t i = 0; i < plan->output_count; i++) {
        const char *output = plan_string(plan, plan->outputs[i].name);
        text_print(&known, " %s", output);
        if (strcmp(output, wanted.bytes) == 0)
            found = (int32_t)i;
    }
    if (found < 0)
        diag_fail(diag, (Where){plan->path, 0, 0},
                  "the plan has no output \"%s\"; it has:%s. Compile it with --tap %s",
                  wanted.bytes, known.bytes, name);
    text_free(&wanted);
    text_free(&known);
    return found;
}

static bool open_trace(const Plan *plan, const char *prefix, const char *name, const char *path,
                       int64_t tokens, Trace *trace, Diag *diag)
{
    const int64_t symbols[SYMBOL_COUNT] = {tokens, tokens, 1, 1};
    trace->output = find_output(plan, prefix, name, diag);
    if (trace->output < 0)
        return false;
    const Shape *shape = &plan->outputs[trace->output].shape;
    trace->writer = npy_open(path, tokens, shape_columns(shape, symbols), diag);
    return trace->writer != NULL;
}

static bool trace_tokens(Session *session, const TokenList *tokens, const Trace *traces,
                         int32_t count, Diag *diag)
{
    int32_t sequence = session_add_sequence(session, diag);
    int64_t chunk = exec_options(session_exec(session))->rows_max;
    if (sequence < 0)
        return false;
    if (tokens->count > session_context(session))
        return diag_fail(diag, (Where){0},
                         "the prompt has %lld tokens but the context holds %lld: raise -c",
                         (long long)tokens->count, (long long)session_context(session));
    for (int64_t done = 0; done < tokens->count && !run_interrupted; done += chunk) {
        int64_t rest = tokens->count - done;
        SessionInput input = {.sequence = sequence,
                              .tokens = tokens->ids + done,
                              .token_count = rest < chunk ? rest : chunk,
                              .rows = ROWS_ALL};
        if (!session_step(session, &input, 1, diag))
            return false;
        for (int32_t i = 0; i < count; i++)
            npy_add_rows(traces[i].writer, exec_output(session_exec(session), traces[i].output),
                         input.token_count);
    }
    return !run_interrupted;
}

static bool open_traces(Run *run, const TokenList *tokens, Trace *traces, int32_t *count,
                        Diag *diag)
{
    const Options *options = run->options;
    if (options->logits && !open_trace(run->plan, "", "logits", options->logits, tokens->count,
                                       &traces[(*count)++], diag))
        return false;
    for (int32_t i = 0; i < options->taps.count; i += 2)
        if (!open_trace(run->plan, "tap.", options->taps.items[i], options->taps.items[i + 1],
                        tokens->count, &traces[(*count)++], diag))
            return false;
    return true;
}

int run_trace(Run *run, Diag *diag)
{
    TokenList tokens = {0};
    Text text = {0};
    Trace traces[TRACE_MAX] = {0};
    int32_t count = 0;
    int64_t chunk =
        run->options->chunk == OPTION_UNSET_INT ? run->plan->info.batch : run->options->chunk;
    Session *session = NULL;
    bool good = (run->options->ids || run_need_tokenizer(run, diag)) &&
                prompt_tokens(run->options, run->tokenizer, &tokens, &text, diag);
    if (good && !tokens.count)
        good = diag_fail(diag, (Where){0}, "the prompt is empty: there are no rows to write");
    good = good && (session = run_open_session(run, chunk, diag)) &&
           open_traces(run, &tokens, traces, &count, diag) &&
           trace_tokens(session, &tokens, traces, count, diag);
    for (int32_t i = 0; i < count; i++)
        if (!npy_close(traces[i].writer, good, diag))
            good = false;
    good = good && run_profile_report(run->profile, session, diag);
    session_close(session);
    token_list_free(&tokens);
    text_free(&text);
    return good ? 0 : run_interrupted ? 130 : -1;
}
