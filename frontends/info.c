// What `graphc --info` prints of a model file: metadata, tensors, a summary, the vocabulary.
//
// Every value is on one line; strings are quoted and escaped, for they come from the file and go to
// a terminal. Shapes are in NumPy order, offsets count from the start of the file.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "frontends/model_file.h"
#include "graph/base/text.h"

enum { TEXT_SHOWN = 72, ITEM_TEXT_SHOWN = 24, ITEMS_SHOWN = 6 };

// The longest beginning of at most `limit` bytes that does not cut a UTF-8 sequence.
static size_t cut_length(const char *bytes, size_t length, size_t limit)
{
    if (length <= limit)
        return length;
    size_t cut = limit;
    while (cut > 0 && cut + 3 > limit && ((unsigned char)bytes[cut] & 0xc0) == 0x80)
        cut--;
    return cut;
}

static void print_text(Text *out, const char *bytes, size_t length, size_t limit)
{
    size_t shown = cut_length(bytes, length, limit);
    text_quote(out, bytes, shown);
    if (shown < length)
        text_print(out, "... (%zu bytes)", length);
}

static void print_real(Text *out, double value, const char *type_name)
{
    char digits[32];
    if (!strcmp(type_name, "f32")) {
        text_float(out, (float)value);
        return;
    }
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strtod(digits, NULL) == value)
            break;
    }
    text_print(out, "%s", digits);
}

static void print_value(Text *out, const MetaValue *value, size_t text_limit);

static void print_array(Text *out, const MetaValue *value)
{
    int64_t count = value->array.count;
    text_print(out, "[");
    for (int64_t i = 0; i < count && i < ITEMS_SHOWN; i++) {
        text_print(out, "%s", i ? ", " : "");
        print_value(out, &value->array.items[i], ITEM_TEXT_SHOWN);
    }
    text_print(out, count > ITEMS_SHOWN ? ", ...]" : "]");
}

static void print_value(Text *out, const MetaValue *value, size_t text_limit)
{
    switch (value->kind) {
    case META_BOOL: text_print(out, value->boolean ? "true" : "false"); break;
    case META_INT: text_print(out, "%" PRId64, value->integer); break;
    case META_UINT: text_print(out, "%" PRIu64, value->natural); break;
    case META_FLOAT: print_real(out, value->real, value->type_name); break;
    case META_TEXT:
        print_text(out, value->text.bytes, (size_t)value->text.length, text_limit);
        break;
    case META_ARRAY: print_array(out, value); break;
    }
}

static void print_type(Text *out, const MetaValue *value)
{
    if (value->kind != META_ARRAY)
        text_print(out, "%s", value->type_name);
    else if (value->array.count)
        text_print(out, "array[%" PRId64 "] of %s", value->array.count,
                   value->array.items->type_name);
    else
        text_print(out, "array[0]");
}

static void print_metadata(Text *out, const ModelFile *file)
{
    for (int64_t i = 0; i < file->metadata_count; i++) {
        const Metadata *metadata = &file->metadata[i];
        text_print(out, "%s: ", metadata->key);
        print_type(out, &metadata->value);
        // The type of an array stands before its items without a sign of equality.
        text_print(out, metadata->value.kind == META_ARRAY ? " " : " = ");
        print_value(out, &metadata->value, TEXT_SHOWN);
        text_print(out, "\n");
    }
}

static int64_t tensor_elements(const FileTensor *tensor)
{
    int64_t elements = 1;
    for (int32_t i = 0; i < tensor->rank; i++)
        elements *= tensor->shape[i];
    return elements;
}

static void print_tensor(Text *out, const FileTensor *tensor, int name_width)
{
    char shape[TENSOR_RANK_MAX * 24] = "(";
    size_t used = 1;
    for (int32_t i = 0; i < tensor->rank; i++)
        used += (size_t)snprintf(shape + used, sizeof shape - used, "%s%" PRId64, i ? ", " : "",
                                 tensor->shape[i]);
    // A tuple of one, as NumPy writes it.
    snprintf(shape + used, sizeof shape - used, tensor->rank == 1 ? ",)" : ")");
    text_print(out, "%-*s  ", name_width, tensor->name);
    if (tensor->dtype == DTYPE_COUNT)
        text_print(out, "%-6s  %-20s  %12" PRIu64 "             ?\n", tensor->type_name, shape,
                   tensor->file_offset);
    else
        text_print(out, "%-6s  %-20s  %12" PRIu64 "  %12" PRIu64 "\n",
                   dtype_table[tensor->dtype].name, shape, tensor->file_offset, tensor->bytes);
}

