// Normalisation, step by step over the whole stretch; each step reads one buffer and writes the
// other. Bytes that are no UTF-8 pass every step as they are: the Unicode steps see the stretches
// between them.
//
// Unicode's tables are utf8proc's. Plain ASCII, most of all text, needs none of the normal forms
// and is not touched.
#define _GNU_SOURCE // memmem
#include "runtime/text/normalise.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "runtime/text/charsmap.h"
#include "runtime/text/tokenizer.h"
#include "runtime/text/utf8.h"

struct Normaliser {
    const Vocabulary *vocabulary;
    int32_t count;      // of the vocabulary's first steps
    Pattern **patterns; // by step, NULL where it has none
    Charsmap *charsmaps;
};

typedef struct Work {
    const Normaliser *normaliser;
    const TextStep *step;
    int32_t index; // of the step
    PatternScratch *patterns;
    bool at_start;
    Diag *diag;
} Work;

typedef bool StretchStep(const Work *work, const char *text, size_t length, Buffer *out);

static const char *slice_bytes(const Work *work, TextSlice slice)
{
    return work->normaliser->vocabulary->step_bytes + slice.begin;
}

static bool make_ready(Normaliser *normaliser, int32_t index, Diag *diag)
{
    const TextStep *step = &normaliser->vocabulary->steps[index];
    const char *text = normaliser->vocabulary->step_bytes + step->a.begin;
    if (step->kind == TEXT_CHARSMAP)
        return charsmap_open(&normaliser->charsmaps[index], text, step->a.length, diag);
    if (step->kind == TEXT_REPLACE_PATTERN) {
        normaliser->patterns[index] = pattern_new(text, step->a.length, diag);
        return normaliser->patterns[index] != NULL;
    }
    return true;
}

Normaliser *normaliser_new(const Vocabulary *vocabulary, Diag *diag)
{
    Normaliser *normaliser = calloc(1, sizeof *normaliser);
    if (normaliser) {
        normaliser->vocabulary = vocabulary;
        normaliser->patterns = calloc((size_t)vocabulary->step_count + 1, sizeof(Pattern *));
        normaliser->charsmaps = calloc((size_t)vocabulary->step_count + 1, sizeof(Charsmap));
    }
    if (!normaliser || !normaliser->patterns || !normaliser->charsmaps) {
        tokenizer_fail_memory(diag);
        normaliser_free(normaliser);
        return NULL;
    }
    for (; normaliser->count < vocabulary->step_count; normaliser->count++) {
        if (text_step_table[vocabulary->steps[normaliser->count].kind].stage != STAGE_NORMALISE)
            break;
        if (!make_ready(normaliser, normaliser->count, diag)) {
            normaliser_free(normaliser);
            return NULL;
        }
    }
    return normaliser;
}

void normaliser_free(Normaliser *normaliser)
{
    if (!normaliser)
        return;
    for (int32_t i = 0; normaliser->patterns && i < normaliser->vocabulary->step_count; i++)
        pattern_free(normaliser->patterns[i]);
    free(normaliser->patterns);
    free(normaliser->charsmaps);
    free(normaliser);
}

static bool is_ascii(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((uint8_t)text[i] >= 0x80)
            return false;
    return true;
}

