// The plan: one flat, versioned file that can be mapped and run. The same structs stand in the file
// and in memory; there are no pointers in it, only offsets and indices.
//
// File: PlanHeader, then the sections it lists, each at a multiple of 64 bytes, in the order of
// PlanSection; the last, DATA (packed weights), begins at a multiple of 2 MiB, so that a plain mmap
// of a file written in large pieces gets 2 MiB pages. Little-endian. Every section but DATA carries
// its XXH3-128 in the header and is checked at open; DATA's is checked on demand (plan_check_data).
// Weights that several plans share stand in a file of their own (weights_file.h).
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
#include "graph/base/settings.h"
#include "graph/base/shape.h"
#include "graph/base/text.h"
#include "graph/base/vocabulary.h"
#include "runtime/file_map.h"
#include "runtime/new_file.h"

// Numbers of the format rise with every change of these structs. In all formats the header begins
// with the same fields, strings and info are its first two sections, and info begins with the same
// seven strings, so that a plan of another format can still name the command that remakes it.
enum { PLAN_COMMAND_MAX = 512 };
enum { PLAN_FORMAT = 4, PLAN_ALIGNMENT = 64, PLAN_DATA_ALIGNMENT = FILE_MAP_ALIGNMENT };

typedef enum WeightsIn {
    WEIGHTS_IN_MODEL, // made from the model's files when the plan is opened
    WEIGHTS_IN_PLAN,  // SECTION_DATA
    WEIGHTS_IN_FILE,  // beside the plan, named by info.weights_key
    WEIGHTS_IN_COUNT
} WeightsIn;

typedef enum PlanSection {
    SECTION_STRINGS, // NUL-terminated texts; offset 0 is ""
    SECTION_INFO,    // one PlanInfo
    SECTION_FILES,
    SECTION_TENSORS,
    SECTION_RECIPES, // PlanRecipe, children before parents
    SECTION_VALUES,  // f32 that recipes spell out
    SECTION_WEIGHTS,
    SECTION_STATES,
    SECTION_PHASES,
    SECTION_STEPS,
    SECTION_OPERANDS,
    SECTION_OUTPUTS,
    SECTION_SETTINGS,   // Setting, in ascending order of kind
    SECTION_VOCABULARY, // one PlanVocabulary; none in plans without a vocabulary
    SECTION_PIECES,     // bytes of all pieces
    SECTION_PIECE_OFFSETS,
    SECTION_PIECE_SCORES,
    SECTION_PIECE_TYPES,
    SECTION_MERGES,
    SECTION_TEXT_STEPS,
    SECTION_TEXT_STEP_BYTES,
    SECTION_ADDED_TOKENS,
    SECTION_LOOKUP,
    SECTION_DATA, // region w; empty unless WEIGHTS_IN_PLAN
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
    int32_t positions; // that learned embeddings of positions have; 0: there are none
    int64_t batch;     // largest T of any phase
    int64_t page_bytes;
    int64_t w_bytes; // size of region w
    int64_t context_length, vocabulary_size;
    uint32_t weights_in; // WeightsIn
    uint32_t has_vocabulary;
    Hash128 weights_key; // of what the weights were made from; 0 unless WEIGHTS_IN_FILE
} PlanInfo;

// A file that tensors come from. Plans whose weights were made keep its base name only, for the
// record.
typedef struct PlanFile {
    PlanString path;
    uint32_t padding;
    uint64_t bytes;
    int64_t modified_ns; // 0 unless WEIGHTS_IN_MODEL
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
    float addend;              // RECIPE_ADD
    int64_t begin, end, inner; // as in Recipe; RECIPE_VALUES: begin is the first of the values
    int64_t rows, columns;
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
    int32_t count, merge_count, step_count, added_count;
    uint32_t step_byte_count;
    uint32_t lookup_mask;
    int32_t bos, eos, unknown, padding;
    int32_t end_count, ends[VOCABULARY_END_MAX];
    uint32_t add_bos, add_eos, byte_level, whole_words, fuse_unknown, single_precision;
    PlanString pre_tokenizer, chat_template;
} PlanVocabulary;

// A plan in memory: built by the passes in an arena, or mapped by plan_open.
typedef struct Plan {
    const char *path; // where it was opened, for messages
    PlanInfo info;
    const char *strings;
    uint64_t string_bytes;
    uint32_t file_count, tensor_count, recipe_count, value_count, weight_count, state_count,
        phase_count, step_count, operand_count, output_count, setting_count;
    const PlanFile *files;
    const PlanTensor *tensors;
    const PlanRecipe *recipes;
    const float *values;
    const PlanWeight *weights;
    const PlanState *states;
    const PlanPhase *phases;
    const PlanStep *steps;
    const PlanOperand *operands;
    const PlanOutput *outputs;
    const Setting *settings; // what the model's makers recommend for sampling
    Vocabulary vocabulary;   // kind VOCABULARY_NONE when there is none
    const void *data;        // region w, mapped; NULL for WEIGHTS_IN_MODEL
    FileMap file;            // nothing for a plan that was built
    FileMap weights_file;    // of WEIGHTS_IN_FILE
} Plan;

// Maps and checks a plan. NULL with a message that names the place and, where the plan is of
// another format, the command that remakes it.
Plan *plan_open(const char *path, Diag *diag);
void plan_close(Plan *plan);
// Whether the file begins like a plan (to tell plans from model files).
bool plan_is_plan(const char *path);
// What the plan's info says, of a plan of this format whose info is undamaged, without opening it:
// where its weights are and the command that remakes it ("" when that cannot be read).
bool plan_peek(const char *path, PlanInfo *info, char command[PLAN_COMMAND_MAX]);
// The header of a plan that was opened; NULL for one that was built.
const PlanHeader *plan_header(const Plan *plan);
// The hash of region w as its file tells it; zero where it is in none.
Hash128 plan_data_hash(const Plan *plan);
// Compares that hash with the weight data (reads all of it).
bool plan_check_data(const Plan *plan, Diag *diag);
const char *plan_string(const Plan *plan, PlanString string);

typedef void PlanProgress(void *context, uint64_t done_bytes, uint64_t all_bytes);

// Writes a plan that was built into a file that was begun. For WEIGHTS_IN_PLAN the recipes are run
// (on all CPUs) and their bytes embedded. Equal plans give equal bytes.
bool plan_write_file(const Plan *plan, const NewFile *file, PlanProgress *progress, void *context,
                     Diag *diag);
// The same for a path; nothing is left behind on failure.
bool plan_write(const Plan *plan, const char *path, PlanProgress *progress, void *context,
                Diag *diag);
// Human-readable listing: info, phases, steps (graphc --dump of a plan file).
void plan_print(const Plan *plan, Text *out);

#endif
