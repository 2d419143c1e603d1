// tokenizer.json: the model, the added tokens and the post-processor; the steps are in
// json_steps.c. Models are BPE and Unigram. What the file asks for and we do not do is refused by
// name.
#include <string.h>

#include "frontends/json.h"
#include "frontends/tokenizer/readers.h"

static bool read_scored_pieces(PieceList *list, const cJSON *vocab)
{
    const cJSON *entry;
    if (!cJSON_IsArray(vocab))
        return maker_fail(list->maker, "the vocabulary of a unigram model must be a list");
    cJSON_ArrayForEach(entry, vocab)
    {
        const cJSON *piece = cJSON_IsArray(entry) ? entry->child : NULL;
        const cJSON *score = piece ? piece->next : NULL;
        if (!cJSON_IsString(piece) || !cJSON_IsNumber(score))
            return maker_fail(list->maker, "token %lld is not a piece and its score",
                              (long long)list->count);
        if (!piece_list_set(list, list->count, json_piece(piece), (float)score->valuedouble,
                            PIECE_NORMAL))
            return false;
    }
    return true;
}

static bool read_added(PieceList *list, const cJSON *root)
{
    const cJSON *token;
    cJSON_ArrayForEach(token, cJSON_GetObjectItemCaseSensitive(root, "added_tokens"))
    {
        if (!json_added_token(list, token, -1))
            return false;
    }
    return true;
}

static bool is_byte_piece(PieceText text)
{
    return text.length == 6 && memcmp(text.bytes, "<0x", 3) == 0 && text.bytes[5] == '>' &&
           strspn(text.bytes + 3, "0123456789ABCDEF") == 2;
}

static void mark_byte_pieces(PieceList *list)
{
    for (int64_t i = 0; i < list->count; i++)
        if (list->items[i].type == PIECE_NORMAL && is_byte_piece(list->items[i].text))
            list->items[i].type = PIECE_BYTE;
}

static bool mark_unknown(PieceList *list, const cJSON *model)
{
    const char *text = json_text(model, "unk_token");
    const cJSON *number = cJSON_GetObjectItemCaseSensitive(model, "unk_id");
    int64_t found = -1;
    if (cJSON_IsNumber(number) && !json_whole(number, 0, &found))
        return maker_fail(list->maker, "unk_id is no whole number from 0 on");
    for (int64_t i = 0; text && found < 0 && i < list->count; i++)
        if (list->items[i].type && list->items[i].text.length == strlen(text) &&
            memcmp(list->items[i].text.bytes, text, strlen(text)) == 0)
            found = i;
    list->maker->vocabulary->unknown = TOKEN_NONE;
    if (found < 0 && !text)
        return true;
    if (found < 0 || found >= list->count)
        return maker_fail(list->maker, "the unknown token is none of the tokens");
    list->maker->vocabulary->unknown = (int32_t)found;
    list->items[found].type = PIECE_UNKNOWN;
    return true;
}

static bool read_merge(VocabularyMaker *maker, const cJSON *entry, int64_t rank)
{
    PieceText left, right;
    if (cJSON_IsString(entry)) {
        PieceText both = json_piece(entry);
        const char *space = both.length > 1 ? memchr(both.bytes + 1, ' ', both.length - 1) : NULL;
        if (!space)
            return maker_fail(maker, "merge %lld is not two pieces", (long long)rank);
        left = (PieceText){both.bytes, (size_t)(space - both.bytes)};
        right = (PieceText){space + 1, both.length - left.length - 1};
    } else {
        const cJSON *first = cJSON_IsArray(entry) ? entry->child : NULL;
        if (!cJSON_IsString(first) || !cJSON_IsString(first->next))
            return maker_fail(maker, "merge %lld is not two pieces", (long long)rank);
        left = json_piece(first);
        right = json_piece(first->next);
    }
    MergeProblem problem = maker_add_merge(maker, left, right);
    return problem == MERGE_GOOD ||
           maker_fail(maker, "merge %lld \"%.60s\" \"%.60s\": %s", (long long)rank, left.bytes,
                      right.bytes, maker_merge_problem(problem));
}

static bool read_merges(VocabularyMaker *maker, const cJSON *merges)
{
    if (!cJSON_IsArray(merges))
        return maker_fail(maker, "the BPE model has no list of merges");
    int64_t rank = 0;
    const cJSON *entry;
    cJSON_ArrayForEach(entry, merges)
    {
        if (!read_merge(maker, entry, rank++))
            return false;
    }
    return true;
}

// What changes the ids of a BPE model and is not supported.
static bool check_bpe(const VocabularyMaker *maker, const cJSON *model)
{
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    for (size_t i = 0; i < sizeof affixes / sizeof *affixes; i++) {
        const char *text = json_text(model, affixes[i]);
        if (text && *text)
            return maker_fail(maker, "BPE with %s is not supported", affixes[i]);
    }
    const cJSON *dropout = cJSON_GetObjectItemCaseSensitive(model, "dropout");
    if (cJSON_IsNumber(dropout) && dropout->valuedouble != 0)
        return maker_fail(maker, "BPE with dropout gives random tokens: remove it from the file");
    return true;
}

