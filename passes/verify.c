// A stage is what a module computed at one level: of every step the f32 results, copied as soon as
// their node has run (a planned place is reused later), and the outputs. Each stage is evaluated
// once and compared with the one before.
//
// Outputs and values that the script named decide; names follow values through rewrites. Values
// without a name have no identity across a pass: they only help to say where a difference begins,
// matched by op, lines and shape where both sides have as many of them. Quantised values are not
// compared, their readers are: their bytes depend on the layout of tiles.
//
// When a rule may be to blame, the pass is run again from the text before it, with fewer and fewer
// rewrites, until one remains.
#include "passes/verify.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/base/hash.h"
#include "passes/verify_inputs.h"

typedef struct Seen {
    uint64_t key;
    int32_t ordinal, alike; // among the values of this key, in program order; how many there are
    bool output;
    const char *name; // of the output or the value, or NULL
    Op op;            // of the producer, OP_COUNT for a leaf
    int32_t number;
    SourceLocation location;
    int64_t rows, columns;
    const float *data;
} Seen;

typedef struct StepTrace {
    const char *graph;
    Vector(Seen) seen; // in program order, then the outputs
    const Seen **by_key;
} StepTrace;

typedef struct Stage {
    Arena arena;
    StepTrace *steps;
    Text text;        // the module
    int64_t rewrites; // of rules, up to here
} Stage;

struct Verify {
    PipelineOptions *pipeline;
    VerifyOptions options;
    Arena arena;
    VerifyInputs inputs;
    Stage stage; // the last one that was good
    PassId failed;
};

Verify *verify_new(PipelineOptions *pipeline, const VerifyOptions *options)
{
    Verify *verify = calloc(1, sizeof *verify);
    assert(verify);
    verify->pipeline = pipeline;
    verify->options = *options;
    verify->failed = PASS_COUNT;
    pipeline->verify = false;
    pipeline->check = verify_check;
    pipeline->check_context = verify;
    return verify;
}

static void stage_free(Stage *stage)
{
    arena_free(&stage->arena);
    text_free(&stage->text);
}

void verify_free(Verify *verify)
{
    if (!verify)
        return;
    stage_free(&verify->stage);
    arena_free(&verify->arena);
    free(verify);
}

void verify_size(const Verify *verify, int32_t *steps, int64_t *most_tokens)
{
    *steps = verify->inputs.count;
    *most_tokens = verify->inputs.most_tokens;
}

// --- a stage

typedef struct Recorder {
    Stage *stage;
    StepTrace *trace;
    const Evaluator *evaluator;
    const int64_t *symbols;
} Recorder;

static uint64_t value_key(const Node *node, int32_t index, const Seen *seen)
{
    uint64_t key = hash64(&seen->columns, sizeof seen->columns, (uint64_t)seen->rows);
    if (seen->name)
        return hash64(seen->name, strlen(seen->name), key + (seen->output ? 2 : 1));
    const char *op = op_table[node->op].name;
    key = hash64(op, strlen(op), key + (uint64_t)index);
    for (int32_t i = 0; i < node->locations.count; i++) {
        const SourceLocation *location = &node->locations.items[i];
        if (location->file)
            key = hash64(location->file, strlen(location->file), key + (uint64_t)location->line);
    }
    return key;
}

static void record(const Recorder *recorder, const Value *value, const char *output)
{
    const Node *node = value->kind == VALUE_RESULT ? value->producer.node : NULL;
    if (!node || value->dtype != DTYPE_f32 || value->layout != LAYOUT_plain)
        return;
    Seen seen = {.output = output != NULL,
                 .name = output ? output : value->name,
                 .op = node->op,
                 .number = value->number,
                 .rows = shape_rows(&value->shape, recorder->symbols),
                 .columns = shape_columns(&value->shape, recorder->symbols)};
    if (node->locations.count)
        seen.location = node->locations.items[0];
    seen.key = value_key(node, value->producer.index, &seen);
    size_t bytes = (size_t)(seen.rows * seen.columns) * sizeof(float);
    float *copy = arena_alloc(&recorder->stage->arena, bytes + 1);
    memcpy(copy, eval_result(recorder->evaluator, value), bytes);
    seen.data = copy;
    vector_push(&recorder->stage->arena, &recorder->trace->seen, seen);
}

