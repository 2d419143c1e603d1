// Phases, weights and states are matched by name, steps by their op: of all ways to pair steps of
// one op in order, the one that pairs most of them, and of these the one in which most pairs share
// kernel and source line. Equal steps at both ends are paired before, so that the table is as large
// as what lies between the first and the last difference.
//
// Places of weights are compared once, at the weight: a step that reads one names it.
#include "tools/compiler/plan_diff.h"

#include <stdlib.h>
#include <string.h>

typedef struct Diff {
    const Plan *a, *b;
    Text *out;
    Diag *diag;
} Diff;

// The largest table of step pairs: 256 MiB.
enum { CELLS_MAX = 1 << 26 };

static void compare_numbers(const Diff *diff, const char *where, const char *what, int64_t a,
                            int64_t b)
{
    if (a != b)
        text_print(diff->out, "%s: %s %lld -> %lld\n", where, what, (long long)a, (long long)b);
}

static void compare_names(const Diff *diff, const char *where, const char *what, const char *a,
                          const char *b)
{
    if (strcmp(a, b) != 0)
        text_print(diff->out, "%s: %s %s -> %s\n", where, what, a, b);
}

static void compare_info(const Diff *diff)
{
    const PlanInfo *a = &diff->a->info, *b = &diff->b->info;
#define NAME(field, what)                                                                          \
    compare_names(diff, "options", what, plan_string(diff->a, a->field),                           \
                  plan_string(diff->b, b->field))
#define NUMBER(where, field, what) compare_numbers(diff, where, what, a->field, b->field)
    NAME(name, "name");
    NAME(architecture, "architecture");
    NAME(target, "target");
    NAME(kv, "kv");
    NAME(act, "act");
    NUMBER("options", opt, "opt");
    NUMBER("options", batch, "batch");
    NUMBER("options", weights_in, "place of the weights");
    NUMBER("model", context_length, "context");
    NUMBER("model", vocabulary_size, "vocabulary");
    compare_numbers(diff, "vocabulary", "BOS", diff->a->vocabulary.bos, diff->b->vocabulary.bos);
    compare_numbers(diff, "vocabulary", "EOS", diff->a->vocabulary.eos, diff->b->vocabulary.eos);
    NUMBER("memory", page_tokens, "tokens a page");
    NUMBER("memory", page_bytes, "bytes a page");
    NUMBER("memory", w_bytes, "bytes of weights");
#undef NAME
#undef NUMBER
}

// Sections that are compared as a whole, where both plans are files.
static void compare_sections(const Diff *diff)
{
    static const struct {
        PlanSection section;
        const char *what;
    } rows[] = {{SECTION_RECIPES, "recipes of weights"},
                {SECTION_SETTINGS, "settings for sampling"},
                {SECTION_PIECES, "pieces of the vocabulary"},
                {SECTION_PIECE_SCORES, "scores of the vocabulary"},
                {SECTION_PIECE_TYPES, "types of the vocabulary"},
                {SECTION_MERGES, "merges of the vocabulary"}};
    const PlanHeader *a = plan_header(diff->a), *b = plan_header(diff->b);
    for (size_t i = 0; a && b && i < sizeof rows / sizeof *rows; i++) {
        const PlanSectionEntry *first = &a->sections[rows[i].section];
        const PlanSectionEntry *second = &b->sections[rows[i].section];
        if (first->bytes != second->bytes ||
            memcmp(&first->hash, &second->hash, sizeof first->hash) != 0)
            text_print(diff->out, "data: the %s differ\n", rows[i].what);
    }
    Hash128 first = plan_data_hash(diff->a), second = plan_data_hash(diff->b);
    if (memcmp(&first, &second, sizeof first) != 0)
        text_print(diff->out, "data: the bytes of the weights' data differ\n");
}

// A weight or a state, as both are compared.
typedef struct Stored {
    const char *name;
    uint32_t dtype, layout;
    int64_t rows, columns, offset, bytes;
} Stored;

static Stored weight_at(const Plan *plan, uint32_t index)
{
    const PlanWeight *weight = &plan->weights[index];
    return (Stored){plan_string(plan, weight->name),
                    weight->dtype,
                    weight->layout,
                    weight->rows,
                    weight->columns,
                    weight->offset,
                    weight->bytes};
}

