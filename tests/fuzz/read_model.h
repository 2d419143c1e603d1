// A model file as its users read it: every tensor, both ends of every weight, each piece by name.
#ifndef TESTS_FUZZ_READ_MODEL_H
#define TESTS_FUZZ_READ_MODEL_H

#include <stdio.h>
#include <stdlib.h>

#include "frontends/model_file.h"
#include "kernels/recipe_rows.h"

static volatile uint8_t sink;

static inline const void *tensor_bytes(void *context, const Recipe *tensor)
{
    return model_file_tensor(context, tensor->tensor)->data;
}

// Rows of up to a million columns: a header can claim more than the fuzzer's memory.
static inline void read_weight(const ModelFile *file, const char *name, Arena *arena)
{
    FileWeight weight;
    if (!model_file_weight(file, name, arena, &weight))
        abort();
    const Recipe *recipe = weight.recipe;
    if (!recipe || recipe->columns < 1 || recipe->columns > 1 << 20)
        return;
    void *scratch = arena_alloc(arena, (size_t)recipe_row_scratch(recipe->columns));
    for (int end = 0; end < 2; end++) {
        RecipeRow row = recipe_read_row(recipe, end ? recipe->rows - 1 : 0, tensor_bytes,
                                        (void *)(uintptr_t)file, scratch);
        const uint8_t *bytes = row.bytes;
        sink = bytes[0] ^ bytes[dtype_row_bytes(row.dtype, recipe->columns) - 1];
    }
}

static inline void read_all(const ModelFile *file, Arena *arena)
{
    for (int64_t i = 0; i < file->tensor_count; i++)
        read_weight(file, file->tensors[i].name, arena);
    for (int32_t i = 0; i < file->weights.count; i++)
        read_weight(file, file->weights.items[i].name, arena);
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

// Opens the path; what is refused must have a message, and only that.
static inline void read_model(const char *path)
{
    static FILE *nowhere;
    Arena arena = {0};
    Diag diag = {0};
    if (!nowhere)
        nowhere = fopen("/dev/null", "w");
    ModelFile *file = model_file_open(path, &arena, &diag);
    if ((file == NULL) != diag.failed)
        abort();
    if (file) {
        model_file_print_info(file, nowhere);
        read_all(file, &arena);
    }
    model_file_close(file);
    arena_free(&arena);
}

#endif
