// The bundle is written as the compile goes on, so that a crash leaves all that was known before
// it. Of a GGUF file it holds the header, which is all that shapes, types and hyperparameters come
// from; run.sh makes a file of the right size from it, with zeros for weights. So the replay runs
// the same script over the same metadata: rejected was a replay from the built text, which would
// not repeat what fails in a script.
#include "tools/compiler/repro.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "tools/common/version.h"

static void note_failure(Repro *repro, const char *path)
{
    if (!repro->failure)
        repro->failure = arena_format(&repro->arena, "%s: %s", path, strerror(errno));
}

static void write_file(Repro *repro, const char *name, const void *bytes, size_t length)
{
    const char *path = arena_format(&repro->arena, "%s/%s", repro->folder, name);
    FILE *file = fopen(path, "wb");
    bool good = file && fwrite(bytes, 1, length, file) == length;
    if (file && fclose(file) != 0)
        good = false;
    if (!good)
        note_failure(repro, path);
}

static void write_text(Repro *repro, const char *name, Text *text)
{
    write_file(repro, name, text->bytes, text->length);
    text_free(text);
}

static void copy_file(Repro *repro, const char *name, const char *path)
{
    Text text = {0};
    char buffer[65536];
    FILE *file = fopen(path, "rb");
    if (!file) {
        note_failure(repro, path);
        return;
    }
    for (size_t got; (got = fread(buffer, 1, sizeof buffer, file)) > 0;)
        text_append(&text, buffer, got);
    fclose(file);
    write_text(repro, name, &text);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

// The value of a line of /proc/cpuinfo, empty where there is none.
static const char *processor_name(char *line, int line_bytes)
{
    FILE *file = fopen("/proc/cpuinfo", "r");
    const char *name = "";
    while (file && !*name && fgets(line, line_bytes, file))
        if (strncmp(line, "model name", 10) == 0 && strchr(line, ':'))
            name = strchr(line, ':') + 2;
    if (file)
        fclose(file);
    line[strcspn(line, "\n")] = 0;
    return name;
}

bool repro_begin(Repro *repro, const Options *options, int argc, char **argv, Diag *diag)
{
    *repro = (Repro){.folder = options->repro};
    if (!repro->folder)
        return true;
    for (int32_t i = 0; i < options->operands.count; i++)
        if (strcmp(options->operands.items[i], "-") == 0)
            return diag_fail(diag, (Where){0},
                             "--repro keeps what is compiled: give graph text as a file, not on "
                             "stdin");
    if (mkdir(repro->folder, 0777) != 0) {
        diag_fail(diag, (Where){repro->folder, 0, 0}, "--repro makes a new folder: %s",
                  strerror(errno));
        repro->folder = NULL;
        return false;
    }
    char line[256];
    struct utsname system = {0};
    Text text = {0};
    uname(&system);
    text_print(&text, "graphc %s\ncommand:", GRAPHC_VERSION);
    for (int i = 0; i < argc; i++)
        shell_word_print(&text, argv[i]);
    text_print(&text, "\nnative target: %s\nprocessor: %s\n", target_names[target_native()],
               processor_name(line, sizeof line));
    text_print(&text, "system: %s %s %s\n", system.sysname, system.release, system.machine);
    write_text(repro, "about.txt", &text);
    return true;
}

// What stands before the tensors' data in each file of the model, and the commands that make files
// of it whose weights are zeros. Returns what the replay opens: the file, or the folder they are
// in.
static const char *add_model(Repro *repro, const ModelFile *file, Text *commands)
{
    struct stat status;
    const char *folder = arena_format(&repro->arena, "%s/model", repro->folder);
    if (mkdir(folder, 0777) != 0)
        note_failure(repro, folder);
    text_print(commands, "# The metadata is the model's, its weights are zeros.\n");
    for (int32_t i = 0; i < file->parts.count; i++) {
        const ModelPart *part = &file->parts.items[i];
        const char *name = arena_format(&repro->arena, "model/%s", base_name(part->path));
        const char *header = arena_format(&repro->arena, "%s.header", name);
        write_file(repro, header, part->mapping, model_file_header_bytes(file, i));
        text_print(commands, "cp");
        shell_word_print(commands, header);
        shell_word_print(commands, name);
        text_print(commands, " && truncate -s %llu", (unsigned long long)part->bytes);
        shell_word_print(commands, name);
        text_print(commands, " || exit 2\n");
    }
    bool is_folder = stat(file->path, &status) == 0 && S_ISDIR(status.st_mode);
    return is_folder ? "model" : arena_format(&repro->arena, "model/%s", base_name(file->path));
}

// What the replay is called with: files of the bundle instead of those that were given, as far as
// they could be opened.
static Options replay_options(const Compile *compile, const char *program, const char *model)
{
    Options options = *compile->options;
    options.repro = options.output = NULL;
    if (program) {
        options.operands = (OptionList){.items = {program}, .count = 1};
        options.script = NULL;
        options.model_file = model ? model : options.model_file;
    } else if (model) {
        options.operands = (OptionList){.items = {model}, .count = 1};
        options.model_file = NULL;
    }
    // "native" would be another on another processor.
    if (!compile->module_text && compile->module_options.target)
        options.target = compile->module_options.target;
    return options;
}

void repro_add_inputs(Repro *repro, const Compile *compile)
{
    if (!repro->folder)
        return;
    const ModelFile *file = compile->file;
    Text commands = {0};
    const char *script = compile->script ? base_name(compile->script) : NULL;
    const char *text = compile->module_text ? "input.ir" : NULL;
    if (script)
        copy_file(repro, script, compile->script);
    if (text)
        copy_file(repro, text, compile->module_text);
    const char *model = file ? file->path : NULL;
    if (file && file->parts.count)
        model = add_model(repro, file, &commands);
    Options options = replay_options(compile, script ? script : text, model);
    Text run = {0};
    text_print(&run, "#!/bin/sh\n# Does again what is told in about.txt: GRAPHC=path/of/graphc sh "
                     "run.sh\ncd \"$(dirname \"$0\")\" || exit 2\n");
    if (commands.length)
        text_append(&run, commands.bytes, commands.length);
    text_free(&commands);
    text_print(&run, "GRAPHC_MODELS=required exec \"${GRAPHC:-graphc}\"");
    options_print(PROGRAM_GRAPHC, &options, &run);
    text_print(&run, "\n");
    write_text(repro, "run.sh", &run);
}

void repro_add_scripts(Repro *repro, const Compile *compile)
{
    bool any = false;
    for (int32_t i = 0; repro->folder && i < compile->scripts.count; i++) {
        const char *path = compile->scripts.items[i];
        if (compile->script && strcmp(path, compile->script) == 0)
            continue;
        const char *folder = arena_format(&repro->arena, "%s/required", repro->folder);
        if (!any && mkdir(folder, 0777) != 0)
            note_failure(repro, folder);
        any = true;
        copy_file(repro, arena_format(&repro->arena, "required/%s", base_name(path)), path);
    }
}

void repro_add_stage(Repro *repro, const char *name, const Module *module)
{
    if (!repro->folder)
        return;
    Text text = {0};
    module_print(module, &text);
    write_text(repro, arena_format(&repro->arena, "%02d-%s.ir", repro->stages++, name), &text);
}

bool repro_end(Repro *repro, const char *message, Diag *diag)
{
    if (!repro->folder)
        return true;
    Text text = {0};
    text_print(&text, "%s\n", message ? message : "good");
    write_text(repro, "result.txt", &text);
    bool good = !repro->failure;
    if (good)
        fprintf(stderr, "repro: %s is the bundle; sh %s/run.sh replays it\n", repro->folder,
                repro->folder);
    else
        diag_fail(diag, (Where){0}, "--repro: the bundle is not complete: %s", repro->failure);
    arena_free(&repro->arena);
    return good;
}
