// The vocabulary in a plan, checked so that tokenizers need no checks: ids in range, pieces inside
// the bytes, a lookup that ends.
#include <math.h>

#include "runtime/plan_file.h"

static bool id_is_valid(const Vocabulary *vocabulary, int32_t id)
{
    return id >= TOKEN_NONE && id < vocabulary->count;
}

static bool check_pieces(const Vocabulary *vocabulary)
{
    if (vocabulary->offsets[0] != 0)
        return false;
    for (int32_t id = 0; id < vocabulary->count; id++)
        if (vocabulary->offsets[id + 1] < vocabulary->offsets[id] ||
            isnan(vocabulary->scores[id]) || vocabulary->types[id] < PIECE_NORMAL ||
            vocabulary->types[id] > PIECE_BYTE)
            return false;
    for (int64_t i = 0; i < 2 * (int64_t)vocabulary->merge_count; i++)
        if (vocabulary->merges[i] < 0 || vocabulary->merges[i] >= vocabulary->count)
            return false;
    return true;
}

static bool check_special(const Vocabulary *vocabulary)
{
    if (!id_is_valid(vocabulary, vocabulary->bos) || !id_is_valid(vocabulary, vocabulary->eos) ||
        !id_is_valid(vocabulary, vocabulary->unknown) ||
        !id_is_valid(vocabulary, vocabulary->padding) || vocabulary->end_count < 0 ||
        vocabulary->end_count > VOCABULARY_END_MAX)
        return false;
    for (int32_t i = 0; i < vocabulary->end_count; i++)
        if (vocabulary->ends[i] < 0 || vocabulary->ends[i] >= vocabulary->count)
            return false;
    return true;
}

// A power of two slots; a search ends at a free one, so there must be one.
static bool check_lookup(const Vocabulary *vocabulary)
{
    uint64_t slots = (uint64_t)vocabulary->lookup_mask + 1;
    bool has_free = false;
    if ((slots & (slots - 1)) != 0)
        return false;
    for (uint64_t i = 0; i < slots; i++) {
        if (!id_is_valid(vocabulary, vocabulary->lookup[i]))
            return false;
        has_free |= vocabulary->lookup[i] < 0;
    }
    return has_free;
}

bool plan_check_vocabulary(const Plan *plan, Diag *diag)
{
    const Vocabulary *vocabulary = &plan->vocabulary;
    if (vocabulary->kind != VOCABULARY_SENTENCEPIECE && vocabulary->kind != VOCABULARY_BYTE_BPE)
        return plan_refuse(plan, diag, "the vocabulary is of no known kind (%d)",
                           (int)vocabulary->kind);
    if (!check_pieces(vocabulary))
        return plan_refuse(plan, diag, "the vocabulary has a piece that cannot be");
    if (!check_special(vocabulary))
        return plan_refuse(plan, diag, "the vocabulary names a token that it does not have");
    if (!check_lookup(vocabulary))
        return plan_refuse(plan, diag, "the vocabulary's lookup cannot be searched");
    return true;
}
