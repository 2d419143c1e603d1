// Llama 3's tokenizer.model: 128,000 lines "base64 rank". tiktoken merges the neighbours whose
// joint piece has the lowest rank: BPE by scores over bytes, the score being the rank's negative.
// The file holds neither the pre-tokenizer nor the special tokens; both are Meta's
// (llama3/tokenizer.py), and a list of another length is refused because they are not known for it.
#include <stdlib.h>
#include <string.h>

#include "frontends/tokenizer/pre_tokenizers.h"
#include "frontends/tokenizer/readers.h"

enum { LLAMA3_PIECES = 128000, LLAMA3_SPECIALS = 256 };

static bool read_line(PieceList *list, const char *line, size_t length)
{
    const char *space = memchr(line, ' ', length);
    PieceText bytes;
    char digits[16] = "";
    size_t left = space ? (size_t)(space - line) : 0, right = space ? length - left - 1 : 0;
    if (right == 0 || right >= sizeof digits ||
        !base64_read(list->maker->arena, (PieceText){line, left}, &bytes) || bytes.length == 0)
        return maker_fail(list->maker, "\"%.*s\" is not a piece and its rank",
                          (int)(length < 60 ? length : 60), line);
    memcpy(digits, space + 1, right);
    char *end;
    long rank = strtol(digits, &end, 10);
    if (*end || rank != list->count)
        return maker_fail(list->maker, "rank %.15s does not follow %lld", digits,
                          (long long)list->count - 1);
    return piece_list_set(list, rank, bytes, -(float)rank, PIECE_NORMAL);
}

static bool add_specials(PieceList *list)
{
    static const char *const names[] = {
        "<|begin_of_text|>",
        "<|end_of_text|>",
        NULL,
        NULL,
        "<|finetune_right_pad_id|>",
        "<|step_id|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eom_id|>",
        "<|eot_id|>",
        "<|python_tag|>",
    };
    const int named = sizeof names / sizeof *names;
    int reserved = 0;
    for (int i = 0; i < LLAMA3_SPECIALS; i++) {
        const char *name = i < named ? names[i] : NULL;
        if (!name)
            name = arena_format(list->maker->arena, "<|reserved_special_token_%d|>", reserved++);
        if (!piece_list_add(list, LLAMA3_PIECES + i, (PieceText){name, strlen(name)},
                            ADDED_SPECIAL))
            return false;
    }
    return true;
}

bool tiktoken_read(PieceList *list, PieceText bytes)
{
    const char *at = bytes.bytes, *end = bytes.bytes + bytes.length;
    while (at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((line_end ? line_end : end) - at);
        if (length && !read_line(list, at, length))
            return false;
        at += length + 1;
    }
    if (list->count != LLAMA3_PIECES)
        return maker_fail(list->maker,
                          "a tiktoken list of %lld pieces; only that of Llama 3 (128000) is known: "
                          "use the model's tokenizer.json",
                          (long long)list->count);
    if (!add_specials(list) || !piece_list_lay(list))
        return false;
    Vocabulary *vocabulary = list->maker->vocabulary;
    vocabulary->kind = VOCABULARY_SCORES;
    vocabulary->byte_level = true;
    vocabulary->bos = LLAMA3_PIECES;
    vocabulary->eos = LLAMA3_PIECES + 1;
    vocabulary->add_bos = true;
    vocabulary->pre_tokenizer = "llama-bpe";
    pre_tokenizer_add(pre_tokenizer_find(vocabulary->pre_tokenizer), list->maker);
    return true;
}
