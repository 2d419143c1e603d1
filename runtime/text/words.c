// Cutting a text into words, step by step as Hugging Face's pre-tokenizers do it: each step cuts
// the words of the one before. A step that writes (spaces to U+2581) makes a new text; the others
// only make a new list of places.
//
// No pattern sees bytes that are no UTF-8: it is matched in the stretches between them, and they
// stand where nothing matched.
#include "runtime/text/words.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/text/tokenizer.h"
#include "runtime/text/utf8.h"

struct WordSplitter {
    const Vocabulary *vocabulary;
    int32_t begin, end; // of the vocabulary's steps
    Pattern **patterns; // by step
};

typedef struct Cut {
    const TextStep *step;
    const Pattern *pattern;
    const char *text; // that the words of `from` are places in
    WordScratch *scratch;
    WordList *to;
    Buffer *out; // of a step that writes
    Diag *diag;
    bool after_match; // of the pieces of one word: was the last one a match
    size_t first;     // where they begin in `to`
} Cut;

WordSplitter *word_splitter_new(const Vocabulary *vocabulary, Diag *diag)
{
    WordSplitter *splitter = calloc(1, sizeof *splitter);
    if (splitter)
        splitter->patterns = calloc((size_t)vocabulary->step_count + 1, sizeof(Pattern *));
    if (!splitter || !splitter->patterns) {
        tokenizer_fail_memory(diag);
        free(splitter);
        return NULL;
    }
    splitter->vocabulary = vocabulary;
    for (int32_t i = 0; i < vocabulary->step_count; i++) {
        const TextStep *step = &vocabulary->steps[i];
        TextStage stage = text_step_table[step->kind].stage;
        splitter->begin += stage < STAGE_SPLIT;
        splitter->end += stage <= STAGE_SPLIT;
        if (step->kind != TEXT_SPLIT)
            continue;
        splitter->patterns[i] =
            pattern_new(vocabulary->step_bytes + step->a.begin, step->a.length, diag);
        if (!splitter->patterns[i]) {
            word_splitter_free(splitter);
            return NULL;
        }
    }
    return splitter;
}

void word_splitter_free(WordSplitter *splitter)
{
    if (!splitter)
        return;
    for (int32_t i = 0; i < splitter->vocabulary->step_count; i++)
        pattern_free(splitter->patterns[i]);
    free(splitter->patterns);
    free(splitter);
}

void word_scratch_free(WordScratch *scratch)
{
    for (int i = 0; i < 2; i++) {
        buffer_free(&scratch->buffers[i]);
        free(scratch->lists[i].items);
    }
    *scratch = (WordScratch){0};
}

static bool push_word(WordList *list, Word word, Diag *diag)
{
    if (word.length == 0)
        return true;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 64;
        Word *items = realloc(list->items, capacity * sizeof *items);
        if (!items)
            return tokenizer_fail_memory(diag);
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = word;
    return true;
}

// Whether the piece goes to the word before it instead of being one.
static bool joins_last(const Cut *cut, bool match)
{
    if (cut->to->count == cut->first)
        return false;
    switch (cut->step->flags & TEXT_BEHAVIOUR) {
    case SPLIT_MERGED_WITH_PREVIOUS: return match && !cut->after_match;
    case SPLIT_MERGED_WITH_NEXT: return !match && cut->after_match;
    case SPLIT_CONTIGUOUS: return match == cut->after_match;
    default: return false;
    }
}

static bool push_piece(Cut *cut, size_t begin, size_t end, bool match)
{
    if (cut->step->flags & TEXT_INVERT)
        match = !match;
    if (begin == end || (match && (cut->step->flags & TEXT_BEHAVIOUR) == SPLIT_REMOVED))
        return true;
    bool joined = joins_last(cut, match);
    cut->after_match = match;
    if (joined) {
        Word *last = &cut->to->items[cut->to->count - 1];
        last->length = end - last->begin;
        return true;
    }
    return push_word(cut->to, (Word){begin, end - begin}, cut->diag);
}

// Matches in [begin, end), which is UTF-8; *loose is where bytes begin that are not pushed yet.
static bool split_characters(Cut *cut, size_t begin, size_t end, size_t *loose)
{
    const char *text = cut->text + begin;
    size_t length = end - begin, at = 0, from, to;
    while (at < length) {
        PatternResult result = pattern_find(cut->pattern, cut->scratch->patterns, text, length, at,
                                            &from, &to, cut->diag);
        if (result == PATTERN_FAILED)
            return false;
        if (result == PATTERN_NONE)
            return true;
        // An empty match only cuts.
        if (!push_piece(cut, *loose, begin + from, false) ||
            !push_piece(cut, begin + from, begin + to, true))
            return false;
        *loose = begin + to;
        at = to > from ? to : to + utf8_step(text + to, length - to);
    }
    return true;
}

