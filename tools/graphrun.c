// graphrun: runs plans. Text in, text out; token ids, logits and perplexity for research. Results
// go to stdout, talk to stderr; exit 0, 1 (bad input), 2 (usage), 130 (Ctrl-C).
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/text/text_stream.h"
#include "tools/common/exec_options.h"
#include "tools/common/version.h"
#include "tools/run/locate.h"
#include "tools/run/profile.h"
#include "tools/run/prompt.h"
#include "tools/run/run.h"

static const char usage[] =
    "usage: graphrun [options] MODEL -p PROMPT      MODEL is a plan, or a model file or folder for "
    "graphc\n"
    "       graphrun MODEL -i                       a conversation; -p PROMPT -i: one turn of it\n"
    "       graphrun MODEL --tokenize < TEXT        also --detokenize\n"
    "       graphrun MODEL --ids 1,80,147 --logits OUT.npy\n"
    "       graphrun MODEL --perplexity FILE [--documents SEPARATOR]\n"
    "       graphrun MODEL --bench pp512,tg128      how fast, beside what the machine can\n"
    "       graphrun MODEL --dry-run                what the run would take of memory\n";

static const char footer[] = "Without -p, -f and --ids the prompt is read from stdin.\n"
                             "Where you say nothing, sampling follows what the model's files "
                             "recommend, else the defaults above.\n"
                             "--perplexity cuts the text in chunks as long as the context (-c), "
                             "each begun with BOS where the\n"
                             "model asks for it; every token of a chunk but its first is scored.\n";

volatile sig_atomic_t run_interrupted;

static void on_interrupt(int number)
{
    (void)number;
    run_interrupted = 1;
    signal(SIGINT, SIG_DFL); // the second one ends the program
}

void run_catch_interrupt(void)
{
    run_interrupted = 0;
    signal(SIGINT, on_interrupt);
}

double run_seconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

bool run_session_options(const Run *run, int64_t rows_max, SessionOptions *session, Diag *diag)
{
    const Options *options = run->options;
    ExecOptions exec;
    int64_t chunk;
    if (options->sequences != OPTION_UNSET_INT && !options->dry_run)
        return diag_fail(diag, (Where){0},
                         "graphrun runs one sequence: --sequences needs --dry-run");
    if (!exec_options_choose(options, &exec, diag) ||
        !option_number("--chunk", options->chunk, 1, run->plan->info.batch, &chunk, diag))
        return false;
    *session = (SessionOptions){.threads = exec.threads,
                                .context = exec.context,
                                .sequences = exec.sequences,
                                .rows_max = rows_max,
                                .chunk = chunk};
    run_profile_watch(run->profile, session);
    if (exec.context > run->plan->info.context_length)
        fprintf(stderr,
                "note: the model was trained for %lld tokens of context, -c asks for %lld\n",
                (long long)run->plan->info.context_length, (long long)exec.context);
    return true;
}

Session *run_open_session(Run *run, int64_t rows_max, Diag *diag)
{
    SessionOptions session;
    if (!run_session_options(run, rows_max, &session, diag))
        return NULL;
    Session *opened = session_open(run->plan, &session, diag);
    run->load_seconds = run_seconds() - run->began;
    return opened;
}

bool run_need_tokenizer(const Run *run, Diag *diag)
{
    return run->tokenizer || tokenizer_new(&run->plan->vocabulary, diag);
}

static int tokenize(const Run *run, Diag *diag)
{
    Text text = {0};
    TokenList ids = {0};
    EncodeOptions encode = {.add_special = !run->options->no_bos,
                            .parse_special = run->options->special};
    bool good = prompt_read_file("-", &text, diag) &&
                tokenizer_encode(run->tokenizer, text.bytes, text.length, encode, &ids, diag);
    for (int64_t i = 0; good && i < ids.count; i++)
        printf("%s%d", i ? " " : "", ids.ids[i]);
    if (good)
        printf("\n");
    token_list_free(&ids);
    text_free(&text);
    return good ? 0 : -1;
}

static bool check_ids(const Run *run, const TokenList *ids, Diag *diag)
{
    int32_t count = tokenizer_vocabulary(run->tokenizer)->count;
    for (int64_t i = 0; i < ids->count; i++)
        if (ids->ids[i] >= count)
            return diag_fail(diag, (Where){"stdin", 0, 0},
                             "token id %d is not in the vocabulary of %d", ids->ids[i], count);
    return true;
}

