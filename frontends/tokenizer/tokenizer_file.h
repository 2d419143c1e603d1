// Tokenizers as Hugging Face folders hold them: tokenizer.json, a SentencePiece or tiktoken
// tokenizer.model, vocab.json with merges.txt; and tokenizer_config.json beside them.
#ifndef FRONTENDS_TOKENIZER_TOKENIZER_FILE_H
#define FRONTENDS_TOKENIZER_TOKENIZER_FILE_H

#include "frontends/model_file.h"

bool tokenizer_is_in_folder(const char *folder, Arena *arena);
// Makes file->vocabulary from the folder, the chat template included; its files become parts of
// `file`. False with a message when there is none or it is not understood.
bool tokenizer_read_folder(const char *folder, ModelFile *file, Arena *arena, Diag *diag);

// Whether a file begins like a tokenizer.json or a tokenizer.model.
bool tokenizer_is_file(const char *bytes, size_t length);
// The same from that part of `file` alone.
bool tokenizer_read_part(int32_t part, ModelFile *file, Arena *arena, Diag *diag);

#endif
