// The plan: one flat, versioned file that can be mapped and run. The same structs stand in the file
// and in memory; there are no pointers in it, only offsets and indices.
//
// File: PlanHeader, then the sections it lists, each at a multiple of 64 bytes, in the order of
// PlanSection; the last, DATA (packed weights), begins at a multiple of 2 MiB, so that a plain mmap
// of a file written in large pieces gets 2 MiB pages. Little-endian. Every section but DATA carries
// its XXH3-128 in the header and is checked at open; DATA's is checked on demand (plan_check_data).
// Opening trusts nothing: plan_open validates every index, offset, size, enum and string before
// use, and the kernels' names and abi when they are resolved.
#ifndef RUNTIME_PLAN_H
#define RUNTIME_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "graph/base/diag.h"
#include "graph/base/hash.h"
#include "graph/base/ops.h"
#include "graph/base/recipe.h"
#include "graph/base/shape.h"
#include "graph/base/text.h"
#include "graph/base/vocabulary.h"

// Numbers of the format rise with every change of these structs. In all formats the header begins
// with the same fields, strings and info are its first two sections, and info begins with the same
// seven strings, so that a plan of another format can still name the command that remakes it.
enum { PLAN_FORMAT = 1, PLAN_ALIGNMENT = 64, PLAN_DATA_ALIGNMENT = 2 << 20 };

typedef enum PlanSection {
    SECTION_STRINGS, // NUL-terminated texts; offset 0 is ""
    SECTION_INFO,    // one PlanInfo
    SECTION_FILES,
    SECTION_TENSORS,
    SECTION_RECIPES, // PlanRecipe, children before parents
    SECTION_WEIGHTS,
    SECTION_STATES,
    SECTION_PHASES,
    SECTION_STEPS,
    SECTION_OPERANDS,
    SECTION_OUTPUTS,
    SECTION_VOCABULARY, // one PlanVocabulary; none in plans without a vocabulary
    SECTION_PIECES,     // bytes of all pieces
    SECTION_PIECE_OFFSETS,
    SECTION_PIECE_SCORES,
    SECTION_PIECE_TYPES,
    SECTION_MERGES,
    SECTION_LOOKUP,
    SECTION_DATA, // region w; empty when weights stay in their files
    SECTION_COUNT
} PlanSection;

typedef uint32_t PlanString; // offset into SECTION_STRINGS

typedef struct PlanSectionEntry {
    uint64_t offset, bytes;
    Hash128 hash;
} PlanSectionEntry;

typedef struct PlanHeader {
    char magic[8]; // "graphcPL"
    uint32_t format, header_bytes;
    uint64_t file_bytes;
    PlanSectionEntry sections[SECTION_COUNT];
    Hash128 hash; // of all before it
} PlanHeader;

typedef struct PlanInfo {
    PlanString name, architecture, target, command, compiler; // command: what made it, remakes it
    PlanString kv, act;                                       // as options: f16|f32, auto|f32
    int32_t opt;
    int32_t page_tokens;
    uint32_t padding;
    int64_t batch; // largest T of any phase
    int64_t page_bytes;
    int64_t w_bytes; // size of region w
    int64_t context_length, vocabulary_size;
    uint32_t has_data; // weights are embedded
    uint32_t has_vocabulary;
} PlanInfo;

// A file that tensors come from. Embedded plans keep its base name only, for the record.
typedef struct PlanFile {
    PlanString path;
    uint32_t padding;
    uint64_t bytes;
    int64_t modified_ns; // 0 in embedded plans
} PlanFile;

typedef struct PlanTensor {
    PlanString name;
    uint32_t file, dtype;
    uint32_t padding;
    int64_t rows, columns;
    uint64_t offset, bytes; // in the file
} PlanTensor;

typedef struct PlanRecipe {
    uint32_t kind;   // RecipeKind
    uint32_t tensor; // RECIPE_TENSOR: index
    uint32_t child_count;
    uint32_t children[8];
    uint32_t padding;
    int64_t begin, end, rows, columns;
} PlanRecipe;

