// Opening plans: map, check the header and the sections' places and hashes, then let the checker
// look at what the tables say. The file is mapped at a multiple of 2 MiB, as DATA is in the file,
// so that the system can map weights with 2 MiB pages.
#include "runtime/plan.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/kernel.h"
#include "runtime/plan_file.h"
#include "runtime/weights_file.h"

const uint32_t plan_item_bytes[SECTION_COUNT] = {
    [SECTION_STRINGS] = 1,
    [SECTION_INFO] = sizeof(PlanInfo),
    [SECTION_FILES] = sizeof(PlanFile),
    [SECTION_TENSORS] = sizeof(PlanTensor),
    [SECTION_RECIPES] = sizeof(PlanRecipe),
    [SECTION_VALUES] = sizeof(float),
    [SECTION_WEIGHTS] = sizeof(PlanWeight),
    [SECTION_STATES] = sizeof(PlanState),
    [SECTION_PHASES] = sizeof(PlanPhase),
    [SECTION_STEPS] = sizeof(PlanStep),
    [SECTION_OPERANDS] = sizeof(PlanOperand),
    [SECTION_OUTPUTS] = sizeof(PlanOutput),
    [SECTION_SETTINGS] = sizeof(Setting),
    [SECTION_VOCABULARY] = sizeof(PlanVocabulary),
    [SECTION_PIECES] = 1,
    [SECTION_PIECE_OFFSETS] = sizeof(uint32_t),
    [SECTION_PIECE_SCORES] = sizeof(float),
    [SECTION_PIECE_TYPES] = 1,
    [SECTION_MERGES] = sizeof(Merge),
    [SECTION_TEXT_STEPS] = sizeof(TextStep),
    [SECTION_TEXT_STEP_BYTES] = 1,
    [SECTION_ADDED_TOKENS] = sizeof(AddedToken),
    [SECTION_LOOKUP] = sizeof(int32_t),
    [SECTION_DATA] = 1,
};

const char *const plan_section_names[SECTION_COUNT] = {
    "strings",  "info",       "files",           "tensors",       "recipes",      "values",
    "weights",  "states",     "phases",          "steps",         "operands",     "outputs",
    "settings", "vocabulary", "pieces",          "piece offsets", "piece scores", "piece types",
    "merges",   "text steps", "text step bytes", "added tokens",  "lookup",       "data",
};

#define FIELD(section, Type, member)                                                               \
    {                                                                                              \
        SECTION_##section, offsetof(Type, member)                                                  \
    }
const PlanStringField plan_string_fields[PLAN_STRING_FIELDS] = {
    FIELD(INFO, PlanInfo, name),
    FIELD(INFO, PlanInfo, architecture),
    FIELD(INFO, PlanInfo, target),
    FIELD(INFO, PlanInfo, command),
    FIELD(INFO, PlanInfo, compiler),
    FIELD(INFO, PlanInfo, kv),
    FIELD(INFO, PlanInfo, act),
    FIELD(FILES, PlanFile, path),
    FIELD(TENSORS, PlanTensor, name),
    FIELD(WEIGHTS, PlanWeight, name),
    FIELD(STATES, PlanState, name),
    FIELD(PHASES, PlanPhase, name),
    FIELD(STEPS, PlanStep, kernel),
    FIELD(STEPS, PlanStep, location),
    FIELD(OPERANDS, PlanOperand, name),
    FIELD(OUTPUTS, PlanOutput, name),
    FIELD(VOCABULARY, PlanVocabulary, pre_tokenizer),
    FIELD(VOCABULARY, PlanVocabulary, chat_template),
};
#undef FIELD