static void record_node(void *context, const Node *node)
{
    for (int32_t i = 0; i < node->result_count; i++)
        record(context, node->results[i], NULL);
}

static int compare_seen(const void *a, const void *b)
{
    const Seen *one = *(const Seen *const *)a, *other = *(const Seen *const *)b;
    if (one->key != other->key)
        return one->key < other->key ? -1 : 1;
    return one < other ? -1 : one > other;
}

static void index_trace(StepTrace *trace, Arena *arena)
{
    int32_t count = trace->seen.count;
    trace->by_key = ARENA_ARRAY(arena, const Seen *, count + 1);
    for (int32_t i = 0; i < count; i++)
        trace->by_key[i] = &trace->seen.items[i];
    qsort(trace->by_key, (size_t)count, sizeof *trace->by_key, compare_seen);
    for (int32_t first = 0, last; first < count; first = last) {
        for (last = first; last < count && trace->by_key[last]->key == trace->by_key[first]->key;)
            last++;
        for (int32_t i = first; i < last; i++) {
            Seen *seen = &trace->seen.items[trace->by_key[i] - trace->seen.items];
            seen->ordinal = i - first;
            seen->alike = last - first;
        }
    }
}

static bool run_step(Evaluator *evaluator, Module *module, const EvalInputs *inputs, Stage *stage,
                     StepTrace *trace, Diag *diag)
{
    int32_t i = 0;
    while (i + 1 < module->graphs.count && module->graphs.items[i]->bound_t &&
           module->graphs.items[i]->bound_t < inputs->symbols[SYMBOL_T])
        i++;
    Graph *graph = module->graphs.items[i];
    Recorder recorder = {stage, trace, evaluator, inputs->symbols};
    trace->graph = arena_format(&stage->arena, "%s", graph->name);
    eval_watch(evaluator, record_node, &recorder);
    if (!eval_run(evaluator, graph, inputs, diag))
        return false;
    for (int32_t output = 0; output < graph->outputs.count; output++)
        record(&recorder, graph->outputs.items[output]->use.value,
               graph->outputs.items[output]->name);
    index_trace(trace, &stage->arena);
    return true;
}

// Rows of weights that are cut or joined by ops have no value until fold makes them Recipes.
static bool can_evaluate(const Module *module)
{
    for (int32_t i = 0; i < module->graphs.count; i++)
        for (const Node *node = module->graphs.items[i]->first; node; node = node->next)
            if ((node->op == OP_slice && node->attributes.slice.axis != 1) ||
                (node->op == OP_concat && node->attributes.concat.axis != 1))
                return false;
    return true;
}

// The stage is left without steps where the module cannot be evaluated yet.
static bool evaluate(const Verify *verify, Module *module, Stage *stage, Diag *diag)
{
    const VerifyInputs *inputs = &verify->inputs;
    if (!can_evaluate(module))
        return true;
    Evaluator *evaluator = eval_new(module, inputs->sequences, inputs->pages,
                                    verify->options.tensor, verify->options.tensor_context);
    stage->steps = ARENA_ARRAY(&stage->arena, StepTrace, inputs->count + 1);
    bool ok = true;
    for (int32_t i = 0; ok && i < inputs->count; i++)
        ok = run_step(evaluator, module, &inputs->steps[i], stage, &stage->steps[i], diag);
    eval_free(evaluator);
    return ok;
}

// --- comparing

typedef struct Difference {
    int32_t step;
    const Seen *before, *after;
    int64_t element;
} Difference;

