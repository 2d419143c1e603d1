// One line a row of each table; a row that has to be met and was not, often enough, says so.
#include "tests/diff/tally.h"

#include <stdio.h>
#include <string.h>

enum { REQUIRED_TIMES = 10, NEAR_PERCENT = 95 };

static const double near_ratio = 1.02;

void tally_ops(Tally *tally, const Module *module)
{
    for (int32_t i = 0; i < module->graphs.count; i++)
        for (const Node *node = module->graphs.items[i]->first; node; node = node->next) {
            tally->ops[node->op]++;
            for (int32_t j = 0; j < node->result_count; j++)
                tally->activations[node->results[j]->dtype]++;
        }
}

static void tally_attention(Tally *tally, const Module *module)
{
    for (int32_t i = 0; i < module->graphs.count; i++)
        for (const Node *node = module->graphs.items[i]->first; node; node = node->next) {
            if (node->op != OP_attention)
                continue;
            const State *keys = node->operands[4].value->state;
            tally->situations[SITUATION_grouped_queries] +=
                node->attributes.attention.heads > keys->kv_heads;
            tally->states[keys->dtype]++;
            tally->situations[SITUATION_window] += node->attributes.attention.window > 0;
        }
}

static void tally_step(Tally *tally, const EvalInputs *step)
{
    int64_t tokens = step->symbols[SYMBOL_T], crossed = 0, several = 0;
    const int32_t *pos = step->inputs[INPUT_POS], *seq = step->inputs[INPUT_SEQ];
    for (int64_t i = 0; i < tokens; i++) {
        crossed += pos[i] > 0 && pos[i] % PAGE_TOKENS == 0;
        several += seq[i] != seq[0];
    }
    tally->situations[SITUATION_page_crossed] += crossed > 0;
    tally->situations[SITUATION_chunk_over_pages] +=
        crossed > 0 && pos[0] / PAGE_TOKENS != pos[tokens - 1] / PAGE_TOKENS;
    tally->situations[SITUATION_several_sequences] += several > 0;
    tally->situations[SITUATION_no_rows] += step->symbols[SYMBOL_R] == 0;
}

void tally_generated(Tally *tally, const Module *module, const Steps *steps, uint32_t disabled)
{
    tally_ops(tally, module);
    tally_attention(tally, module);
    for (int32_t i = 0; i < steps->count; i++)
        tally_step(tally, &steps->steps[i]);
    for (int32_t i = 0; i < module->weights.count; i++)
        if (module->weights.items[i]->shape.rank == 2)
            tally->types[module->weights.items[i]->dtype]++;
    tally->opts[module->options.opt]++;
    tally->targets[target_from_name(module->options.target)]++;
    for (int pass = 0; pass < PASS_COUNT; pass++)
        tally->disabled[pass] += disabled >> pass & 1u;
}

void tally_rules(Tally *tally, const char *explained)
{
    for (int i = 0; i < RULE_COUNT; i++) {
        char line[128];
        snprintf(line, sizeof line, "%s %s: ", pass_table[rule_table[i].pass].name,
                 rule_table[i].name);
        for (const char *at = explained; (at = strstr(at, line)); at += strlen(line))
            tally->rules[i] +=
                strncmp(strchr(at + strlen(line), ' '), " fired", strlen(" fired")) == 0;
    }
}

void tally_memory(Nearness *nearness, const MemoryFigures *figures, uint64_t seed)
{
    double worst = 1;
    for (int32_t i = 0; i < figures->count; i++)
        if (figures->bound[i] > 0 && (double)figures->peak[i] / (double)figures->bound[i] > worst)
            worst = (double)figures->peak[i] / (double)figures->bound[i];
    nearness->plans++;
    nearness->within += worst <= near_ratio;
    if (worst > nearness->worst) {
        nearness->worst = worst;
        nearness->worst_seed = seed;
    }
}

// --- the histogram

static bool print_count(const char *kind, const char *name, int64_t count, bool required)
{
    bool rare = required && count < REQUIRED_TIMES;
    printf("%-8s %-18s %8lld%s\n", kind, name, (long long)count, rare ? "  too rare" : "");
    return !rare;
}

