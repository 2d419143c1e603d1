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
#include "tools/quant/synth.h"

static const char usage[] =
    "usage: graphquant [options] MODEL OUT.gguf [TYPE]\n"
    "       graphquant [options] --synth SHAPE OUT.gguf [TYPE]\n"
    "       MODEL is a Hugging Face folder, a GGUF file or a llama2.c file\n"
    "       SHAPE is tinyllama-1.1b, qwen2-0.5b, stories15m, llama or qwen2[,layers=N,embd=N…]\n";

static void print_help(void)
{
    Text footer = {0};
    text_print(&footer, "TYPE is one of llama-quantize's:\n  ");
    gguf_mix_print_names(&footer);
    text_print(&footer, "\n"
                        "The head and some matrices get a better one (mixes.def), unless --pure.\n"
                        "A matrix whose rows are not whole blocks falls back, which is told.\n"
                        "Without TYPE matrices stay as they are stored.\n");
    options_print_help(PROGRAM_GRAPHQUANT, usage, footer.bytes);
    text_free(&footer);
}

static int report(const Diag *diag, int status)
{
    fprintf(stderr, "%s\n", diag->message);
    return status;
}

// What is to be done.
typedef struct Request {
    const char *in, *out; // in: the shape of --synth
    bool synth;
    const GgufMix *mix; // NULL: types as they are stored
    bool pure;
    ConvertOptions how;
} Request;

static bool find_mix(const char *name, const GgufMix **mix, Diag *diag)
{
    Text names = {0};
    *mix = gguf_mix_find(name);
    if (!*mix) {
        gguf_mix_print_names(&names);
        diag_fail(diag, (Where){0}, "type %s is not one of %s", name, names.bytes);
        text_free(&names);
    }
    return *mix != NULL;
}

static bool take_request(const Options *options, Request *request, Diag *diag)
{
    const OptionList *operands = &options->operands;
    int32_t files = options->synth ? 1 : 2;
    int64_t threads;
    if (operands->count < files || operands->count > files + 1)
        return diag_fail(diag, (Where){0}, "graphquant wants %s [TYPE]; see --help",
                         options->synth ? "--synth SHAPE OUT.gguf" : "MODEL OUT.gguf");
    if (!option_number("-t", options->threads, 1, POOL_THREADS_MAX, &threads, diag))
        return false;
    request->synth = options->synth != NULL;
    request->in = options->synth ? options->synth : operands->items[0];
    request->out = operands->items[files - 1];
    request->pure = options->pure;
    request->how = (ConvertOptions){.threads = (int32_t)threads,
                                    .progress = isatty(STDERR_FILENO),
                                    .make_row = options->synth ? synth_row : NULL};
    return operands->count == files || find_mix(operands->items[files], &request->mix, diag);
}

// Matrices that could not have the type that was asked for are never passed over in silence.
static void note_exceptions(const GgufContents *contents)
{
    for (int32_t i = 0; i < contents->tensors.count; i++) {
        const GgufTensor *tensor = &contents->tensors.items[i];
        if (tensor->dtype != tensor->wanted)
            fprintf(stderr, "note: \"%s\" is written in %s: its rows are not whole blocks of %s\n",
                    tensor->name, dtype_table[tensor->dtype].name,
                    dtype_table[tensor->wanted].name);
    }
}

// Errors of two roundings add up; llama-quantize asks for --allow-requantize.
static void note_requantised(const GgufContents *contents)
{
    int32_t count = 0;
    for (int32_t i = 0; i < contents->tensors.count; i++) {
        DType from = recipe_dtype(contents->tensors.items[i].recipe);
        count +=
            from != contents->tensors.items[i].dtype && dtype_table[from].kind == DTYPE_KIND_QUANT;
    }
    if (count)
        fprintf(stderr,
                "note: %d tensors are quantised already; a file of floats gives a better one\n",
                count);
}

static bool is_same_file(const char *a, const char *b)
{
    struct stat first, second;
    return stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

static bool convert(const ModelFile *model, const Request *request, Arena *arena, Diag *diag)
{
    GgufContents contents;
    Text header = {0};
    bool good = gguf_export(model, request->mix, request->pure, arena, &contents, diag) &&
                gguf_print_header(&contents, model->path, &header, diag);
    if (good) {
        note_exceptions(&contents);
        note_requantised(&contents);
        good = convert_write(model, &contents, &header, request->out, &request->how, diag);
    }
    if (good)
        printf("%s: %d tensors, %d keys\n", request->out, contents.tensors.count,
               contents.metadata.count);
    text_free(&header);
    return good;
}

static int run(const Request *request, Diag *diag)
{
    Arena arena = {0};
    if (!request->synth && is_same_file(request->in, request->out))
        return diag_fail(diag, (Where){.file = request->out},
                         "would overwrite the model that is read"),
               report(diag, 1);
    ModelFile *model = request->synth ? synth_open(request->in, &arena, diag)
                                      : model_file_open(request->in, &arena, diag);
    bool good = model && convert(model, request, &arena, diag);
    model_file_close(model);
    arena_free(&arena);
    return good ? 0 : report(diag, 1);
}

int main(int argc, char **argv)
{
    Options options;
    Diag diag = {0};
    Request request = {0};
    if (!options_parse(PROGRAM_GRAPHQUANT, argc, argv, &options, &diag))
        return report(&diag, 2);
    if (options.help) {
        print_help();
        return 0;
    }
    if (options.version)
        return printf("graphquant %s\n", GRAPHC_VERSION) < 0;
    if (!take_request(&options, &request, &diag))
        return report(&diag, 2);
    return run(&request, &diag);
}