static void print_tensors(Text *out, const ModelFile *file)
{
    int width = 6;
    for (int64_t i = 0; i < file->tensor_count; i++)
        if ((int)strlen(file->tensors[i].name) > width)
            width = (int)strlen(file->tensors[i].name);
    if (file->tensor_count)
        text_print(out, "\n%-*s  %-6s  %-20s  %12s  %12s\n", width, "tensor", "dtype", "shape",
                   "offset", "bytes");
    for (int64_t i = 0; i < file->tensor_count; i++)
        print_tensor(out, &file->tensors[i], width);
}

static void print_summary(Text *out, const ModelFile *file)
{
    uint64_t bytes = 0, parameters = 0, all = 0;
    int64_t unknown = 0;
    for (int32_t i = 0; i < file->parts.count; i++)
        all += file->parts.items[i].bytes;
    for (int64_t i = 0; i < file->tensor_count; i++) {
        parameters += (uint64_t)tensor_elements(&file->tensors[i]);
        bytes += file->tensors[i].bytes;
        unknown += file->tensors[i].dtype == DTYPE_COUNT;
    }
    text_print(out, "\n%" PRId64 " keys, ", file->metadata_count);
    if (file->weightless)
        text_print(out, "a shape without weights (%s%s)\n", dtype_table[file->weightless_type].name,
                   file->weightless_tied ? ", tied" : "");
    else
        text_print(out,
                   "%" PRId64 " tensors, %" PRIu64 " parameters in %" PRIu64
                   " bytes, %s of %" PRIu64 " bytes\n",
                   file->tensor_count, parameters, bytes, file->parts.count > 1 ? "files" : "file",
                   all);
    if (unknown)
        text_print(out,
                   "%" PRId64
                   " tensors are of unknown types and cannot be used; their bytes are not "
                   "counted\n",
                   unknown);
}

static void print_special(Text *out, const char *name, int32_t id)
{
    if (id != TOKEN_NONE)
        text_print(out, ", %s %" PRId32, name, id);
}

static void print_known_vocabulary(Text *out, const Vocabulary *vocabulary)
{
    vocabulary_print(vocabulary, out);
    print_special(out, "bos", vocabulary->bos);
    print_special(out, "eos", vocabulary->eos);
    print_special(out, "unknown", vocabulary->unknown);
    print_special(out, "padding", vocabulary->padding);
    for (int32_t i = 0; i < vocabulary->end_count; i++)
        text_print(out, "%s%" PRId32, i ? " " : ", ends ", vocabulary->ends[i]);
    text_print(out, "%s%s%s\n", vocabulary->add_bos ? ", adds bos" : "",
               vocabulary->add_eos ? ", adds eos" : "",
               *vocabulary->chat_template ? ", chat template" : "");
}

static void print_vocabulary(Text *out, const ModelFile *file)
{
    const MetaValue *model = model_file_meta(file, "tokenizer.ggml.model");
    if (file->has_vocabulary) {
        print_known_vocabulary(out, &file->vocabulary);
        return;
    }
    bool foreign = model && model->kind == META_TEXT && model->text.length > 0 &&
                   !(model->text.length == 4 && !memcmp(model->text.bytes, "none", 4)) &&
                   !(model->text.length == 8 && !memcmp(model->text.bytes, "no_vocab", 8));
    text_print(out, "vocabulary: ");
    if (foreign) {
        text_print(out, "of kind ");
        print_text(out, model->text.bytes, (size_t)model->text.length, TEXT_SHOWN);
        text_print(out, ", which is not supported: text cannot be tokenized\n");
    } else {
        text_print(out, "none\n");
    }
}

void model_file_print_info(const ModelFile *file, FILE *out)
{
    Text text = {0};
    text_print(&text, "%s\n\n", file->path);
    print_metadata(&text, file);
    print_tensors(&text, file);
    print_summary(&text, file);
    print_vocabulary(&text, file);
    fwrite(text.bytes, 1, text.length, out);
    text_free(&text);
}
