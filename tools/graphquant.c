// graphquant: a model of any format becomes a GGUF file, its matrices in another type if one asks.
// What it did goes to stdout, talk to stderr; exit 0, 1 (bad input), 2 (usage).
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "frontends/gguf/gguf_export.h"
#include "runtime/pool.h"
#include "tools/common/exec_options.h"
#include "tools/common/version.h"
#include "tools/quant/convert.h"

static const char usage[] =
    "usage: graphquant [options] MODEL OUT.gguf [f32|f16|bf16|q8_0]\n"
    "       MODEL is a Hugging Face folder, a GGUF file or a llama2.c file\n";

static const char footer[] =
    "Without a type matrices stay as they are stored. Vectors and norms are written in f32, and a\n"
    "matrix whose rows are not whole blocks of the type in f16, as llama.cpp's converter does.\n";

static int report(const Diag *diag, int status)
{
    fprintf(stderr, "%s\n", diag->message);
    return status;
}

// The operands: the type, DTYPE_COUNT when there is none, and the threads.
static bool take_operands(const Options *options, DType *type, int32_t *threads, Diag *diag)
{
    const OptionList *operands = &options->operands;
    int64_t count;
    *type = operands->count == 3 ? gguf_export_type(operands->items[2]) : DTYPE_COUNT;
    if (operands->count < 2 || operands->count > 3)
        return diag_fail(diag, (Where){0}, "graphquant wants MODEL OUT.gguf [TYPE]; see --help");
    if (operands->count == 3 && *type == DTYPE_COUNT)
        return diag_fail(diag, (Where){0}, "type %s is not one of f32, f16, bf16, q8_0",
                         operands->items[2]);
    if (!option_number("-t", options->threads, 1, POOL_THREADS_MAX, &count, diag))
        return false;
    *threads = (int32_t)count;
    return true;
}

// Matrices that could not have the type that was asked for are never passed over in silence.
static void note_exceptions(const GgufContents *contents, DType type)
{
    for (int32_t i = 0; type != DTYPE_COUNT && i < contents->tensors.count; i++) {
        const GgufTensor *tensor = &contents->tensors.items[i];
        if (tensor->dtype != type && tensor->dtype != DTYPE_f32)
            fprintf(stderr, "note: \"%s\" is written in %s: its rows are not whole blocks of %s\n",
                    tensor->name, dtype_table[tensor->dtype].name, dtype_table[type].name);
    }
}

static bool is_same_file(const char *a, const char *b)
{
    struct stat first, second;
    return stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

static bool convert(const ModelFile *model, const char *path, DType type,
                    const ConvertOptions *options, Arena *arena, Diag *diag)
{
    GgufContents contents;
    Text header = {0};
    bool good = gguf_export(model, type, arena, &contents, diag) &&
                gguf_print_header(&contents, model->path, &header, diag);
    if (good) {
        note_exceptions(&contents, type);
        good = convert_write(model, &contents, &header, path, options, diag);
    }
    if (good)
        printf("%s: %d tensors, %d keys\n", path, contents.tensors.count, contents.metadata.count);
    text_free(&header);
    return good;
}

int main(int argc, char **argv)
{
    Options options;
    Diag diag = {0};
    Arena arena = {0};
    DType type;
    ConvertOptions how = {0};
    if (!options_parse(PROGRAM_GRAPHQUANT, argc, argv, &options, &diag))
        return report(&diag, 2);
    if (options.help) {
        options_print_help(PROGRAM_GRAPHQUANT, usage, footer);
        return 0;
    }
    if (options.version)
        return printf("graphquant %s\n", GRAPHC_VERSION) < 0;
    if (!take_operands(&options, &type, &how.threads, &diag))
        return report(&diag, 2);
    const char *in = options.operands.items[0], *out = options.operands.items[1];
    how.verbose = options.verbose;
    how.progress = isatty(STDERR_FILENO);
    if (is_same_file(in, out))
        return diag_fail(&diag, (Where){.file = out}, "would overwrite the model that is read"),
               report(&diag, 1);
    ModelFile *model = model_file_open(in, &arena, &diag);
    bool good = model && convert(model, out, type, &how, &arena, &diag);
    model_file_close(model);
    arena_free(&arena);
    return good ? 0 : report(&diag, 1);
}
