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