static Stored state_at(const Plan *plan, uint32_t index)
{
    const PlanState *state = &plan->states[index];
    return (Stored){plan_string(plan, state->name),
                    state->dtype,
                    state->layout,
                    state->kv_heads,
                    state->head_dim,
                    state->offset,
                    state->bytes};
}

typedef struct StoredKind {
    const char *word;
    Stored (*at)(const Plan *, uint32_t);
    uint32_t a_count, b_count;
} StoredKind;

// Index of the name, starting the search where it is likely; `count` if it is not there.
static uint32_t find_stored(const Plan *plan, const StoredKind *kind, uint32_t count,
                            uint32_t likely, const char *name)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t index = (likely + i) % count;
        if (strcmp(kind->at(plan, index).name, name) == 0)
            return index;
    }
    return count;
}

static void print_stored(const Diff *diff, const StoredKind *kind, char sign, const Stored *stored)
{
    text_print(diff->out, "%s %%%s: %c %s[%lld,%lld]{%s}, %lld bytes\n", kind->word, stored->name,
               sign, dtype_table[stored->dtype].name, (long long)stored->rows,
               (long long)stored->columns, layout_table[stored->layout].name,
               (long long)stored->bytes);
}

static void compare_pair(const Diff *diff, const StoredKind *kind, const Stored *a, const Stored *b)
{
    Text where = {0};
    text_print(&where, "%s %%%s", kind->word, a->name);
    compare_names(diff, where.bytes, "dtype", dtype_table[a->dtype].name,
                  dtype_table[b->dtype].name);
    compare_names(diff, where.bytes, "layout", layout_table[a->layout].name,
                  layout_table[b->layout].name);
    compare_numbers(diff, where.bytes, "rows", a->rows, b->rows);
    compare_numbers(diff, where.bytes, "columns", a->columns, b->columns);
    compare_numbers(diff, where.bytes, "bytes", a->bytes, b->bytes);
    compare_numbers(diff, where.bytes, "offset", a->offset, b->offset);
    text_free(&where);
}

static void compare_stored(const Diff *diff, const StoredKind *kind)
{
    for (uint32_t i = 0; i < kind->a_count; i++) {
        Stored a = kind->at(diff->a, i);
        uint32_t index = find_stored(diff->b, kind, kind->b_count, i, a.name);
        if (index == kind->b_count) {
            print_stored(diff, kind, '-', &a);
            continue;
        }
        Stored b = kind->at(diff->b, index);
        compare_pair(diff, kind, &a, &b);
    }
    for (uint32_t i = 0; i < kind->b_count; i++) {
        Stored b = kind->at(diff->b, i);
        if (find_stored(diff->a, kind, kind->a_count, i, b.name) == kind->a_count)
            print_stored(diff, kind, '+', &b);
    }
}

static void print_place(const Plan *plan, const PlanOperand *operand, Text *out)
{
    if (operand->region == REGION_NONE) {
        text_float(out, operand->constant);
        return;
    }
    const char *name = plan_string(plan, operand->name);
    if (*name)
        text_print(out, "%%%s:", name);
    text_print(out, "%s", dtype_table[operand->dtype].name);
    if (operand->layout != LAYOUT_plain)
        text_print(out, "{%s}", layout_table[operand->layout].name);
    if (region_in_arena((Region)operand->region))
        text_print(out, " %s+0x%llx:0x%llx", region_names[operand->region],
                   (unsigned long long)operand->offset, (unsigned long long)operand->bytes);
    if (operand->region == REGION_IO)
        text_print(out, " io%lld", (long long)operand->offset);
}

static bool same_shape(const PlanOperand *a, const PlanOperand *b)
{
    return a->region == REGION_NONE || shape_equal(&a->shape, &b->shape);
}

static void compare_operand(const Diff *diff, const char *word, int index, const PlanOperand *a,
                            const PlanOperand *b, Text *out)
{
    Text first = {0}, second = {0};
    print_place(diff->a, a, &first);
    print_place(diff->b, b, &second);
    if (a->region != b->region || strcmp(first.bytes, second.bytes) != 0)
        text_print(out, "; %s %d %s -> %s", word, index, first.bytes, second.bytes);
    else if (!same_shape(a, b))
        text_print(out, "; %s %d has another shape", word, index);
    text_free(&first);
    text_free(&second);
}

