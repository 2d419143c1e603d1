// A probe is long enough to outlast a time slice that somebody else takes, and short beside what is
// measured. Weights are read as often as makes READ_BYTES_LEAST, at most READ_BYTES_MOST of them.
#include "runtime/roofline.h"

#include <time.h>

static const double probe_seconds = 0.02;
enum { READ_BYTES_MOST = 512 << 20, READ_UNIT = 512, READ_BYTES_LEAST = 256 << 20 };

Work roofline_add_step(RooflineWork *work, const ExecStep *step)
{
    Work own = work_of_call(step->row, step->call, work_depth(step->row, step->call));
    work->bytes += own.stored_bytes;
    work->operations[own.kind] += own.operations;
    return own;
}

void roofline_add_run(RooflineWork *work, const Exec *exec)
{
    const ExecRun *run = exec_last_run(exec);
    for (uint32_t i = 0; i < run->step_count; i++)
        roofline_add_step(work, &run->steps[i]);
}

static double now_seconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

typedef struct Job {
    const Roofline *roofline;
    WorkKind kind;
    int64_t rounds, passes;
} Job;

static void run_peak(void *context, int32_t thread, int32_t threads)
{
    const Job *job = context;
    (void)thread, (void)threads;
    job->roofline->probe->peak[job->kind](job->rounds);
}

static void run_read(void *context, int32_t thread, int32_t threads)
{
    const Job *job = context;
    int64_t units = job->roofline->bytes / READ_UNIT;
    int64_t first = units * thread / threads, last = units * (thread + 1) / threads;
    for (int64_t pass = 0; pass < job->passes; pass++)
        job->roofline->probe->read(job->roofline->memory + first * READ_UNIT,
                                   (last - first) * READ_UNIT);
}

static double seconds_of(const Roofline *roofline, PoolJob *run, Job *job)
{
    double begin = now_seconds();
    pool_run(roofline->pool, run, job);
    return now_seconds() - begin;
}

bool roofline_open(Roofline *roofline, const Plan *plan, const Exec *exec, Diag *diag)
{
    *roofline =
        (Roofline){.probe = &probe_table[target_from_name(plan_string(plan, plan->info.target))],
                   .memory = exec_weights(exec),
                   .bytes = plan->info.w_bytes};
    if (roofline->bytes > READ_BYTES_MOST)
        roofline->bytes = READ_BYTES_MOST;
    if (roofline->bytes < READ_UNIT)
        return diag_fail(diag, (Where){.file = plan->path},
                         "the plan has no weights that could be measured");
    if (!(roofline->pool = pool_open(exec_options(exec)->threads, diag)))
        return false;
    for (WorkKind kind = 0; kind < WORK_COUNT; kind++) {
        Job job = {.roofline = roofline, .kind = kind, .rounds = 1000};
        while (seconds_of(roofline, run_peak, &job) < probe_seconds)
            job.rounds *= 2;
        roofline->rounds[kind] = job.rounds;
    }
    return true;
}

void roofline_close(Roofline *roofline)
{
    pool_close(roofline->pool);
}

RooflineLimits roofline_probe(const Roofline *roofline)
{
    RooflineLimits limits;
    Job read = {.roofline = roofline, .passes = 1 + (READ_BYTES_LEAST - 1) / roofline->bytes};
    double bytes = (double)(roofline->bytes / READ_UNIT * READ_UNIT * read.passes);
    limits.bandwidth = bytes / seconds_of(roofline, run_read, &read);
    for (WorkKind kind = 0; kind < WORK_COUNT; kind++) {
        Job job = {.roofline = roofline, .kind = kind, .rounds = roofline->rounds[kind]};
        double seconds = seconds_of(roofline, run_peak, &job);
        double operations = roofline->probe->peak[kind](1) * (double)job.rounds;
        limits.peak[kind] = operations * pool_threads(roofline->pool) / seconds;
    }
    return limits;
}

double roofline_floor(const RooflineWork *work, const RooflineLimits *limits)
{
    double moving = work->bytes / limits->bandwidth, working = 0;
    for (WorkKind kind = 0; kind < WORK_COUNT; kind++)
        working += work->operations[kind] / limits->peak[kind];
    return moving > working ? moving : working;
}
