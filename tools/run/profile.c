// The table of --profile. Steps are put together by what is asked for: the kernel and its shape,
// the op, the layer, the line of the model's script. A step's time is that of its slowest thread;
// what threads wait is told apart, a line a thread. The machine's limits are probed when the run is
// over.
#include "tools/run/profile.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/profile.h"
#include "tools/run/events.h"

enum { KEY_MAX = 160 };

typedef struct Group {
    char key[KEY_MAX];
    ProfileStep sum;
} Group;

// Writes what a step is put together by.
typedef void GroupKey(const Plan *plan, const PlanPhase *phase, const PlanStep *step,
                      char key[KEY_MAX]);

struct RunProfile {
    Profile sums;
    GroupKey *key;  // NULL: no table
    Events *events; // NULL: no trace
};

static const PlanOperand *operands_of(const Plan *plan, const PlanStep *step)
{
    return &plan->operands[step->first_operand];
}

static long long columns_of(const PlanOperand *operand)
{
    return (long long)operand->shape.dims[operand->shape.rank - 1].constant;
}

// matmul.q8_n16k4.avx2 q4_0+q6_k 2048->2560 decode
static void key_kernel(const Plan *plan, const PlanPhase *phase, const PlanStep *step,
                       char key[KEY_MAX])
{
    const PlanOperand *results = operands_of(plan, step), *operands = results + step->result_count;
    uint32_t seen = 0;
    int length = snprintf(key, KEY_MAX, "%s", plan_string(plan, step->kernel));
    for (int i = 0; i < step->operand_count; i++) {
        bool matrix = operands[i].region == REGION_KV ||
                      (operands[i].region == REGION_W && operands[i].shape.rank > 1);
        if (matrix && !(seen >> operands[i].dtype & 1)) {
            length += snprintf(key + length, (size_t)(KEY_MAX - length), "%c%s", seen ? '+' : ' ',
                               dtype_table[operands[i].dtype].name);
            seen |= 1u << operands[i].dtype;
        }
    }
    length += snprintf(key + length, (size_t)(KEY_MAX - length), " %lld", columns_of(operands));
    if (step->result_count)
        length += snprintf(key + length, (size_t)(KEY_MAX - length), "->%lld", columns_of(results));
    snprintf(key + length, (size_t)(KEY_MAX - length), " %s", plan_string(plan, phase->name));
}

static void key_op(const Plan *plan, const PlanPhase *phase, const PlanStep *step,
                   char key[KEY_MAX])
{
    (void)plan, (void)phase;
    snprintf(key, KEY_MAX, "%s", op_table[step->op].name);
}

static void key_line(const Plan *plan, const PlanPhase *phase, const PlanStep *step,
                     char key[KEY_MAX])
{
    (void)phase;
    snprintf(key, KEY_MAX, "%s", plan_string(plan, step->location));
}

enum { OUTSIDE = -1, UNKNOWN = -2 };

// The number in the name of a weight or state that the step takes; OUTSIDE where none of them has
// one, UNKNOWN where it takes neither.
static long layer_of(const Plan *plan, const PlanStep *step)
{
    const PlanOperand *own = operands_of(plan, step);
    long layer = UNKNOWN;
    for (int i = step->result_count; i < step->result_count + step->operand_count; i++) {
        if (own[i].region != REGION_W && own[i].region != REGION_KV)
            continue;
        const char *name = plan_string(plan, own[i].name);
        name += strcspn(name, "0123456789");
        if (*name)
            return strtol(name, NULL, 10);
        layer = OUTSIDE;
    }
    return layer;
}

// A step that takes neither belongs to the layer before it.
static void key_layer(const Plan *plan, const PlanPhase *phase, const PlanStep *step,
                      char key[KEY_MAX])
{
    const PlanStep *first = &plan->steps[phase->first_step];
    long layer = layer_of(plan, step);
    while (layer == UNKNOWN && step > first)
        layer = layer_of(plan, --step);
    if (layer >= 0)
        snprintf(key, KEY_MAX, "layer %ld", layer);
    else
        snprintf(key, KEY_MAX, "outside layers");
}

static const struct {
    const char *name;
    GroupKey *key;
} groupings[] = {{"kernel", key_kernel}, {"op", key_op}, {"layer", key_layer}, {"line", key_line}};
enum { GROUPINGS = sizeof groupings / sizeof *groupings };

static bool find_grouping(const char *name, GroupKey **key, Diag *diag)
{
    for (size_t i = 0; i < GROUPINGS; i++)
        if (strcmp(*name ? name : "kernel", groupings[i].name) == 0) {
            *key = groupings[i].key;
            return true;
        }
    return diag_fail(diag, (Where){0},
                     "--profile=%s: steps are put together by kernel, op, layer or "
                     "line",
                     name);
}

static void watch(void *context, const Exec *exec)
{
    RunProfile *profile = context;
    profile_watch(&profile->sums, exec);
    if (profile->events && !profile->sums.paused)
        events_add_run(profile->events, exec);
}

RunProfile *run_profile_open(const Run *run, Diag *diag)
{
    const Options *options = run->options;
    if (!options->profile && !options->trace)
        return NULL;
    RunProfile *profile = calloc(1, sizeof *profile);
    if (!profile) {
        diag_fail(diag, (Where){0}, "out of memory");
        return NULL;
    }
    bool good = profile_open(&profile->sums, run->plan, diag) &&
                (!options->profile || find_grouping(options->profile, &profile->key, diag)) &&
                (!options->trace ||
                 (profile->events = events_open(options->trace, run->plan, diag)) != NULL);
    if (good)
        return profile;
    run_profile_close(profile);
    return NULL;
}

