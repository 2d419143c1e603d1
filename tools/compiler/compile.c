// What to read is decided by what the first operand looks like: NAME.lua is a model script; a
// folder, a GGUF, safetensors or llama2.c file (or shape:…) is a model, whose script is found in
// the registry by its architecture; anything else is graph text. The registry: $GRAPHC_MODELS, then
// beside the program (examples/models of a checkout, share/graphc/models of an installation).
#include "tools/compiler/compile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "frontends/lua/lua_frontend.h"
#include "tools/common/version.h"

static bool has_suffix(const char *text, const char *suffix)
{
    size_t length = strlen(text), tail = strlen(suffix);
    return length >= tail && strcmp(text + length - tail, suffix) == 0;
}

static bool is_model_path(const char *path)
{
    struct stat status;
    char magic[4] = {0};
    static const char *const suffixes[] = {".gguf", ".safetensors", ".bin", ".json", ".model"};
    if (strncmp(path, "shape:", 6) == 0 || (stat(path, &status) == 0 && S_ISDIR(status.st_mode)))
        return true;
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        if (has_suffix(path, suffixes[i]))
            return true;
    FILE *file = fopen(path, "rb");
    bool gguf = file && fread(magic, 1, sizeof magic, file) == sizeof magic &&
                memcmp(magic, "GGUF", 4) == 0;
    if (file)
        fclose(file);
    return gguf;
}

static void add_registry(Compile *compile, const char *folder)
{
    if (*folder && compile->registry_count < REGISTRY_MAX)
        compile->registry[compile->registry_count++] = folder;
}

static void find_registry(Compile *compile)
{
    char program[4096];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    char *slash = NULL;
    if (length > 0) {
        program[length] = 0;
        slash = strrchr(program, '/');
    }
    const char *user = getenv("GRAPHC_MODELS");
    char *folders = arena_copy_text(&compile->arena, user ? user : "", user ? strlen(user) : 0);
    for (char *save, *folder = strtok_r(folders, ":", &save); folder;
         folder = strtok_r(NULL, ":", &save))
        add_registry(compile, folder);
    if (!slash)
        return;
    *slash = 0;
    add_registry(compile, arena_format(&compile->arena, "%s/../examples/models", program));
    add_registry(compile, arena_format(&compile->arena, "%s/../share/graphc/models", program));
}

