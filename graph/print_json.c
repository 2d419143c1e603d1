// Printing JSON: everything the text says, for programs that do not read the text. The schema
// stands in graph/README.md; a member that changes its meaning or goes raises its number.
//
// One weight, state, node or output a line, members in one order: equal modules give equal bytes,
// and a diff of two dumps reads like one of the text. Names come from model files and may hold any
// bytes; JSON may not, so what is not UTF-8 is replaced.
#include <math.h>
#include <string.h>

#include "graph/formats.h"

// Bytes of the character at `c`, 0 if it is not UTF-8 (RFC 3629: no overlong forms, no surrogates).
// A NUL ends every string and is no continuation: nothing behind it is read.
static size_t character_bytes(const unsigned char *c)
{
    size_t bytes = c[0] < 0x80                   ? 1
                   : c[0] >= 0xc2 && c[0] < 0xe0 ? 2
                   : (c[0] & 0xf0) == 0xe0       ? 3
                   : c[0] >= 0xf0 && c[0] < 0xf5 ? 4
                                                 : 0;
    for (size_t i = 1; i < bytes; i++)
        if ((c[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xf0 && c[1] < 0x90);
    bool no_character = (c[0] == 0xed && c[1] >= 0xa0) || (c[0] == 0xf4 && c[1] >= 0x90);
    return overlong || no_character ? 0 : bytes;
}

void quote_utf8(Text *out, const char *string)
{
    static const char replacement[] = "\xef\xbf\xbd";
    Text clean = {0};
    text_append(&clean, "", 0);
    while (*string) {
        size_t bytes = character_bytes((const unsigned char *)string);
        text_append(&clean, bytes ? string : replacement, bytes ? bytes : strlen(replacement));
        string += bytes ? bytes : 1;
    }
    text_quote(out, clean.bytes, clean.length);
    text_free(&clean);
}

static void print_string(Text *out, const char *key, const char *string)
{
    text_print(out, "\"%s\": ", key);
    quote_utf8(out, string);
}

static void print_int(Text *out, const char *key, int64_t value)
{
    text_print(out, ", \"%s\": %lld", key, (long long)value);
}

// JSON has no infinities: they are strings.
static void print_float(Text *out, float value)
{
    const char *quote = isfinite(value) ? "" : "\"";
    text_print(out, "%s", quote);
    text_float(out, value);
    text_print(out, "%s", quote);
}

static void print_dim(Text *out, Dim dim)
{
    const char *quote = dim_is_constant(dim) ? "" : "\"";
    text_print(out, "%s", quote);
    dim_print(out, dim);
    text_print(out, "%s", quote);
}

static void print_type(Text *out, DType dtype, const Shape *shape, Layout layout)
{
    text_print(out, "\"dtype\": \"%s\", \"shape\": [", dtype_table[dtype].name);
    for (int i = 0; i < shape->rank; i++) {
        text_print(out, i ? ", " : "");
        print_dim(out, shape->dims[i]);
    }
    text_print(out, "], \"layout\": \"%s\"", layout_table[layout].name);
}

static void print_place(Text *out, Place place)
{
    if (place.region == REGION_NONE)
        return;
    text_print(out, ", \"place\": {\"region\": \"%s\", \"offset\": %lld, \"bytes\": %lld}",
               region_names[place.region], (long long)place.offset, (long long)place.bytes);
}

static void print_recipe(Text *out, const Recipe *recipe)
{
    text_print(out, "{\"kind\": \"%s\"", recipe_names[recipe->kind]);
    if (recipe->kind == RECIPE_TENSOR) {
        text_print(out, ", ");
        print_string(out, "tensor", recipe->tensor);
        text_print(out, ", \"dtype\": \"%s\"", dtype_table[recipe->dtype].name);
        print_int(out, "rows", recipe->rows);
        print_int(out, "columns", recipe->columns);
    }
    for (int32_t i = 0; i < recipe->child_count; i++) {
        text_print(out, i ? ", " : ", \"of\": [");
        print_recipe(out, recipe->children[i]);
    }
    text_print(out, recipe->child_count ? "]" : "");
    if (recipe->kind == RECIPE_SLICE) {
        print_int(out, "begin", recipe->begin);
        print_int(out, "end", recipe->end);
    }
    if (recipe->kind == RECIPE_INTERLEAVE)
        print_int(out, "rows_in_turn", recipe->begin);
    if (recipe->kind == RECIPE_PERMUTE)
        text_print(out, ", \"sizes\": [%lld, %lld, %lld]", (long long)recipe->begin,
                   (long long)recipe->end, (long long)recipe->inner);
    if (recipe->kind == RECIPE_ADD) {
        text_print(out, ", \"addend\": ");
        print_float(out, recipe->addend);
    }
    for (int64_t i = 0; recipe->kind == RECIPE_VALUES && i < recipe->columns; i++) {
        text_print(out, i ? ", " : ", \"values\": [");
        print_float(out, recipe->values[i]);
    }
    text_print(out, recipe->kind == RECIPE_VALUES ? "]}" : "}");
}

static void print_weight(Text *out, const Weight *weight)
{
    text_print(out, "{");
    print_string(out, "name", weight->name);
    text_print(out, ", ");
    print_type(out, weight->dtype, &weight->shape, weight->layout);
    print_place(out, weight->place);
    text_print(out, ", \"recipe\": ");
    print_recipe(out, weight->recipe);
    text_print(out, "}");
}

static void print_state(Text *out, const State *state)
{
    text_print(out, "{");
    print_string(out, "name", state->name);
    text_print(out,
               ", \"role\": \"%s\", \"dtype\": \"%s\", \"shape\": [\"page\", %d, %d], "
               "\"layout\": \"%s\"",
               state->role == STATE_KEYS ? "keys" : "values", dtype_table[state->dtype].name,
               state->kv_heads, state->head_dim, layout_table[state->layout].name);
    print_place(out, state->place);
    text_print(out, "}");
}

// Without braces, so that others may add members.
static void print_value(Text *out, const Value *value)
{
    switch (value->kind) {
    case VALUE_INPUT: print_string(out, "input", step_input_names[value->input]); break;
    case VALUE_WEIGHT: print_string(out, "weight", value->weight->name); break;
    case VALUE_STATE: print_string(out, "state", value->state->name); break;
    case VALUE_CONSTANT:
        text_print(out, "\"constant\": ");
        print_float(out, value->constant);
        break;
    case VALUE_RESULT: text_print(out, "\"value\": %d", value->number); break;
    }
}

static void print_operands(Text *out, const Node *node)
{
    text_print(out, ", \"operands\": [");
    for (int32_t i = 0; i < node->operand_count; i++) {
        text_print(out, i ? ", {" : "{");
        print_value(out, node->operands[i].value);
        text_print(out, op_table[node->op].written >> i & 1 ? ", \"written\": true}" : "}");
    }
    text_print(out, "]");
}

static void print_result(Text *out, const Value *result)
{
    text_print(out, "{\"value\": %d, ", result->number);
    if (result->name) {
        print_string(out, "name", result->name);
        text_print(out, ", ");
    }
    print_type(out, result->dtype, &result->shape, result->layout);
    print_place(out, result->place);
    if (result->alias_of)
        print_int(out, "alias", result->alias_of->number);
    text_print(out, "}");
}

static void print_results(Text *out, const Node *node)
{
    text_print(out, ", \"results\": [");
    for (int32_t i = 0; i < node->result_count; i++) {
        text_print(out, i ? ", " : "");
        print_result(out, node->results[i]);
    }
    text_print(out, "]");
}

static void print_attribute(Text *out, const AttributeInfo *info, uint32_t word)
{
    float real;
    memcpy(&real, &word, sizeof real);
    text_print(out, "\"%s\": ", info->name);
    if (info->kind == ATTRIBUTE_f32)
        print_float(out, real);
    else if (info->kind == ATTRIBUTE_i32)
        text_print(out, "%d", (int32_t)word);
    else
        text_print(out, "\"%s\"", attribute_value_name(info->kind, (int32_t)word));
}

// All of them, defaults too: whoever reads this has no op table.
static void print_attributes(Text *out, const Node *node)
{
    const AttributeInfo *info = op_table[node->op].attributes;
    if (!info[0].name)
        return;
    for (int i = 0; info[i].name; i++) {
        text_print(out, i ? ", " : ", \"attributes\": {");
        print_attribute(out, &info[i], node->attributes.words[i]);
    }
    text_print(out, "}");
}

static void print_locations(Text *out, const Node *node)
{
    text_print(out, ", \"locations\": [");
    for (int32_t i = 0; i < node->locations.count; i++) {
        text_print(out, i ? ", {" : "{");
        print_string(out, "file", node->locations.items[i].file);
        print_int(out, "line", node->locations.items[i].line);
        text_print(out, "}");
    }
    text_print(out, "]");
}

static void print_node(Text *out, const Node *node, JsonNote *note)
{
    text_print(out, "{\"op\": \"%s\"", op_table[node->op].name);
    print_operands(out, node);
    print_results(out, node);
    print_attributes(out, node);
    if (node->kernel) {
        text_print(out, ", ");
        print_string(out, "kernel", node->kernel);
    }
    if (node->barrier_before)
        text_print(out, ", \"barrier\": true");
    if (note)
        note(node, out);
    print_locations(out, node);
    text_print(out, "}");
}

static void print_outputs(Text *out, const Graph *graph)
{
    for (int32_t i = 0; i < graph->outputs.count; i++) {
        const GraphOutput *output = graph->outputs.items[i];
        text_print(out, i ? ",\n   {" : "\n   {");
        print_string(out, "name", output->name);
        text_print(out, ", ");
        print_value(out, output->use.value);
        if (output->io_index >= 0)
            print_int(out, "io", output->io_index);
        text_print(out, "}");
    }
}

static void print_graph(Text *out, Graph *graph, JsonNote *note)
{
    graph_number(graph);
    text_print(out, "{");
    print_string(out, "name", graph->name);
    if (graph->bound_t)
        print_int(out, "bound_t", graph->bound_t);
    if (graph->module->level >= LEVEL_PLANNED) {
        print_int(out, "act_bytes", graph->act_bytes);
        print_int(out, "act_lower_bound", graph->act_lower_bound);
    }
    text_print(out, ", \"nodes\": [");
    for (const Node *node = graph->first; node; node = node->next) {
        text_print(out, node == graph->first ? "\n   " : ",\n   ");
        print_node(out, node, note);
    }
    text_print(out, "],\n  \"outputs\": [");
    print_outputs(out, graph);
    text_print(out, "]}");
}

static void print_module_members(Text *out, const Module *module)
{
    const ModuleOptions *options = &module->options;
    text_print(out, "{\"schema\": \"graphc.module/1\", ");
    print_string(out, "name", module->name);
    text_print(out, ", \"level\": \"%s\",\n \"options\": {", level_names[module->level]);
    print_string(out, "target", options->target);
    text_print(out, ", \"opt\": %d, \"kv\": \"%s\", \"act\": \"%s\"", options->opt,
               dtype_table[options->kv].name, options->act_auto ? "auto" : "f32");
    print_int(out, "batch", options->batch);
    print_int(out, "page", options->page_tokens);
    text_print(out, "}");
    print_int(out, "context", module->context_length);
    print_int(out, "vocabulary", module->vocabulary_size);
    if (module->script) {
        text_print(out, ", ");
        print_string(out, "script", module->script);
    }
    if (module->level >= LEVEL_PLANNED) {
        print_int(out, "w_bytes", module->w_bytes);
        print_int(out, "page_bytes", module->page_bytes);
    }
}

void module_print_json(const Module *module, JsonNote *note, Text *out)
{
    print_module_members(out, module);
    text_print(out, ",\n \"weights\": [");
    for (int32_t i = 0; i < module->weights.count; i++) {
        text_print(out, i ? ",\n  " : "\n  ");
        print_weight(out, module->weights.items[i]);
    }
    text_print(out, "],\n \"states\": [");
    for (int32_t i = 0; i < module->states.count; i++) {
        text_print(out, i ? ",\n  " : "\n  ");
        print_state(out, module->states.items[i]);
    }
    text_print(out, "],\n \"graphs\": [");
    for (int32_t i = 0; i < module->graphs.count; i++) {
        text_print(out, i ? ",\n  " : "\n  ");
        print_graph(out, module->graphs.items[i], note);
    }
    text_print(out, "]}\n");
}
