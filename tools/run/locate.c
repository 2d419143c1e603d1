// graphrun links no compiler: it starts graphc, which prints the path of the plan it found or made,
// and a second line if that is a temporary file. The mapping outlives the name.
#include "tools/run/locate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARGUMENTS_MAX = 64, NUMBER_MAX = 24 };

typedef struct Command {
    const char *words[ARGUMENTS_MAX + 1];
    int count;
    char numbers[2][NUMBER_MAX];
    char program[4096];
} Command;

static void add_word(Command *command, const char *word)
{
    if (command->count < ARGUMENTS_MAX)
        command->words[command->count++] = word;
}

static void add_option(Command *command, const char *name, const char *value)
{
    if (!value)
        return;
    add_word(command, name);
    add_word(command, value);
}

static void add_number(Command *command, int slot, const char *name, int64_t value)
{
    if (value == OPTION_UNSET_INT)
        return;
    snprintf(command->numbers[slot], NUMBER_MAX, "%lld", (long long)value);
    add_option(command, name, command->numbers[slot]);
}

static bool find_compiler(Command *command, Diag *diag)
{
    ssize_t length = readlink("/proc/self/exe", command->program, sizeof command->program - 16);
    char *slash = NULL;
    if (length > 0) {
        command->program[length] = 0;
        slash = strrchr(command->program, '/');
    }
    if (slash)
        memcpy(slash + 1, "graphc", sizeof "graphc");
    if (!slash || access(command->program, X_OK) != 0)
        return diag_fail(diag, (Where){0},
                         "a model file needs graphc beside graphrun, which is not "
                         "there; compile it elsewhere with graphc -o and run the plan");
    return true;
}

static void make_command(Command *command, const char *path, bool vocab_only,
                         const Options *options)
{
    add_word(command, command->program);
    add_word(command, "--cached");
    if (vocab_only)
        add_word(command, "--vocab-only");
    if (options->no_cache)
        add_word(command, "--no-cache");
    add_option(command, "--script", options->script);
    add_option(command, "--tokenizer", options->tokenizer);
    add_number(command, 0, "-O", options->opt);
    add_number(command, 1, "-b", options->batch);
    add_option(command, "--target", options->target);
    add_option(command, "--kv", options->kv);
    add_option(command, "--act", options->act);
    for (int32_t i = 0; i < options->taps.count; i += 2)
        add_option(command, "--tap", options->taps.items[i]);
    add_word(command, "--");
    add_word(command, path);
}

// Runs the command; its standard output, at most room - 1 bytes, goes to `out`.
static bool run_command(const Command *command, char *out, size_t room, int *status)
{
    int ends[2];
    if (pipe(ends) != 0)
        return false;
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execv(command->program, (char *const *)(uintptr_t)command->words);
        _exit(127);
    }
    close(ends[1]);
    size_t used = 0;
    while (child > 0 && used + 1 < room) {
        ssize_t got = read(ends[0], out + used, room - 1 - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        used += (size_t)got;
    }
    out[used] = 0;
    close(ends[0]);
    return child > 0 && waitpid(child, status, 0) == child;
}

Plan *locate_plan(const char *path, bool vocab_only, const Options *options, Diag *diag)
{
    if (plan_is_plan(path))
        return plan_open(path, diag);
    if (access(path, R_OK) != 0) {
        diag_fail(diag, (Where){path, 0, 0}, "cannot be read: %s", strerror(errno));
        return NULL;
    }
    Command command = {0};
    char output[4200];
    int status;
    if (!find_compiler(&command, diag))
        return NULL;
    make_command(&command, path, vocab_only, options);
    if (!run_command(&command, output, sizeof output, &status)) {
        diag_fail(diag, (Where){command.program, 0, 0}, "cannot be started: %s", strerror(errno));
        return NULL;
    }
    char *end = strchr(output, '\n');
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || !end) {
        diag->failed = true; // graphc has told why on stderr
        return NULL;
    }
    *end = 0;
    Plan *plan = plan_open(output, diag);
    if (strcmp(end + 1, "temporary\n") == 0)
        unlink(output);
    return plan;
}
