#define _GNU_SOURCE // memmem
#include "tools/run/reply.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static bool is_end_token(const Vocabulary *vocabulary, int32_t id)
{
    for (int32_t i = 0; i < vocabulary->end_count; i++)
        if (vocabulary->ends[i] == id)
            return true;
    return false;
}

void reply_show(Reply *reply, const char *bytes, size_t length)
{
    text_append(&reply->shown, bytes, length);
    if (reply->quiet)
        return;
    fwrite(bytes, 1, length, stdout);
    fflush(stdout);
}

// Bytes at the end of the text that could begin a stop text.
static size_t held_back(const Text *text, const OptionList *stops)
{
    size_t most = 0;
    for (int32_t i = 0; i < stops->count; i++) {
        size_t length = strlen(stops->items[i]);
        for (size_t n = length ? length - 1 : 0; n > most; n--)
            if (n <= text->length &&
                memcmp(text->bytes + text->length - n, stops->items[i], n) == 0)
                most = n;
    }
    return most;
}

// The place of the first stop text, NULL if there is none.
static const char *find_stop(const Text *text, const OptionList *stops)
{
    const char *first = NULL;
    for (int32_t i = 0; i < stops->count; i++) {
        size_t length = strlen(stops->items[i]);
        const char *found = length && text->length
                                ? memmem(text->bytes, text->length, stops->items[i], length)
                                : NULL;
        if (found && (!first || found < first))
            first = found;
    }
    return first;
}

// Prints what is certain of the pending text; true when a stop text has come.
static bool flush_pending(Reply *reply, bool all)
{
    Text *pending = &reply->pending;
    const OptionList *stops = &reply->stops;
    const char *stop = find_stop(pending, stops);
    size_t sure = stop ? (size_t)(stop - pending->bytes)
                       : pending->length - (all ? 0 : held_back(pending, stops));
    if (sure)
        reply_show(reply, pending->bytes, sure);
    if (pending->length)
        memmove(pending->bytes, pending->bytes + sure, pending->length - sure + 1);
    pending->length -= sure;
    return stop != NULL;
}

// Shows one token; true when the reply ends with it.
static bool show_token(Reply *reply, int32_t id)
{
    if (reply->options->print_ids) {
        char number[16];
        int length =
            snprintf(number, sizeof number, "%s%" PRId32, reply->ids.count > 1 ? " " : "", id);
        reply_show(reply, number, (size_t)length);
        return false;
    }
    text_stream_push(&reply->stream, id, &reply->pending);
    return flush_pending(reply, false);
}

static int32_t draw_token(Reply *reply, Diag *diag)
{
    int64_t count = reply->run->plan->info.vocabulary_size;
    memcpy(reply->logits, session_logits(reply->session, 0), (size_t)count * sizeof *reply->logits);
    int32_t id = sampler_draw(reply->sampler, reply->logits);
    if (id < 0)
        diag_fail(diag, (Where){0}, "no token can be chosen: the logits are not numbers");
    return id;
}

bool reply_make(Reply *reply, Diag *diag)
{
    const Options *options = reply->options;
    const Vocabulary *vocabulary = &reply->run->plan->vocabulary;
    int64_t limit =
        options->predict == OPTION_UNSET_INT || options->predict < 0 ? INT64_MAX : options->predict;
    if (!options->print_ids)
        text_stream_begin(&reply->stream, reply->run->tokenizer, options->special, reply->at_start);
    reply->finish = "length";
    while (reply->ids.count < limit && !run_interrupted) {
        int32_t id = draw_token(reply, diag);
        if (id < 0)
            return false;
        if (is_end_token(vocabulary, id) && !options->ignore_eos) {
            reply->finish = "stop";
            break;
        }
        if (!token_list_push(&reply->ids, id, diag))
            return false;
        sampler_accept(reply->sampler, id);
        if (show_token(reply, id)) {
            reply->finish = "stop";
            reply->pending.length = 0;
            break;
        }
        bool full =
            session_length(reply->session, reply->sequence) == session_context(reply->session);
        if (full)
            reply->finish = "context";
        if (full || reply->ids.count == limit)
            break;
        SessionInput input = {reply->sequence, &id, 1, ROWS_LAST};
        if (!session_step(reply->session, &input, 1, diag))
            return false;
    }
    if (!options->print_ids)
        text_stream_end(&reply->stream, &reply->pending);
    flush_pending(reply, true);
    return true;
}