static bool find_script(Compile *compile, Diag *diag)
{
    const char *architecture = compile->file->architecture;
    Text searched = {0};
    if (!*architecture)
        return diag_fail(diag, (Where){compile->file->path, 0, 0},
                         "the file names no architecture (general.architecture): name the script "
                         "with --script");
    for (const char *c = architecture; *c; c++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", *c))
            return diag_fail(diag, (Where){compile->file->path, 0, 0},
                             "the architecture's name is not one: name the script with --script");
    for (int i = 0; i < compile->registry_count; i++) {
        const char *path =
            arena_format(&compile->arena, "%s/%s.lua", compile->registry[i], architecture);
        if (access(path, R_OK) == 0) {
            compile->script = path;
            text_free(&searched);
            return true;
        }
        text_print(&searched, " %s", path);
    }
    diag_fail(diag, (Where){compile->file->path, 0, 0},
              "no model script for architecture \"%s\"; write %s.lua (see "
              "examples/models/README.md) in one "
              "of:%s",
              architecture, architecture, searched.length ? searched.bytes : " $GRAPHC_MODELS");
    text_free(&searched);
    return false;
}

static bool choose_number(const char *name, int64_t given, int64_t fallback, int64_t least,
                          int64_t most, int64_t *out, Diag *diag)
{
    *out = given == OPTION_UNSET_INT ? fallback : given;
    if (*out < least || *out > most)
        return diag_fail(diag, (Where){0}, "%s wants a number from %lld to %lld, not %lld", name,
                         (long long)least, (long long)most, (long long)*out);
    return true;
}

enum { BATCH_DEFAULT = 512, PAGE_TOKENS = 64 };

static bool choose_options(Compile *compile, Diag *diag)
{
    const Options *options = compile->options;
    ModuleOptions *module = &compile->module_options;
    int64_t opt;
    if (!choose_number("-O", options->opt, 2, 0, 2, &opt, diag) ||
        !choose_number("-b", options->batch, BATCH_DEFAULT, 1, BATCH_MAX, &module->batch, diag))
        return false;
    module->opt = (int32_t)opt;
    module->page_tokens = PAGE_TOKENS;
    const char *target = options->target ? options->target : "native";
    Target known = target_from_name(target);
    if (known == TARGET_COUNT)
        return diag_fail(diag, (Where){0},
                         "unknown target \"%s\": ref, avx2, avx512, avx512bf16 or native", target);
    module->target = target_names[known];
    const char *kv = options->kv ? options->kv : "f16";
    module->kv = dtype_from_name(kv);
    if (!dtype_is_state(module->kv))
        return diag_fail(diag, (Where){0}, "--kv=%s: keys and values can be " STATE_DTYPE_NAMES,
                         kv);
    const char *act = options->act ? options->act : "auto";
    module->act_auto = strcmp(act, "auto") == 0;
    if (!module->act_auto && strcmp(act, "f32") != 0)
        return diag_fail(diag, (Where){0}, "--act=%s: activations can be auto or f32", act);
    return true;
}

// Graph text says itself how it is to be compiled.
static bool check_text_options(const Compile *compile, Diag *diag)
{
    const Options *options = compile->options;
    bool given = options->opt != OPTION_UNSET_INT || options->batch != OPTION_UNSET_INT ||
                 options->target || options->kv || options->act || options->tap.count;
    return !given || diag_fail(diag, (Where){compile->module_text, 0, 0},
                               "graph text has its own options, in its first line: edit them there "
                               "and drop -O, -b, --target, --kv, --act, --tap");
}

static bool open_inputs(Compile *compile, Diag *diag)
{
    const Options *options = compile->options;
    const char *first = options->operands.count ? options->operands.items[0] : NULL;
    const char *model = options->model_file;
    if (!first)
        first = model;
    if (!first || options->operands.count > 1)
        return diag_fail(diag, (Where){0},
                         "name one model script, model file or graph text "
                         "(see --help)");
    if (is_model_path(first)) {
        if (model && model != first)
            return diag_fail(diag, (Where){first, 0, 0}, "two model files: drop -w %s", model);
        model = first;
    } else if (has_suffix(first, ".lua")) {
        compile->script = first;
    } else {
        compile->module_text = first;
    }
    if (compile->script && !model)
        return diag_fail(diag, (Where){first, 0, 0},
                         "a script needs a model file: -w FILE.gguf, or -w shape:tinyllama-1.1b");
    if (model && !(compile->file = model_file_open(model, &compile->arena, diag)))
        return false;
    if (options->tokenizer && !compile->file)
        return diag_fail(diag, (Where){0}, "--tokenizer needs a model file: -w FILE.gguf");
    if (options->tokenizer &&
        !model_file_read_tokenizer(compile->file, options->tokenizer, &compile->arena, diag))
        return false;
    if (options->script)
        compile->script = options->script;
    if (compile->module_text && !check_text_options(compile, diag))
        return false;
    bool needs_script = !compile->script && !compile->module_text && !options->vocab_only;
    return !needs_script || find_script(compile, diag);
}

bool compile_open(Compile *compile, const Options *options, Diag *diag)
{
    *compile = (Compile){.options = options};
    find_registry(compile);
    return choose_options(compile, diag) && open_inputs(compile, diag);
}

void compile_close(Compile *compile)
{
    if (compile->file)
        model_file_close(compile->file);
    arena_free(&compile->arena);
}

static char *read_file(const char *path, Arena *arena, Diag *diag)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    if (!file) {
        diag_fail(diag, (Where){path, 0, 0}, "cannot be read");
        return NULL;
    }
    Text text = {0};
    char buffer[65536];
    for (size_t got; (got = fread(buffer, 1, sizeof buffer, file)) > 0;)
        text_append(&text, buffer, got);
    text_append(&text, "", 0);
    char *copy = arena_copy_text(arena, text.bytes, text.length);
    text_free(&text);
    if (file != stdin)
        fclose(file);
    return copy;
}

static Module *build_module(Compile *compile, Diag *diag)
{
    if (compile->module_text) {
        const char *text = read_file(compile->module_text, &compile->arena, diag);
        Module *module =
            text ? module_parse(text, compile->module_text, &compile->arena, diag) : NULL;
        if (module)
            compile->module_options = module->options;
        return module;
    }
    LuaFrontendOptions options = {.script = compile->script,
                                  .registry = compile->registry,
                                  .registry_count = compile->registry_count,
                                  .taps = compile->options->tap.items,
                                  .tap_count = compile->options->tap.count};
    return lua_frontend_build(&options, compile->file, compile->module_options, &compile->arena,
                              &compile->scripts, diag);
}

