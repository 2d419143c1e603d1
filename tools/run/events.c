// Written run by run, so that a long run needs no memory. Times are µs since the first run began.
// What could not be written is told by events_finish.
#include "tools/run/events.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/new_file.h"

struct Events {
    const Plan *plan;
    NewFile file;
    uint64_t bytes; // written
    Text text;      // of one run
    int64_t begin_ns;
    bool open;
    Diag diag; // of the first write that failed
};

static void flush(Events *events)
{
    Text *text = &events->text;
    if (!events->diag.failed &&
        new_file_write(&events->file, text->bytes, text->length, events->bytes, &events->diag))
        events->bytes += text->length;
    text->length = 0;
}

Events *events_open(const char *path, const Plan *plan, Diag *diag)
{
    Events *events = calloc(1, sizeof *events);
    if (!events) {
        diag_fail(diag, (Where){0}, "out of memory");
        return NULL;
    }
    events->plan = plan;
    events->open = new_file_begin(&events->file, path, diag);
    if (!events->open) {
        events_close(events);
        return NULL;
    }
    text_print(&events->text, "{\"displayTimeUnit\": \"ns\", \"traceEvents\": [");
    return events;
}

static void print_event(Events *events, int32_t thread, const char *name, int64_t begin_ns,
                        int64_t end_ns)
{
    text_print(&events->text,
               "\n{\"ph\": \"X\", \"pid\": 1, \"tid\": %d, \"ts\": %.3f, \"dur\": %.3f, "
               "\"name\": \"%s\"",
               thread, (double)(begin_ns - events->begin_ns) * 1e-3,
               (double)(end_ns - begin_ns) * 1e-3, name);
}

static void print_operands(Text *out, const char *name, const KernelOperand *operands,
                           int32_t count)
{
    text_print(out, ", \"%s\": \"", name);
    for (int32_t i = 0; i < count; i++)
        text_print(out, "%s%s[%lld,%lld]", i ? " " : "", dtype_table[operands[i].dtype].name,
                   (long long)operands[i].rows, (long long)operands[i].columns);
    text_print(out, "\"");
}

static void print_arguments(Events *events, const ExecRun *run, const ExecStep *step)
{
    const char *location = plan_string(events->plan, events->plan->steps[step->step].location);
    Text *out = &events->text;
    text_print(out, ", \"args\": {\"phase\": \"%s\", \"step\": %u, \"location\": ",
               plan_string(events->plan, run->phase->name), step->step);
    text_quote(out, location, strlen(location));
    print_operands(out, "results", step->call->results, step->call->result_count);
    print_operands(out, "operands", step->call->operands, step->call->operand_count);
    text_print(out, "}");
}

void events_add_run(Events *events, const Exec *exec)
{
    const ExecRun *run = exec_last_run(exec);
    if (events->begin_ns == 0)
        events->begin_ns = run->begin;
    for (int32_t thread = 0; thread < exec_options(exec)->threads; thread++) {
        const ExecSpan *spans = exec_spans(exec, thread);
        for (uint32_t i = 0; i < run->step_count; i++) {
            const ExecStep *step = &run->steps[i];
            if (step->barrier) {
                print_event(events, thread, "barrier", spans[i].came, spans[i].began);
                text_print(&events->text, "},");
            }
            print_event(events, thread, step->row->name, spans[i].began, spans[i].done);
            print_arguments(events, run, step);
            text_print(&events->text, "},");
        }
    }
    flush(events);
}

bool events_finish(Events *events, Diag *diag)
{
    text_print(&events->text, "\n{\"ph\": \"M\", \"pid\": 1, \"name\": \"process_name\", "
                              "\"args\": {\"name\": \"graphrun\"}}]}\n");
    flush(events);
    events->open = false;
    if (!events->diag.failed)
        return new_file_finish(&events->file, diag);
    new_file_abandon(&events->file);
    *diag = events->diag;
    return false;
}

void events_close(Events *events)
{
    if (!events)
        return;
    if (events->open)
        new_file_abandon(&events->file);
    text_free(&events->text);
    free(events);
}
