// UTF-8 as the tokenizer and the detokenizer see it: one function that tells how bytes begin.
#ifndef RUNTIME_TEXT_UTF8_H
#define RUNTIME_TEXT_UTF8_H

#include <stddef.h>

// U+2581, which SentencePiece writes for a space, and U+FFFD, which stands for bytes that are no
// text.
#define UTF8_SPACE "\xe2\x96\x81"
#define UTF8_REPLACEMENT "\xef\xbf\xbd"
enum { UTF8_SPACE_BYTES = 3, UTF8_REPLACEMENT_BYTES = 3 };

// n > 0: a whole character of n bytes stands at the beginning; 0: the bytes begin a character that
// needs more of them (or there are none); -n: the first n bytes belong to no character (n is the
// Unicode standard's "maximal subpart", section 3.9). Overlong forms, surrogates and code points
// above U+10FFFF are no characters.
int utf8_measure(const char *bytes, size_t room);

#endif