typedef struct PlanWeight {
    PlanString name;
    uint32_t dtype, layout, recipe;
    int64_t rows, columns;
    int64_t offset, bytes; // in region w
} PlanWeight;

typedef struct PlanState {
    PlanString name;
    uint32_t role, dtype, layout;
    int32_t kv_heads, head_dim;
    int64_t offset, bytes; // within a page
} PlanState;

typedef struct PlanPhase {
    PlanString name;
    uint32_t first_step, step_count;
    uint32_t padding;
    int64_t bound_t;                    // T <= bound_t; phases stand in ascending order of it
    int64_t act_bytes, act_lower_bound; // of its largest step
} PlanPhase;

// results first, then operands: operands[first_operand … + result_count + operand_count).
typedef struct PlanStep {
    PlanString kernel, location; // "llama.lua:21,22"
    uint32_t abi, op;
    uint32_t first_operand;
    uint16_t result_count, operand_count;
    uint32_t barrier_before; // waits for all threads: begins an epoch
    uint32_t padding;
    int64_t scratch_bytes; // a thread, at the phase's largest T
    Attributes attributes;
} PlanStep;

typedef struct PlanOperand {
    uint32_t region, dtype, layout; // region none: the scalar `constant`
    float constant;
    PlanString name; // of a named value, weight, state or input, else ""
    uint32_t padding;
    int64_t offset, bytes; // io: offset is the index of the input or output
    Shape shape;
} PlanOperand;

// An output of every phase: io index INPUT_COUNT + its position.
typedef struct PlanOutput {
    PlanString name; // "logits", "tap.…"
    uint32_t dtype;
    Shape shape;
} PlanOutput;

typedef struct PlanVocabulary {
    uint32_t kind;
    int32_t count, merge_count;
    uint32_t lookup_mask;
    int32_t bos, eos, unknown, padding;
    int32_t end_count, ends[VOCABULARY_END_MAX];
    uint32_t add_bos, add_eos, add_space_prefix, remove_extra_whitespaces;
    PlanString pre_tokenizer, chat_template;
} PlanVocabulary;

// A plan in memory: built by the passes in an arena, or mapped by plan_open.
typedef struct Plan {
    const char *path; // where it was opened, for messages
    PlanInfo info;
    const char *strings;
    uint64_t string_bytes;
    uint32_t file_count, tensor_count, recipe_count, weight_count, state_count, phase_count,
        step_count, operand_count, output_count;
    const PlanFile *files;
    const PlanTensor *tensors;
    const PlanRecipe *recipes;
    const PlanWeight *weights;
    const PlanState *states;
    const PlanPhase *phases;
    const PlanStep *steps;
    const PlanOperand *operands;
    const PlanOutput *outputs;
    Vocabulary vocabulary; // kind VOCABULARY_NONE when there is none
    const void *data;      // region w, mapped; NULL when weights stay in their files
    const void *mapping;   // NULL for a plan that was built
    uint64_t mapping_bytes;
} Plan;

// Maps and checks a plan. NULL with a message that names the place and, where the plan is of
// another format, the command that remakes it.
Plan *plan_open(const char *path, Diag *diag);
void plan_close(Plan *plan);
// Whether the file begins like a plan (to tell plans from model files).
bool plan_is_plan(const char *path);
// Compares the hash of the weight data (reads all of it).
bool plan_check_data(const Plan *plan, Diag *diag);
const char *plan_string(const Plan *plan, PlanString string);

typedef void PlanProgress(void *context, uint64_t done_bytes, uint64_t all_bytes);

// Writes a plan that was built to a temporary file beside `path` and renames it; nothing is left
// behind on failure. With info.has_data the recipes are run (on all CPUs) and their bytes embedded.
// Equal plans give equal bytes.
bool plan_write(const Plan *plan, const char *path, PlanProgress *progress, void *context,
                Diag *diag);
// Human-readable listing: info, phases, steps (graphc --dump of a plan file).
void plan_print(const Plan *plan, Text *out);

#endif