static bool read_model(PieceList *list, const cJSON *root, const cJSON *model)
{
    VocabularyMaker *maker = list->maker;
    const cJSON *vocab = cJSON_GetObjectItemCaseSensitive(model, "vocab");
    const cJSON *merges = cJSON_GetObjectItemCaseSensitive(model, "merges");
    const char *type = json_text(model, "type");
    if (!type) // old files leave it out
        type = merges ? "BPE" : "nothing";
    bool bpe = strcmp(type, "BPE") == 0, unigram = strcmp(type, "Unigram") == 0;
    if (!bpe && !unigram)
        return maker_fail(maker, "the model is %.40s; supported are BPE and Unigram", type);
    if (!(bpe ? check_bpe(maker, model) && json_pieces_read(list, vocab)
              : read_scored_pieces(list, vocab)))
        return false;
    if (json_flag(model, "byte_fallback", false))
        mark_byte_pieces(list);
    if (!read_added(list, root) || !mark_unknown(list, model) || !piece_list_lay(list))
        return false;
    maker->vocabulary->kind = bpe ? VOCABULARY_MERGES : VOCABULARY_UNIGRAM;
    maker->vocabulary->fuse_unknown = unigram || json_flag(model, "fuse_unk", false);
    maker->vocabulary->whole_words = bpe && json_flag(model, "ignore_merges", false);
    return !bpe || read_merges(maker, merges);
}

// A special token of a post-processor: its id by its name.
static bool read_special(const VocabularyMaker *maker, const char *name, int32_t *id)
{
    *id = name ? vocabulary_find(maker->vocabulary, name, (int64_t)strlen(name)) : TOKEN_NONE;
    return *id != TOKEN_NONE ||
           maker_fail(maker, "the post-processor names a token that is not there: %.60s",
                      name ? name : "");
}

static bool read_template(const VocabularyMaker *maker, const cJSON *processor)
{
    Vocabulary *vocabulary = maker->vocabulary;
    const cJSON *item;
    bool behind = false;
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(processor, "single"))
    {
        const cJSON *special = cJSON_GetObjectItemCaseSensitive(item, "SpecialToken");
        bool *adds = behind ? &vocabulary->add_eos : &vocabulary->add_bos;
        if (!special) {
            behind = true;
            continue;
        }
        if (*adds)
            return maker_fail(maker,
                              "a post-processor that adds several tokens %s the text is not "
                              "supported",
                              behind ? "behind" : "before");
        *adds = true;
        if (!read_special(maker, json_text(special, "id"),
                          behind ? &vocabulary->eos : &vocabulary->bos))
            return false;
    }
    return true;
}

// BertProcessing and RobertaProcessing: ["</s>", 2] behind and ["<s>", 0] before.
static bool read_pair(const VocabularyMaker *maker, const cJSON *processor)
{
    Vocabulary *vocabulary = maker->vocabulary;
    const cJSON *cls = cJSON_GetObjectItemCaseSensitive(processor, "cls");
    const cJSON *sep = cJSON_GetObjectItemCaseSensitive(processor, "sep");
    vocabulary->add_bos = vocabulary->add_eos = true;
    return read_special(maker, cls ? cJSON_GetStringValue(cls->child) : NULL, &vocabulary->bos) &&
           read_special(maker, sep ? cJSON_GetStringValue(sep->child) : NULL, &vocabulary->eos);
}

static bool read_processor(const VocabularyMaker *maker, const cJSON *processor)
{
    const char *type = json_text(processor, "type");
    if (!processor || cJSON_IsNull(processor))
        return true;
    if (type && strcmp(type, "TemplateProcessing") == 0)
        return read_template(maker, processor);
    if (type && (strcmp(type, "RobertaProcessing") == 0 || strcmp(type, "BertProcessing") == 0))
        return read_pair(maker, processor);
    if (type && strcmp(type, "ByteLevel") == 0) // only concerns offsets
        return true;
    if (!type || strcmp(type, "Sequence") != 0)
        return maker_fail(maker, "post-processor %.40s is not supported",
                          type ? type : "without type");
    const cJSON *item;
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(processor, "processors"))
    {
        if (!read_processor(maker, item))
            return false;
    }
    return true;
}

bool tokenizer_json_read(PieceList *list, const cJSON *root)
{
    VocabularyMaker *maker = list->maker;
    const cJSON *model = cJSON_GetObjectItemCaseSensitive(root, "model");
    Vocabulary *vocabulary = maker->vocabulary;
    if (!cJSON_IsObject(model))
        return maker_fail(maker, "has no model: not a tokenizer.json");
    vocabulary->bos = vocabulary->eos = vocabulary->padding = TOKEN_NONE;
    return read_model(list, root, model) &&
           read_processor(maker, cJSON_GetObjectItemCaseSensitive(root, "post_processor")) &&
           json_steps_read(maker, root);
}
