// Text in, text out: one prompt (as it is given, or one turn through the chat template), one reply.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tools/run/conversation.h"
#include "tools/run/profile.h"
#include "tools/run/prompt.h"
#include "tools/run/reply.h"

typedef struct Generation {
    Run *run;
    Reply reply;
    TokenList prompt;
    Text prompt_text;
    const char *turn_end; // NULL unless the prompt is a turn
    double prompt_seconds, reply_seconds;
} Generation;

static bool prefill(Generation *generation, Diag *diag)
{
    const Options *options = generation->run->options;
    double began = run_seconds();
    if (!generation->prompt.count)
        return diag_fail(diag, (Where){0},
                         "the prompt is empty and the model has no token to begin "
                         "with: give -p");
    if (!reply_feed(&generation->reply, generation->prompt.ids, generation->prompt.count, diag))
        return false;
    generation->prompt_seconds = run_seconds() - began;
    if (options->echo && !options->print_ids)
        reply_show(&generation->reply, generation->prompt_text.bytes,
                   generation->prompt_text.length);
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
                     .reply_rate = rate(generation->reply.ids.count, generation->reply_seconds),
                     .memory_mib = (double)usage.ru_maxrss / 1024,
                     .resident_mib = resident_mib()};
}

static void print_figures(const Generation *generation)
{
    Figures figures = take_figures(generation);
    fprintf(stderr,
            "load %.0f ms; prompt %" PRId64 " tokens, %.0f tok/s; generated %" PRId64
            " tokens, %.0f tok/s; memory %.0f MiB\n",
            figures.load_ms, generation->prompt.count, figures.prompt_rate,
            generation->reply.ids.count, figures.reply_rate, figures.memory_mib);
}

static void print_json(const Generation *generation)
{
    Figures figures = take_figures(generation);
    Text out = {0};
    text_append(&out, "{\"text\": ", 9);
    text_quote(&out, generation->reply.shown.bytes ? generation->reply.shown.bytes : "",
               generation->reply.shown.length);
    text_append(&out, ", \"ids\": [", 10);
    for (int64_t i = 0; i < generation->reply.ids.count; i++)
        text_print(&out, "%s%" PRId32, i ? ", " : "", generation->reply.ids.ids[i]);
    text_print(&out,
               "], \"finish\": \"%s\", \"prompt_tokens\": %" PRId64
               ", \"generated_tokens\": %" PRId64 ", \"load_ms\": %.3f"
               ", \"prompt_tokens_per_second\": %.2f, \"generated_tokens_per_second\": %.2f"
               ", \"memory_mib\": %.1f, \"resident_mib\": %.1f}\n",
               generation->reply.finish, generation->prompt.count, generation->reply.ids.count,
               figures.load_ms, figures.prompt_rate, figures.reply_rate, figures.memory_mib,
               figures.resident_mib);
    fwrite(out.bytes, 1, out.length, stdout);
    text_free(&out);
}

// The tokens that -p, -f, --ids or stdin give, as one turn of a conversation where that is asked
// for.
static bool read_prompt(Generation *generation, Diag *diag)
{
    Run *run = generation->run;
    if (!run->options->chat && !run->options->system)
        return prompt_tokens(run->options, run->tokenizer, &generation->prompt,
                             &generation->prompt_text, diag);
    Conversation conversation = {0};
    Text text = {0};
    bool good =
        prompt_read(run->options, &text, diag) && conversation_open(&conversation, run, diag) &&
        conversation_add(&conversation, "user", text.bytes, diag) &&
        conversation_render(&conversation, &generation->prompt_text, diag) &&
        conversation_tokens(&conversation, &generation->prompt_text, &generation->prompt, diag);
    generation->turn_end = conversation.turn_end;
    conversation_close(&conversation);
    text_free(&text);
    return good;
}

static bool generate(Generation *generation, Diag *diag)
{
    Run *run = generation->run;
    const Options *options = run->options;
    Reply *reply = &generation->reply;
    reply->quiet = options->json;
    bool ids_alone = options->ids && options->print_ids; // a model without a tokenizer can do that
    if ((!ids_alone && !run_need_tokenizer(run, diag)) || !read_prompt(generation, diag))
        return false;
    reply->at_start = !options->ids && generation->prompt_text.length == 0;
    if (!reply_open(reply, run, generation->turn_end, diag) || !prefill(generation, diag))
        return false;
    double began = run_seconds();
    if (!reply_make(reply, diag))
        return false;
    generation->reply_seconds = run_seconds() - began;
    if (options->json)
        print_json(generation);
    else
        reply_show(reply, "\n", 1);
    if (strcmp(reply->finish, "context") == 0)
        fprintf(stderr, "the context of %" PRId64 " tokens is full (-c sets it)\n",
                session_context(reply->session));
    if (options->stats || isatty(STDERR_FILENO))
        print_figures(generation);
    return run_profile_report(run->profile, reply->session, diag);
}

int run_generate(Run *run, Diag *diag)
{
    Generation generation = {.run = run};
    bool good = generate(&generation, diag);
    reply_close(&generation.reply);
    token_list_free(&generation.prompt);
    text_free(&generation.prompt_text);
    return !good ? -1 : run_interrupted ? 130 : 0;
}
