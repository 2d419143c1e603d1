// UTF-8 as the tokenizer and the detokenizer see it: one function that tells how bytes begin.
#ifndef RUNTIME_TEXT_UTF8_H
#define RUNTIME_TEXT_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
// Bytes of the character, or of the one byte that belongs to none, at the beginning; 1 at the end.
size_t utf8_step(const char *bytes, size_t room);
// Bytes at the beginning that are whole characters.
size_t utf8_valid_prefix(const char *bytes, size_t length);
// Bytes at the beginning that belong to no character.
size_t utf8_invalid_prefix(const char *bytes, size_t length);
// Whether no character goes on across the place; the byte there is a first one or the end.
bool utf8_is_boundary(const char *bytes, size_t length, size_t at);
// The code point of a whole character of that many bytes, and back (returns its bytes, at most 4).
uint32_t utf8_decode(const char *bytes, int length);
int utf8_encode(uint32_t code, char bytes[4]);
// White_Space of Unicode.
bool utf8_is_space(uint32_t code);

#endif
