// The table and the JSON of --mem. Both list the same facts in the same order: the run, the weights
// by type and layout, a page of keys and values, then each phase with its values.
#include "tools/compiler/memory_map.h"

#include <stdio.h>
#include <string.h>

bool memory_form_parse(const char *text, MemoryForm *form, Diag *diag)
{
    static const char *const names[] = {"table", "json", "svg", "trace"};
    *form = MEMORY_TABLE;
    for (int i = 0; i < 4; i++)
        if (strcmp(text, names[i]) == 0)
            *form = (MemoryForm)i;
    return !*text || strcmp(text, names[*form]) == 0 ||
           diag_fail(diag, (Where){0}, "--mem=%s: forms are table, json, svg and trace", text);
}

bool memory_map_print(const Plan *plan, const ExecOptions *options, MemoryForm form, Text *out,
                      Diag *diag)
{
    Arena arena = {0};
    MemoryMap map = {.plan = plan};
    bool ok = memory_of_run(plan, options, &map.run, diag);
    for (uint32_t i = 0; ok && i < plan->phase_count; i++) {
        PhaseLifetimes phase;
        ok = lifetimes_of_phase(plan, i, &phase, &arena, diag);
        vector_push(&arena, &map.phases, phase);
    }
    static void (*const print[])(const MemoryMap *, Text *) = {memory_map_table, memory_map_json,
                                                               memory_map_svg, memory_map_trace};
    if (ok)
        print[form](&map, out);
    arena_free(&arena);
    return ok;
}

static double ratio(const PhaseLifetimes *phase)
{
    return phase->bound ? (double)phase->peak / (double)phase->bound : 1;
}

// Weights of one type and layout, added up.
typedef struct WeightGroup {
    int64_t count, bytes;
} WeightGroup;

// The group of the weight at `index`; count 0 when an earlier weight has begun it.
static WeightGroup weight_group(const Plan *plan, uint32_t index)
{
    WeightGroup group = {0};
    const PlanWeight *first = &plan->weights[index];
    for (uint32_t i = 0; i < plan->weight_count; i++) {
        const PlanWeight *weight = &plan->weights[i];
        if (weight->dtype != first->dtype || weight->layout != first->layout)
            continue;
        if (i < index)
            return (WeightGroup){0};
        group.count++;
        group.bytes += weight->bytes;
    }
    return group;
}

static void table_regions(const MemoryMap *map, Text *out)
{
    const Plan *plan = map->plan;
    text_print(out, "\nw: %lld bytes\n", (long long)plan->info.w_bytes);
    for (uint32_t i = 0; i < plan->weight_count; i++) {
        WeightGroup group = weight_group(plan, i);
        if (group.count)
            text_print(out, "  %-6s %-8s %15lld  %lld weights\n",
                       dtype_table[plan->weights[i].dtype].name,
                       layout_table[plan->weights[i].layout].name, (long long)group.bytes,
                       (long long)group.count);
    }
    text_print(out, "kv: %lld bytes a page of %d tokens, %lld a token\n",
               (long long)plan->info.page_bytes, plan->info.page_tokens,
               (long long)(plan->info.page_bytes / plan->info.page_tokens));
}

static void table_value(const MemoryMap *map, const Lifetime *value, Text *out)
{
    char room[16], place[64];
    const PlanOperand *operand = value->operand;
    if (operand->region == REGION_IO)
        snprintf(place, sizeof place, "io%lld", (long long)operand->offset);
    else
        snprintf(place, sizeof place, "%s+0x%llx", region_names[operand->region],
                 (unsigned long long)operand->offset);
    text_print(out, "  %4d-%-4d %-14s %12lld  %s = %s", value->first, value->last, place,
               (long long)operand->bytes, lifetime_name(map->plan, value, room),
               op_table[value->step->op].name);
    if (value->in_place_of)
        text_print(out, ", in place of %%%d", value->in_place_of);
    text_print(out, "\n");
}