static const Seen *find_seen(const StepTrace *trace, const Seen *wanted)
{
    int32_t low = 0, high = trace->seen.count;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        const Seen *seen = trace->by_key[middle];
        bool less =
            seen->key != wanted->key ? seen->key < wanted->key : seen->ordinal < wanted->ordinal;
        if (less)
            low = middle + 1;
        else
            high = middle;
    }
    const Seen *found = low < trace->seen.count ? trace->by_key[low] : NULL;
    return found && found->key == wanted->key && found->ordinal == wanted->ordinal &&
                   found->alike == wanted->alike && found->rows == wanted->rows &&
                   found->columns == wanted->columns
               ? found
               : NULL;
}

static bool decides(const Seen *seen)
{
    return seen->output || (seen->name && seen->alike == 1);
}

static bool differs(const Seen *before, const Seen *after, int64_t *element)
{
    int64_t count = after->rows * after->columns;
    if (memcmp(before->data, after->data, (size_t)count * sizeof(float)) == 0)
        return false;
    *element = 0;
    while (memcmp(&before->data[*element], &after->data[*element], sizeof(float)) == 0)
        ++*element;
    return true;
}

// The first difference in program order, of those that decide or of all. An output that is gone
// has no `after`.
static bool find_difference(const Stage *before, const Stage *after, int32_t steps, bool all,
                            Difference *out, int64_t *compared)
{
    for (int32_t step = 0; step < steps; step++) {
        const StepTrace *old = &before->steps[step], *now = &after->steps[step];
        for (int32_t i = 0; i < now->seen.count; i++) {
            const Seen *seen = &now->seen.items[i];
            const Seen *match = all || decides(seen) ? find_seen(old, seen) : NULL;
            *compared += match != NULL;
            *out = (Difference){step, match, seen, 0};
            if (match && differs(match, seen, &out->element))
                return true;
        }
        for (int32_t i = 0; i < old->seen.count; i++)
            if (old->seen.items[i].output && !find_seen(now, &old->seen.items[i])) {
                *out = (Difference){step, &old->seen.items[i], NULL, 0};
                return true;
            }
    }
    return false;
}

static double row_divergence(const float *p, const float *q, int64_t count)
{
    double p_most = -INFINITY, q_most = -INFINITY, p_sum = 0, q_sum = 0, sum = 0;
    for (int64_t i = 0; i < count; i++) {
        p_most = fmax(p_most, (double)p[i]);
        q_most = fmax(q_most, (double)q[i]);
    }
    for (int64_t i = 0; i < count; i++) {
        p_sum += exp((double)p[i] - p_most);
        q_sum += exp((double)q[i] - q_most);
    }
    for (int64_t i = 0; i < count; i++) {
        double p_log = (double)p[i] - p_most - log(p_sum);
        sum += exp(p_log) * (p_log - ((double)q[i] - q_most - log(q_sum)));
    }
    return sum;
}

// What a pass that may change bits did to the outputs.
static void measure_cost(const Stage *before, const Stage *after, int32_t steps,
                         VerifyReport *report)
{
    int64_t rows = 0;
    double sum = 0;
    for (int32_t step = 0; step < steps; step++)
        for (int32_t i = 0; i < after->steps[step].seen.count; i++) {
            const Seen *now = &after->steps[step].seen.items[i];
            const Seen *old = now->output ? find_seen(&before->steps[step], now) : NULL;
            if (!old)
                continue;
            report->compared++;
            for (int64_t k = 0; k < now->rows * now->columns; k++) {
                double distance = fabs((double)now->data[k] - (double)old->data[k]);
                report->difference = fmax(report->difference, distance);
            }
            if (strcmp(now->name, "logits") != 0)
                continue;
            rows += now->rows;
            for (int64_t row = 0; row < now->rows; row++)
                sum += row_divergence(old->data + row * now->columns,
                                      now->data + row * now->columns, now->columns);
        }
    report->divergence = rows ? sum / (double)rows : 0;
}

static int64_t count_not_finite(const Stage *stage, int32_t steps)
{
    int64_t count = 0;
    for (int32_t step = 0; step < steps; step++)
        for (int32_t i = 0; i < stage->steps[step].seen.count; i++) {
            const Seen *seen = &stage->steps[step].seen.items[i];
            for (int64_t k = 0; seen->output && k < seen->rows * seen->columns; k++)
                count += !isfinite(seen->data[k]);
        }
    return count;
}

