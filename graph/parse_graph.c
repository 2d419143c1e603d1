// Parsing, second half: one graph, a statement a line. What the text says of a result's type must
// be what inference gives; layout, place, kernel and barriers are taken as they stand and left to
// the verifier.
#include <stdio.h>
#include <string.h>

#include "graph/node.h"
#include "graph/parse.h"

enum { LOCATIONS_MAX = 4096 };

typedef struct ParsedResult {
    int32_t number;
    const char *name;
    ParsedType type;
    Place place;
    Value *alias_of;
} ParsedResult;

typedef struct ParsedNode {
    ScanMark mark; // of the op
    Op op;
    int32_t result_count, operand_count;
    ParsedResult results[RESULTS_MAX];
    Value *operands[OPERANDS_MAX];
    Attributes attributes;
} ParsedNode;

typedef struct Numbered {
    int32_t number;
    Value *value;
} Numbered;

static uint64_t number_hash(int64_t number)
{
    return (uint64_t)number * 0x9e3779b97f4a7c15u >> 32;
}

static Value *find_number(const Parser *parser, int64_t number)
{
    uint32_t probe = 0;
    for (Numbered *known; (known = table_next(&parser->numbers, number_hash(number), &probe));)
        if (known->number == number)
            return known->value;
    return NULL;
}

static bool next_is_digit(Parser *parser)
{
    scan_blanks(&parser->scan);
    return *parser->scan.at >= '0' && *parser->scan.at <= '9';
}

// A number behind '%' whose value was produced above.
static bool parse_result_reference(Parser *parser, Value **value)
{
    ScanMark mark = scan_mark(&parser->scan);
    int64_t number;
    if (!scan_integer(&parser->scan, "number of a value", 1, INT32_MAX, &number))
        return false;
    *value = find_number(parser, number);
    return *value || scan_fail(&parser->scan, mark, "%%%lld is not produced before it is read",
                               (long long)number);
}

static bool parse_leaf(Parser *parser, Graph *graph, Value **value)
{
    Scanner *scan = &parser->scan;
    ScanMark mark = scan_mark(scan);
    bool bare = scan_word(scan, ".+-");
    if (!bare && !scan_string(scan, "a name or a number"))
        return false;
    for (int input = 0; bare && input < INPUT_COUNT; input++)
        if (strcmp(step_input_names[input], scan->token.bytes) == 0) {
            *value = graph_input(graph, (StepInput)input);
            return true;
        }
    Named named = parse_find_name(parser);
    if (!named.name)
        return scan_fail(scan, mark, "no weight, state or input '%s'", scan->token.bytes);
    *value = named.weight ? graph_weight(graph, named.weight) : graph_state(graph, named.state);
    return true;
}

// %12, %name, %token or a constant.
static bool parse_value(Parser *parser, Graph *graph, Value **value)
{
    if (scan_accept(&parser->scan, '%'))
        return next_is_digit(parser) ? parse_result_reference(parser, value)
                                     : parse_leaf(parser, graph, value);
    float constant;
    if (!scan_float(&parser->scan, &constant))
        return false;
    *value = graph_constant(graph, constant);
    return true;
}

// --- results

static bool parse_result_name(Parser *parser, ParsedNode *node)
{
    Scanner *scan = &parser->scan;
    ScanMark mark = scan_mark(scan);
    int64_t number;
    if (node->result_count == RESULTS_MAX)
        return scan_fail(scan, mark, "at most %d results", RESULTS_MAX);
    if (!scan_expect(scan, '%') || !scan_integer(scan, "number of a value", 1, INT32_MAX, &number))
        return false;
    bool again =
        find_number(parser, number) || (node->result_count && node->results[0].number == number);
    if (again)
        return scan_fail(scan, mark, "%%%lld is produced twice", (long long)number);
    ParsedResult *result = &node->results[node->result_count++];
    result->number = (int32_t)number;
    scan_blanks(scan);
    if (*scan->at != '"')
        return true;
    if (!scan_string(scan, "a name"))
        return false;
    result->name = parse_token(parser);
    return true;
}

