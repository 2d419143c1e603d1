// A value is what a step writes; a reader means the latest value that holds its bytes. Epochs are
// counted at barriers. A result that has exactly the bytes of an operand of its step takes them
// over: both are one block, which is what memory is counted by.
#include "tools/compiler/lifetimes.h"

#include <stdio.h>

typedef struct Walk {
    const Plan *plan;
    PhaseLifetimes *to;
    Arena *arena;
    int32_t epoch;
} Walk;

static bool holds(const PlanOperand *value, const PlanOperand *read)
{
    if (value->region != read->region)
        return false;
    if (value->region == REGION_IO)
        return value->offset == read->offset;
    return read->offset >= value->offset &&
           read->offset + read->bytes <= value->offset + value->bytes;
}

// The latest value that holds the bytes; NULL if there is none.
static Lifetime *find_value(const Walk *walk, const PlanOperand *read)
{
    for (int32_t i = walk->to->values.count; i-- > 0;)
        if (holds(walk->to->values.items[i].operand, read))
            return &walk->to->values.items[i];
    return NULL;
}

static void extend(const Walk *walk, Lifetime *value)
{
    value->last = walk->epoch;
    if (value->block >= 0)
        walk->to->blocks.items[value->block].last = walk->epoch;
}

static bool read_operands(const Walk *walk, const PlanStep *step, Diag *diag)
{
    const PlanOperand *operands = &walk->plan->operands[step->first_operand + step->result_count];
    for (int i = 0; i < step->operand_count; i++) {
        const PlanOperand *operand = &operands[i];
        if (!region_in_arena((Region)operand->region) &&
            !(operand->region == REGION_IO && operand->offset >= INPUT_COUNT))
            continue;
        Lifetime *value = find_value(walk, operand);
        if (!value)
            return diag_fail(diag, (Where){.file = walk->plan->path},
                             "step %u reads bytes at %s+0x%llx that no step has written",
                             (unsigned)(step - walk->plan->steps), region_names[operand->region],
                             (unsigned long long)operand->offset);
        extend(walk, value);
    }
    return true;
}

static const Lifetime *find_replaced(const Walk *walk, const PlanStep *step,
                                     const PlanOperand *result)
{
    const PlanOperand *operands = &walk->plan->operands[step->first_operand + step->result_count];
    for (int i = 0; i < step->operand_count; i++)
        if (operands[i].region == result->region && operands[i].offset == result->offset &&
            operands[i].bytes == result->bytes)
            return find_value(walk, &operands[i]);
    return NULL;
}

static void add_block(const Walk *walk, const PlanOperand *result)
{
    LifetimeBlock block = {.offset = result->offset,
                           .bytes = (result->bytes + PLAN_ALIGNMENT - 1) / PLAN_ALIGNMENT *
                                    PLAN_ALIGNMENT,
                           .first = walk->epoch,
                           .last = walk->epoch};
    if (block.offset + block.bytes > walk->to->peak)
        walk->to->peak = block.offset + block.bytes;
    vector_push(walk->arena, &walk->to->blocks, block);
}

static void write_results(const Walk *walk, const PlanStep *step)
{
    Lifetime made[RESULTS_MAX];
    for (int i = 0; i < step->result_count; i++) {
        const PlanOperand *result = &walk->plan->operands[step->first_operand + (uint32_t)i];
        made[i] = (Lifetime){.step = step,
                             .operand = result,
                             .number = walk->to->values.count + 1 + i,
                             .first = walk->epoch,
                             .last = walk->epoch,
                             .block = -1};
        if (!region_in_arena((Region)result->region))
            continue;
        const Lifetime *replaced = find_replaced(walk, step, result);
        if (!replaced)
            add_block(walk, result);
        made[i].in_place_of = replaced ? replaced->number : 0;
        made[i].block = replaced ? replaced->block : walk->to->blocks.count - 1;
    }
    for (int i = 0; i < step->result_count; i++)
        vector_push(walk->arena, &walk->to->values, made[i]);
}

static int64_t largest_epoch(const PhaseLifetimes *lifetimes, Arena *arena)
{
    int64_t *alive = ARENA_ARRAY(arena, int64_t, lifetimes->epochs + 1), most = 0;
    for (int32_t i = 0; i < lifetimes->blocks.count; i++) {
        const LifetimeBlock *block = &lifetimes->blocks.items[i];
        for (int32_t epoch = block->first; epoch <= block->last; epoch++)
            alive[epoch] += block->bytes;
    }
    for (int32_t epoch = 0; epoch < lifetimes->epochs; epoch++)
        most = alive[epoch] > most ? alive[epoch] : most;
    return most;
}

bool lifetimes_of_phase(const Plan *plan, uint32_t index, PhaseLifetimes *lifetimes, Arena *arena,
                        Diag *diag)
{
    const PlanPhase *phase = &plan->phases[index];
    *lifetimes = (PhaseLifetimes){.phase = phase};
    Walk walk = {plan, lifetimes, arena, 0};
    for (uint32_t i = 0; i < phase->step_count; i++) {
        const PlanStep *step = &plan->steps[phase->first_step + i];
        walk.epoch += i > 0 && step->barrier_before;
        if (step->scratch_bytes > lifetimes->scratch)
            lifetimes->scratch = step->scratch_bytes;
        if (!read_operands(&walk, step, diag))
            return false;
        write_results(&walk, step);
    }
    lifetimes->epochs = phase->step_count ? walk.epoch + 1 : 0;
    lifetimes->bound = largest_epoch(lifetimes, arena);
    return true;
}

const char *lifetime_name(const Plan *plan, const Lifetime *value, char room[16])
{
    const char *name = plan_string(plan, value->operand->name);
    if (*name)
        return name;
    snprintf(room, 16, "%%%d", value->number);
    return room;
}
