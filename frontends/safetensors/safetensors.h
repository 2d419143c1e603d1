// safetensors files and the folders in which Hugging Face's libraries keep models.
#ifndef FRONTENDS_SAFETENSORS_SAFETENSORS_H
#define FRONTENDS_SAFETENSORS_SAFETENSORS_H

#include "frontends/json.h"
#include "frontends/model_file.h"

// Whether the bytes begin as a safetensors file does.
bool safetensors_is(const void *bytes, uint64_t count);
// Whether the folder has a config.json.
bool safetensors_is_folder(const char *path, Arena *arena);
// Reads the folder file->path: tensors of all its shards, metadata, weights, vocabulary.
bool safetensors_read_folder(ModelFile *file, Arena *arena, Diag *diag);
// The same of one file, mapped as part 0; config.json is looked for beside it and may be missing.
bool safetensors_read_file(ModelFile *file, Arena *arena, Diag *diag);

// --- parts of the above

typedef Vector(FileTensor) FileTensors;

// Adds the tensors of a mapped part.
bool safetensors_read_tensors(ModelFile *file, int32_t part, FileTensors *tensors, Arena *arena,
                              Diag *diag);
// Maps and parses a JSON file of the folder; *json is NULL where there is none.
bool safetensors_map_json(ModelFile *file, const char *folder, const char *name, cJSON **json,
                          Arena *arena, Diag *diag);
// config.json and generation_config.json as metadata: every key under its own name, and under the
// names of GGUF what config.def lists.
bool safetensors_read_config(ModelFile *file, const char *folder, Arena *arena, Diag *diag);
// Settings and ends of texts from that metadata, once the vocabulary is there.
bool safetensors_read_generation(ModelFile *file, Arena *arena, Diag *diag);
// What names.def says about the tensors.
bool safetensors_make_weights(ModelFile *file, Arena *arena, Diag *diag);

#endif
