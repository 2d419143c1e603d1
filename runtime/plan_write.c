// Writing plans: the front (header and tables) is put together in memory, DATA is made window by
// window (weights_write.c).
//
// Equal plans give equal bytes: strings are laid down again in the order in which the tables name
// them, padding is zero, and plans whose weights were made name files by base name only.
#include <stdlib.h>
#include <string.h>

#include "runtime/plan_file.h"
#include "runtime/weights.h"

typedef struct Writer {
    const Plan *plan;
    const NewFile *file;
    PlanHeader header;
    PlanVocabulary vocabulary;
    Text strings;
    PlanString *moved; // new place of the string at each old one; 0: not laid down yet
    char *front;       // the file up to DATA
    PlanProgress *progress;
    void *progress_context;
    Diag *diag;
} Writer;

static bool fail_memory(Writer *writer)
{
    return diag_fail(writer->diag, (Where){.file = writer->file->path},
                     "out of memory for the plan");
}

static bool is_made(const Plan *plan)
{
    return plan->info.weights_in != WEIGHTS_IN_MODEL;
}

static PlanString lay_text(Writer *writer, const char *text)
{
    if (!text || !text[0])
        return 0;
    PlanString place = (PlanString)writer->strings.length;
    text_append(&writer->strings, text, strlen(text) + 1);
    return place;
}

static PlanString lay_string(Writer *writer, PlanString old, bool base_name)
{
    const char *text = plan_string(writer->plan, old);
    const char *slash = base_name ? strrchr(text, '/') : NULL;
    if (slash)
        return lay_text(writer, slash + 1);
    if (!writer->moved[old])
        writer->moved[old] = lay_text(writer, text);
    return writer->moved[old];
}

static void *section_start(const Writer *writer, PlanSection section)
{
    return writer->front + writer->header.sections[section].offset;
}

// Moves the strings of one section's items, which lie in the front already.
static void lay_strings_of(Writer *writer, PlanSection section)
{
    uint64_t count = writer->header.sections[section].bytes / plan_item_bytes[section];
    bool base_names = section == SECTION_FILES && is_made(writer->plan);
    for (int i = 0; i < PLAN_STRING_FIELDS; i++) {
        if (plan_string_fields[i].section != section || section == SECTION_VOCABULARY)
            continue;
        char *field = (char *)section_start(writer, section) + plan_string_fields[i].offset;
        for (uint64_t item = 0; item < count; item++, field += plan_item_bytes[section]) {
            PlanString string;
            memcpy(&string, field, sizeof string);
            string = lay_string(writer, string, base_names);
            memcpy(field, &string, sizeof string);
        }
    }
}

static void clean_shape(Shape *shape)
{
    Shape copy = *shape;
    memset(shape, 0, sizeof *shape);
    shape->rank = copy.rank;
    for (int i = 0; i < copy.rank; i++)
        shape->dims[i] = copy.dims[i];
}

// What the structs hold besides their meaning: holes, and once weights are made the files' times.
static void clean_tables(Writer *writer)
{
    const Plan *plan = writer->plan;
    PlanOperand *operands = section_start(writer, SECTION_OPERANDS);
    PlanOutput *outputs = section_start(writer, SECTION_OUTPUTS);
    PlanFile *files = section_start(writer, SECTION_FILES);
    for (uint32_t i = 0; i < plan->operand_count; i++)
        clean_shape(&operands[i].shape);
    for (uint32_t i = 0; i < plan->output_count; i++)
        clean_shape(&outputs[i].shape);
    for (uint32_t i = 0; i < plan->file_count && is_made(plan); i++)
        files[i].modified_ns = 0;
}

static PlanVocabulary flat_vocabulary(Writer *writer)
{
    const Vocabulary *from = &writer->plan->vocabulary;
    PlanVocabulary to = {
        .kind = from->kind,
        .count = from->count,
        .merge_count = from->merge_count,
        .step_count = from->step_count,
        .step_byte_count = from->step_byte_count,
        .added_count = from->added_count,
        .lookup_mask = from->lookup_mask,
        .bos = from->bos,
        .eos = from->eos,
        .unknown = from->unknown,
        .padding = from->padding,
        .end_count = from->end_count,
        .add_bos = from->add_bos,
        .add_eos = from->add_eos,
        .byte_level = from->byte_level,
        .whole_words = from->whole_words,
        .fuse_unknown = from->fuse_unknown,
        .single_precision = from->single_precision,
        .pre_tokenizer = lay_text(writer, from->pre_tokenizer),
        .chat_template = lay_text(writer, from->chat_template),
    };
    memcpy(to.ends, from->ends, (size_t)from->end_count * sizeof *to.ends);
    return to;
}

