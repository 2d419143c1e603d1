#include "runtime/profile.h"

#include <stdlib.h>

bool profile_open(Profile *profile, const Plan *plan, Diag *diag)
{
    *profile = (Profile){.plan = plan};
    profile->steps = calloc((size_t)plan->step_count + 1, sizeof *profile->steps);
    profile->threads = calloc(POOL_THREADS_MAX, sizeof *profile->threads);
    if (!profile->steps || !profile->threads)
        return diag_fail(diag, (Where){0}, "out of memory");
    return true;
}

void profile_close(Profile *profile)
{
    free(profile->steps);
    free(profile->threads);
}

// The time of the thread that took longest over step `index` of the run.
static int64_t longest_share(const Exec *exec, uint32_t index, int32_t threads)
{
    int64_t longest = 0;
    for (int32_t thread = 0; thread < threads; thread++) {
        const ExecSpan *span = &exec_spans(exec, thread)[index];
        if (span->done - span->began - span->waited > longest)
            longest = span->done - span->began - span->waited;
    }
    return longest;
}

static void add_step(ProfileStep *sum, const ExecStep *step, int64_t ns)
{
    Work work = roofline_add_step(&sum->work, step);
    sum->least_ns = sum->calls == 0 || ns < sum->least_ns ? ns : sum->least_ns;
    sum->most_ns = ns > sum->most_ns ? ns : sum->most_ns;
    sum->ns += ns;
    sum->calls++;
    sum->moved_bytes += work.read_bytes + work.written_bytes;
}

static void add_thread(ProfileThread *sum, const ExecRun *run, const ExecSpan *spans)
{
    int64_t now = run->begin;
    for (uint32_t i = 0; i < run->step_count; i++) {
        sum->busy_ns += spans[i].done - spans[i].began - spans[i].waited;
        sum->barrier_ns += spans[i].waited;
        *(i ? &sum->barrier_ns : &sum->idle_ns) += spans[i].began - now;
        now = spans[i].done;
    }
    sum->idle_ns += run->end - now;
}

void profile_watch(void *context, const Exec *exec)
{
    Profile *profile = context;
    const ExecRun *run = exec_last_run(exec);
    if (profile->paused)
        return;
    profile->thread_count = exec_options(exec)->threads;
    for (uint32_t i = 0; i < run->step_count; i++)
        add_step(&profile->steps[run->steps[i].step], &run->steps[i],
                 longest_share(exec, i, profile->thread_count));
    for (int32_t thread = 0; thread < profile->thread_count; thread++)
        add_thread(&profile->threads[thread], run, exec_spans(exec, thread));
    profile->runs++;
    profile->tokens += run->t;
    profile->wall_ns += run->end - run->begin;
}
