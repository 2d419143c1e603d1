// Text in, text out: prefill, then one token after another until an end token, a stop text, -n, the
// end of the context or Ctrl-C. Text goes to stdout as soon as it is certain: whole characters
// only, and nothing that may turn out to begin a stop text.
#define _GNU_SOURCE // memmem
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "runtime/sample.h"
#include "runtime/text/text_stream.h"
#include "tools/run/prompt.h"
#include "tools/run/run.h"

typedef struct Generation {
    Run *run;
    Session *session;
    Sampler *sampler;
    int32_t sequence;
    TextStream stream;
    TokenList prompt, reply;
    Text prompt_text;
    Text pending;       // not printed yet: may begin a stop text
    Text printed;       // with --json: all that was printed
    float *logits;      // a copy: the sampler changes them
    const char *finish; // why it ended
    double prompt_seconds, reply_seconds;
} Generation;

static bool is_end_token(const Vocabulary *vocabulary, int32_t id)
{
    for (int32_t i = 0; i < vocabulary->end_count; i++)
        if (vocabulary->ends[i] == id)
            return true;
    return false;
}

static void print_text(Generation *generation, const char *bytes, size_t length)
{
    if (generation->run->options->json) {
        text_append(&generation->printed, bytes, length);
        return;
    }
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
static bool flush_pending(Generation *generation, bool all)
{
    Text *pending = &generation->pending;
    const OptionList *stops = &generation->run->options->stop;
    const char *stop = find_stop(pending, stops);
    size_t sure = stop ? (size_t)(stop - pending->bytes)
                       : pending->length - (all ? 0 : held_back(pending, stops));
    if (sure)
        print_text(generation, pending->bytes, sure);
    if (pending->length)
        memmove(pending->bytes, pending->bytes + sure, pending->length - sure + 1);
    pending->length -= sure;
    return stop != NULL;
}

// Shows one token; true when the reply ends with it.
static bool show_token(Generation *generation, int32_t id)
{
    if (generation->run->options->print_ids) {
        char number[16];
        int length = snprintf(number, sizeof number, "%s%" PRId32,
                              generation->reply.count > 1 ? " " : "", id);
        print_text(generation, number, (size_t)length);
        return false;
    }
    text_stream_push(&generation->stream, id, &generation->pending);
    return flush_pending(generation, false);
}

static int32_t draw_token(Generation *generation, Diag *diag)
{
    int64_t count = generation->run->plan->info.vocabulary_size;
    memcpy(generation->logits, session_logits(generation->session, 0),
           (size_t)count * sizeof *generation->logits);
    int32_t id = sampler_draw(generation->sampler, generation->logits);
    if (id < 0)
        diag_fail(diag, (Where){0}, "no token can be chosen: the logits are not numbers");
    return id;
}

static bool reply(Generation *generation, Diag *diag)
{
    const Options *options = generation->run->options;
    const Vocabulary *vocabulary = tokenizer_vocabulary(generation->run->tokenizer);
    int64_t limit =
        options->predict == OPTION_UNSET_INT || options->predict < 0 ? INT64_MAX : options->predict;
    generation->finish = "length";
    while (generation->reply.count < limit && !run_interrupted) {
        int32_t id = draw_token(generation, diag);
        if (id < 0)
            return false;
        if (is_end_token(vocabulary, id) && !options->ignore_eos) {
            generation->finish = "stop";
            break;
        }
        if (!token_list_push(&generation->reply, id, diag))
            return false;
        sampler_accept(generation->sampler, id);
        if (show_token(generation, id)) {
            generation->finish = "stop";
            generation->pending.length = 0;
            break;
        }
        bool full = session_length(generation->session, generation->sequence) ==
                    session_context(generation->session);
        if (full)
            generation->finish = "context";
        if (full || generation->reply.count == limit)
            break;
        SessionInput input = {generation->sequence, &id, 1, ROWS_LAST};
        if (!session_step(generation->session, &input, 1, diag))
            return false;
    }
    if (!options->print_ids)
        text_stream_end(&generation->stream, &generation->pending);
    flush_pending(generation, true);
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

// What the user says, else what the plan says of the model, else the defaults.
static bool choose_sampling(Generation *generation, Diag *diag)
{
    const Options *options = generation->run->options;
    SampleOptions sample = sample_options_default();
    choose_recommended(generation->run->plan, &sample);
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
    int32_t count = (int32_t)generation->run->plan->info.vocabulary_size;
    generation->sampler = sampler_new(&sample, count, diag);
    generation->logits = malloc((size_t)count * sizeof *generation->logits);
    if (generation->sampler && !generation->logits)
        diag_fail(diag, (Where){0}, "out of memory");
    return generation->sampler && generation->logits;
}

static bool prefill(Generation *generation, Diag *diag)
{
    const Options *options = generation->run->options;
    double began = run_seconds();
    if (!generation->prompt.count)
        return diag_fail(diag, (Where){0},
                         "the prompt is empty and the model has no token to begin "
                         "with: give -p");
    if (!session_feed(generation->session, generation->sequence, generation->prompt.ids,
                      generation->prompt.count, ROWS_LAST, NULL, NULL, diag))
        return false;
    generation->prompt_seconds = run_seconds() - began;
    for (int64_t i = 0; i < generation->prompt.count; i++)
        sampler_accept(generation->sampler, generation->prompt.ids[i]);
    if (options->echo && !options->print_ids)
        print_text(generation, generation->prompt_text.bytes, generation->prompt_text.length);
    return true;
}

typedef struct Figures {
    double load_ms, prompt_rate, reply_rate;
    double memory_mib, resident_mib; // at most, and now
} Figures;

static double rate(int64_t tokens, double seconds)
{
    return seconds > 0 ? (double)tokens / seconds : 0;
}

// Of this process now, 0 where nobody tells.
static double resident_mib(void)
{
    long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file && fscanf(file, "%*s %lld", &pages) != 1)
        pages = 0;
    if (file)
        fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
}

static Figures take_figures(const Generation *generation)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (Figures){.load_ms = generation->run->load_seconds * 1e3,
                     .prompt_rate = rate(generation->prompt.count, generation->prompt_seconds),
                     .reply_rate = rate(generation->reply.count, generation->reply_seconds),
                     .memory_mib = (double)usage.ru_maxrss / 1024,
                     .resident_mib = resident_mib()};
}

