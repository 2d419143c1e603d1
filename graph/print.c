// Printing: the one writer of the text whose grammar stands in graph/README.md. parse.c reads it
// back.
//
// Everything a later pass may read is printed, nothing else: no pointers, no times, no comments. So
// two equal modules give equal bytes, and a module that went through the text compiles like the one
// before.
#include <string.h>

#include "graph/graph.h"

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_bare(const char *name, const char *also)
{
    if (!is_letter(name[0]))
        return false;
    for (const char *c = name + 1; *c; c++)
        if (!is_letter(*c) && !(*c >= '0' && *c <= '9') && !strchr(also, *c))
            return false;
    return true;
}

static void print_word(Text *out, const char *word, bool bare)
{
    if (bare)
        text_append(out, word, strlen(word));
    else
        text_quote(out, word, strlen(word));
}

void name_print(Text *out, const char *name)
{
    bool bare = is_bare(name, ".+-");
    for (int input = 0; input < INPUT_COUNT; input++)
        bare = bare && strcmp(name, step_input_names[input]) != 0;
    text_append(out, "%", 1);
    print_word(out, name, bare);
}

void dim_print(Text *out, Dim dim)
{
    bool first = true;
    for (int i = 0; i < SYMBOL_COUNT; i++) {
        if (!dim.factor[i])
            continue;
        text_print(out, first || dim.factor[i] < 0 ? "" : "+");
        if (dim.factor[i] != 1)
            text_print(out, "%d*", dim.factor[i]);
        text_print(out, "%c", symbol_names[i]);
        first = false;
    }
    if (dim.constant || first)
        text_print(out, first || dim.constant < 0 ? "%lld" : "+%lld", (long long)dim.constant);
}

void type_print(Text *out, DType dtype, const Shape *shape, Layout layout)
{
    text_print(out, "%s[", dtype_table[dtype].name);
    for (int i = 0; i < shape->rank; i++) {
        text_print(out, i ? "," : "");
        dim_print(out, shape->dims[i]);
    }
    text_print(out, "]");
    if (layout != LAYOUT_plain)
        text_print(out, "{%s}", layout_table[layout].name);
}

void value_print(Text *out, const Value *value)
{
    switch (value->kind) {
    case VALUE_INPUT: text_print(out, "%%%s", step_input_names[value->input]); break;
    case VALUE_WEIGHT: name_print(out, value->weight->name); break;
    case VALUE_STATE: name_print(out, value->state->name); break;
    case VALUE_CONSTANT: text_float(out, value->constant); break;
    case VALUE_RESULT: text_print(out, "%%%d", value->number); break;
    }
}

// An alias of the same size as what it shares writes its own size no more.
static void print_place(Text *out, Place place, const Value *alias_of)
{
    if (place.region == REGION_NONE)
        return;
    const char *format = place.region == REGION_IO ? " @%s+%lld" : " @%s+0x%llx";
    text_print(out, format, region_names[place.region], (long long)place.offset);
    if (!alias_of || place.bytes != alias_of->place.bytes)
        text_print(out, ":0x%llx", (long long)place.bytes);
    if (alias_of)
        text_print(out, "=%%%d", alias_of->number);
}

static void print_recipe(Text *out, const Recipe *recipe)
{
    if (recipe->kind == RECIPE_TENSOR) {
        text_quote(out, recipe->tensor, strlen(recipe->tensor));
        text_print(out, ":%s[%lld,%lld]", dtype_table[recipe->dtype].name, (long long)recipe->rows,
                   (long long)recipe->columns);
        return;
    }
    text_print(out, "%s(", recipe_names[recipe->kind]);
    for (int32_t i = 0; i < recipe->child_count; i++) {
        text_print(out, i ? ", " : "");
        print_recipe(out, recipe->children[i]);
    }
    if (recipe->kind == RECIPE_SLICE)
        text_print(out, ", %lld, %lld", (long long)recipe->begin, (long long)recipe->end);
    if (recipe->kind == RECIPE_INTERLEAVE)
        text_print(out, ", %lld", (long long)recipe->begin);
    if (recipe->kind == RECIPE_PERMUTE)
        text_print(out, ", %lld, %lld, %lld", (long long)recipe->begin, (long long)recipe->end,
                   (long long)recipe->inner);
    if (recipe->kind == RECIPE_ADD) {
        text_print(out, ", ");
        text_float(out, recipe->addend);
    }
    for (int64_t i = 0; recipe->kind == RECIPE_VALUES && i < recipe->columns; i++) {
        text_print(out, i ? ", " : "");
        text_float(out, recipe->values[i]);
    }
    text_print(out, ")");
}

static void print_weight(Text *out, const Weight *weight)
{
    text_print(out, "weight ");
    name_print(out, weight->name);
    text_print(out, " : ");
    type_print(out, weight->dtype, &weight->shape, weight->layout);
    print_place(out, weight->place, NULL);
    text_print(out, " = ");
    print_recipe(out, weight->recipe);
    text_print(out, "\n");
}

static void print_state(Text *out, const State *state)
{
    text_print(out, "state ");
    name_print(out, state->name);
    text_print(out, " : %s[page,%d,%d]", dtype_table[state->dtype].name, state->kv_heads,
               state->head_dim);
    if (state->layout != LAYOUT_plain)
        text_print(out, "{%s}", layout_table[state->layout].name);
    text_print(out, state->role == STATE_KEYS ? " keys" : " values");
    print_place(out, state->place, NULL);
    text_print(out, "\n");
}

