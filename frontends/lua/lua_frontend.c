// Runs a model script from beginning to end: prepares the host, lets the script build, then checks
// what only the whole script can answer for (description, logits, taps).
#include "frontends/lua/lua_frontend.h"

#include <string.h>

#include "frontends/lua/builder.h"

static int install(lua_State *lua)
{
    Builder *builder = lua_touserdata(lua, 1);
    install_values(lua, builder);
    install_model(lua, builder);
    install_script(lua, builder);
    return 0;
}

static bool check_logits(const Builder *builder, const char *script, Diag *diag)
{
    for (int32_t i = 0; i < builder->outputs.count; i++) {
        const NamedValue *output = &builder->outputs.items[i];
        if (strcmp(output->name, "logits") != 0)
            continue;
        const Value *value = output->value;
        Shape expected = {2,
                          {dim_symbol(SYMBOL_R), dim_constant(builder->module->vocabulary_size)}};
        if (value->dtype == DTYPE_f32 && shape_equal(&value->shape, &expected))
            return true;
        char given[256];
        value_describe(value, given, sizeof given);
        return diag_fail(
            diag, output->where,
            "output: \"logits\" is %s, f32[R,%lld] was expected (one row for each row "
            "asked for: gather_rows(x, row); one column for each piece of the vocabulary)",
            given, (long long)builder->module->vocabulary_size);
    }
    return diag_fail(diag, (Where){.file = script},
                     "the script sets no output \"logits\": output(\"logits\", x)");
}

static bool refuse_tap(const Builder *builder, const char *script, const char *name, Diag *diag)
{
    Text names = {0};
    for (int32_t i = 0; i < builder->named.count; i++)
        text_print(&names, "%s%s", i ? ", " : "", builder->named.items[i].name);
    diag_fail(diag, (Where){.file = script}, "no value is named \"%s\" for a tap; named are: %s",
              name, names.length ? names.bytes : "none");
    text_free(&names);
    return false;
}

static bool add_taps(const Builder *builder, const LuaFrontendOptions *options, Diag *diag)
{
    for (int i = 0; i < options->tap_count; i++) {
        const NamedValue *tap = named_find(&builder->named, options->taps[i]);
        if (!tap)
            return refuse_tap(builder, options->script, options->taps[i], diag);
        bool again = false;
        for (int before = 0; before < i; before++)
            again = again || strcmp(options->taps[before], options->taps[i]) == 0;
        if (!again)
            graph_add_output(builder->graph,
                             arena_format(builder->module->arena, "tap.%s", tap->name), tap->value);
    }
    return true;
}

static bool finish(const Builder *builder, const LuaFrontendOptions *options, Diag *diag)
{
    if (builder->module->vocabulary_size == 0)
        return diag_fail(diag, (Where){.file = options->script},
                         "the script never describes the model: model.describe {context = …, "
                         "vocabulary = …}");
    return check_logits(builder, options->script, diag) && add_taps(builder, options, diag);
}

const char *lua_frontend_folder(const char *script, Arena *arena)
{
    const char *slash = strrchr(script, '/');
    return slash ? arena_copy_text(arena, script, (size_t)(slash - script)) : ".";
}

// The script's own folder, then the registry.
static LuaHostOptions host_options(const LuaFrontendOptions *options, Arena *arena)
{
    const char **folders = ARENA_ARRAY(arena, const char *, options->registry_count + 1);
    folders[0] = lua_frontend_folder(options->script, arena);
    for (int i = 0; i < options->registry_count; i++)
        folders[i + 1] = options->registry[i];
    return (LuaHostOptions){.registry = folders, .registry_count = options->registry_count + 1};
}

Module *lua_frontend_build(const LuaFrontendOptions *options, const ModelFile *file,
                           ModuleOptions module_options, Arena *arena, FileList *inputs_read,
                           Diag *diag)
{
    LuaHostOptions host_settings = host_options(options, arena);
    LuaHost *host = lua_host_new(&host_settings, arena, diag);
    if (!host)
        return NULL;
    Module *module = module_new(arena, file->name, module_options);
    const char *slash = strrchr(options->script, '/');
    const char *script = slash ? slash + 1 : options->script;
    module->script = arena_copy_text(arena, script, strlen(script));
    Builder builder = {.host = host,
                       .script = options->script,
                       .file = file,
                       .module = module,
                       .graph = module_add_graph(module, "step")};
    bool built = lua_host_call(host, install, &builder, diag) &&
                 lua_host_run_file(host, options->script, diag) && finish(&builder, options, diag);
    const FileList *files = lua_host_files(host);
    for (int32_t i = 0; i < files->count; i++)
        vector_push(arena, inputs_read, files->items[i]);
    lua_host_free(host);
    return built ? module : NULL;
}