PlanTable plan_table(const Plan *plan, PlanSection section)
{
    switch (section) {
    case SECTION_INFO: return (PlanTable){&plan->info, 1};
    case SECTION_FILES: return (PlanTable){plan->files, plan->file_count};
    case SECTION_TENSORS: return (PlanTable){plan->tensors, plan->tensor_count};
    case SECTION_RECIPES: return (PlanTable){plan->recipes, plan->recipe_count};
    case SECTION_VALUES: return (PlanTable){plan->values, plan->value_count};
    case SECTION_WEIGHTS: return (PlanTable){plan->weights, plan->weight_count};
    case SECTION_STATES: return (PlanTable){plan->states, plan->state_count};
    case SECTION_PHASES: return (PlanTable){plan->phases, plan->phase_count};
    case SECTION_STEPS: return (PlanTable){plan->steps, plan->step_count};
    case SECTION_OPERANDS: return (PlanTable){plan->operands, plan->operand_count};
    case SECTION_OUTPUTS: return (PlanTable){plan->outputs, plan->output_count};
    case SECTION_SETTINGS: return (PlanTable){plan->settings, plan->setting_count};
    default: return (PlanTable){NULL, 0};
    }
}

const PlanHeader *plan_header(const Plan *plan)
{
    return (const void *)plan->file.bytes;
}

static uint64_t round_up(uint64_t value, uint64_t multiple)
{
    return (value + multiple - 1) / multiple * multiple;
}

void plan_place_sections(PlanHeader *header)
{
    uint64_t end = sizeof *header;
    for (int i = 0; i < SECTION_COUNT; i++) {
        PlanSectionEntry *entry = &header->sections[i];
        bool far = i == SECTION_DATA && entry->bytes > 0;
        entry->offset = round_up(end, far ? PLAN_DATA_ALIGNMENT : PLAN_ALIGNMENT);
        if (entry->bytes > 0)
            end = entry->offset + entry->bytes;
    }
    header->file_bytes = end;
}

Hash128 plan_header_hash(const PlanHeader *header)
{
    return hash128(header, offsetof(PlanHeader, hash));
}

bool plan_hash_equal(Hash128 a, Hash128 b)
{
    return a.low == b.low && a.high == b.high;
}

bool plan_refuse(const Plan *plan, Diag *diag, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return diag_fail(diag, (Where){.file = plan->path}, "%s", text);
}

const char *plan_string(const Plan *plan, PlanString string)
{
    return plan->strings + string;
}

static bool refuse_cut(const Plan *plan, uint64_t have, uint64_t want, Diag *diag)
{
    return plan_refuse(plan, diag,
                       "the plan is cut short: %llu of %llu bytes: copy or make it again",
                       (unsigned long long)have, (unsigned long long)want);
}

// The command that remakes a plan of any format, as far as what all formats share can be read;
// else "".
static void read_command(int file, const PlanHeader *header, char command[PLAN_COMMAND_MAX])
{
    const PlanSectionEntry *strings = &header->sections[SECTION_STRINGS];
    const PlanSectionEntry *info = &header->sections[SECTION_INFO];
    PlanString offset = 0;
    command[0] = 0;
    off_t place = (off_t)(info->offset + offsetof(PlanInfo, command));
    if (pread(file, &offset, sizeof offset, place) != sizeof offset || offset >= strings->bytes)
        return;
    ssize_t got = pread(file, command, PLAN_COMMAND_MAX - 1, (off_t)(strings->offset + offset));
    command[got > 0 ? got : 0] = 0;
    for (const char *c = command; *c; c++)
        if ((unsigned char)*c < ' ')
            command[0] = 0;
}

bool plan_peek(const char *path, PlanInfo *info, char command[PLAN_COMMAND_MAX])
{
    PlanHeader header;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    command[0] = 0;
    if (file < 0)
        return false;
    bool good = pread(file, &header, sizeof header, 0) == sizeof header &&
                memcmp(header.magic, PLAN_MAGIC, sizeof header.magic) == 0 &&
                header.format == PLAN_FORMAT &&
                pread(file, info, sizeof *info, (off_t)header.sections[SECTION_INFO].offset) ==
                    sizeof *info &&
                plan_hash_equal(header.sections[SECTION_INFO].hash, hash128(info, sizeof *info));
    if (good)
        read_command(file, &header, command);
    close(file);
    return good;
}

