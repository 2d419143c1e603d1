// Files of karpathy's llama2.c, version 0: a header of seven numbers, then one blob of f32.
#ifndef FRONTENDS_LLAMA2C_LLAMA2C_H
#define FRONTENDS_LLAMA2C_LLAMA2C_H

#include "frontends/model_file.h"

// Whether the bytes could begin such a file, which has no magic: a header whose sizes fit together.
bool llama2c_is(const void *bytes, uint64_t count);
// Reads file->path, mapped as part 0, and the tokenizer beside it.
bool llama2c_read(ModelFile *file, Arena *arena, Diag *diag);
// Makes the vocabulary from the file's last part; false, and nothing changes, if that is not the
// tokenizer of a llama2.c model with as many pieces as the model has (key llama.vocab_size).
bool llama2c_read_tokenizer(ModelFile *file, Arena *arena);
// The same with the first file tok*.bin, by name, beside the model that fits. None is no error.
void llama2c_find_tokenizer(ModelFile *file, Arena *arena);

#endif
