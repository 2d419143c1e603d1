// --dry-run: the memory that the run would take, from the plan alone. Rows of results are those of
// the mode that the other options name.
#include "tools/run/run.h"

#include <stdio.h>

#include "runtime/memory.h"

int run_dry(Run *run, Diag *diag)
{
    const Options *options = run->options;
    SessionOptions session;
    RunMemory memory;
    bool every_row = options->logits || options->taps.count || options->perplexity;
    int64_t batch = run->plan->info.batch;
    if (!run_session_options(run, every_row ? batch : 0, &session, diag))
        return -1;
    if (every_row && session.chunk)
        session.rows_max = session.chunk;
    ExecOptions exec = {.threads = session.threads,
                        .context = session.context,
                        .sequences = session.sequences,
                        .rows_max = session.rows_max};
    if (!memory_of_run(run->plan, &exec, &memory, diag))
        return -1;
    Text text = {0};
    if (options->json) {
        text_print(&text, "{");
        memory_print_json(&memory, &text);
        text_print(&text, "}\n");
    } else {
        memory_print(&memory, &text);
    }
    fwrite(text.bytes, 1, text.length, stdout);
    text_free(&text);
    return 0;
}