static bool refuse_format(const Plan *plan, const PlanHeader *header, Diag *diag)
{
    char command[PLAN_COMMAND_MAX];
    read_command(plan->file.file, header, command);
    return plan_refuse(plan, diag,
                       "a plan of format %u, this program reads format %d: make it again%s%s",
                       header->format, PLAN_FORMAT, command[0] ? " with: " : "", command);
}

// Reads and checks the header; afterwards every section lies inside the file at its only place.
static bool read_header(const Plan *plan, PlanHeader *header, Diag *diag)
{
    uint64_t file_bytes = plan->file.length;
    uint64_t got = file_bytes < sizeof *header ? file_bytes : sizeof *header;
    memset(header, 0, sizeof *header);
    if (got > 0)
        memcpy(header, plan->file.bytes, got);
    if (got < 8 || memcmp(header->magic, PLAN_MAGIC, sizeof header->magic) != 0)
        return plan_refuse(plan, diag, "not a plan (a plan begins with \"%s\")", PLAN_MAGIC);
    if (header->format != PLAN_FORMAT && got >= offsetof(PlanHeader, hash))
        return refuse_format(plan, header, diag);
    if (got < sizeof *header)
        return refuse_cut(plan, file_bytes, sizeof *header, diag);
    if (!plan_hash_equal(header->hash, plan_header_hash(header)))
        return plan_refuse(plan, diag, "the plan's header is damaged: make the plan again");
    if (header->file_bytes != file_bytes)
        return refuse_cut(plan, file_bytes, header->file_bytes, diag);
    PlanHeader placed = *header;
    for (int i = 0; i < SECTION_COUNT; i++)
        if (header->sections[i].bytes > file_bytes ||
            header->sections[i].bytes % plan_item_bytes[i] != 0 ||
            (i != SECTION_DATA && header->sections[i].bytes > INT32_MAX))
            return plan_refuse(plan, diag, "section %s has an impossible size",
                               plan_section_names[i]);
    plan_place_sections(&placed);
    if (header->header_bytes != sizeof *header || memcmp(&placed, header, sizeof placed) != 0)
        return plan_refuse(plan, diag, "the plan's sections are not where they must be");
    return true;
}

static bool check_section_hashes(const Plan *plan, const PlanHeader *header, Diag *diag)
{
    const char *base = plan->file.bytes;
    for (int i = 0; i < SECTION_DATA; i++) {
        const PlanSectionEntry *entry = &header->sections[i];
        if (!plan_hash_equal(entry->hash, hash128(base + entry->offset, entry->bytes)))
            return plan_refuse(plan, diag, "section %s of the plan is damaged: make the plan again",
                               plan_section_names[i]);
    }
    return true;
}

static const void *section_items(const Plan *plan, PlanSection section, uint32_t *count)
{
    const PlanSectionEntry *entry = &plan_header(plan)->sections[section];
    if (count)
        *count = (uint32_t)(entry->bytes / plan_item_bytes[section]);
    return plan->file.bytes + entry->offset;
}

