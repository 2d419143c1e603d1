// A tensor's type follows from its name, its shape and a few numbers of the model: rows of
// mixes.def, the first that fits. llama-quantize counts tensors where this takes the layer of the
// name; every architecture that we read has one of each role a layer, so both say the same.
#include "frontends/gguf/gguf_mix.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "frontends/gguf/gguf_export.h"

typedef enum Role {
    ROLE_ANY,
    ROLE_HEAD,
    ROLE_ATTN_V,
    ROLE_ATTN_K,
    ROLE_ATTN_OUTPUT,
    ROLE_FFN_DOWN
} Role;

typedef enum When {
    WHEN_ALWAYS,
    WHEN_ODD_ROWS,
    WHEN_STACKED,
    WHEN_MORE_BITS,
    WHEN_FIRST_2,
    WHEN_FIRST_4,
    WHEN_SIXTEENTH,
    WHEN_EIGHTH,
    WHEN_GQA_4,
    WHEN_EXPERTS_8,
    WHEN_NOT_EXPERTS_8,
    WHEN_LARGE
} When;

enum MixNumber {
#define MIX(name, number, dtype) MIX_##name,
#include "frontends/gguf/mixes.def"
    MIX_COUNT,
    MIX_any = MIX_COUNT
};

static const GgufMix mixes[MIX_COUNT] = {
#define MIX(name, number, dtype) {#name, number, DTYPE_##dtype},
#include "frontends/gguf/mixes.def"
};

static const struct {
    const char *name;
    enum MixNumber mix;
} aliases[] = {
#define ALIAS(name, mix) {#name, MIX_##mix},
#include "frontends/gguf/mixes.def"
};

static const char *const kept[] = {
#define KEPT(part) part,
#include "frontends/gguf/mixes.def"
};

static const struct {
    const char *part;
    Role role;
} roles[] = {
#define ROLE(part, role) {part, ROLE_##role},
#include "frontends/gguf/mixes.def"
};

static const struct {
    enum MixNumber mix;
    Role role;
    When when;
    DType dtype;
} rules[] = {
#define RULE(mix, role, when, dtype) {MIX_##mix, ROLE_##role, WHEN_##when, DTYPE_##dtype},
#include "frontends/gguf/mixes.def"
};

static const struct {
    DType dtype, smaller;
} fallbacks[] = {
#define FALLBACK(dtype, smaller) {DTYPE_##dtype, DTYPE_##smaller},
#include "frontends/gguf/mixes.def"
};

#define COUNT_OF(array) ((int)(sizeof(array) / sizeof *(array)))

const GgufMix *gguf_mix_find(const char *name)
{
    for (int i = 0; i < MIX_COUNT; i++)
        if (strcasecmp(mixes[i].name, name) == 0)
            return &mixes[i];
    for (int i = 0; i < COUNT_OF(aliases); i++)
        if (strcasecmp(aliases[i].name, name) == 0)
            return &mixes[aliases[i].mix];
    return NULL;
}

const GgufMix *gguf_mix_of_type(DType dtype)
{
    for (int i = 0; i < MIX_COUNT; i++)
        if (mixes[i].dtype == dtype)
            return &mixes[i];
    return NULL;
}

void gguf_mix_print_names(Text *out)
{
    for (int i = 0; i < MIX_COUNT; i++)
        text_print(out, "%s%s", i ? " " : "", mixes[i].name);
    for (int i = 0; i < COUNT_OF(aliases); i++)
        text_print(out, " %s", aliases[i].name);
}

bool gguf_is_matrix(const char *name, int32_t rank)
{
    for (int i = 0; i < COUNT_OF(kept); i++)
        if (strstr(name, kept[i]))
            return false;
    return rank > 1 && gguf_ends_with(name, ".weight");
}

// What rules ask about the model.
typedef struct Facts {
    const GgufMix *mix;
    bool tied; // the embedding is the head
    int64_t layers, heads, kv_heads, experts;
    bool large;
} Facts;

static int64_t number_of(const ModelFile *file, const char *name)
{
    char key[128];
    snprintf(key, sizeof key, "%.64s.%s", file->architecture, name);
    const MetaValue *value = model_file_meta(file, key);
    if (value && value->kind == META_ARRAY && value->array.count)
        value = value->array.items; // of the first layer
    bool whole = value && (value->kind == META_UINT || value->kind == META_INT);
    return whole && value->natural <= INT32_MAX ? (int64_t)value->natural : 0;
}