static bool parse_result_place(Parser *parser, ParsedResult *result)
{
    Scanner *scan = &parser->scan;
    result->place = (Place){REGION_NONE, 0, -1};
    if (!scan_accept(scan, '@'))
        return true;
    if (!parse_place(parser, &result->place))
        return false;
    // An alias is `=%`; `= op` ends the results.
    const char *at = scan->at;
    if (at[0] == '=' && at[1] == '%') {
        scan->at += 2;
        if (!parse_result_reference(parser, &result->alias_of))
            return false;
        if (result->place.bytes < 0)
            result->place.bytes = result->alias_of->place.bytes;
        return true;
    }
    return result->place.bytes >= 0 || scan_expected(scan, "':' and the size, or '=' and an alias");
}

static bool parse_results(Parser *parser, ParsedNode *node)
{
    Scanner *scan = &parser->scan;
    do {
        if (!parse_result_name(parser, node))
            return false;
    } while (scan_accept(scan, ','));
    if (!scan_expect(scan, ':'))
        return false;
    for (int32_t i = 0; i < node->result_count; i++)
        if ((i && !scan_expect(scan, ',')) || !parse_type(parser, &node->results[i].type) ||
            !parse_result_place(parser, &node->results[i]))
            return false;
    return scan_expect(scan, '=');
}

// --- operands and attributes

static bool parse_operands(Parser *parser, Graph *graph, ParsedNode *node)
{
    Scanner *scan = &parser->scan;
    do {
        ScanMark mark = scan_mark(scan);
        int32_t index = node->operand_count;
        if (index == OPERANDS_MAX)
            return scan_fail(scan, mark, "at most %d operands", OPERANDS_MAX);
        bool written = op_table[node->op].written >> index & 1;
        bool marked = strncmp(scan->at, "rw ", 3) == 0;
        if (marked)
            scan->at += 3;
        if (marked != written)
            return scan_fail(scan, mark, "%s: operand %d is %s", op_table[node->op].name, index + 1,
                             written ? "written: expected rw" : "not written: unexpected rw");
        if (!parse_value(parser, graph, &node->operands[node->operand_count++]))
            return false;
    } while (scan_accept(scan, ','));
    return true;
}

static bool parse_attribute_value(Parser *parser, const AttributeInfo *info, uint32_t *word)
{
    Scanner *scan = &parser->scan;
    ScanMark mark = scan_mark(scan);
    float real;
    int64_t integer;
    if (info->kind == ATTRIBUTE_f32) {
        if (!scan_float(scan, &real))
            return false;
        memcpy(word, &real, sizeof real);
        return true;
    }
    if (info->kind == ATTRIBUTE_i32) {
        if (!scan_integer(scan, info->name, INT32_MIN, INT32_MAX, &integer))
            return false;
        *word = (uint32_t)(int32_t)integer;
        return true;
    }
    if (!scan_word(scan, ""))
        return scan_expected(scan, info->name);
    int32_t value = attribute_value_from_name(info->kind, scan->token.bytes);
    *word = (uint32_t)value;
    return value >= 0 ||
           scan_fail(scan, mark, "%s has no value '%s'", info->name, scan->token.bytes);
}

static bool parse_attribute(Parser *parser, ParsedNode *node, uint32_t *seen)
{
    Scanner *scan = &parser->scan;
    const AttributeInfo *info = op_table[node->op].attributes;
    ScanMark mark = scan_mark(scan);
    if (!scan_word(scan, ""))
        return scan_expected(scan, "an attribute");
    int i = 0;
    while (info[i].name && strcmp(info[i].name, scan->token.bytes) != 0)
        i++;
    if (!info[i].name)
        return scan_fail(scan, mark, "%s has no attribute '%s'", op_table[node->op].name,
                         scan->token.bytes);
    if (*seen >> i & 1)
        return scan_fail(scan, mark, "%s is given twice", info[i].name);
    *seen |= 1u << i;
    return scan_expect(scan, '=') &&
           parse_attribute_value(parser, &info[i], &node->attributes.words[i]);
}

static bool parse_attributes(Parser *parser, ParsedNode *node)
{
    Scanner *scan = &parser->scan;
    const AttributeInfo *info = op_table[node->op].attributes;
    uint32_t seen = 0;
    node->attributes = op_default_attributes(node->op);
    if (scan_accept(scan, '{')) {
        do {
            if (!parse_attribute(parser, node, &seen))
                return false;
        } while (scan_accept(scan, ','));
        if (!scan_expect(scan, '}'))
            return false;
    }
    for (int i = 0; info[i].name; i++)
        if (info[i].default_value == ATTRIBUTE_REQUIRED && !(seen >> i & 1))
            return scan_fail(scan, node->mark, "%s: attribute %s is missing",
                             op_table[node->op].name, info[i].name);
    return true;
}