void run_profile_close(RunProfile *profile)
{
    if (!profile)
        return;
    profile_close(&profile->sums);
    events_close(profile->events);
    free(profile);
}

void run_profile_watch(RunProfile *profile, SessionOptions *options)
{
    if (!profile)
        return;
    options->watch = watch;
    options->watch_context = profile;
}

void run_profile_pause(RunProfile *profile, bool paused)
{
    if (profile)
        profile->sums.paused = paused;
}

static void add_sum(ProfileStep *sum, const ProfileStep *step)
{
    sum->least_ns =
        sum->calls == 0 || step->least_ns < sum->least_ns ? step->least_ns : sum->least_ns;
    sum->most_ns = step->most_ns > sum->most_ns ? step->most_ns : sum->most_ns;
    sum->calls += step->calls;
    sum->ns += step->ns;
    sum->work.bytes += step->work.bytes;
    sum->moved_bytes += step->moved_bytes;
    for (WorkKind kind = 0; kind < WORK_COUNT; kind++)
        sum->work.operations[kind] += step->work.operations[kind];
}

static int slowest_first(const void *a, const void *b)
{
    const Group *x = a, *y = b;
    if (x->sum.ns != y->sum.ns)
        return x->sum.ns < y->sum.ns ? 1 : -1;
    return strcmp(x->key, y->key);
}

// Fills groups (room for one a step); returns their number.
static uint32_t group_steps(const RunProfile *profile, Group *groups)
{
    const Plan *plan = profile->sums.plan;
    uint32_t count = 0;
    for (uint32_t p = 0; p < plan->phase_count; p++) {
        const PlanPhase *phase = &plan->phases[p];
        for (uint32_t i = phase->first_step; i < phase->first_step + phase->step_count; i++) {
            char key[KEY_MAX];
            uint32_t at = 0;
            if (profile->sums.steps[i].calls == 0)
                continue;
            profile->key(plan, phase, &plan->steps[i], key);
            while (at < count && strcmp(groups[at].key, key) != 0)
                at++;
            if (at == count)
                memcpy(groups[count++].key, key, sizeof key);
            add_sum(&groups[at].sum, &profile->sums.steps[i]);
        }
    }
    qsort(groups, count, sizeof *groups, slowest_first);
    return count;
}

static void print_group(const Group *group, int64_t all_ns, const RooflineLimits *limits)
{
    const ProfileStep *sum = &group->sum;
    double ns = sum->ns ? (double)sum->ns : 1, operations = 0;
    for (WorkKind kind = 0; kind < WORK_COUNT; kind++)
        operations += sum->work.operations[kind];
    fprintf(stderr, "%-52s %7" PRId64 " %9.3f %5.1f %9.1f %9.1f %9.1f %7.2f %7.1f %6.0f %%\n",
            group->key, sum->calls, ns * 1e-6, 100 * ns / (double)all_ns,
            ns * 1e-3 / (double)sum->calls, (double)sum->least_ns * 1e-3,
            (double)sum->most_ns * 1e-3, sum->moved_bytes / ns, operations / ns,
            100 * roofline_floor(&sum->work, limits) / (ns * 1e-9));
}

static void print_threads(const Profile *sums)
{
    double wall = (double)sums->wall_ns;
    for (int32_t i = 0; i < sums->thread_count; i++) {
        const ProfileThread *thread = &sums->threads[i];
        fprintf(
            stderr,
            "thread %d: %.3f ms busy, %.3f ms at barriers (%.1f %%), %.3f ms before and after\n", i,
            (double)thread->busy_ns * 1e-6, (double)thread->barrier_ns * 1e-6,
            100 * (double)thread->barrier_ns / wall, (double)thread->idle_ns * 1e-6);
    }
}

static void print_table(const RunProfile *profile, const Group *groups, uint32_t count,
                        const RooflineLimits *limits)
{
    const Profile *sums = &profile->sums;
    int64_t all_ns = 0;
    for (uint32_t i = 0; i < count; i++)
        all_ns += groups[i].sum.ns;
    fprintf(stderr,
            "profile: %" PRId64 " runs of %" PRId64 " tokens, %.3f ms, %.3f in steps; limits %.1f "
            "GB/s",
            sums->runs, sums->tokens, (double)sums->wall_ns * 1e-6, (double)all_ns * 1e-6,
            limits->bandwidth * 1e-9);
    for (WorkKind kind = 0; kind < WORK_COUNT; kind++)
        fprintf(stderr, ", %.1f %s Gop/s", limits->peak[kind] * 1e-9, work_names[kind]);
    fprintf(stderr, "\n%-52s %7s %9s %5s %9s %9s %9s %7s %7s %8s\n", "step", "calls", "total ms",
            "%", "avg us", "min us", "max us", "GB/s", "Gop/s", "of limit");
    for (uint32_t i = 0; i < count; i++)
        print_group(&groups[i], all_ns, limits);
    print_threads(sums);
}

static bool report_table(const RunProfile *profile, const Session *session, Diag *diag)
{
    const Plan *plan = profile->sums.plan;
    Roofline roofline;
    bool good = roofline_open(&roofline, plan, session_exec(session), diag);
    Group *groups = calloc((size_t)plan->step_count + 1, sizeof *groups);
    if (good && !groups)
        good = diag_fail(diag, (Where){0}, "out of memory");
    if (good) {
        RooflineLimits limits = roofline_probe(&roofline);
        uint32_t count = group_steps(profile, groups);
        print_table(profile, groups, count, &limits);
    }
    free(groups);
    roofline_close(&roofline);
    return good;
}

bool run_profile_report(RunProfile *profile, const Session *session, Diag *diag)
{
    if (!profile)
        return true;
    return (!profile->key || report_table(profile, session, diag)) &&
           (!profile->events || events_finish(profile->events, diag));
}
