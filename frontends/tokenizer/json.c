// cJSON, as the readers of tokenizers use it.
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "frontends/tokenizer/readers.h"

cJSON *json_read(const VocabularyMaker *maker, PieceText text)
{
    const char *stopped = NULL;
    cJSON *root = cJSON_ParseWithLengthOpts(text.bytes, text.length, &stopped, false);
    if (root && cJSON_IsObject(root))
        return root;
    if (root)
        maker_fail(maker, "must be a JSON object");
    else
        maker_fail(maker, "not JSON (at byte %td)", stopped ? stopped - text.bytes : 0);
    cJSON_Delete(root);
    return NULL;
}

const char *json_text(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

bool json_flag(const cJSON *object, const char *name, bool standard)
{
    const cJSON *flag = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsBool(flag) ? cJSON_IsTrue(flag) : standard;
}

PieceText json_piece(const cJSON *string)
{
    const char *text = cJSON_GetStringValue(string);
    return text ? (PieceText){text, strlen(text)} : PIECE_TEXT("");
}

static bool is_id(const cJSON *number)
{
    return cJSON_IsNumber(number) && number->valuedouble >= 0 && number->valuedouble < INT_MAX &&
           number->valuedouble == floor(number->valuedouble);
}

bool json_added_token(PieceList *list, const cJSON *token, int64_t id)
{
    static const struct {
        const char *name;
        uint32_t flag;
    } flags[] = {{"special", ADDED_SPECIAL},
                 {"lstrip", ADDED_LSTRIP},
                 {"rstrip", ADDED_RSTRIP},
                 {"single_word", ADDED_WORD},
                 {"normalized", ADDED_NORMALISED}};
    const cJSON *told = cJSON_GetObjectItemCaseSensitive(token, "id");
    const cJSON *content = cJSON_GetObjectItemCaseSensitive(token, "content");
    if (!cJSON_IsString(content) || (told && !is_id(told)))
        return maker_fail(list->maker, "an added token has no content or no id");
    uint32_t set = 0;
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        set |= json_flag(token, flags[i].name, false) ? flags[i].flag : 0;
    return piece_list_add(list, told ? (int64_t)told->valuedouble : id, json_piece(content), set);
}

bool json_extra_tokens(PieceList *list)
{
    const cJSON *token;
    cJSON_ArrayForEach(token, list->extra)
    {
        char *end;
        long id = strtol(token->string ? token->string : "?", &end, 10);
        if (*end || !json_added_token(list, token, id))
            return maker_fail(list->maker, "an added token of tokenizer_config.json is not "
                                           "understood");
    }
    return true;
}

bool json_pieces_read(PieceList *list, const cJSON *vocab)
{
    if (!cJSON_IsObject(vocab))
        return maker_fail(list->maker, "the vocabulary must be an object from piece to id");
    int64_t entries = 0;
    const cJSON *entry;
    cJSON_ArrayForEach(entry, vocab) entries++;
    // Ids come in any order: what bounds them is how many there are.
    list->told = entries;
    cJSON_ArrayForEach(entry, vocab)
    {
        if (!is_id(entry))
            return maker_fail(list->maker, "the piece \"%.60s\" has no id", entry->string);
        if (!piece_list_set(list, (int64_t)entry->valuedouble,
                            (PieceText){entry->string, strlen(entry->string)}, 0, PIECE_NORMAL))
            return false;
    }
    list->told = entries;
    return true;
}