bool compile_build(Compile *compile, Diag *diag)
{
    if (!compile->module)
        compile->module = build_module(compile, diag);
    return compile->module;
}

bool compile_module(Compile *compile, PipelineOptions *pipeline, Diag *diag)
{
    return compile_build(compile, diag) && pipeline_run(compile->module, pipeline, diag);
}

static bool find_tensor(void *context, const char *name, LowerTensor *place)
{
    const FileTensor *tensor = model_file_tensor(context, name);
    if (!tensor || !tensor->data)
        return false;
    *place = (LowerTensor){(uint32_t)tensor->part, tensor->file_offset, tensor->bytes};
    return true;
}

static const LowerFile *lower_files(Compile *compile)
{
    const ModelFile *model = compile->file;
    LowerFile *files = ARENA_ARRAY(&compile->arena, LowerFile, model->parts.count);
    for (int32_t i = 0; i < model->parts.count; i++) {
        const ModelPart *part = &model->parts.items[i];
        char *path = realpath(part->path, NULL);
        files[i] = (LowerFile){arena_format(&compile->arena, "%s", path ? path : part->path),
                               part->bytes, part->modified_ns};
        free(path);
    }
    return files;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

const char *compile_command(Compile *compile)
{
    const ModuleOptions *options = &compile->module_options;
    const char *script = compile->module && compile->module->script ? compile->module->script
                         : compile->script                          ? base_name(compile->script)
                         : compile->module_text ? base_name(compile->module_text)
                                                : "";
    const char *model = compile->file ? base_name(compile->file->path) : "";
    return arena_format(
        &compile->arena, "graphc %s%s%s -O%d --target=%s --kv=%s --act=%s -b %lld%s%s%s", script,
        compile->file ? " -w " : "", model, options->opt, options->target,
        dtype_table[options->kv].name, options->act_auto ? "auto" : "f32",
        (long long)options->batch, compile->options->vocab_only ? " --vocab-only" : "",
        compile->options->tokenizer ? " --tokenizer " : "",
        compile->options->tokenizer ? base_name(compile->options->tokenizer) : "");
}

Plan *compile_plan(Compile *compile, Diag *diag)
{
    const ModelFile *file = compile->file;
    const char *mode = compile->options->weights ? compile->options->weights : "embed";
    if (strcmp(mode, "embed") != 0 && strcmp(mode, "ref") != 0) {
        diag_fail(diag, (Where){0}, "--weights=%s: weights can be embed or ref", mode);
        return NULL;
    }
    if (!file || file->weightless) {
        diag_fail(diag, (Where){0}, "a plan needs weights: -w FILE.gguf");
        return NULL;
    }
    if (compile->options->vocab_only && !file->has_vocabulary) {
        diag_fail(diag, (Where){file->path, 0, 0}, "the file has no vocabulary that can be read");
        return NULL;
    }
    LowerSource source = {.architecture = file->architecture,
                          .command = compile_command(compile),
                          .compiler = "graphc " GRAPHC_VERSION,
                          .files = lower_files(compile),
                          .file_count = (uint32_t)file->parts.count,
                          .weights_in =
                              strcmp(mode, "embed") == 0 ? WEIGHTS_IN_PLAN : WEIGHTS_IN_MODEL,
                          .vocabulary = file->has_vocabulary ? &file->vocabulary : NULL,
                          .settings = file->settings,
                          .setting_count = (uint32_t)file->setting_count,
                          .find_tensor = find_tensor,
                          .context = compile->file};
    return lower_module(compile->module, &source, &compile->arena, diag);
}

static void show_progress(void *context, uint64_t done, uint64_t all)
{
    enum { WIDTH = 40 };
    int *shown = context, part = all ? (int)(done * 100 / all) : 100;
    if (part == *shown)
        return;
    *shown = part;
    fprintf(stderr, "\rpacking [%-*.*s] %3d %%", WIDTH, part * WIDTH / 100,
            "########################################", part);
    if (done == all)
        fprintf(stderr, "\r%*s\r", WIDTH + 20, "");
}

PlanProgress *compile_progress(int *shown)
{
    *shown = -1;
    return isatty(STDERR_FILENO) ? show_progress : NULL;
}

bool compile_write(const Plan *plan, const char *path, Diag *diag)
{
    int shown;
    PlanProgress *progress = compile_progress(&shown);
    return plan_write(plan, path, progress, &shown, diag);
}
