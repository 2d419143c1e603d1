// --perplexity: the text is tokenised once and cut in chunks as long as the context (-c), which do
// not overlap. Where the model begins texts with BOS, each chunk is BOS and context - 1 tokens of
// the text. Every token of a chunk but its first is predicted from those before it in the chunk.
// With --documents each document is such a text, without the newlines that it begins with.
// Printed: the mean negative log-likelihood a token (natural logarithm) and its exponential.
#define _GNU_SOURCE // memmem
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/run/profile.h"
#include "tools/run/prompt.h"

typedef struct Score {
    const int32_t *tokens; // of the chunk
    int64_t count;
    int64_t vocabulary;
    double sum;
    int64_t scored;
} Score;

// A document in the text.
typedef struct Span {
    const char *bytes;
    size_t length;
} Span;

// -log softmax(logits)[token], in double.
static double surprise(const float *logits, int64_t count, int32_t token)
{
    double most = logits[0];
    for (int64_t i = 1; i < count; i++)
        most = logits[i] > most ? logits[i] : most;
    double sum = exp((double)logits[0] - most);
    for (int64_t i = 1; i < count; i++)
        sum += exp((double)logits[i] - most);
    return log(sum) + most - (double)logits[token];
}

static bool score_row(void *context, int64_t index, const float *logits)
{
    Score *score = context;
    if (index + 1 < score->count) {
        score->sum += surprise(logits, score->vocabulary, score->tokens[index + 1]);
        score->scored++;
    }
    return !run_interrupted;
}

static void show_progress(const Score *score, int64_t done, int64_t all)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%lld of %lld tokens, perplexity so far %.4f ", (long long)done,
                (long long)all, exp(score->sum / (double)score->scored));
}

// Scores the text in one sequence, which it leaves empty or interrupted.
static bool score_tokens(Run *run, Session *session, int32_t sequence, const TokenList *tokens,
                         Score *score, Diag *diag)
{
    const Vocabulary *vocabulary = tokenizer_vocabulary(run->tokenizer);
    bool bos = vocabulary->add_bos && !run->options->no_bos;
    int64_t room = session_context(session) - bos;
    int32_t *chunk = malloc((size_t)(room + 1) * sizeof *chunk);
    bool good = chunk || diag_fail(diag, (Where){0}, "out of memory");
    for (int64_t done = 0; good && done < tokens->count && !run_interrupted; done += room) {
        int64_t rest = tokens->count - done, length = rest < room ? rest : room;
        chunk[0] = vocabulary->bos;
        memcpy(chunk + bos, tokens->ids + done, (size_t)length * sizeof *chunk);
        score->tokens = chunk;
        score->count = length + bos;
        session_truncate(session, sequence, 0);
        good =
            session_feed(session, sequence, chunk, score->count, ROWS_ALL, score_row, score, diag);
        show_progress(score, done + length, tokens->count);
    }
    free(chunk);
    return good;
}

// Takes the next document from the rest of the text; false at its end.
static bool next_document(Span *rest, const char *separator, Span *document)
{
    size_t length = separator ? strlen(separator) : 0;
    while (rest->length > 0) {
        const char *end = length ? memmem(rest->bytes, rest->length, separator, length) : NULL;
        *document = (Span){rest->bytes, end ? (size_t)(end - rest->bytes) : rest->length};
        size_t used = document->length + (end ? length : 0);
        *rest = (Span){rest->bytes + used, rest->length - used};
        while (separator && document->length > 0 && *document->bytes == '\n')
            *document = (Span){document->bytes + 1, document->length - 1};
        if (document->length > 0)
            return true;
    }
    return false;
}

static bool score_text(Run *run, Session *session, const Text *text, Score *score, Diag *diag)
{
    Span rest = {text->bytes, text->length}, document;
    int32_t sequence = session_add_sequence(session, diag);
    bool good = sequence >= 0;
    while (good && !run_interrupted && next_document(&rest, run->options->documents, &document)) {
        TokenList tokens = {0};
        good = tokenizer_encode(run->tokenizer, document.bytes, document.length, (EncodeOptions){0},
                                &tokens, diag) &&
               score_tokens(run, session, sequence, &tokens, score, diag);
        token_list_free(&tokens);
    }
    return good;
}

static void print_score(const Run *run, const Score *score)
{
    double mean = score->sum / (double)score->scored;
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%60s\r", "");
    if (run->options->json)
        printf("{\"tokens\": %lld, \"nll\": %.6f, \"perplexity\": %.6f}\n",
               (long long)score->scored, mean, exp(mean));
    else
        printf("%lld tokens, mean negative log-likelihood %.6f, perplexity %.6f\n",
               (long long)score->scored, mean, exp(mean));
}

int run_perplexity(Run *run, Diag *diag)
{
    Text text = {0};
    Score score = {.vocabulary = run->plan->info.vocabulary_size};
    int64_t rows =
        run->options->chunk == OPTION_UNSET_INT ? run->plan->info.batch : run->options->chunk;
    Session *session = NULL;
    bool good = run_need_tokenizer(run, diag) &&
                prompt_read_file(run->options->perplexity, &text, diag) &&
                (session = run_open_session(run, rows, diag)) &&
                score_text(run, session, &text, &score, diag);
    if (good && !run_interrupted && !score.scored)
        good = diag_fail(diag, (Where){run->options->perplexity, 0, 0},
                         "the text is too short: there is nothing to predict");
    if (good && !run_interrupted)
        print_score(run, &score);
    good = good && run_profile_report(run->profile, session, diag);
    session_close(session);
    text_free(&text);
    return !good ? -1 : run_interrupted ? 130 : 0;
}
