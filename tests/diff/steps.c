// What a random module runs on: steps over sequences whose pages lie in any order, and weights
// whose scales keep everything finite.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "graph/base/hash.h"
#include "passes/verify_inputs.h"
#include "tests/diff/generate.h"

static void add_step(Steps *steps, Chance *chance, int32_t tokens, const int32_t *seqs)
{
    int32_t step = steps->count++, rows = 0;
    for (int32_t i = 0; i < tokens; i++) {
        steps->token[step][i] = chance_between(chance, 0, VOCABULARY - 1);
        steps->seq[step][i] = seqs[i];
        steps->pos[step][i] = steps->length[seqs[i]]++;
        if (chance_in(chance, 50))
            steps->row[step][rows++] = i;
    }
    steps->steps[step] = (EvalInputs){{tokens, rows, SEQUENCES, PAGES},
                                      {steps->token[step], steps->pos[step], steps->seq[step],
                                       steps->row[step], steps->table, steps->length}};
}

// The last token lies a few places beyond the page's end.
static void add_long_prompt(Steps *steps, Chance *chance, int32_t chunk)
{
    static const int32_t seqs[STEP_TOKENS] = {0};
    int32_t left = PAGE_TOKENS + chance_between(chance, 1, 4);
    while (left > 0) {
        int32_t tokens = chance_between(chance, chunk * 3 / 4, chunk);
        tokens = tokens < left ? tokens : left;
        add_step(steps, chance, tokens, seqs);
        left -= tokens;
    }
}

static void add_mixed_prompt(Steps *steps, Chance *chance)
{
    int32_t seqs[6], tokens = chance_between(chance, 2, 6), seq = 0;
    for (int32_t i = 0; i < tokens; i++) {
        seqs[i] = seq;
        if (seq < SEQUENCES - 1 && chance_in(chance, 50))
            seq++;
    }
    add_step(steps, chance, tokens, seqs);
}

static void shuffle_pages(Steps *steps, Chance *chance)
{
    for (int32_t i = 0; i < SEQUENCES * PAGES; i++) {
        int32_t other = chance_between(chance, 0, i);
        steps->table[i] = steps->table[other];
        steps->table[other] = i;
    }
}

void generate_steps(uint64_t seed, const Module *module, Steps *steps)
{
    Chance chance = {seed ^ 0x5eed};
    int64_t chunk = module->options.batch < STEP_TOKENS ? module->options.batch : STEP_TOKENS;
    *steps = (Steps){0};
    shuffle_pages(steps, &chance);
    if (chunk >= 8 && chance_in(&chance, 40))
        add_long_prompt(steps, &chance, (int32_t)chunk);
    if (chunk >= 8)
        add_mixed_prompt(steps, &chance);
    for (int32_t i = 0; i < 3; i++) {
        int32_t seq = chance_between(&chance, 0, SEQUENCES - 1);
        add_step(steps, &chance, 1, &seq);
    }
    for (int32_t seq = 0; seq < SEQUENCES; seq++)
        if (steps->length[seq] <= PAGE_TOKENS && chance_in(&chance, 50))
            steps->table[seq * PAGES + 1] = -1; // a page that the sequence does not have
}

// --- weights

static void fill_float(uint8_t *element, DType dtype, uint64_t random)
{
    float value = (float)((int32_t)(random % 2001) - 1000) * 4e-4f;
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint16_t half = (uint16_t)(bits >> 16);
    if (dtype == DTYPE_f16) // 0.06 … 0.25, either sign
        half = (uint16_t)((random >> 20 & 1) << 15 | (0x2c00 + random % 2048));
    if (dtype == DTYPE_f32)
        memcpy(element, &value, sizeof value);
    else
        memcpy(element, &half, sizeof half);
}

static uint8_t *random_floats(Arena *arena, const Recipe *tensor)
{
    int64_t bytes = tensor->rows * dtype_row_bytes(tensor->dtype, tensor->columns);
    uint8_t *out = arena_alloc(arena, (size_t)bytes);
    Chance chance = {hash64(tensor->tensor, strlen(tensor->tensor), tensor->dtype)};
    int32_t element = dtype_table[tensor->dtype].block_bytes;
    for (int64_t i = 0; i < bytes; i += element)
        fill_float(out + i, tensor->dtype, chance_bits(&chance));
    return out;
}

const void *generate_tensor(void *context, const Recipe *tensor)
{
    Tensors *tensors = context;
    int number = atoi(strchr(tensor->tensor, '.') + 1);
    assert(number > 0 && number < TENSORS_MAX);
    if (!tensors->bytes[number])
        tensors->bytes[number] = dtype_table[tensor->dtype].kind == DTYPE_KIND_FLOAT
                                     ? random_floats(tensors->arena, tensor)
                                     : verify_random_tensor(tensors->arena, tensor);
    return tensors->bytes[number];
}