// --- nodes

static bool check_types(Parser *parser, const ParsedNode *node, const DType *dtypes,
                        const Shape *shapes)
{
    for (int32_t i = 0; i < node->result_count; i++) {
        const ParsedResult *result = &node->results[i];
        if (result->type.dtype == dtypes[i] && shape_equal(&result->type.shape, &shapes[i]))
            continue;
        Text given = {0}, said = {0};
        type_print(&given, dtypes[i], &shapes[i], LAYOUT_plain);
        type_print(&said, result->type.dtype, &result->type.shape, LAYOUT_plain);
        scan_fail(&parser->scan, result->type.mark, "%s gives %s, not %s", op_table[node->op].name,
                  given.bytes, said.bytes);
        text_free(&given);
        text_free(&said);
        return false;
    }
    return true;
}

static Node *make_node(Parser *parser, Graph *graph, const ParsedNode *parsed)
{
    DType dtypes[RESULTS_MAX];
    Shape shapes[RESULTS_MAX];
    Diag diag = {0};
    const OpInfo *info = &op_table[parsed->op];
    if (!op_infer(parsed->op, parsed->operand_count, parsed->operands, &parsed->attributes, dtypes,
                  shapes, (SourceLocation){0}, &diag)) {
        scan_fail(&parser->scan, parsed->mark, "%s", diag.message + strlen("error: "));
        return NULL;
    }
    if (parsed->result_count != info->results) {
        scan_fail(&parser->scan, parsed->mark, "%s has %d results, not %d", info->name,
                  info->results, parsed->result_count);
        return NULL;
    }
    if (!check_types(parser, parsed, dtypes, shapes))
        return NULL;
    Node *node = node_create(graph, NULL, parsed->op, parsed->operand_count, parsed->operands,
                             &parsed->attributes, dtypes, shapes);
    for (int32_t i = 0; i < parsed->result_count; i++) {
        const ParsedResult *result = &parsed->results[i];
        Value *value = node->results[i];
        value->name = result->name;
        value->layout = result->type.layout;
        value->place = result->place;
        value->alias_of = result->alias_of;
        Numbered *numbered = ARENA_NEW(parser->arena, Numbered);
        *numbered = (Numbered){result->number, value};
        table_add(parser->arena, &parser->numbers, number_hash(result->number), numbered);
    }
    return node;
}

// loc("a.lua":1,2, "b.lua":3)
static bool parse_locations(Parser *parser, Node *node)
{
    Scanner *scan = &parser->scan;
    SourceLocation location = {0};
    int64_t line;
    if (!scan_expect(scan, '('))
        return false;
    do {
        if (!location.file || !next_is_digit(parser)) {
            if (!scan_string(scan, location.file ? "a line or a file" : "a file"))
                return false;
            location.file = parse_token(parser);
            if (!scan_expect(scan, ':'))
                return false;
        }
        if (node->locations.count == LOCATIONS_MAX)
            return scan_fail(scan, scan_mark(scan), "at most %d locations", LOCATIONS_MAX);
        if (!scan_integer(scan, "line", 0, INT32_MAX, &line))
            return false;
        location.line = (int32_t)line;
        node_add_location(node, location);
    } while (scan_accept(scan, ','));
    return scan_expect(scan, ')');
}

static bool parse_kernel_and_locations(Parser *parser, Node *node)
{
    Scanner *scan = &parser->scan;
    if (scan_accept(scan, '!')) {
        if (!parse_word_or_string(parser, ".", "a kernel's name"))
            return false;
        node->kernel = parse_token(parser);
    }
    ScanMark mark = scan_mark(scan);
    if (!scan_word(scan, ""))
        return true;
    if (strcmp(scan->token.bytes, "loc") != 0)
        return scan_fail(scan, mark, "expected the end of the line, found '%s'", scan->token.bytes);
    return parse_locations(parser, node);
}

