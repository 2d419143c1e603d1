#include "graph/base/vocabulary.h"

#include <string.h>

#include "graph/base/hash.h"

const TextStepRow text_step_table[TEXT_STEP_COUNT] = {
#define STEP(name, stage, flags) {#name, STAGE_##stage, flags},
#include "graph/base/text_steps.def"
#undef STEP
};

static bool piece_is(const Vocabulary *vocabulary, int32_t id, const char *piece, int64_t length)
{
    uint32_t begin = vocabulary->offsets[id];
    return vocabulary->offsets[id + 1] - begin == length &&
           (length == 0 || memcmp(vocabulary->bytes + begin, piece, (size_t)length) == 0);
}

// The slot that holds the piece, or the free slot where it would go.
static uint32_t find_slot(const Vocabulary *vocabulary, const char *piece, int64_t length)
{
    uint32_t mask = vocabulary->lookup_mask;
    uint32_t slot = (uint32_t)hash64(piece, (size_t)length, 0) & mask;
    while (vocabulary->lookup[slot] >= 0 &&
           !piece_is(vocabulary, vocabulary->lookup[slot], piece, length))
        slot = (slot + 1) & mask;
    return slot;
}

void vocabulary_build_lookup(Vocabulary *vocabulary, Arena *arena)
{
    uint32_t slots = 16;
    while (slots < (uint32_t)vocabulary->count * 2u)
        slots *= 2;
    int32_t *lookup = ARENA_ARRAY(arena, int32_t, slots);
    memset(lookup, 0xff, slots * sizeof *lookup);
    vocabulary->lookup = lookup;
    vocabulary->lookup_mask = slots - 1;
    for (int32_t id = 0; id < vocabulary->count; id++) {
        uint32_t begin = vocabulary->offsets[id];
        uint32_t slot =
            find_slot(vocabulary, vocabulary->bytes + begin, vocabulary->offsets[id + 1] - begin);
        int32_t held = lookup[slot];
        if (held < 0 ||
            (vocabulary->types[id] == PIECE_NORMAL && vocabulary->types[held] != PIECE_NORMAL))
            lookup[slot] = id;
    }
}

int32_t vocabulary_find(const Vocabulary *vocabulary, const char *piece, int64_t length)
{
    return vocabulary->lookup[find_slot(vocabulary, piece, length)];
}

enum { BYTE_PIECE_LENGTH = 6 };

bool vocabulary_piece_byte(const Vocabulary *vocabulary, int32_t id, uint8_t *byte)
{
    const char *piece = vocabulary->bytes + vocabulary->offsets[id];
    if (vocabulary->offsets[id + 1] - vocabulary->offsets[id] != BYTE_PIECE_LENGTH ||
        memcmp(piece, "<0x", 3) != 0 || piece[5] != '>')
        return false;
    unsigned value = 0;
    for (int i = 3; i < 5; i++) {
        char digit = piece[i];
        if (digit >= '0' && digit <= '9')
            value = value * 16 + (unsigned)(digit - '0');
        else if (digit >= 'A' && digit <= 'F')
            value = value * 16 + (unsigned)(digit - 'A' + 10);
        else
            return false;
    }
    *byte = (uint8_t)value;
    return true;
}

void vocabulary_print(const Vocabulary *vocabulary, Text *out)
{
    static const char *const kinds[VOCABULARY_KIND_COUNT] = {"none", "BPE by scores",
                                                             "BPE by merges", "unigram"};
    text_print(out, "vocabulary: %s%s", vocabulary->byte_level ? "byte-level " : "",
               kinds[vocabulary->kind]);
    if (*vocabulary->pre_tokenizer)
        text_print(out, " (%s)", vocabulary->pre_tokenizer);
    text_print(out, ", %d pieces", vocabulary->count);
    if (vocabulary->merge_count)
        text_print(out, ", %d merges", vocabulary->merge_count);
    for (int32_t i = 0; i < vocabulary->step_count; i++)
        text_print(out, "%s%s", i ? " " : ", steps ",
                   text_step_table[vocabulary->steps[i].kind].name);
}