static bool compose_stretch(const Work *work, const char *text, size_t length, Buffer *out)
{
    static const utf8proc_option_t options[] = {
        [TEXT_NFC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE,
        [TEXT_NFD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE,
        [TEXT_NFKC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT,
        [TEXT_NFKD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT,
    };
    utf8proc_uint8_t *made = NULL;
    utf8proc_ssize_t bytes = utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)length,
                                          &made, options[work->step->kind]);
    if (bytes < 0)
        return diag_fail(work->diag, (Where){0}, "text: cannot be normalised: %s",
                         utf8proc_errmsg(bytes));
    bool done = buffer_append(out, (const char *)made, (size_t)bytes, work->diag);
    free(made);
    return done;
}

// ASCII never changes, and but for its last character before another never combines: only what is
// around other characters goes through the tables.
static bool compose(const Work *work, const char *text, size_t length, Buffer *out)
{
    for (size_t at = 0; at < length;) {
        size_t other = at, end;
        while (other < length && (uint8_t)text[other] < 0x80)
            other++;
        size_t begin = other > at && other < length ? other - 1 : other;
        if (!buffer_append(out, text + at, begin - at, work->diag))
            return false;
        for (end = other; end < length && (uint8_t)text[end] >= 0x80; end++)
            ;
        if (end > begin && !compose_stretch(work, text + begin, end - begin, out))
            return false;
        at = end;
    }
    return true;
}

// One character; lower case of a single one, U+0130, is two.
static bool append_lower(uint32_t code, Buffer *out, Diag *diag)
{
    char bytes[4];
    if (code == 0x130)
        return buffer_append(out, "i\xcc\x87", 3, diag);
    int length = utf8_encode((uint32_t)utf8proc_tolower((utf8proc_int32_t)code), bytes);
    return buffer_append(out, bytes, (size_t)length, diag);
}

static bool lowercase(const Work *work, const char *text, size_t length, Buffer *out)
{
    for (size_t at = 0; at < length;) {
        int measured = utf8_measure(text + at, length - at);
        if (!append_lower(utf8_decode(text + at, measured), out, work->diag))
            return false;
        at += (size_t)measured;
    }
    return true;
}

static bool strip_accents(const Work *work, const char *text, size_t length, Buffer *out)
{
    for (size_t at = 0; at < length;) {
        int measured = utf8_measure(text + at, length - at);
        utf8proc_category_t category =
            utf8proc_category((utf8proc_int32_t)utf8_decode(text + at, measured));
        bool mark = category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
                    category == UTF8PROC_CATEGORY_ME;
        if (!mark && !buffer_append(out, text + at, (size_t)measured, work->diag))
            return false;
        at += (size_t)measured;
    }
    return true;
}

static bool replace_pattern(const Work *work, const char *text, size_t length, Buffer *out)
{
    const Pattern *pattern = work->normaliser->patterns[work->index];
    const TextSlice by = work->step->b;
    size_t at = 0, done = 0, begin, end;
    while (at <= length) {
        PatternResult result =
            pattern_find(pattern, work->patterns, text, length, at, &begin, &end, work->diag);
        if (result == PATTERN_FAILED)
            return false;
        if (result == PATTERN_NONE)
            break;
        if (!buffer_append(out, text + done, begin - done, work->diag) ||
            !buffer_append(out, slice_bytes(work, by), by.length, work->diag))
            return false;
        done = end;
        at = end > begin ? end : end + utf8_step(text + end, length - end);
    }
    return done >= length || buffer_append(out, text + done, length - done, work->diag);
}

static bool replace_text(const Work *work, const char *text, size_t length, Buffer *out)
{
    const TextSlice a = work->step->a, b = work->step->b;
    const char *what = slice_bytes(work, a), *by = slice_bytes(work, b);
    size_t at = 0;
    while (a.length && at < length) {
        const char *found = memmem(text + at, length - at, what, a.length);
        if (!found)
            break;
        size_t before = (size_t)(found - text) - at;
        if (!buffer_append(out, text + at, before, work->diag) ||
            !buffer_append(out, by, b.length, work->diag))
            return false;
        at += before + a.length;
    }
    return buffer_append(out, text + at, length - at, work->diag);
}

static size_t space_at_start(const char *text, size_t length)
{
    size_t at = 0;
    int measured;
    while ((measured = utf8_measure(text + at, length - at)) > 0 &&
           utf8_is_space(utf8_decode(text + at, measured)))
        at += (size_t)measured;
    return at;
}

static size_t space_at_end(const char *text, size_t length)
{
    size_t end = length;
    while (end > 0) {
        size_t begin = end - 1;
        while (begin > 0 && end - begin < 4 && !utf8_is_boundary(text, end, begin))
            begin--;
        int measured = utf8_measure(text + begin, end - begin);
        if (measured != (int)(end - begin) || !utf8_is_space(utf8_decode(text + begin, measured)))
            break;
        end = begin;
    }
    return length - end;
}

static bool strip(const Work *work, const char *text, size_t length, Buffer *out)
{
    size_t left = work->step->flags & TEXT_LEFT ? space_at_start(text, length) : 0;
    text += left;
    length -= left;
    length -= work->step->flags & TEXT_RIGHT ? space_at_end(text, length) : 0;
    return buffer_append(out, text, length, work->diag);
}

// As SentencePiece: runs of spaces become one, none stands at the ends, nor U+2581 at the end.
static bool squeeze(const Work *work, const char *text, size_t length, Buffer *out)
{
    size_t first = out->length;
    if (!buffer_reserve(out, length, work->diag))
        return false;
    bool after_space = true;
    for (size_t i = 0; i < length; i++) {
        bool space = text[i] == ' ';
        if (!space || !after_space)
            out->bytes[out->length++] = text[i];
        after_space = space;
    }
    for (;;) {
        size_t made = out->length - first;
        const char *end = out->bytes + out->length;
        if (made > 0 && end[-1] == ' ')
            out->length--;
        else if (made >= UTF8_SPACE_BYTES &&
                 memcmp(end - UTF8_SPACE_BYTES, UTF8_SPACE, UTF8_SPACE_BYTES) == 0)
            out->length -= UTF8_SPACE_BYTES;
        else
            return true;
    }
}

static bool prepend(const Work *work, const char *text, size_t length, Buffer *out)
{
    bool wanted = length > 0 && (work->at_start || !(work->step->flags & TEXT_FIRST));
    return (!wanted || buffer_append(out, slice_bytes(work, work->step->a), work->step->a.length,
                                     work->diag)) &&
           buffer_append(out, text, length, work->diag);
}

static bool apply_charsmap(const Work *work, const char *text, size_t length, Buffer *out)
{
    return charsmap_apply(&work->normaliser->charsmaps[work->index], text, length, out, work->diag);
}

// Runs a step that needs UTF-8 over what is, and copies the rest.
static bool over_characters(const Work *work, StretchStep *step, const char *text, size_t length,
                            Buffer *out)
{
    for (size_t at = 0; at < length;) {
        size_t valid = utf8_valid_prefix(text + at, length - at);
        if (valid && !step(work, text + at, valid, out))
            return false;
        at += valid;
        size_t invalid = utf8_invalid_prefix(text + at, length - at);
        if (!buffer_append(out, text + at, invalid, work->diag))
            return false;
        at += invalid;
    }
    return true;
}

static bool run_step(const Work *work, const char *text, size_t length, Buffer *out)
{
    static const struct {
        StretchStep *step;
        bool needs_characters;
    } steps[TEXT_STEP_COUNT] = {
        [TEXT_NFC] = {compose, true},
        [TEXT_NFD] = {compose, true},
        [TEXT_NFKC] = {compose, true},
        [TEXT_NFKD] = {compose, true},
        [TEXT_LOWERCASE] = {lowercase, true},
        [TEXT_STRIP_ACCENTS] = {strip_accents, true},
        [TEXT_STRIP] = {strip, false},
        [TEXT_SQUEEZE] = {squeeze, false},
        [TEXT_PREPEND] = {prepend, false},
        [TEXT_REPLACE] = {replace_text, false},
        [TEXT_REPLACE_PATTERN] = {replace_pattern, true},
        [TEXT_CHARSMAP] = {apply_charsmap, false},
    };
    StretchStep *step = steps[work->step->kind].step;
    out->length = 0;
    if (!buffer_reserve(out, length, work->diag))
        return false;
    return steps[work->step->kind].needs_characters ? over_characters(work, step, text, length, out)
                                                    : step(work, text, length, out);
}

bool normaliser_apply(const Normaliser *normaliser, NormaliseScratch *scratch, bool at_start,
                      const char **text, size_t *length, Diag *diag)
{
    int turn = 0;
    for (int32_t i = 0; i < normaliser->count; i++) {
        Work work = {normaliser, &normaliser->vocabulary->steps[i], i, scratch->patterns, at_start,
                     diag};
        Buffer *out = &scratch->buffers[turn];
        bool is_normal_form = work.step->kind <= TEXT_NFKD;
        if (is_normal_form && is_ascii(*text, *length))
            continue;
        if (!run_step(&work, *text, *length, out))
            return false;
        *text = out->bytes;
        *length = out->length;
        turn = !turn;
    }
    return true;
}
