// A model as every frontend presents it: named tensors, typed metadata, a vocabulary. Tensor data
// and text values stay in the mappings of its parts (files); everything that was read has been
// checked against them.
//
// Tensors are what the files hold; weights are what scripts ask for, under the names that GGUF
// files use, with q and k rows in halves (rope style neox) and every other convention of a format
// undone by recipe. A tensor that is its own weight has no entry among the weights.
#ifndef FRONTENDS_MODEL_FILE_H
#define FRONTENDS_MODEL_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "frontends/name_index.h"
#include "graph/base/arena.h"
#include "graph/base/diag.h"
#include "graph/base/recipe.h"
#include "graph/base/settings.h"
#include "graph/base/types.h"
#include "graph/base/vocabulary.h"

// The thirteen GGUF value types, as JSON would group them.
typedef enum MetaKind {
    META_BOOL,
    META_INT,
    META_UINT,
    META_FLOAT,
    META_TEXT,
    META_ARRAY
} MetaKind;

typedef struct MetaValue {
    MetaKind kind;
    const char *type_name; // as the file calls it: u8 … f64, bool, string, array
    union {
        bool boolean;
        int64_t integer;
        uint64_t natural;
        double real;
        struct {
            const char *bytes; // not NUL-terminated
            int64_t length;
        } text;
        struct {
            const struct MetaValue *items; // all of the same type
            int64_t count;
            const char *item_type; // type_name of the items; NULL in an empty array of JSON
        } array;
    };
} MetaValue;

typedef struct Metadata {
    const char *key;
    MetaValue value;
    uint64_t file_offset; // where the file has the key, for messages; 0 in a shape
} Metadata;

enum { TENSOR_RANK_MAX = 8 };

typedef struct FileTensor {
    const char *name;
    DType dtype;           // DTYPE_COUNT: a type we do not know, an error only when it is used
    const char *type_name; // as the file calls it: F16, number 33
    int32_t rank;
    int64_t shape[TENSOR_RANK_MAX]; // outermost first (reverse of GGUF's dims)
    int32_t part;                   // the file that holds it
    const void *data;               // in the mapping; NULL where the dtype is not known
    uint64_t file_offset,
        bytes; // from the start of the file; bytes is 0 where the dtype is not known
} FileTensor;

// One file of a model: of tensors, or JSON that says what they are.
typedef struct ModelPart {
    const char *path;
    const void *mapping;
    uint64_t bytes;
    int64_t modified_ns;
} ModelPart;

// What makes a weight. `recipe` is NULL where the tensor's type is not known.
typedef struct FileWeight {
    const char *name;
    int32_t rank;
    int64_t shape[TENSOR_RANK_MAX]; // outermost first
    const Recipe *recipe;           // of shape[0] * … rows (one for a vector) by the last size
    const char *type_name;
} FileWeight;

typedef struct ModelFile {
    const char *path;         // as given; "shape:…" for a shape without weights
    const char *architecture; // general.architecture, "" if the file has none
    const char *name;         // general.name or the file's base name
    int64_t metadata_count;
    const Metadata *metadata; // in file order
    int64_t tensor_count;
    const FileTensor *tensors;  // in file order
    Vector(FileWeight) weights; // those that are not simply a tensor of their name
    bool has_vocabulary;
    Vocabulary vocabulary;
    int32_t setting_count;
    const Setting *settings; // for sampling, in ascending order of kind
    // A shape without weights answers for any tensor name: has_tensor says what the script may ask.
    bool weightless;
    DType weightless_type;
    bool weightless_tied;
    Vector(ModelPart) parts;
    NameIndex tensor_index, weight_index, metadata_index; // for the lookups below
} ModelFile;

// Opens a path (GGUF, safetensors or llama2.c file, Hugging Face folder; a tokenizer.json, a
// tokenizer.model or a folder with one, for its vocabulary alone) or
// "shape:NAME[,type=TYPE][,layers=N…]" into memory of the arena. NULL with a message when it cannot
// be read. The mapping lives until model_file_close; a file that somebody cuts short meanwhile ends
// the program with SIGBUS, as with every mapped file.
ModelFile *model_file_open(const char *path, Arena *arena, Diag *diag);
// Unmaps; names and metadata numbers stay in the arena. NULL is fine.
void model_file_close(ModelFile *file);

// For readers: maps a file as the next part. False with a message.
bool model_file_map(ModelFile *file, const char *path, Arena *arena, Diag *diag);
// Takes back the last part.
void model_file_unmap(ModelFile *file);
// The weight that is simply the tensor.
FileWeight model_file_tensor_weight(const FileTensor *tensor, Arena *arena);
// permute(tensor, m, n, inner) of a matrix, or of a vector of floats.
const Recipe *model_file_permute(const FileTensor *tensor, int64_t m, int64_t n, int64_t inner,
                                 Arena *arena);

// Makes the vocabulary anew from a tokenizer.json, a tokenizer.model or a folder with one, which
// become parts too. False with a message.
bool model_file_read_tokenizer(ModelFile *file, const char *path, Arena *arena, Diag *diag);

// All take constant time and return NULL (false) when there is no such name. A shape without
// weights has no tensors: ask its weightless fields. A weight that is simply a tensor gets its
// recipe in the arena.
const FileTensor *model_file_tensor(const ModelFile *file, const char *name);
const MetaValue *model_file_meta(const ModelFile *file, const char *key);
// Bytes of a part before its first tensor's data; all of it where it holds none.
uint64_t model_file_header_bytes(const ModelFile *file, int32_t part);
bool model_file_weight(const ModelFile *file, const char *name, Arena *arena, FileWeight *weight);
// Writes metadata, tensors and vocabulary in readable lines (graphc --info).
void model_file_print_info(const ModelFile *file, FILE *out);

#endif