// --- blame

// The passes that would run again on text of the level before `pass`.
static uint32_t passes_before(const Verify *verify, PassId pass)
{
    uint32_t disabled = verify->pipeline->disabled;
    for (int i = 0; i < (int)pass; i++)
        if (pass_table[i].requires == pass_table[pass].requires &&
            pass_table[i].ensures == pass_table[i].requires)
            disabled |= 1u << i;
    return disabled;
}

// Whether the pass goes wrong on the text before it with that many rewrites; tells what fired.
static bool goes_wrong(const Verify *verify, PassId pass, int64_t rewrites, Text *explain)
{
    Arena arena = {0};
    Stage stage = {0};
    Diag diag = {0};
    Difference difference;
    int64_t compared = 0;
    PipelineOptions pipeline = {.disabled = passes_before(verify, pass),
                                .stop_after = pass,
                                .verify = true,
                                .explain = explain,
                                .limit_rewrites = true,
                                .rewrite_limit = rewrites};
    Module *module = module_parse(verify->stage.text.bytes, "verify", &arena, &diag);
    bool wrong = !module || !pipeline_run(module, &pipeline, &diag) ||
                 !evaluate(verify, module, &stage, &diag) ||
                 (stage.steps && find_difference(&verify->stage, &stage, verify->inputs.count,
                                                 false, &difference, &compared));
    stage_free(&stage);
    arena_free(&arena);
    return wrong;
}

// Adds to `out` which rewrite makes the pass go wrong, if the pass is good without any.
static void blame_rewrite(const Verify *verify, PassId pass, Text *out)
{
    int64_t good = 0, bad = verify->pipeline->rewrites - verify->stage.rewrites;
    if (pass == PASS_numerics || bad == 0 || !goes_wrong(verify, pass, bad, NULL) ||
        goes_wrong(verify, pass, 0, NULL))
        return;
    while (bad - good > 1) {
        int64_t middle = good + (bad - good) / 2;
        *(goes_wrong(verify, pass, middle, NULL) ? &bad : &good) = middle;
    }
    Text explain = {0};
    goes_wrong(verify, pass, bad, &explain);
    char end[64];
    snprintf(end, sizeof end, ": fired: rewrite %lld\n", (long long)bad);
    char *line = explain.bytes ? strstr(explain.bytes, end) : NULL;
    if (line) {
        *line = 0;
        const char *newline = strrchr(explain.bytes, '\n');
        text_print(out, "; rewrite %lld is to blame: %s", (long long)(verify->stage.rewrites + bad),
                   newline ? newline + 1 : explain.bytes);
    }
    text_free(&explain);
}

static void describe(const Seen *seen, Text *out)
{
    if (seen->output)
        text_print(out, "output \"%s\"", seen->name);
    else
        text_print(out, "%%%d%s%s%s", seen->number, seen->name ? " \"" : "",
                   seen->name ? seen->name : "", seen->name ? "\"" : "");
    text_print(out, " = %s", op_table[seen->op].name);
    if (seen->location.file)
        text_print(out, " (%s:%d)", seen->location.file, seen->location.line);
}

static bool tell_difference(const Verify *verify, PassId pass, const Stage *stage,
                            const Difference *difference, Diag *diag)
{
    const Seen *before = difference->before, *after = difference->after;
    const int64_t *symbols = verify->inputs.steps[difference->step].symbols;
    Text text = {0};
    describe(after ? after : before, &text);
    if (after)
        text_print(&text, " element [%lld,%lld] is %.9g, was %.9g",
                   (long long)(difference->element / after->columns),
                   (long long)(difference->element % after->columns),
                   (double)after->data[difference->element],
                   (double)before->data[difference->element]);
    else
        text_print(&text, " is gone or has another shape");
    text_print(&text, " in @%s, step %d (T=%lld R=%lld B=%lld)",
               stage->steps[difference->step].graph, difference->step + 1,
               (long long)symbols[SYMBOL_T], (long long)symbols[SYMBOL_R],
               (long long)symbols[SYMBOL_B]);
    blame_rewrite(verify, pass, &text);
    diag_fail(diag, (Where){0}, "pass %s changes what the module computes: %s",
              pass_table[pass].name, text.bytes);
    text_free(&text);
    return false;
}

