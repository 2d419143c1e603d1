// Well-formed UTF-8 by table 3-7 of the Unicode standard: only the second byte has a range of its
// own, so a lead byte is described by how many bytes follow it and by that range.
#include "runtime/text/utf8.h"

#include <stdint.h>

typedef struct Lead {
    int followers; // -1: no character begins with this byte
    uint8_t second_low, second_high;
} Lead;

static Lead classify_lead(uint8_t byte)
{
    if (byte < 0x80)
        return (Lead){0, 0, 0};
    if (byte < 0xc2 || byte > 0xf4)
        return (Lead){-1, 0, 0};
    if (byte < 0xe0)
        return (Lead){1, 0x80, 0xbf};
    if (byte < 0xf0)
        return (Lead){2, byte == 0xe0 ? 0xa0 : 0x80, byte == 0xed ? 0x9f : 0xbf};
    return (Lead){3, byte == 0xf0 ? 0x90 : 0x80, byte == 0xf4 ? 0x8f : 0xbf};
}

int utf8_measure(const char *bytes, size_t room)
{
    if (room == 0)
        return 0;
    Lead lead = classify_lead((uint8_t)bytes[0]);
    if (lead.followers < 0)
        return -1;
    for (int i = 1; i <= lead.followers; i++) {
        if ((size_t)i == room)
            return 0;
        uint8_t byte = (uint8_t)bytes[i];
        uint8_t low = i == 1 ? lead.second_low : 0x80, high = i == 1 ? lead.second_high : 0xbf;
        if (byte < low || byte > high)
            return -i;
    }
    return lead.followers + 1;
}

size_t utf8_step(const char *bytes, size_t room)
{
    int measured = utf8_measure(bytes, room);
    return measured > 0 ? (size_t)measured : 1;
}

size_t utf8_valid_prefix(const char *bytes, size_t length)
{
    size_t at = 0;
    while (at < length) {
        int measured = (uint8_t)bytes[at] < 0x80 ? 1 : utf8_measure(bytes + at, length - at);
        if (measured <= 0)
            break;
        at += (size_t)measured;
    }
    return at;
}

size_t utf8_invalid_prefix(const char *bytes, size_t length)
{
    size_t at = 0;
    while (at < length && utf8_measure(bytes + at, length - at) <= 0)
        at++;
    return at;
}

bool utf8_is_boundary(const char *bytes, size_t length, size_t at)
{
    return at >= length || ((uint8_t)bytes[at] & 0xc0) != 0x80;
}

uint32_t utf8_decode(const char *bytes, int length)
{
    static const uint8_t masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t code = (uint8_t)bytes[0] & masks[length];
    for (int i = 1; i < length; i++)
        code = code << 6 | ((uint8_t)bytes[i] & 0x3f);
    return code;
}

int utf8_encode(uint32_t code, char bytes[4])
{
    static const uint8_t leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    int length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (int i = length - 1; i > 0; i--, code >>= 6)
        bytes[i] = (char)(0x80 | (code & 0x3f));
    bytes[0] = (char)(leads[length] | code);
    return length;
}

bool utf8_is_space(uint32_t code)
{
    return (code >= 0x09 && code <= 0x0d) || code == 0x20 || code == 0x85 || code == 0xa0 ||
           code == 0x1680 || (code >= 0x2000 && code <= 0x200a) || code == 0x2028 ||
           code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x3000;
}