// From the op on; its name is the token.
static bool parse_node(Parser *parser, Graph *graph, ParsedNode *parsed, bool barrier)
{
    parsed->op = op_from_name(parser->scan.token.bytes);
    if (parsed->op == OP_COUNT)
        return scan_fail(&parser->scan, parsed->mark, "no op '%s'", parser->scan.token.bytes);
    if (!parse_operands(parser, graph, parsed) || !parse_attributes(parser, parsed))
        return false;
    Node *node = make_node(parser, graph, parsed);
    if (!node)
        return false;
    node->barrier_before = barrier;
    return parse_kernel_and_locations(parser, node);
}

// output "name" = value @io+index
static bool parse_output(Parser *parser, Graph *graph)
{
    Scanner *scan = &parser->scan;
    Value *value;
    if (!scan_string(scan, "the output's name"))
        return false;
    const char *name = parse_token(parser);
    if (!scan_expect(scan, '=') || !parse_value(parser, graph, &value))
        return false;
    graph_add_output(graph, name, value);
    ScanMark mark = scan_mark(scan);
    if (!scan_accept(scan, '@'))
        return true;
    Place place;
    if (!parse_place(parser, &place))
        return false;
    if (place.region != REGION_IO || place.offset > INT32_MAX || place.bytes >= 0)
        return scan_fail(scan, mark, "expected the index of an output: @io+%d or more",
                         INPUT_COUNT);
    graph->outputs.items[graph->outputs.count - 1]->io_index = (int32_t)place.offset;
    return true;
}

// A barrier belongs to the node that follows.
static bool parse_statement(Parser *parser, Graph *graph, bool *barrier)
{
    Scanner *scan = &parser->scan;
    ParsedNode node = {0};
    scan_blanks(scan);
    bool has_results = *scan->at == '%';
    if (has_results && !parse_results(parser, &node))
        return false;
    node.mark = scan_mark(scan);
    if (!scan_word(scan, ""))
        return scan_expected(scan, has_results ? "an op" : "a node, barrier, output or '}'");
    if (!has_results && strcmp(scan->token.bytes, "output") == 0)
        return parse_output(parser, graph);
    if (!has_results && strcmp(scan->token.bytes, "barrier") == 0) {
        if (*barrier)
            return scan_fail(scan, node.mark, "a second barrier");
        *barrier = true;
        return true;
    }
    if (!parse_node(parser, graph, &node, *barrier))
        return false;
    *barrier = false;
    return true;
}

// T<=N, act=N, bound=N
static bool parse_graph_field(Parser *parser, Graph *graph)
{
    Scanner *scan = &parser->scan;
    ScanMark mark = scan_mark(scan);
    if (!scan_word(scan, ""))
        return scan_expected(scan, "'{'");
    if (strcmp(scan->token.bytes, "T") == 0)
        return scan_expect(scan, '<') && scan_expect(scan, '=') &&
               scan_integer(scan, "bound of T", 1, BATCH_MAX, &graph->bound_t);
    if (strcmp(scan->token.bytes, "act") == 0)
        return scan_expect(scan, '=') && scan_integer(scan, "act", 0, PLACE_MAX, &graph->act_bytes);
    if (strcmp(scan->token.bytes, "bound") == 0)
        return scan_expect(scan, '=') &&
               scan_integer(scan, "bound", 0, PLACE_MAX, &graph->act_lower_bound);
    return scan_fail(scan, mark, "a graph has no field '%s'", scan->token.bytes);
}

bool parse_graph(Parser *parser)
{
    Scanner *scan = &parser->scan;
    bool barrier = false;
    if (!scan_expect(scan, '@') || !parse_word_or_string(parser, ".", "the graph's name"))
        return false;
    Graph *graph = module_add_graph(parser->module, parse_token(parser));
    parser->numbers = (Table){0};
    while (!scan_accept(scan, '{'))
        if (!parse_graph_field(parser, graph))
            return false;
    if (!scan_line_end(scan))
        return false;
    for (scan_lines(scan); !scan_accept(scan, '}'); scan_lines(scan))
        if (!parse_statement(parser, graph, &barrier) || !scan_line_end(scan))
            return false;
    if (barrier)
        return scan_fail(scan, scan_mark(scan), "a barrier stands before no node");
    return scan_line_end(scan);
}