// --- the check

static bool same_text(const Text *a, const Text *b)
{
    return a->length == b->length && memcmp(a->bytes, b->bytes, a->length) == 0;
}

static bool begin(Verify *verify, Module *module, Diag *diag)
{
    for (int32_t i = 0; i < module->weights.count; i++) {
        const Weight *weight = module->weights.items[i];
        int64_t row;
        DType dtype = recipe_row(weight->recipe, 0, &row)->dtype;
        if (weight->shape.rank == 1 && !row_can_read(dtype))
            return diag_fail(diag, (Where){0}, "weight %s: vectors of %s cannot be read",
                             weight->name, dtype_table[dtype].name);
    }
    return verify_inputs_make(module, &verify->arena, &verify->inputs, diag);
}

// Evaluates the stage after a pass and compares it with the one before.
static bool check_stage(const Verify *verify, PassId pass, Module *module, Stage *stage,
                        VerifyReport *report, Diag *diag)
{
    Diag inner = {0};
    const char *name = pass == PASS_COUNT ? NULL : pass_table[pass].name;
    if (!module_verify(module, &inner) || !evaluate(verify, module, stage, &inner)) {
        const char *message = inner.message;
        message += strncmp(message, "error: ", 7) == 0 ? 7 : 0;
        return diag_fail(diag, (Where){0}, "%s%s: %s", name ? "after pass " : "--verify",
                         name ? name : "", message);
    }
    report->no_values = !stage->steps;
    if (report->no_values)
        return true;
    int32_t steps = verify->inputs.count;
    Difference difference;
    report->not_finite = count_not_finite(stage, steps);
    report->exempt = pass == PASS_numerics;
    if (!verify->stage.steps) // nothing to compare with
        return true;
    if (report->exempt) {
        measure_cost(&verify->stage, stage, steps, report);
        bool sound = isfinite(report->difference) || count_not_finite(&verify->stage, steps);
        return sound || diag_fail(diag, (Where){0}, "pass %s makes outputs infinite or NaN", name);
    }
    if (!find_difference(&verify->stage, stage, steps, false, &difference, &report->compared))
        return true;
    find_difference(&verify->stage, stage, steps, true, &difference, &report->compared);
    return tell_difference(verify, pass, stage, &difference, diag);
}

static void tell(const Verify *verify, PassId pass, const VerifyReport *report)
{
    if (verify->options.told)
        verify->options.told(verify->options.told_context, pass, report);
}

bool verify_check(void *context, PassId pass, Module *module, Diag *diag)
{
    Verify *verify = context;
    Stage stage = {.rewrites = verify->pipeline->rewrites};
    VerifyReport report = {0};
    if (pass == PASS_COUNT && !begin(verify, module, diag))
        return false;
    module_print(module, &stage.text);
    if (pass != PASS_COUNT && same_text(&stage.text, &verify->stage.text)) {
        report.unchanged = true;
        stage_free(&stage);
        tell(verify, pass, &report);
        return true;
    }
    tell(verify, pass, NULL);
    if (!check_stage(verify, pass, module, &stage, &report, diag)) {
        verify->failed = pass;
        stage_free(&stage);
        return false;
    }
    stage_free(&verify->stage);
    verify->stage = stage;
    tell(verify, pass, &report);
    return true;
}

VerifyFailure verify_failure(const Verify *verify)
{
    VerifyFailure failure = {.pass = verify->failed};
    if (verify->failed == PASS_COUNT)
        return failure;
    failure.text = verify->stage.text.bytes;
    failure.text_length = verify->stage.text.length;
    failure.disabled = passes_before(verify, verify->failed);
    failure.limit_rewrites = verify->pipeline->limit_rewrites;
    failure.rewrite_limit = verify->pipeline->rewrite_limit - verify->stage.rewrites;
    return failure;
}
