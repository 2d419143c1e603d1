// What the reader, the checker and the writer of plans share: sizes and places of sections, and
// where the strings are. Private to runtime/plan*.c.
#ifndef RUNTIME_PLAN_FILE_H
#define RUNTIME_PLAN_FILE_H

#include "runtime/plan.h"

#define PLAN_MAGIC "graphcPL"

// Bytes of one item of each section; 1 for sections of bytes.
extern const uint32_t plan_item_bytes[SECTION_COUNT];
extern const char *const plan_section_names[SECTION_COUNT];

// Every field that is a PlanString.
typedef struct PlanStringField {
    PlanSection section;
    uint32_t offset; // in the item
} PlanStringField;

enum { PLAN_STRING_FIELDS = 18 };
extern const PlanStringField plan_string_fields[PLAN_STRING_FIELDS];

// The table of a section as it stands in memory (without the vocabulary's, DATA and STRINGS: count
// 0).
typedef struct PlanTable {
    const void *items;
    uint64_t count;
} PlanTable;

PlanTable plan_table(const Plan *plan, PlanSection section);

// Sets the offsets of all sections and file_bytes from the sections' sizes. The one place a section
// may stand in, so that a file has no holes in which bytes could hide.
void plan_place_sections(PlanHeader *header);
// Hash of the header's bytes before its own hash.
Hash128 plan_header_hash(const PlanHeader *header);
bool plan_hash_equal(Hash128 a, Hash128 b);

// A message about the plan as a whole; returns false.
bool plan_refuse(const Plan *plan, Diag *diag, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// Checks all that the tables say, whether mapped or built: after it nothing that uses the plan
// needs a check of its own. Expects the vocabulary's arrays to have the sizes that their counts
// tell.
bool plan_check(const Plan *plan, Diag *diag);
// Operands of one step against its op, its kernel's row and the regions (plan_operands.c).
bool plan_check_step(const Plan *plan, const PlanPhase *phase, uint32_t step, Diag *diag);
// plan_vocabulary.c
bool plan_check_vocabulary(const Plan *plan, Diag *diag);

// Bytes of a matrix in a layout, or -1 when the dtype and layout do not go together, the columns
// are no multiple of the block, a size is negative, or the product leaves 2^48.
int64_t plan_matrix_bytes(uint32_t dtype, uint32_t layout, int64_t rows, int64_t columns);
// Bytes of a page's tokens of a state, -1 in the same cases.
int64_t plan_state_bytes(uint32_t dtype, uint32_t layout, int64_t tokens, int64_t heads,
                         int64_t head_size);
// Whether [offset, offset + bytes) lies in [0, size) and the offset is aligned.
bool plan_range_fits(int64_t offset, int64_t bytes, int64_t size);

#endif
