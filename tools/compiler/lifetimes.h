// Lifetimes of a plan's values, counted anew from its steps: what reads which bytes, in which
// epoch. memplan's own counts are not in a plan, so this is a second opinion on its peak.
#ifndef TOOLS_COMPILER_LIFETIMES_H
#define TOOLS_COMPILER_LIFETIMES_H

#include "graph/base/arena.h"
#include "runtime/plan.h"

// A result of a step, in region act, own or io.
typedef struct Lifetime {
    const PlanStep *step;       // that makes it
    const PlanOperand *operand; // as it makes it
    int32_t number;             // as in the text of the module: %number, from 1
    int32_t first, last;        // epochs: of the step, of the last reader
    int32_t in_place_of;        // number of the value whose bytes it takes over; 0: none
    int32_t block;              // index among those of its phase; -1: not in the arena
} Lifetime;

// Bytes of the arena that one value holds, or several in turn.
typedef struct LifetimeBlock {
    int64_t offset, bytes; // bytes: with alignment
    int32_t first, last;
} LifetimeBlock;

typedef struct PhaseLifetimes {
    const PlanPhase *phase;
    int32_t epochs;
    int64_t peak;            // end of the highest block
    int64_t bound;           // the most bytes alive in one epoch: no placement needs less
    int64_t scratch;         // of a thread, at the phase's largest T with one sequence
    Vector(Lifetime) values; // by number
    Vector(LifetimeBlock) blocks;
} PhaseLifetimes;

// Of phase `index`. False with a message when a step reads bytes that no step before it wrote.
bool lifetimes_of_phase(const Plan *plan, uint32_t index, PhaseLifetimes *lifetimes, Arena *arena,
                        Diag *diag);
// The value's name: that of the plan, else "%" and its number.
const char *lifetime_name(const Plan *plan, const Lifetime *value, char room[16]);

#endif
