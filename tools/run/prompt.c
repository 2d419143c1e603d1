#include "tools/run/prompt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool prompt_read_file(const char *path, Text *out, Diag *diag)
{
    bool standard = strcmp(path, "-") == 0;
    FILE *file = standard ? stdin : fopen(path, "rb");
    char buffer[65536];
    if (!file)
        return diag_fail(diag, (Where){path, 0, 0}, "cannot be read: %s", strerror(errno));
    for (size_t got; (got = fread(buffer, 1, sizeof buffer, file)) > 0;)
        text_append(out, buffer, got);
    bool good = !ferror(file);
    if (!good)
        diag_fail(diag, (Where){path, 0, 0}, "cannot be read: %s", strerror(errno));
    if (!standard)
        fclose(file);
    text_append(out, "", 0);
    return good;
}

bool prompt_parse_ids(const char *text, const char *what, TokenList *out, Diag *diag)
{
    static const char separators[] = ", \t\r\n";
    for (text += strspn(text, separators); *text; text += strspn(text, separators)) {
        char *end;
        errno = 0;
        long id = strtol(text, &end, 10);
        if (end == text || (*end && !strchr(separators, *end)) || errno || id < 0 || id > INT32_MAX)
            return diag_fail(diag, (Where){what, 0, 0}, "\"%.*s\" is no token id",
                             (int)strcspn(text, separators), text);
        if (!token_list_push(out, (int32_t)id, diag))
            return false;
        text = end;
    }
    return true;
}

bool prompt_read(const Options *options, Text *text, Diag *diag)
{
    if ((options->ids != NULL) + (options->prompt != NULL) + (options->file != NULL) > 1)
        return diag_fail(diag, (Where){0}, "give one of -p, -f and --ids");
    if (options->ids)
        return diag_fail(diag, (Where){0}, "--ids is no turn of a conversation: give -p or -f");
    if (!options->prompt)
        return prompt_read_file(options->file ? options->file : "-", text, diag);
    text_append(text, options->prompt, strlen(options->prompt));
    return true;
}

bool prompt_tokens(const Options *options, const Tokenizer *tokenizer, TokenList *out, Text *text,
                   Diag *diag)
{
    if (options->ids && !options->prompt && !options->file)
        return prompt_parse_ids(options->ids, "--ids", out, diag);
    if (!prompt_read(options, text, diag))
        return false;
    EncodeOptions encode = {.add_special = !options->no_bos, .parse_special = options->special};
    return tokenizer_encode(tokenizer, text->bytes ? text->bytes : "", text->length, encode, out,
                            diag);
}
