// The tokenizer of a llama2.c model: a file tok….bin beside it.
#ifndef FRONTENDS_LLAMA2C_TOKENIZER_H
#define FRONTENDS_LLAMA2C_TOKENIZER_H

#include "frontends/metadata.h"

// Looks in the folder of list->file for the first file tok*.bin, by name, of so many pieces and
// adds it as the keys under `tokenizer.` of a GGUF file. No file is no error.
void llama2c_find_tokenizer(MetadataList *list, int32_t pieces);

#endif