// The types of matrices are those that embed reads.
static uint32_t weight_types(void)
{
    uint32_t types = 0;
    for (int32_t i = 0; i < kernel_count; i++)
        if (kernel_table[i].op == OP_embed)
            types |= kernel_table[i].stored;
    return types;
}

static bool print_module_parts(const Tally *tally, bool required)
{
    bool ok = true;
    for (int op = 0; op < OP_COUNT; op++)
        ok &= print_count("op", op_table[op].name, tally->ops[op], required);
    for (int rule = 0; rule < RULE_COUNT; rule++)
        ok &= print_count("rule", rule_table[rule].name, tally->rules[rule], required);
    for (int type = 0; type < DTYPE_COUNT; type++)
        if (weight_types() >> type & 1u)
            ok &= print_count("weight", dtype_table[type].name, tally->types[type], required);
    for (int type = 0; type < DTYPE_COUNT; type++)
        if (ACTIVATION_DTYPES >> type & 1u)
            ok &= print_count("result", dtype_table[type].name, tally->activations[type], required);
    for (int type = 0; type < DTYPE_COUNT; type++)
        if (dtype_is_state((DType)type))
            ok &= print_count("state", dtype_table[type].name, tally->states[type], required);
    return ok;
}

static bool print_compiles(const Tally *tally, bool required)
{
    bool ok = true;
    for (int pass = 0; pass < PASS_COUNT; pass++)
        ok &= print_count("pass", pass_table[pass].name, tally->ran[pass], required);
    for (int pass = 0; pass < PASS_COUNT; pass++)
        if (pass_table[pass].ensures == pass_table[pass].requires)
            ok &= print_count("disabled", pass_table[pass].name, tally->disabled[pass], required);
    for (int target = 0; target < TARGET_COUNT; target++)
        ok &= print_count("target", target_names[target], tally->targets[target], required);
    for (int opt = 0; opt < OPT_LEVELS; opt++)
        ok &= print_count("-O", (const char *[]){"0", "1", "2"}[opt], tally->opts[opt], required);
    return ok;
}

static bool print_situations(const Tally *tally, bool required)
{
    static const char *const names[SITUATION_COUNT] = {
        [SITUATION_page_crossed] = "page_crossed",
        [SITUATION_chunk_over_pages] = "chunk_over_pages",
        [SITUATION_several_sequences] = "several_sequences",
        [SITUATION_no_rows] = "no_rows",
        [SITUATION_grouped_queries] = "grouped_queries",
        [SITUATION_window] = "window",
    };
    bool ok = true;
    for (int i = 0; i < SITUATION_COUNT; i++)
        ok &= print_count("steps", names[i], tally->situations[i], required);
    return ok;
}

static bool print_nearness(const char *what, const Nearness *nearness, bool required)
{
    bool ok = nearness->within * 100 >= nearness->plans * NEAR_PERCENT;
    printf("memory: %d of %d %s graphs within %.2f of their lower bound; the worst, %.3f, of seed "
           "%llu%s\n",
           nearness->within, nearness->plans, what, near_ratio, nearness->worst,
           (unsigned long long)nearness->worst_seed, ok ? "" : "  too few");
    return ok || !required;
}

bool tally_print(const Tally *tally, int64_t graphs, bool required)
{
    bool ok = print_module_parts(tally, required);
    ok &= print_compiles(tally, required);
    ok &= print_situations(tally, required);
    bool finite = tally->finite * 10 >= tally->outputs * 9;
    printf("%lld of %lld floats of outputs are finite%s\n", (long long)tally->finite,
           (long long)tally->outputs, finite ? "" : "  too few");
    ok &= print_nearness("evaluated", &tally->evaluated, required);
    ok &= print_nearness("planned", &tally->planned, required);
    printf("%lld graphs, %d failed\n", (long long)graphs, tally->failures);
    return ok && finite && tally->failures == 0;
}