static bool split_word(Cut *cut, Word word)
{
    size_t end = word.begin + word.length, loose = word.begin, at = word.begin;
    cut->first = cut->to->count;
    cut->after_match = false;
    while (at < end) {
        size_t valid = utf8_valid_prefix(cut->text + at, end - at);
        if (valid && !split_characters(cut, at, at + valid, &loose))
            return false;
        at += valid;
        at += utf8_invalid_prefix(cut->text + at, end - at);
    }
    return push_piece(cut, loose, end, false);
}

static bool write_word(Cut *cut, size_t begin)
{
    return push_word(cut->to, (Word){begin, cut->out->length - begin}, cut->diag);
}

static bool prefix_space(Cut *cut, Word word)
{
    size_t begin = cut->out->length;
    return (cut->text[word.begin] == ' ' || buffer_append(cut->out, " ", 1, cut->diag)) &&
           buffer_append(cut->out, cut->text + word.begin, word.length, cut->diag) &&
           write_word(cut, begin);
}

static bool begins_with(const char *text, size_t length, const char *what, size_t what_length)
{
    return length >= what_length && memcmp(text, what, what_length) == 0;
}

static bool metaspace(Cut *cut, Word word, const char *mark, size_t mark_length, bool first)
{
    const char *text = cut->text + word.begin;
    uint32_t flags = cut->step->flags;
    size_t begin = cut->out->length;
    bool marked = text[0] == ' ' || begins_with(text, word.length, mark, mark_length);
    bool wanted = (flags & TEXT_BEFORE) && (first || !(flags & TEXT_FIRST));
    if (wanted && !marked && !buffer_append(cut->out, mark, mark_length, cut->diag))
        return false;
    for (size_t i = 0; i < word.length;) {
        bool spelled = begins_with(text + i, word.length - i, mark, mark_length);
        bool space = text[i] == ' ' || spelled;
        if (space && (flags & TEXT_CUT) && !(write_word(cut, begin)))
            return false;
        if (space && (flags & TEXT_CUT))
            begin = cut->out->length;
        if (!buffer_append(cut->out, space ? mark : text + i, space ? mark_length : 1, cut->diag))
            return false;
        i += spelled ? mark_length : 1;
    }
    return write_word(cut, begin);
}

static bool cut_word(Cut *cut, const Vocabulary *vocabulary, Word word, bool first)
{
    if (cut->step->kind == TEXT_SPLIT)
        return split_word(cut, word);
    if (cut->step->kind == TEXT_PREFIX_SPACE)
        return prefix_space(cut, word);
    return metaspace(cut, word, vocabulary->step_bytes + cut->step->a.begin, cut->step->a.length,
                     first);
}

static bool run_step(const WordSplitter *splitter, int32_t index, Cut *cut, const WordList *from,
                     bool at_start)
{
    cut->step = &splitter->vocabulary->steps[index];
    cut->pattern = splitter->patterns[index];
    cut->to->count = 0;
    cut->out->length = 0;
    for (size_t i = 0; i < from->count; i++) {
        bool first = at_start && from->items[i].begin == 0;
        if (!cut_word(cut, splitter->vocabulary, from->items[i], first))
            return false;
    }
    return true;
}

bool word_splitter_run(const WordSplitter *splitter, WordScratch *scratch, const char *text,
                       size_t length, bool at_start, Words *words, Diag *diag)
{
    int turn = 0, buffer = 0;
    scratch->lists[0].count = 0;
    if (!push_word(&scratch->lists[0], (Word){0, length}, diag))
        return false;
    for (int32_t i = splitter->begin; i < splitter->end; i++) {
        Cut cut = {.text = text,
                   .scratch = scratch,
                   .to = &scratch->lists[!turn],
                   .out = &scratch->buffers[buffer],
                   .diag = diag};
        if (!run_step(splitter, i, &cut, &scratch->lists[turn], at_start))
            return false;
        turn = !turn;
        if (cut.step->kind != TEXT_SPLIT) {
            text = cut.out->bytes;
            buffer = !buffer;
        }
    }
    *words = (Words){text, scratch->lists[turn].items, scratch->lists[turn].count};
    return true;
}
