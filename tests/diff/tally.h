// What a run of random graphs met, and how often: the histogram that ends it. The tables say what
// has to be in it, so that a new op, rule, pass, weight type or target fails until the generator
// makes it.
#ifndef TESTS_DIFF_TALLY_H
#define TESTS_DIFF_TALLY_H

#include "passes/rules.h"
#include "tests/diff/generate.h"
#include "tests/diff/memory.h"

typedef enum Situation {
    SITUATION_page_crossed,      // a token at a page's first place, of a later page
    SITUATION_chunk_over_pages,  // the same within a step of several tokens
    SITUATION_several_sequences, // in one step
    SITUATION_no_rows,           // asked for in a step
    SITUATION_grouped_queries,   // more query heads than kv heads
    SITUATION_window,            // an attention that sees less than everything
    SITUATION_COUNT
} Situation;

enum { OPT_LEVELS = 3 };

// How near plans come to the most bytes alive at once.
typedef struct Nearness {
    int32_t plans, within; // 1.02 of it
    double worst;
    uint64_t worst_seed;
} Nearness;

typedef struct Tally {
    int64_t ops[OP_COUNT], rules[RULE_COUNT];
    int64_t ran[PASS_COUNT], disabled[PASS_COUNT];   // graphs that a pass changed or could not
    int64_t types[DTYPE_COUNT], states[DTYPE_COUNT]; // of matrices; of what attention reads
    int64_t activations[DTYPE_COUNT];                // of results
    int64_t targets[TARGET_COUNT], opts[OPT_LEVELS], situations[SITUATION_COUNT];
    int64_t outputs, finite; // floats
    int32_t failures;
    Nearness evaluated, planned; // of the graphs that are evaluated; of those that are only planned
} Tally;

void tally_ops(Tally *tally, const Module *module);
// Options, weights and steps of a module as it was generated.
void tally_generated(Tally *tally, const Module *module, const Steps *steps, uint32_t disabled);
// Counts the lines of --explain that say that a rule fired.
void tally_rules(Tally *tally, const char *explained);
// One module's worst graph.
void tally_memory(Nearness *nearness, const MemoryFigures *figures, uint64_t seed);
// Prints all of it; false if something failed or, with `required`, was met too rarely.
bool tally_print(const Tally *tally, int64_t graphs, bool required);

#endif
