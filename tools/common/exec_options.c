// Ranges are those of the types behind the options; whether a plan can do it, its Exec decides.
#include "tools/common/exec_options.h"

#include "runtime/pool.h"

enum { SEQUENCES_MAX = 1 << 20 };

bool option_number(const char *name, int64_t given, int64_t least, int64_t most, int64_t *out,
                   Diag *diag)
{
    *out = given == OPTION_UNSET_INT ? 0 : given;
    if (given == OPTION_UNSET_INT || (given >= least && given <= most))
        return true;
    return diag_fail(diag, (Where){0}, "%s wants a number from %lld to %lld, not %lld", name,
                     (long long)least, (long long)most, (long long)given);
}

bool exec_options_choose(const Options *options, ExecOptions *exec, Diag *diag)
{
    int64_t threads, sequences;
    *exec = (ExecOptions){0};
    if (!option_number("-t", options->threads, 1, POOL_THREADS_MAX, &threads, diag) ||
        !option_number("-c", options->context, 1, INT32_MAX, &exec->context, diag) ||
        !option_number("--sequences", options->sequences, 1, SEQUENCES_MAX, &sequences, diag))
        return false;
    exec->threads = (int32_t)threads;
    exec->sequences = (int32_t)sequences;
    return true;
}
