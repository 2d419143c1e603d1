// Hostile GGUF files: whatever model_file_open accepts must be readable to the last byte, and it
// must refuse the rest with a message.
#include "tests/fuzz/bytes_file.h"

#include "frontends/model_file.h"

static volatile uint8_t sink;

// Reads both ends of every tensor and each piece by its name, as compile and tokenizer will.
static void read_all(const ModelFile *file)
{
    for (int64_t i = 0; i < file->tensor_count; i++) {
        const FileTensor *tensor = model_file_tensor(file, file->tensors[i].name);
        const uint8_t *bytes = tensor->data;
        if (bytes && tensor->bytes > 0)
            sink = bytes[0] ^ bytes[tensor->bytes - 1];
    }
    for (int64_t i = 0; i < file->metadata_count; i++)
        if (!model_file_meta(file, file->metadata[i].key))
            abort();
    const Vocabulary *vocabulary = &file->vocabulary;
    for (int32_t i = 0; file->has_vocabulary && i < vocabulary->count; i++) {
        uint32_t begin = vocabulary->offsets[i], end = vocabulary->offsets[i + 1];
        if (vocabulary_find(vocabulary, vocabulary->bytes + begin, end - begin) < 0)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static FILE *nowhere;
    if (!nowhere)
        nowhere = fopen("/dev/null", "w");
    Arena arena = {0};
    Diag diag = {0};
    ModelFile *file = model_file_open(bytes_file(data, size), &arena, &diag);
    if ((file == NULL) != diag.failed)
        abort();
    if (file) {
        model_file_print_info(file, nowhere);
        read_all(file);
    }
    model_file_close(file);
    arena_free(&arena);
    return 0;
}
