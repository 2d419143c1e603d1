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
    return true;
}

static bool is_piece(const Vocabulary *vocabulary, int32_t id)
{
    return id >= 0 && id < vocabulary->count;
}

static bool check_merges(const Vocabulary *vocabulary)
{
    for (int32_t i = 0; i < vocabulary->merge_count; i++) {
        const Merge *merge = &vocabulary->merges[i];
        if (!is_piece(vocabulary, merge->left) || !is_piece(vocabulary, merge->right) ||
            !is_piece(vocabulary, merge->result))
            return false;
    }
    return true;
}

static bool slice_fits(const Vocabulary *vocabulary, TextSlice slice)
{
    return slice.begin <= vocabulary->step_byte_count &&
           slice.length <= vocabulary->step_byte_count - slice.begin;
}

static bool check_steps(const Vocabulary *vocabulary)
{
    TextStage stage = STAGE_NORMALISE;
    for (int32_t i = 0; i < vocabulary->step_count; i++) {
        const TextStep *step = &vocabulary->steps[i];
        if (step->kind >= TEXT_STEP_COUNT || text_step_table[step->kind].stage < stage ||
            (step->flags & ~text_step_table[step->kind].flags) ||
            (step->flags & TEXT_BEHAVIOUR) >= SPLIT_BEHAVIOUR_COUNT ||
            !slice_fits(vocabulary, step->a) || !slice_fits(vocabulary, step->b))
            return false;
        stage = text_step_table[step->kind].stage;
    }
    return true;
}

static bool check_added(const Vocabulary *vocabulary)
{
    for (int32_t i = 0; i < vocabulary->added_count; i++)
        if (!is_piece(vocabulary, vocabulary->added[i].id) ||
            (i > 0 && vocabulary->added[i].id <= vocabulary->added[i - 1].id) ||
            (vocabulary->added[i].flags & ~(uint32_t)ADDED_FLAGS))
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
        if (!is_piece(vocabulary, vocabulary->ends[i]))
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
    if (vocabulary->kind <= VOCABULARY_NONE || vocabulary->kind >= VOCABULARY_KIND_COUNT)
        return plan_refuse(plan, diag, "the vocabulary is of no known kind (%d)",
                           (int)vocabulary->kind);
    if (!check_pieces(vocabulary))
        return plan_refuse(plan, diag, "the vocabulary has a piece that cannot be");
    if (!check_merges(vocabulary))
        return plan_refuse(plan, diag,
                           "the vocabulary has a merge of pieces that it does not have");
    if (!check_steps(vocabulary) || !check_added(vocabulary))
        return plan_refuse(plan, diag, "the vocabulary has a step or added token that cannot be");
    if (!check_special(vocabulary))
        return plan_refuse(plan, diag, "the vocabulary names a token that it does not have");
    if (!check_lookup(vocabulary))
        return plan_refuse(plan, diag, "the vocabulary's lookup cannot be searched");
    return true;
}
