// The pre-tokenizing steps of a vocabulary: from a normalised text to the words that are encoded
// one by one.
#ifndef RUNTIME_TEXT_WORDS_H
#define RUNTIME_TEXT_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#include "graph/base/diag.h"
#include "graph/base/vocabulary.h"
#include "runtime/text/buffer.h"
#include "runtime/text/pattern.h"

typedef struct WordSplitter WordSplitter;

typedef struct Word {
    size_t begin, length;
} Word;

typedef struct WordList {
    Word *items;
    size_t count, capacity;
} WordList;

// Zero to begin with; `patterns` is borrowed.
typedef struct WordScratch {
    Buffer buffers[2];
    WordList lists[2];
    PatternScratch *patterns;
} WordScratch;

// What a text was cut into: places in `text`, which may be another one than was given.
typedef struct Words {
    const char *text;
    const Word *items;
    size_t count;
} Words;

// NULL with a message when a pattern is not understood or memory runs out.
WordSplitter *word_splitter_new(const Vocabulary *vocabulary, Diag *diag);
void word_splitter_free(WordSplitter *splitter);

// Cuts the text; the result lives in the scratch until the next call. at_start: it begins the whole
// text.
bool word_splitter_run(const WordSplitter *splitter, WordScratch *scratch, const char *text,
                       size_t length, bool at_start, Words *words, Diag *diag);
void word_scratch_free(WordScratch *scratch);

#endif
