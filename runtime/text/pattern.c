// PCRE2 with its compiler to machine code, in Unicode mode. Expressions are those of tokenizer
// files, written for Oniguruma; two things are read differently and are translated first: PCRE2
// counts U+180E as white space, which Unicode stopped doing in version 6.3, and `$` and `^` are
// those of lines. Everything else that occurs in tokenizers means the same in both.
//
// An expression comes from a file and may be hostile: the number of steps and the memory of a match
// are limited.
#define PCRE2_CODE_UNIT_WIDTH 8
#include "runtime/text/pattern.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/text/buffer.h"
#include "runtime/text/tokenizer.h"

enum {
    PATTERN_SOURCE_MAX = 64 << 10,
    MATCH_STEPS_MAX = 20 << 20,
    STACK_FIRST_BYTES = 32 << 10,
    STACK_MAX_BYTES = 8 << 20,
};

struct Pattern {
    pcre2_code *code;
};

struct PatternScratch {
    pcre2_match_data *match;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

// White_Space of Unicode, to stand inside brackets.
#define WHITE_SPACE                                                                                \
    "\\x{09}-\\x{0d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}"           \
    "\\x{202f}\\x{205f}\\x{3000}"

static bool append_text(Buffer *out, const char *text, Diag *diag)
{
    return buffer_append(out, text, strlen(text), diag);
}

// What stands for an escape; NULL: itself.
static const char *translate_escape(char letter, bool in_brackets)
{
    if (letter == 's')
        return in_brackets ? WHITE_SPACE : "[" WHITE_SPACE "]";
    if (letter == 'S' && !in_brackets)
        return "[^" WHITE_SPACE "]";
    return NULL;
}

static bool translate(const char *source, size_t length, Buffer *out, Diag *diag)
{
    bool in_brackets = false;
    for (size_t i = 0; i < length; i++) {
        size_t step = source[i] == '\\' && i + 1 < length ? 2 : 1;
        const char *meant = step == 2 ? translate_escape(source[i + 1], in_brackets) : NULL;
        if (step == 1 && source[i] == '[')
            in_brackets = true;
        else if (step == 1 && source[i] == ']')
            in_brackets = false;
        bool done =
            meant ? append_text(out, meant, diag) : buffer_append(out, source + i, step, diag);
        if (!done)
            return false;
        i += step - 1;
    }
    return true;
}

static void fail_source(const char *source, size_t length, int code, size_t offset, Diag *diag)
{
    char message[128];
    pcre2_get_error_message(code, (PCRE2_UCHAR *)message, sizeof message);
    diag_fail(diag, (Where){0}, "vocabulary: the pattern \"%.*s\" is not understood: %s (at %zu)",
              (int)(length < 200 ? length : 200), source, message, offset);
}

Pattern *pattern_new(const char *source, size_t length, Diag *diag)
{
    Buffer text = {0};
    Pattern *pattern = calloc(1, sizeof *pattern);
    int code = 0;
    size_t offset = 0;
    if (length > PATTERN_SOURCE_MAX)
        diag_fail(diag, (Where){0}, "vocabulary: a pattern of %zu bytes is too long", length);
    else if (!pattern)
        tokenizer_fail_memory(diag);
    else if (translate(source, length, &text, diag)) {
        pattern->code =
            pcre2_compile((PCRE2_SPTR)(text.bytes ? text.bytes : ""), text.length,
                          PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &code,
                          &offset, NULL);
        if (!pattern->code)
            fail_source(source, length, code, offset, diag);
        else // where there is no such compiler, matches are interpreted
            pcre2_jit_compile(pattern->code, PCRE2_JIT_COMPLETE);
    }
    buffer_free(&text);
    if (pattern && pattern->code)
        return pattern;
    pattern_free(pattern);
    return NULL;
}

void pattern_free(Pattern *pattern)
{
    if (pattern)
        pcre2_code_free(pattern->code);
    free(pattern);
}

PatternScratch *pattern_scratch_new(Diag *diag)
{
    PatternScratch *scratch = calloc(1, sizeof *scratch);
    if (scratch) {
        scratch->match = pcre2_match_data_create(1, NULL);
        scratch->context = pcre2_match_context_create(NULL);
        scratch->stack = pcre2_jit_stack_create(STACK_FIRST_BYTES, STACK_MAX_BYTES, NULL);
    }
    // No stack is no failure: the matcher then uses the thread's, 32 KiB of it.
    if (!scratch || !scratch->match || !scratch->context) {
        pattern_scratch_free(scratch);
        tokenizer_fail_memory(diag);
        return NULL;
    }
    pcre2_set_match_limit(scratch->context, MATCH_STEPS_MAX);
    pcre2_jit_stack_assign(scratch->context, NULL, scratch->stack);
    return scratch;
}

void pattern_scratch_free(PatternScratch *scratch)
{
    if (!scratch)
        return;
    pcre2_match_data_free(scratch->match);
    pcre2_match_context_free(scratch->context);
    pcre2_jit_stack_free(scratch->stack);
    free(scratch);
}

PatternResult pattern_find(const Pattern *pattern, PatternScratch *scratch, const char *text,
                           size_t length, size_t at, size_t *begin, size_t *end, Diag *diag)
{
    int count = pcre2_match(pattern->code, (PCRE2_SPTR)text, length, at, PCRE2_NO_UTF_CHECK,
                            scratch->match, scratch->context);
    if (count == PCRE2_ERROR_NOMATCH)
        return PATTERN_NONE;
    if (count < 0) {
        char message[128];
        pcre2_get_error_message(count, (PCRE2_UCHAR *)message, sizeof message);
        diag_fail(diag, (Where){0}, "text: the vocabulary's pattern cannot be matched: %s",
                  message);
        return PATTERN_FAILED;
    }
    const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(scratch->match);
    // \K in a look-around can make a match end before it begins.
    *begin = ends[0] < ends[1] ? ends[0] : ends[1];
    *end = ends[1];
    return PATTERN_FOUND;
}