// What differs between two steps of one op: "; what old -> new" for each, nothing if they are
// equal.
static void compare_steps(const Diff *diff, const PlanStep *a, const PlanStep *b, Text *out)
{
    const char *first = plan_string(diff->a, a->kernel), *second = plan_string(diff->b, b->kernel);
    if (strcmp(first, second) != 0)
        text_print(out, "; kernel %s -> %s", first, second);
    if (memcmp(&a->attributes, &b->attributes, sizeof a->attributes) != 0)
        text_print(out, "; other attributes");
    if (a->barrier_before != b->barrier_before)
        text_print(out, "; barrier before: %s", b->barrier_before ? "no -> yes" : "yes -> no");
    if (a->scratch_bytes != b->scratch_bytes)
        text_print(out, "; scratch %lld -> %lld", (long long)a->scratch_bytes,
                   (long long)b->scratch_bytes);
    if (a->result_count != b->result_count || a->operand_count != b->operand_count) {
        text_print(out, "; %d -> %d results, %d -> %d operands", a->result_count, b->result_count,
                   a->operand_count, b->operand_count);
        return;
    }
    for (int i = 0; i < a->result_count + a->operand_count; i++) {
        bool result = i < a->result_count;
        compare_operand(diff, result ? "result" : "operand", result ? i : i - a->result_count,
                        &diff->a->operands[a->first_operand + (uint32_t)i],
                        &diff->b->operands[b->first_operand + (uint32_t)i], out);
    }
}

// Two phases of one name and what is left of their steps between equal ends.
typedef struct PhasePair {
    const PlanPhase *a, *b;
    const PlanStep *a_steps, *b_steps;
    const char *name;
} PhasePair;

static void print_step(const Diff *diff, const PhasePair *pair, char sign, const Plan *plan,
                       const PlanStep *step, uint32_t index)
{
    text_print(diff->out, "phase @%s: %c step %u: %s !%s %s\n", pair->name, sign, index,
               op_table[step->op].name, plan_string(plan, step->kernel),
               plan_string(plan, step->location));
}

static void print_changes(const Diff *diff, const PhasePair *pair, uint32_t a, uint32_t b)
{
    Text changes = {0};
    compare_steps(diff, &pair->a_steps[a], &pair->b_steps[b], &changes);
    if (changes.length) {
        text_print(diff->out, "phase @%s: step %u", pair->name, a);
        if (a != b)
            text_print(diff->out, " -> %u", b);
        text_print(diff->out, ": %s%s\n", op_table[pair->a_steps[a].op].name, changes.bytes);
    }
    text_free(&changes);
}

// What a pair of steps is worth; 0: they cannot be one.
static uint32_t pair_score(const Diff *diff, const PlanStep *a, const PlanStep *b)
{
    if (a->op != b->op)
        return 0;
    bool kernel = strcmp(plan_string(diff->a, a->kernel), plan_string(diff->b, b->kernel)) == 0;
    bool line = strcmp(plan_string(diff->a, a->location), plan_string(diff->b, b->location)) == 0;
    return 4u + kernel + line;
}

// best[i][j]: the most that pairs among steps from a_from + i and b_from + j on are worth.
static void fill_table(const Diff *diff, const PhasePair *pair, uint32_t from, uint32_t rows,
                       uint32_t columns, uint32_t *best)
{
    size_t width = (size_t)columns + 1;
    for (uint32_t i = rows; i-- > 0;)
        for (uint32_t j = columns; j-- > 0;) {
            uint32_t *cell = &best[i * width + j], below = cell[width], right = cell[1];
            uint32_t score = pair_score(diff, &pair->a_steps[from + i], &pair->b_steps[from + j]);
            uint32_t both = score ? score + cell[width + 1] : 0;
            uint32_t most = below > right ? below : right;
            *cell = both > most ? both : most;
        }
}

static void walk_table(const Diff *diff, const PhasePair *pair, uint32_t from, uint32_t rows,
                       uint32_t columns, const uint32_t *best)
{
    size_t width = (size_t)columns + 1;
    for (uint32_t i = 0, j = 0; i < rows || j < columns;) {
        const uint32_t *cell = &best[i * width + j];
        uint32_t score = i < rows && j < columns
                             ? pair_score(diff, &pair->a_steps[from + i], &pair->b_steps[from + j])
                             : 0;
        if (score && *cell == score + cell[width + 1]) {
            print_changes(diff, pair, from + i++, from + j++);
        } else if (j == columns || (i < rows && cell[width] >= cell[1])) {
            print_step(diff, pair, '-', diff->a, &pair->a_steps[from + i], from + i);
            i++;
        } else {
            print_step(diff, pair, '+', diff->b, &pair->b_steps[from + j], from + j);
            j++;
        }
    }
}

