// The roofline of a run: what its steps move and compute, and what the machine can do right now.
//
// Bytes are those of weights, keys and values: activations stay in caches. Bandwidth is that of the
// weights themselves, read by all threads, so that weights which fit in a cache are held against
// the cache. Peaks are those of the plan's target.
#include "tools/run/bench.h"

#include "tools/run/run.h"

static const double probe_seconds = 0.005;
enum { READ_BYTES_MOST = 512 << 20, READ_UNIT = 512, READ_BYTES_LEAST = 256 << 20 };

void bench_add_work(BenchWork *work, const Exec *exec)
{
    const ExecRun *run = exec_last_run(exec);
    for (uint32_t i = 0; i < run->step_count; i++) {
        const ExecStep *step = &run->steps[i];
        Work own = work_of_call(step->row, step->call, work_depth(step->row, step->call));
        work->bytes += own.stored_bytes;
        work->operations[own.kind] += own.operations;
    }
}

typedef struct Job {
    const BenchProbe *probe;
    WorkKind kind;
    int64_t rounds, passes;
} Job;

static void run_peak(void *context, int32_t thread, int32_t threads)
{
    const Job *job = context;
    (void)thread, (void)threads;
    job->probe->probe->peak[job->kind](job->rounds);
}

static void run_read(void *context, int32_t thread, int32_t threads)
{
    const Job *job = context;
    int64_t units = job->probe->bytes / READ_UNIT;
    int64_t first = units * thread / threads, last = units * (thread + 1) / threads;
    for (int64_t pass = 0; pass < job->passes; pass++)
        job->probe->probe->read(job->probe->memory + first * READ_UNIT, (last - first) * READ_UNIT);
}

static double seconds_of(const BenchProbe *probe, PoolJob *run, Job *job)
{
    double begin = run_seconds();
    pool_run(probe->pool, run, job);
    return run_seconds() - begin;
}

bool bench_probe_open(BenchProbe *probe, const Plan *plan, const Exec *exec, Diag *diag)
{
    *probe =
        (BenchProbe){.probe = &probe_table[target_from_name(plan_string(plan, plan->info.target))],
                     .memory = exec_weights(exec),
                     .bytes = plan->info.w_bytes};
    if (probe->bytes > READ_BYTES_MOST)
        probe->bytes = READ_BYTES_MOST;
    if (probe->bytes < READ_UNIT)
        return diag_fail(diag, (Where){.file = plan->path},
                         "the plan has no weights that could be measured");
    if (!(probe->pool = pool_open(exec_options(exec)->threads, diag)))
        return false;
    for (WorkKind kind = 0; kind < WORK_COUNT; kind++) {
        Job job = {.probe = probe, .kind = kind, .rounds = 1000};
        while (seconds_of(probe, run_peak, &job) < probe_seconds)
            job.rounds *= 2;
        probe->rounds[kind] = job.rounds;
    }
    return true;
}

void bench_probe_close(BenchProbe *probe)
{
    pool_close(probe->pool);
}

BenchLimits bench_probe(const BenchProbe *probe)
{
    BenchLimits limits;
    Job read = {.probe = probe, .passes = 1 + (READ_BYTES_LEAST - 1) / probe->bytes};
    double bytes = (double)(probe->bytes / READ_UNIT * READ_UNIT * read.passes);
    limits.bandwidth = bytes / seconds_of(probe, run_read, &read);
    for (WorkKind kind = 0; kind < WORK_COUNT; kind++) {
        Job job = {.probe = probe, .kind = kind, .rounds = probe->rounds[kind]};
        double seconds = seconds_of(probe, run_peak, &job);
        double operations = probe->probe->peak[kind](1) * (double)job.rounds;
        limits.peak[kind] = operations * pool_threads(probe->pool) / seconds;
    }
    return limits;
}

double bench_floor(const BenchWork *work, const BenchLimits *limits)
{
    double moving = work->bytes / limits->bandwidth, working = 0;
    for (WorkKind kind = 0; kind < WORK_COUNT; kind++)
        working += work->operations[kind] / limits->peak[kind];
    return moving > working ? moving : working;
}