static Facts facts_of(const ModelFile *file, const GgufMix *mix, const GgufContents *contents)
{
    Facts facts = {.mix = mix,
                   .tied = true,
                   .layers = number_of(file, "block_count"),
                   .heads = number_of(file, "attention.head_count"),
                   .kv_heads = number_of(file, "attention.head_count_kv"),
                   .experts = number_of(file, "expert_count")};
    for (int32_t i = 0; i < contents->tensors.count; i++)
        facts.tied &= strcmp(contents->tensors.items[i].name, "output.weight") != 0;
    bool grouped = facts.heads != facts.kv_heads && strcmp(file->architecture, "llama") == 0;
    facts.large = facts.layers == 80 && (grouped || strcmp(file->architecture, "qwen2") == 0);
    return facts;
}

static Role role_of(const Facts *facts, const char *name)
{
    if (strcmp(name, "output.weight") == 0 ||
        (facts->tied && strcmp(name, "token_embd.weight") == 0))
        return ROLE_HEAD;
    for (int i = 0; i < COUNT_OF(roles); i++)
        if (strstr(name, roles[i].part))
            return roles[i].role;
    return ROLE_ANY;
}

static bool holds(const Facts *facts, When when, const GgufTensor *tensor)
{
    int64_t layers = facts->layers;
    int layer = 0;
    sscanf(tensor->name, "blk.%9d.", &layer);
    switch (when) {
    case WHEN_ALWAYS: return true;
    case WHEN_ODD_ROWS:
        return tensor->recipe->columns % dtype_table[facts->mix->dtype].block_elements != 0;
    case WHEN_STACKED: return tensor->rank > 2 && tensor->shape[tensor->rank - 3] > 1;
    case WHEN_MORE_BITS:
        return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
    case WHEN_FIRST_2: return layer < 2;
    case WHEN_FIRST_4: return layer < 4;
    case WHEN_SIXTEENTH: return layer < layers / 16;
    case WHEN_EIGHTH: return layer < layers / 8;
    case WHEN_GQA_4: return facts->kv_heads > 0 && facts->heads / facts->kv_heads >= 4;
    case WHEN_EXPERTS_8: return facts->experts == 8;
    case WHEN_NOT_EXPERTS_8: return facts->experts != 8;
    case WHEN_LARGE: return facts->large;
    }
    return false;
}

static DType type_by_rules(const Facts *facts, const GgufTensor *tensor)
{
    Role role = role_of(facts, tensor->name);
    for (int i = 0; i < COUNT_OF(rules); i++)
        if ((rules[i].mix == MIX_any || &mixes[rules[i].mix] == facts->mix) &&
            (rules[i].role == ROLE_ANY || rules[i].role == role) &&
            holds(facts, rules[i].when, tensor))
            return rules[i].dtype;
    return facts->mix->dtype;
}

static DType type_that_fits(DType wanted, int64_t columns)
{
    DType dtype = wanted;
    for (int i = 0; i < COUNT_OF(fallbacks); i++)
        if (wanted == fallbacks[i].dtype && columns % dtype_table[dtype].block_elements)
            dtype = fallbacks[i].smaller;
    return columns % dtype_table[dtype].block_elements ? DTYPE_f16 : dtype;
}

void gguf_mix_apply(const ModelFile *file, const GgufMix *mix, bool pure, GgufContents *contents)
{
    Facts facts = facts_of(file, mix, contents);
    bool rules_apply = !pure && dtype_table[mix->dtype].kind == DTYPE_KIND_QUANT;
    for (int32_t i = 0; i < contents->tensors.count; i++) {
        GgufTensor *tensor = &contents->tensors.items[i];
        if (!gguf_is_matrix(tensor->name, tensor->rank) || tensor->recipe->rows < 2)
            continue;
        tensor->wanted = rules_apply ? type_by_rules(&facts, tensor) : mix->dtype;
        tensor->dtype = type_that_fits(tensor->wanted, tensor->recipe->columns);
    }
}