// The bytes of a vocabulary's section as they stand in memory.
static PlanTable vocabulary_table(const Writer *writer, PlanSection section)
{
    const Vocabulary *vocabulary = &writer->plan->vocabulary;
    uint64_t count = (uint64_t)vocabulary->count;
    if (!writer->plan->info.has_vocabulary)
        return (PlanTable){NULL, 0};
    switch (section) {
    case SECTION_VOCABULARY: return (PlanTable){&writer->vocabulary, 1};
    case SECTION_PIECES: return (PlanTable){vocabulary->bytes, vocabulary->offsets[count]};
    case SECTION_PIECE_OFFSETS: return (PlanTable){vocabulary->offsets, count + 1};
    case SECTION_PIECE_SCORES: return (PlanTable){vocabulary->scores, count};
    case SECTION_PIECE_TYPES: return (PlanTable){vocabulary->types, count};
    case SECTION_MERGES: return (PlanTable){vocabulary->merges, (uint64_t)vocabulary->merge_count};
    case SECTION_TEXT_STEPS:
        return (PlanTable){vocabulary->steps, (uint64_t)vocabulary->step_count};
    case SECTION_TEXT_STEP_BYTES:
        return (PlanTable){vocabulary->step_bytes, vocabulary->step_byte_count};
    case SECTION_ADDED_TOKENS:
        return (PlanTable){vocabulary->added, (uint64_t)vocabulary->added_count};
    case SECTION_LOOKUP:
        return (PlanTable){vocabulary->lookup, (uint64_t)vocabulary->lookup_mask + 1};
    default: return (PlanTable){NULL, 0};
    }
}

static PlanTable table_of(const Writer *writer, PlanSection section)
{
    return section < SECTION_VOCABULARY ? plan_table(writer->plan, section)
                                        : vocabulary_table(writer, section);
}

// Strings are the first section but their size is known last: the tables are laid down without
// them, and moved behind them by place_front.
static bool make_front(Writer *writer)
{
    const Plan *plan = writer->plan;
    PlanHeader *header = &writer->header;
    text_append(&writer->strings, "", 1);
    if (plan->info.has_vocabulary)
        writer->vocabulary = flat_vocabulary(writer);
    for (int i = 0; i < SECTION_DATA; i++)
        header->sections[i].bytes = table_of(writer, (PlanSection)i).count * plan_item_bytes[i];
    plan_place_sections(header);
    writer->front = calloc(1, header->file_bytes);
    writer->moved = calloc(plan->string_bytes, sizeof *writer->moved);
    if (!writer->front || !writer->moved)
        return fail_memory(writer);
    for (int i = 0; i < SECTION_DATA; i++)
        if (header->sections[i].bytes > 0)
            memcpy(section_start(writer, (PlanSection)i), table_of(writer, (PlanSection)i).items,
                   header->sections[i].bytes);
    clean_tables(writer);
    for (int i = 0; i < SECTION_DATA; i++)
        lay_strings_of(writer, (PlanSection)i);
    return true;
}

// The front with the strings in it, padded up to DATA.
static bool place_front(Writer *writer)
{
    PlanHeader *header = &writer->header, before = *header;
    header->sections[SECTION_STRINGS].bytes = writer->strings.length;
    if (writer->plan->info.weights_in == WEIGHTS_IN_PLAN)
        header->sections[SECTION_DATA].bytes = (uint64_t)writer->plan->info.w_bytes;
    plan_place_sections(header);
    bool has_data = header->sections[SECTION_DATA].bytes > 0;
    uint64_t bytes = has_data ? header->sections[SECTION_DATA].offset : header->file_bytes;
    char *front = calloc(1, bytes);
    if (!front)
        return fail_memory(writer);
    memcpy(front + header->sections[SECTION_STRINGS].offset, writer->strings.bytes,
           writer->strings.length);
    for (int i = SECTION_INFO; i < SECTION_DATA; i++)
        if (header->sections[i].bytes > 0)
            memcpy(front + header->sections[i].offset, writer->front + before.sections[i].offset,
                   header->sections[i].bytes);
    free(writer->front);
    writer->front = front;
    for (int i = 0; i < SECTION_DATA; i++)
        header->sections[i].hash =
            hash128(front + header->sections[i].offset, header->sections[i].bytes);
    return true;
}

static bool write_data(Writer *writer)
{
    PlanSectionEntry *data = &writer->header.sections[SECTION_DATA];
    return data->bytes == 0 ||
           weights_write(writer->plan, writer->file, data->offset, &data->hash, writer->progress,
                         writer->progress_context, writer->diag);
}

static bool write_front(Writer *writer)
{
    PlanHeader *header = &writer->header;
    PlanSectionEntry *data = &header->sections[SECTION_DATA];
    if (data->bytes == 0)
        data->hash = hash128("", 0);
    header->hash = plan_header_hash(header);
    memcpy(writer->front, header, sizeof *header);
    return new_file_write(writer->file, writer->front,
                          data->bytes > 0 ? data->offset : header->file_bytes, 0, writer->diag);
}

bool plan_write_file(const Plan *plan, const NewFile *file, PlanProgress *progress, void *context,
                     Diag *diag)
{
    Writer *writer = calloc(1, sizeof *writer);
    if (!writer)
        return diag_fail(diag, (Where){.file = file->path}, "out of memory");
    writer->plan = plan;
    writer->file = file;
    writer->progress = progress;
    writer->progress_context = context;
    writer->diag = diag;
    writer->header.format = PLAN_FORMAT;
    writer->header.header_bytes = sizeof writer->header;
    memcpy(writer->header.magic, PLAN_MAGIC, sizeof writer->header.magic);
    bool good = plan_check(plan, diag) && make_front(writer) && place_front(writer) &&
                write_data(writer) && write_front(writer);
    text_free(&writer->strings);
    free(writer->moved);
    free(writer->front);
    free(writer);
    return good;
}

bool plan_write(const Plan *plan, const char *path, PlanProgress *progress, void *context,
                Diag *diag)
{
    NewFile file;
    if (!new_file_begin(&file, path, diag))
        return false;
    if (plan_write_file(plan, &file, progress, context, diag))
        return new_file_finish(&file, diag);
    new_file_abandon(&file);
    return false;
}