// Gives the vocabulary's pointers, after checking that every array is as long as the counts say.
static bool map_vocabulary(Plan *plan, Diag *diag)
{
    uint32_t count, bytes, offsets, scores, types, merges, steps, step_bytes, added, lookup;
    const PlanVocabulary *from = section_items(plan, SECTION_VOCABULARY, &count);
    Vocabulary *to = &plan->vocabulary;
    to->bytes = section_items(plan, SECTION_PIECES, &bytes);
    to->offsets = section_items(plan, SECTION_PIECE_OFFSETS, &offsets);
    to->scores = section_items(plan, SECTION_PIECE_SCORES, &scores);
    to->types = section_items(plan, SECTION_PIECE_TYPES, &types);
    to->merges = section_items(plan, SECTION_MERGES, &merges);
    to->steps = section_items(plan, SECTION_TEXT_STEPS, &steps);
    to->step_bytes = section_items(plan, SECTION_TEXT_STEP_BYTES, &step_bytes);
    to->added = section_items(plan, SECTION_ADDED_TOKENS, &added);
    to->lookup = section_items(plan, SECTION_LOOKUP, &lookup);
    if (count != (plan->info.has_vocabulary ? 1u : 0u))
        return plan_refuse(plan, diag, "the plan's vocabulary is missing or not announced");
    if (count == 0)
        return true;
    if (from->count <= 0 || from->merge_count < 0 || offsets != (uint32_t)from->count + 1 ||
        scores != (uint32_t)from->count || types != (uint32_t)from->count ||
        merges != (uint32_t)from->merge_count || from->step_count < 0 ||
        steps != (uint32_t)from->step_count || step_bytes != from->step_byte_count ||
        from->added_count < 0 || added != (uint32_t)from->added_count || lookup == 0 ||
        lookup - 1 != from->lookup_mask || bytes != to->offsets[from->count])
        return plan_refuse(plan, diag, "the vocabulary's sizes do not agree");
    if (from->pre_tokenizer >= plan->string_bytes || from->chat_template >= plan->string_bytes)
        return plan_refuse(plan, diag, "the vocabulary names a text outside of the strings");
    if ((from->add_bos | from->add_eos | from->byte_level | from->whole_words | from->fuse_unknown |
         from->single_precision) > 1)
        return plan_refuse(plan, diag, "the vocabulary has a flag that is neither 0 nor 1");
    to->kind = (VocabularyKind)from->kind;
    to->count = from->count;
    to->merge_count = from->merge_count;
    to->step_count = from->step_count;
    to->step_byte_count = from->step_byte_count;
    to->added_count = from->added_count;
    to->lookup_mask = from->lookup_mask;
    to->bos = from->bos;
    to->eos = from->eos;
    to->unknown = from->unknown;
    to->padding = from->padding;
    to->end_count = from->end_count;
    memcpy(to->ends, from->ends, sizeof to->ends);
    to->add_bos = from->add_bos;
    to->add_eos = from->add_eos;
    to->byte_level = from->byte_level;
    to->whole_words = from->whole_words;
    to->fuse_unknown = from->fuse_unknown;
    to->single_precision = from->single_precision;
    to->pre_tokenizer = plan_string(plan, from->pre_tokenizer);
    to->chat_template = plan_string(plan, from->chat_template);
    return true;
}

static bool map_tables(Plan *plan, Diag *diag)
{
    uint32_t string_bytes, infos;
    plan->strings = section_items(plan, SECTION_STRINGS, &string_bytes);
    plan->string_bytes = string_bytes;
    const PlanInfo *info = section_items(plan, SECTION_INFO, &infos);
    if (infos != 1)
        return plan_refuse(plan, diag, "the plan has %u info records instead of one", infos);
    plan->info = *info;
    plan->files = section_items(plan, SECTION_FILES, &plan->file_count);
    plan->tensors = section_items(plan, SECTION_TENSORS, &plan->tensor_count);
    plan->recipes = section_items(plan, SECTION_RECIPES, &plan->recipe_count);
    plan->values = section_items(plan, SECTION_VALUES, &plan->value_count);
    plan->weights = section_items(plan, SECTION_WEIGHTS, &plan->weight_count);
    plan->states = section_items(plan, SECTION_STATES, &plan->state_count);
    plan->phases = section_items(plan, SECTION_PHASES, &plan->phase_count);
    plan->steps = section_items(plan, SECTION_STEPS, &plan->step_count);
    plan->operands = section_items(plan, SECTION_OPERANDS, &plan->operand_count);
    plan->outputs = section_items(plan, SECTION_OUTPUTS, &plan->output_count);
    plan->settings = section_items(plan, SECTION_SETTINGS, &plan->setting_count);
    bool embedded = plan->info.weights_in == WEIGHTS_IN_PLAN;
    uint64_t data_bytes = plan_header(plan)->sections[SECTION_DATA].bytes;
    if (plan->info.has_vocabulary > 1 || plan->info.w_bytes < 0 ||
        data_bytes != (embedded ? (uint64_t)plan->info.w_bytes : 0))
        return plan_refuse(plan, diag,
                           "the size of the weight data is not what the plan announces");
    plan->data = embedded ? section_items(plan, SECTION_DATA, NULL) : NULL;
    return map_vocabulary(plan, diag);
}