static bool equal_steps(const Diff *diff, const PlanStep *a, const PlanStep *b)
{
    Text changes = {0};
    bool same = a->op == b->op;
    if (same)
        compare_steps(diff, a, b, &changes);
    same = same && changes.length == 0;
    text_free(&changes);
    return same;
}

static bool compare_phase_steps(const Diff *diff, const PhasePair *pair)
{
    uint32_t a = pair->a->step_count, b = pair->b->step_count, from = 0;
    while (from < a && from < b && equal_steps(diff, &pair->a_steps[from], &pair->b_steps[from]))
        from++;
    while (a > from && b > from && equal_steps(diff, &pair->a_steps[a - 1], &pair->b_steps[b - 1]))
        a--, b--;
    uint32_t rows = a - from, columns = b - from;
    uint64_t cells = ((uint64_t)rows + 1) * ((uint64_t)columns + 1);
    uint32_t *best = cells <= CELLS_MAX ? calloc(cells, sizeof *best) : NULL;
    if (!best)
        return diag_fail(diff->diag, (Where){.file = diff->b->path},
                         "out of memory for comparing %u with %u steps of phase @%s", rows, columns,
                         pair->name);
    fill_table(diff, pair, from, rows, columns, best);
    walk_table(diff, pair, from, rows, columns, best);
    free(best);
    return true;
}

static const PlanPhase *find_phase(const Plan *plan, const char *name)
{
    for (uint32_t i = 0; i < plan->phase_count; i++)
        if (strcmp(plan_string(plan, plan->phases[i].name), name) == 0)
            return &plan->phases[i];
    return NULL;
}

static bool compare_phase(const Diff *diff, const PlanPhase *a, const PlanPhase *b,
                          const char *name)
{
    PhasePair pair = {a, b, &diff->a->steps[a->first_step], &diff->b->steps[b->first_step], name};
    Text where = {0};
    text_print(&where, "phase @%s", name);
    compare_numbers(diff, where.bytes, "largest T", a->bound_t, b->bound_t);
    compare_numbers(diff, where.bytes, "steps", a->step_count, b->step_count);
    compare_numbers(diff, where.bytes, "act bytes", a->act_bytes, b->act_bytes);
    compare_numbers(diff, where.bytes, "lower bound", a->act_lower_bound, b->act_lower_bound);
    text_free(&where);
    return compare_phase_steps(diff, &pair);
}

static bool compare_phases(const Diff *diff)
{
    for (uint32_t i = 0; i < diff->a->phase_count; i++) {
        const PlanPhase *a = &diff->a->phases[i];
        const char *name = plan_string(diff->a, a->name);
        const PlanPhase *b = find_phase(diff->b, name);
        if (!b)
            text_print(diff->out, "phase @%s: - %u steps\n", name, a->step_count);
        else if (!compare_phase(diff, a, b, name))
            return false;
    }
    for (uint32_t i = 0; i < diff->b->phase_count; i++) {
        const PlanPhase *b = &diff->b->phases[i];
        const char *name = plan_string(diff->b, b->name);
        if (!find_phase(diff->a, name))
            text_print(diff->out, "phase @%s: + %u steps\n", name, b->step_count);
    }
    return true;
}

static void compare_outputs(const Diff *diff)
{
    const Plan *a = diff->a, *b = diff->b;
    for (uint32_t i = 0; i < a->output_count || i < b->output_count; i++)
        compare_names(diff, "outputs", "name",
                      i < a->output_count ? plan_string(a, a->outputs[i].name) : "none",
                      i < b->output_count ? plan_string(b, b->outputs[i].name) : "none");
}

bool plan_diff(const Plan *a, const Plan *b, Text *out, Diag *diag)
{
    Diff diff = {a, b, out, diag};
    StoredKind weights = {"weight", weight_at, a->weight_count, b->weight_count};
    StoredKind states = {"state", state_at, a->state_count, b->state_count};
    compare_info(&diff);
    compare_sections(&diff);
    compare_outputs(&diff);
    compare_stored(&diff, &weights);
    compare_stored(&diff, &states);
    return compare_phases(&diff);
}