static void choose_real(double given, float *out)
{
    if (!isnan(given))
        *out = (float)given;
}

static void choose_count(int64_t given, int32_t *out)
{
    if (given != OPTION_UNSET_INT)
        *out = given > INT32_MAX ? INT32_MAX : given < INT32_MIN ? INT32_MIN : (int32_t)given;
}

static void choose_recommended(const Plan *plan, SampleOptions *sample)
{
    for (uint32_t i = 0; i < plan->setting_count; i++) {
        float value = plan->settings[i].value;
        switch (plan->settings[i].kind) {
#define SETTING(field, key, least, most, whole)                                                    \
    case SETTING_##field:                                                                          \
        sample->field = (__typeof__(sample->field))value;                                          \
        break;
#include "graph/base/settings.def"
#undef SETTING
        }
    }
}

static bool choose_sampling(Reply *reply, Diag *diag)
{
    const Options *options = reply->options;
    SampleOptions sample = sample_options_default();
    choose_recommended(reply->run->plan, &sample);
    choose_real(options->temperature, &sample.temperature);
    choose_real(options->typical_p, &sample.typical_p);
    choose_real(options->top_p, &sample.top_p);
    choose_real(options->min_p, &sample.min_p);
    choose_real(options->repeat_penalty, &sample.repeat_penalty);
    choose_real(options->frequency_penalty, &sample.frequency_penalty);
    choose_real(options->presence_penalty, &sample.presence_penalty);
    choose_count(options->top_k, &sample.top_k);
    choose_count(options->repeat_last_n, &sample.repeat_last_n);
    if (options->greedy)
        sample.temperature = 0;
    if (options->seed != OPTION_UNSET_INT) {
        sample.seed = (uint64_t)options->seed;
    } else if (sample.temperature > 0) {
        uint32_t seed = 0;
        if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
            seed = (uint32_t)getpid();
        sample.seed = seed;
        fprintf(stderr, "seed %" PRIu32 "\n", seed);
    }
    int32_t count = (int32_t)reply->run->plan->info.vocabulary_size;
    Sampler *sampler = sampler_new(&sample, count, diag);
    if (!sampler)
        return false;
    sampler_free(reply->sampler);
    reply->sampler = sampler;
    return true;
}

bool reply_take_options(Reply *reply, Diag *diag)
{
    reply->stops = reply->options->stop;
    if (reply->turn_end && reply->stops.count < OPTION_LIST_MAX)
        reply->stops.items[reply->stops.count++] = reply->turn_end;
    return choose_sampling(reply, diag);
}

bool reply_open(Reply *reply, Run *run, const char *turn_end, Diag *diag)
{
    reply->run = run;
    reply->options = run->options;
    reply->turn_end = turn_end;
    reply->session = run_open_session(run, 0, diag);
    if (!reply->session || !reply_take_options(reply, diag))
        return false;
    reply->logits = malloc((size_t)run->plan->info.vocabulary_size * sizeof *reply->logits);
    if (!reply->logits)
        return diag_fail(diag, (Where){0}, "out of memory");
    reply->sequence = session_add_sequence(reply->session, diag);
    return reply->sequence >= 0;
}

void reply_close(Reply *reply)
{
    session_close(reply->session);
    sampler_free(reply->sampler);
    token_list_free(&reply->ids);
    text_free(&reply->pending);
    text_free(&reply->shown);
    free(reply->logits);
}

bool reply_feed(Reply *reply, const int32_t *ids, int64_t count, Diag *diag)
{
    reply->ids.count = 0;
    reply->shown.length = reply->pending.length = 0;
    if (!session_feed(reply->session, reply->sequence, ids, count, ROWS_LAST, NULL, NULL, diag))
        return false;
    for (int64_t i = 0; i < count; i++)
        sampler_accept(reply->sampler, ids[i]);
    return true;
}
