// What generation_config.json recommends, from the metadata that config.c made of it: sampling
// settings, and which tokens end a text. A model that says do_sample = false is meant to be greedy.
#include <stdio.h>
#include <string.h>

#include "frontends/safetensors/safetensors.h"

static const MetaValue *find(const ModelFile *file, const char *key, Arena *arena)
{
    return model_file_meta(file, arena_format(arena, "generation_config.%s", key));
}

static bool fail(const ModelFile *file, const char *key, const char *what, Arena *arena, Diag *diag)
{
    const char *path = arena_format(arena, "%s/generation_config.json", file->path);
    return diag_fail(diag, (Where){.file = path}, "%s: %s", key, what);
}

static bool number_of(const MetaValue *value, float *number)
{
    if (value->kind == META_UINT)
        *number = (float)value->natural;
    else if (value->kind == META_INT)
        *number = (float)value->integer;
    else if (value->kind == META_FLOAT)
        *number = (float)value->real;
    else
        return false;
    return true;
}

static bool is_greedy(const ModelFile *file, Arena *arena)
{
    const MetaValue *samples = find(file, "do_sample", arena);
    return samples && samples->kind == META_BOOL && !samples->boolean;
}

static bool read_settings(ModelFile *file, Arena *arena, Diag *diag)
{
    Setting *settings = ARENA_ARRAY(arena, Setting, SETTING_COUNT);
    file->settings = settings;
    for (uint32_t kind = 0; kind < SETTING_COUNT; kind++) {
        const char *key = setting_table[kind].key;
        const MetaValue *value = find(file, key, arena);
        Setting setting = {.kind = kind};
        bool greedy = kind == SETTING_temperature && is_greedy(file, arena);
        if (!value && !greedy)
            continue;
        if (value &&
            (!number_of(value, &setting.value) || !setting_holds((SettingKind)kind, setting.value)))
            return fail(file, key, "this is no value that it can have", arena, diag);
        if (greedy)
            setting.value = 0;
        settings[file->setting_count++] = setting;
    }
    return true;
}

static void add_end(Vocabulary *vocabulary, const MetaValue *id)
{
    if (id->kind != META_UINT || id->natural >= (uint64_t)vocabulary->count)
        return;
    for (int32_t i = 0; i < vocabulary->end_count; i++)
        if (vocabulary->ends[i] == (int32_t)id->natural)
            return;
    if (vocabulary->end_count < VOCABULARY_END_MAX)
        vocabulary->ends[vocabulary->end_count++] = (int32_t)id->natural;
}

// One token or several; ids that no text can have end none.
static void add_ends(Vocabulary *vocabulary, const MetaValue *ids)
{
    if (ids && ids->kind != META_ARRAY)
        add_end(vocabulary, ids);
    for (int64_t i = 0; ids && ids->kind == META_ARRAY && i < ids->array.count; i++)
        add_end(vocabulary, &ids->array.items[i]);
}

bool safetensors_read_generation(ModelFile *file, Arena *arena, Diag *diag)
{
    if (file->has_vocabulary) {
        add_ends(&file->vocabulary, model_file_meta(file, "eos_token_id"));
        add_ends(&file->vocabulary, find(file, "eos_token_id", arena));
    }
    return read_settings(file, arena, diag);
}
