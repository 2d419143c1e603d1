// vocab.json and merges.txt, as models had them before tokenizer.json. Nothing in them says how
// text is cut into words; the class that tokenizer_config.json names does.
#include <string.h>

#include "frontends/tokenizer/pre_tokenizers.h"
#include "frontends/tokenizer/readers.h"

static const struct {
    const char *tokenizer_class, *pre_tokenizer;
} classes[] = {
    {"GPT2Tokenizer", "gpt-2"},
    {"GPT2TokenizerFast", "gpt-2"},
    {"Qwen2Tokenizer", "qwen2"},
    {"Qwen2TokenizerFast", "qwen2"},
};

static const PreTokenizer *find_family(const PieceList *list, const char *tokenizer_class)
{
    for (size_t i = 0; tokenizer_class && i < sizeof classes / sizeof *classes; i++)
        if (strcmp(classes[i].tokenizer_class, tokenizer_class) == 0)
            return pre_tokenizer_find(classes[i].pre_tokenizer);
    maker_fail(list->maker,
               "vocab.json and merges.txt do not say how text is cut into words, and "
               "tokenizer_config.json names %s%s (known are GPT2Tokenizer and Qwen2Tokenizer): use "
               "the model's tokenizer.json",
               tokenizer_class ? "the class " : "no tokenizer_class",
               tokenizer_class ? tokenizer_class : "");
    return NULL;
}

static bool read_line(VocabularyMaker *maker, const char *line, size_t length, int number)
{
    const char *space = memchr(line, ' ', length);
    size_t left = space ? (size_t)(space - line) : 0, right = space ? length - left - 1 : 0;
    int shown = (int)(length < 80 ? length : 80);
    if (left == 0 || right == 0)
        return maker_fail(maker, "merges.txt, line %d: \"%.*s\" is not two pieces", number, shown,
                          line);
    MergeProblem problem =
        maker_add_merge(maker, (PieceText){line, left}, (PieceText){space + 1, right});
    return problem == MERGE_GOOD || maker_fail(maker, "merges.txt, line %d: \"%.*s\": %s", number,
                                               shown, line, maker_merge_problem(problem));
}

static bool read_merges(VocabularyMaker *maker, PieceText text)
{
    const char *at = text.bytes, *end = text.bytes + text.length;
    for (int number = 1; at < end; number++) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((line_end ? line_end : end) - at), next = length + 1;
        length -= length > 0 && at[length - 1] == '\r';
        bool comment = number == 1 && length >= 8 && memcmp(at, "#version", 8) == 0;
        if (length > 0 && !comment && !read_line(maker, at, length, number))
            return false;
        at += next;
    }
    return true;
}

bool merges_text_read(PieceList *list, const cJSON *vocab, PieceText merges,
                      const char *tokenizer_class)
{
    VocabularyMaker *maker = list->maker;
    const PreTokenizer *family = find_family(list, tokenizer_class);
    if (!family || !json_pieces_read(list, vocab) || !json_extra_tokens(list) ||
        !piece_list_lay(list) || !read_merges(maker, merges))
        return false;
    maker->vocabulary->kind = VOCABULARY_MERGES;
    maker->vocabulary->pre_tokenizer = family->name;
    maker_decode_bytes(maker);
    pre_tokenizer_add(family, maker);
    return true;
}