static void print_results(Text *out, const Node *node)
{
    for (int32_t i = 0; i < node->result_count; i++) {
        const Value *result = node->results[i];
        text_print(out, "%s%%%d", i ? ", " : "", result->number);
        if (result->name)
            text_quote(out, result->name, strlen(result->name));
    }
    for (int32_t i = 0; i < node->result_count; i++) {
        const Value *result = node->results[i];
        text_print(out, i ? ", " : " : ");
        type_print(out, result->dtype, &result->shape, result->layout);
        print_place(out, result->place, result->alias_of);
    }
    if (node->result_count)
        text_print(out, " = ");
}

static void print_operands(Text *out, const Node *node)
{
    for (int32_t i = 0; i < node->operand_count; i++) {
        text_print(out, i ? ", " : " ");
        if (op_table[node->op].written >> i & 1)
            text_print(out, "rw ");
        value_print(out, node->operands[i].value);
    }
}

static void print_attribute(Text *out, const AttributeInfo *info, uint32_t word)
{
    float real;
    memcpy(&real, &word, sizeof real);
    text_print(out, "%s=", info->name);
    if (info->kind == ATTRIBUTE_f32)
        text_float(out, real);
    else if (info->kind == ATTRIBUTE_i32)
        text_print(out, "%d", (int32_t)word);
    else
        text_print(out, "%s", attribute_value_name(info->kind, (int32_t)word));
}

static void print_attributes(Text *out, const Node *node)
{
    const AttributeInfo *info = op_table[node->op].attributes;
    Attributes defaults = op_default_attributes(node->op);
    const char *separator = " {";
    for (int i = 0; info[i].name; i++) {
        uint32_t word = node->attributes.words[i];
        if (info[i].default_value != ATTRIBUTE_REQUIRED && word == defaults.words[i])
            continue;
        text_print(out, "%s", separator);
        print_attribute(out, &info[i], word);
        separator = ", ";
    }
    if (separator[0] == ',')
        text_print(out, "}");
}

static void print_locations(Text *out, const Node *node)
{
    const char *file = NULL;
    for (int32_t i = 0; i < node->locations.count; i++) {
        SourceLocation location = node->locations.items[i];
        if (!file || strcmp(file, location.file) != 0) {
            text_print(out, file ? ", " : " loc(");
            file = location.file;
            text_quote(out, file, strlen(file));
            text_print(out, ":%d", location.line);
        } else {
            text_print(out, ",%d", location.line);
        }
    }
    if (file)
        text_print(out, ")");
}

static void print_node(Text *out, const Node *node)
{
    if (node->barrier_before)
        text_print(out, "  barrier\n");
    text_print(out, "  ");
    print_results(out, node);
    text_print(out, "%s", op_table[node->op].name);
    print_operands(out, node);
    print_attributes(out, node);
    if (node->kernel) {
        text_print(out, " !");
        print_word(out, node->kernel, is_bare(node->kernel, "."));
    }
    print_locations(out, node);
    text_print(out, "\n");
}

static void print_graph(Text *out, const Graph *graph)
{
    text_print(out, "graph @");
    print_word(out, graph->name, is_bare(graph->name, "."));
    if (graph->bound_t)
        text_print(out, " T<=%lld", (long long)graph->bound_t);
    if (graph->module->level >= LEVEL_PLANNED)
        text_print(out, " act=0x%llx bound=0x%llx", (long long)graph->act_bytes,
                   (long long)graph->act_lower_bound);
    text_print(out, " {\n");
    for (const Node *node = graph->first; node; node = node->next)
        print_node(out, node);
    for (int32_t i = 0; i < graph->outputs.count; i++) {
        const GraphOutput *output = graph->outputs.items[i];
        text_print(out, "  output ");
        text_quote(out, output->name, strlen(output->name));
        text_print(out, " = ");
        value_print(out, output->use.value);
        if (output->io_index >= 0)
            text_print(out, " @io+%d", output->io_index);
        text_print(out, "\n");
    }
    text_print(out, "}\n");
}

static void print_module_line(Text *out, const Module *module)
{
    const ModuleOptions *options = &module->options;
    text_print(out, "module ");
    text_quote(out, module->name, strlen(module->name));
    text_print(out, " level=%s target=", level_names[module->level]);
    print_word(out, options->target, is_bare(options->target, "."));
    text_print(out, " opt=%d kv=%s act=%s batch=%lld page=%lld context=%lld vocabulary=%lld",
               options->opt, dtype_table[options->kv].name, options->act_auto ? "auto" : "f32",
               (long long)options->batch, (long long)options->page_tokens,
               (long long)module->context_length, (long long)module->vocabulary_size);
    if (module->script) {
        text_print(out, " script=");
        print_word(out, module->script, is_bare(module->script, "."));
    }
    if (module->level >= LEVEL_PLANNED)
        text_print(out, " w=0x%llx page_bytes=0x%llx", (long long)module->w_bytes,
                   (long long)module->page_bytes);
    text_print(out, "\n");
}

void module_print(const Module *module, Text *out)
{
    print_module_line(out, module);
    for (int32_t i = 0; i < module->weights.count; i++)
        print_weight(out, module->weights.items[i]);
    for (int32_t i = 0; i < module->states.count; i++)
        print_state(out, module->states.items[i]);
    for (int32_t i = 0; i < module->graphs.count; i++) {
        graph_number(module->graphs.items[i]);
        print_graph(out, module->graphs.items[i]);
    }
}
