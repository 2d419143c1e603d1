// The format (sentencepiece's normalizer.cc, Darts-clone's units): u32 bytes of the trie, the trie
// as u32 units, then the replacement texts. A unit holds its byte label (bits 0–7, bit 31 for
// values), "has a value" (bit 8) and the offset to its children (bits 10–30, times 256 if bit 9).
// Child of node n for byte b: n ^ offset(n) ^ b, valid if its label is b; the value unit stands at
// n ^ offset(n) and its low 31 bits are an offset into the texts.
//
// The bytes come from a file: every index is checked when it is followed. A walk ends because it
// follows the text.
#include "runtime/text/charsmap.h"

#include <string.h>

#include "runtime/text/utf8.h"

static uint32_t read_u32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

bool charsmap_open(Charsmap *map, const char *bytes, size_t length, Diag *diag)
{
    uint32_t trie_bytes = length >= 4 ? read_u32((const uint8_t *)bytes) : 0;
    if (length < 4 || trie_bytes > length - 4 || trie_bytes % 4 != 0 || trie_bytes < 4)
        return diag_fail(diag, (Where){0},
                         "vocabulary: the precompiled normalisation of %zu bytes is damaged: "
                         "convert the model again",
                         length);
    *map = (Charsmap){(const uint8_t *)bytes + 4, trie_bytes / 4, bytes + 4 + trie_bytes,
                      length - 4 - trie_bytes};
    return true;
}

static bool read_unit(const Charsmap *map, uint32_t index, uint32_t *unit)
{
    if (index >= map->unit_count)
        return false;
    *unit = read_u32(map->units + (size_t)index * 4);
    return true;
}

static uint32_t child_offset(uint32_t unit)
{
    return (unit >> 10) << ((unit & (1u << 9)) >> 6);
}

// Bytes of the longest key that the text begins with, 0 if none; *value is its place in the texts.
static size_t find_longest(const Charsmap *map, const char *text, size_t length, uint32_t *value)
{
    uint32_t node = 0, unit, leaf;
    size_t longest = 0;
    if (!read_unit(map, 0, &unit))
        return 0;
    node ^= child_offset(unit);
    for (size_t i = 0; i < length; i++) {
        uint8_t byte = (uint8_t)text[i];
        node ^= byte;
        if (!read_unit(map, node, &unit) || (unit & 0x800000ffu) != byte)
            break;
        node ^= child_offset(unit);
        if ((unit >> 8 & 1) && read_unit(map, node, &leaf)) {
            longest = i + 1;
            *value = leaf & 0x7fffffffu;
        }
    }
    return longest;
}

static bool append_value(const Charsmap *map, uint32_t value, Buffer *out, Diag *diag)
{
    if (value >= map->text_bytes)
        return true;
    const char *text = map->texts + value;
    return buffer_append(out, text, strnlen(text, map->text_bytes - value), diag);
}

bool charsmap_apply(const Charsmap *map, const char *text, size_t length, Buffer *out, Diag *diag)
{
    for (size_t at = 0; at < length;) {
        uint32_t value = 0;
        size_t taken = find_longest(map, text + at, length - at, &value);
        int measured = utf8_measure(text + at, length - at);
        // A key that ends inside a character would leave half of it behind.
        bool whole = taken > 0 && utf8_is_boundary(text + at, length - at, taken);
        size_t step = whole ? taken : measured > 0 ? (size_t)measured : 1;
        bool done =
            whole ? append_value(map, value, out, diag) : buffer_append(out, text + at, step, diag);
        if (!done)
            return false;
        at += step;
    }
    return true;
}
