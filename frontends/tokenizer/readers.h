// The readers of the formats; private to frontends/tokenizer. Each fills the list and the steps of
// its maker from the bytes of a file, in this order: pieces, piece_list_lay, merges, steps.
#ifndef FRONTENDS_TOKENIZER_READERS_H
#define FRONTENDS_TOKENIZER_READERS_H

#include <cjson/cJSON.h>

#include "frontends/tokenizer/piece_list.h"

// NULL with a message that names the byte. Free with cJSON_Delete.
cJSON *json_read(const VocabularyMaker *maker, PieceText text);
// A member that is a string, NULL if it is something else or is not there.
const char *json_text(const cJSON *object, const char *name);
bool json_flag(const cJSON *object, const char *name, bool standard);
PieceText json_piece(const cJSON *string);
// An object with the fields of an added token; `id` where it has no field of that name.
bool json_added_token(PieceList *list, const cJSON *token, int64_t id);

// Adds the list's extra tokens; for formats that have no added tokens of their own, before
// piece_list_lay.
bool json_extra_tokens(PieceList *list);

bool tokenizer_json_read(PieceList *list, const cJSON *root);
// Its normalizer, pre_tokenizer and decoder.
bool json_steps_read(VocabularyMaker *maker, const cJSON *root);
bool sentencepiece_model_read(PieceList *list, PieceText bytes);
// tiktoken's list of base64 pieces and ranks, of Llama 3.
bool tiktoken_read(PieceList *list, PieceText bytes);
// vocab.json (parsed) and merges.txt; `tokenizer_class` of tokenizer_config.json tells the rest.
bool merges_text_read(PieceList *list, const cJSON *vocab, PieceText merges,
                      const char *tokenizer_class);
// The pieces of an object from text to id.
bool json_pieces_read(PieceList *list, const cJSON *vocab);

// The bytes that the text means, in memory of the arena; false if it is not base64.
bool base64_read(Arena *arena, PieceText text, PieceText *bytes);

#endif
