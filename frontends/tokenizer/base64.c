#include "frontends/tokenizer/readers.h"

static int digit_value(char digit)
{
    if (digit >= 'A' && digit <= 'Z')
        return digit - 'A';
    if (digit >= 'a' && digit <= 'z')
        return digit - 'a' + 26;
    if (digit >= '0' && digit <= '9')
        return digit - '0' + 52;
    return digit == '+' ? 62 : digit == '/' ? 63 : -1;
}

bool base64_read(Arena *arena, PieceText text, PieceText *bytes)
{
    char *out = arena_alloc(arena, text.length / 4 * 3 + 3);
    size_t made = 0, padding = 0;
    uint32_t bits = 0;
    if (text.length % 4 != 0)
        return false;
    while (padding < 2 && padding < text.length && text.bytes[text.length - 1 - padding] == '=')
        padding++;
    for (size_t i = 0; i < text.length - padding; i++) {
        int value = digit_value(text.bytes[i]);
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        if (i % 4 > 0)
            out[made++] = (char)(bits >> (6 - i % 4 * 2));
    }
    *bytes = (PieceText){out, made};
    return true;
}