static void print_figures(const Generation *generation)
{
    Figures figures = take_figures(generation);
    fprintf(stderr,
            "load %.0f ms; prompt %" PRId64 " tokens, %.0f tok/s; generated %" PRId64
            " tokens, %.0f tok/s; memory %.0f MiB\n",
            figures.load_ms, generation->prompt.count, figures.prompt_rate, generation->reply.count,
            figures.reply_rate, figures.memory_mib);
}

static void print_json(const Generation *generation)
{
    Figures figures = take_figures(generation);
    Text out = {0};
    text_append(&out, "{\"text\": ", 9);
    text_quote(&out, generation->printed.bytes ? generation->printed.bytes : "",
               generation->printed.length);
    text_append(&out, ", \"ids\": [", 10);
    for (int64_t i = 0; i < generation->reply.count; i++)
        text_print(&out, "%s%" PRId32, i ? ", " : "", generation->reply.ids[i]);
    text_print(&out,
               "], \"finish\": \"%s\", \"prompt_tokens\": %" PRId64
               ", \"generated_tokens\": %" PRId64 ", \"load_ms\": %.3f"
               ", \"prompt_tokens_per_second\": %.2f, \"generated_tokens_per_second\": %.2f"
               ", \"memory_mib\": %.1f, \"resident_mib\": %.1f}\n",
               generation->finish, generation->prompt.count, generation->reply.count,
               figures.load_ms, figures.prompt_rate, figures.reply_rate, figures.memory_mib,
               figures.resident_mib);
    fwrite(out.bytes, 1, out.length, stdout);
    text_free(&out);
}

static bool generate(Generation *generation, Diag *diag)
{
    Run *run = generation->run;
    const Options *options = run->options;
    if (!run_need_tokenizer(run, diag) ||
        !prompt_tokens(options, run->tokenizer, &generation->prompt, &generation->prompt_text,
                       diag))
        return false;
    generation->session = run_open_session(run, 0, diag);
    if (!generation->session || !choose_sampling(generation, diag))
        return false;
    generation->sequence = session_add_sequence(generation->session, diag);
    if (generation->sequence < 0 || !prefill(generation, diag))
        return false;
    bool at_start = !options->ids && generation->prompt_text.length == 0;
    text_stream_begin(&generation->stream, run->tokenizer, options->special, at_start);
    double began = run_seconds();
    if (!reply(generation, diag))
        return false;
    generation->reply_seconds = run_seconds() - began;
    if (options->json)
        print_json(generation);
    else
        print_text(generation, "\n", 1);
    if (strcmp(generation->finish, "context") == 0)
        fprintf(stderr, "the context of %" PRId64 " tokens is full (-c sets it)\n",
                session_context(generation->session));
    if (options->stats || isatty(STDERR_FILENO))
        print_figures(generation);
    return true;
}

int run_generate(Run *run, Diag *diag)
{
    Generation generation = {.run = run};
    bool good = generate(&generation, diag);
    session_close(generation.session);
    sampler_free(generation.sampler);
    token_list_free(&generation.prompt);
    token_list_free(&generation.reply);
    text_free(&generation.prompt_text);
    text_free(&generation.pending);
    text_free(&generation.printed);
    free(generation.logits);
    return !good ? -1 : run_interrupted ? 130 : 0;
}