static bool check_target(const Plan *plan, Diag *diag)
{
    Target target = target_from_name(plan_string(plan, plan->info.target));
    if (plan->phase_count > 0 && target > target_native())
        return plan_refuse(
            plan, diag, "the plan is for %s, this CPU has %s: compile it again with --target=%s",
            target_names[target], target_names[target_native()], target_names[target_native()]);
    return true;
}

static bool open_weights(Plan *plan, Diag *diag)
{
    char path[WEIGHTS_PATH_MAX];
    Diag why = {0};
    if (plan->info.weights_in != WEIGHTS_IN_FILE)
        return true;
    if (!weights_file_path(plan->path, plan->info.weights_key, path))
        return plan_refuse(plan, diag, "the path is too long");
    if (!weights_file_open(&plan->weights_file, path, plan->info.weights_key, plan->info.w_bytes,
                           &why))
        return plan_refuse(plan, diag, "no weights (%s); make the plan again with: %s", why.message,
                           plan_string(plan, plan->info.command));
    plan->data = weights_file_data(&plan->weights_file);
    return true;
}

static bool open_file(Plan *plan, Diag *diag)
{
    PlanHeader header;
    return file_map_open(&plan->file, plan->path, diag) && read_header(plan, &header, diag) &&
           check_section_hashes(plan, &header, diag) && map_tables(plan, diag) &&
           plan_check(plan, diag) && check_target(plan, diag) && open_weights(plan, diag);
}

Plan *plan_open(const char *path, Diag *diag)
{
    Plan *plan = calloc(1, sizeof *plan);
    char *name = plan ? strdup(path) : NULL;
    if (!name) {
        free(plan);
        diag_fail(diag, (Where){.file = path}, "out of memory");
        return NULL;
    }
    plan->path = name;
    if (!open_file(plan, diag)) {
        plan_close(plan);
        return NULL;
    }
    return plan;
}

void plan_close(Plan *plan)
{
    if (!plan)
        return;
    file_map_close(&plan->weights_file);
    file_map_close(&plan->file);
    free((void *)(uintptr_t)plan->path);
    free(plan);
}

bool plan_is_plan(const char *path)
{
    char magic[sizeof PLAN_MAGIC - 1];
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    ssize_t got = read(file, magic, sizeof magic);
    close(file);
    return got == sizeof magic && memcmp(magic, PLAN_MAGIC, sizeof magic) == 0;
}

Hash128 plan_data_hash(const Plan *plan)
{
    const WeightsHeader *apart = (const void *)plan->weights_file.bytes;
    if (plan->info.weights_in == WEIGHTS_IN_PLAN && plan->file.bytes)
        return plan_header(plan)->sections[SECTION_DATA].hash;
    return apart ? apart->data : (Hash128){0, 0};
}

bool plan_check_data(const Plan *plan, Diag *diag)
{
    if (!plan->file.bytes || !plan->data ||
        plan_hash_equal(plan_data_hash(plan), hash128(plan->data, (size_t)plan->info.w_bytes)))
        return true;
    bool apart = plan->info.weights_in == WEIGHTS_IN_FILE;
    char path[WEIGHTS_PATH_MAX] = "";
    if (apart)
        weights_file_path(plan->path, plan->info.weights_key, path);
    return plan_refuse(plan, diag, "the weight data is damaged: %s%s%smake the plan again with: %s",
                       apart ? "remove " : "", path, apart ? " and " : "",
                       plan_string(plan, plan->info.command));
}