void memory_map_table(const MemoryMap *map, Text *out)
{
    memory_print(&map->run, out);
    table_regions(map, out);
    for (int32_t i = 0; i < map->phases.count; i++) {
        const PhaseLifetimes *phase = &map->phases.items[i];
        text_print(out,
                   "\nphase @%s T<=%lld: peak %lld, lower bound %lld, ratio %.3f; scratch %lld a "
                   "thread; %d epochs\n",
                   plan_string(map->plan, phase->phase->name), (long long)phase->phase->bound_t,
                   (long long)phase->peak, (long long)phase->bound, ratio(phase),
                   (long long)phase->scratch, phase->epochs);
        text_print(out, "  epochs    place                 bytes  value\n");
        for (int32_t j = 0; j < phase->values.count; j++)
            table_value(map, &phase->values.items[j], out);
    }
}

static void json_string(const char *text, Text *out)
{
    text_quote(out, text, strlen(text));
}

static void json_regions(const MemoryMap *map, Text *out)
{
    const Plan *plan = map->plan;
    const char *separator = "";
    text_print(out, "  \"weights\": [");
    for (uint32_t i = 0; i < plan->weight_count; i++) {
        WeightGroup group = weight_group(plan, i);
        if (!group.count)
            continue;
        text_print(out,
                   "%s{\"dtype\": \"%s\", \"layout\": \"%s\", \"weights\": %lld, \"bytes\": %lld}",
                   separator, dtype_table[plan->weights[i].dtype].name,
                   layout_table[plan->weights[i].layout].name, (long long)group.count,
                   (long long)group.bytes);
        separator = ", ";
    }
    text_print(out, "],\n  \"kv\": {\"page_bytes\": %lld, \"page_tokens\": %d},\n",
               (long long)plan->info.page_bytes, plan->info.page_tokens);
}

static void json_value(const MemoryMap *map, const Lifetime *value, Text *out)
{
    char room[16];
    const PlanOperand *operand = value->operand;
    text_print(out, "{\"name\": ");
    json_string(lifetime_name(map->plan, value, room), out);
    text_print(out,
               ", \"number\": %d, \"op\": \"%s\", \"region\": \"%s\", \"offset\": %lld, "
               "\"bytes\": %lld, \"first\": %d, \"last\": %d, \"in_place_of\": %d, \"location\": ",
               value->number, op_table[value->step->op].name, region_names[operand->region],
               (long long)operand->offset, (long long)operand->bytes, value->first, value->last,
               value->in_place_of);
    json_string(plan_string(map->plan, value->step->location), out);
    text_print(out, "}");
}

static void json_phase(const MemoryMap *map, const PhaseLifetimes *phase, Text *out)
{
    text_print(out, "    {\"name\": ");
    json_string(plan_string(map->plan, phase->phase->name), out);
    text_print(out,
               ", \"tokens\": %lld, \"epochs\": %d, \"peak\": %lld, \"lower_bound\": %lld, "
               "\"ratio\": %.6f, \"scratch_per_thread\": %lld,\n     \"values\": [",
               (long long)phase->phase->bound_t, phase->epochs, (long long)phase->peak,
               (long long)phase->bound, ratio(phase), (long long)phase->scratch);
    for (int32_t i = 0; i < phase->values.count; i++) {
        text_print(out, i ? ",\n      " : "\n      ");
        json_value(map, &phase->values.items[i], out);
    }
    text_print(out, "]}");
}

void memory_map_json(const MemoryMap *map, Text *out)
{
    text_print(out, "{\n  \"format\": 1,\n  \"run\": {");
    memory_print_json(&map->run, out);
    text_print(out, "},\n");
    json_regions(map, out);
    text_print(out, "  \"phases\": [\n");
    for (int32_t i = 0; i < map->phases.count; i++) {
        json_phase(map, &map->phases.items[i], out);
        text_print(out, i + 1 < map->phases.count ? ",\n" : "\n");
    }
    text_print(out, "  ]\n}\n");
}