static int detokenize(const Run *run, Diag *diag)
{
    Text text = {0}, out = {0};
    TokenList ids = {0};
    TextStream stream;
    bool good = prompt_read_file("-", &text, diag) &&
                prompt_parse_ids(text.bytes, "stdin", &ids, diag) && check_ids(run, &ids, diag);
    text_stream_begin(&stream, run->tokenizer, run->options->special, true);
    for (int64_t i = 0; good && i < ids.count; i++)
        text_stream_push(&stream, ids.ids[i], &out);
    text_stream_end(&stream, &out);
    if (good)
        fwrite(out.bytes, 1, out.length, stdout);
    token_list_free(&ids);
    text_free(&text);
    text_free(&out);
    return good ? 0 : -1;
}

static bool needs_text_only(const Options *options)
{
    return options->tokenize || options->detokenize || options->apply_template;
}

// With a person, and not for one turn.
static bool is_conversation(const Options *options)
{
    return options->chat && !options->prompt && !options->file && !options->ids;
}

static bool check_chat_options(const Options *options, Diag *diag)
{
    bool templated = options->chat || options->system || options->apply_template;
    if (!templated && (options->chat_template || options->template_variables || options->tools))
        return diag_fail(diag, (Where){0},
                         "--chat-template, --chat-template-kwargs and --tools need -i, --sys or "
                         "--apply-template");
    if (is_conversation(options) && (options->json || options->echo || options->print_ids))
        return diag_fail(diag, (Where){0},
                         "--json, --echo and --print-ids are for one reply: give -p");
    return true;
}

static bool check_profile_options(const Options *options, Diag *diag)
{
    bool runs = !needs_text_only(options) && !options->dry_run;
    if (!runs && (options->profile || options->trace))
        return diag_fail(diag, (Where){0}, "--profile and --trace need a run of the model");
    return true;
}

static int run_mode(Run *run, Diag *diag)
{
    const Options *options = run->options;
    bool text_only = needs_text_only(options);
    if (!check_chat_options(options, diag))
        return -1;
    if (options->dry_run)
        return run_dry(run, diag);
    if (options->apply_template)
        return run_apply(run, diag);
    if (text_only && !run_need_tokenizer(run, diag))
        return -1;
    if (options->tokenize)
        return tokenize(run, diag);
    if (options->detokenize)
        return detokenize(run, diag);
    if (options->perplexity)
        return run_perplexity(run, diag);
    if (options->bench)
        return run_bench(run, diag);
    if (options->logits || options->taps.count)
        return run_trace(run, diag);
    if (is_conversation(options))
        return run_chat(run, diag);
    return run_generate(run, diag);
}

// Opens what the options name and runs; -1 with a message on bad input.
static int run_program(const Options *options, const char *path, Diag *diag)
{
    Run run = {.options = options, .began = run_seconds()};
    run.plan = locate_plan(path, needs_text_only(options), options, diag);
    if (!run.plan)
        return -1;
    int status = -1;
    if (run.plan->vocabulary.kind != VOCABULARY_NONE)
        run.tokenizer = tokenizer_new(&run.plan->vocabulary, diag);
    if (!diag->failed && check_profile_options(options, diag))
        run.profile = run_profile_open(&run, diag);
    if (!diag->failed)
        status = run_mode(&run, diag);
    run_profile_close(run.profile);
    tokenizer_free(run.tokenizer);
    plan_close(run.plan);
    return status;
}

static int report(const Diag *diag, int status)
{
    if (*diag->message)
        fprintf(stderr, "%s\n", diag->message);
    return status;
}

int main(int argc, char **argv)
{
    Options options;
    Diag diag = {0};
    if (!options_parse(PROGRAM_GRAPHRUN, argc, argv, &options, &diag))
        return report(&diag, 2);
    if (options.help) {
        options_print_help(PROGRAM_GRAPHRUN, usage, footer);
        return 0;
    }
    if (options.version)
        return printf("graphrun %s\n", GRAPHC_VERSION) < 0;
    const char *path = options.model ? options.model : options.operands.items[0];
    if (!path || options.operands.count > (options.model ? 0 : 1)) {
        fputs(usage, stderr);
        return 2;
    }
    run_catch_interrupt();
    int status = run_program(&options, path, &diag);
    if (status < 0)
        return report(&diag, 1);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "stdout: error: cannot be written\n");
        return 1;
    }
    return status;
}
