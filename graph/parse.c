// Parsing: the reader of the text that print.c writes (grammar: graph/README.md), one pass by
// recursive descent, linear in the text. The text is hostile: every count, number and depth is
// bounded here, types come from inference, and what spans lines is the verifier's. Kept apart from
// that: whether a field belongs to the module's level; a field that is there is read.
#include "graph/parse.h"

#include <string.h>

#include "graph/base/hash.h"

const char *parse_token(Parser *parser)
{
    return arena_copy_text(parser->arena, parser->scan.token.bytes, parser->scan.token.length);
}

bool parse_word_or_string(Parser *parser, const char *also, const char *what)
{
    return scan_word(&parser->scan, also) || scan_string(&parser->scan, what);
}

// --- types and places

bool parse_dtype(Parser *parser, DType *dtype)
{
    ScanMark mark = scan_mark(&parser->scan);
    if (!scan_word(&parser->scan, ""))
        return scan_expected(&parser->scan, "a dtype");
    *dtype = dtype_from_name(parser->scan.token.bytes);
    return *dtype < DTYPE_COUNT ||
           scan_fail(&parser->scan, mark, "no dtype '%s'", parser->scan.token.bytes);
}

bool parse_layout(Parser *parser, Layout *layout)
{
    *layout = LAYOUT_plain;
    if (!scan_accept(&parser->scan, '{'))
        return true;
    ScanMark mark = scan_mark(&parser->scan);
    if (!scan_word(&parser->scan, ""))
        return scan_expected(&parser->scan, "a layout");
    *layout = layout_from_name(parser->scan.token.bytes);
    if (*layout == LAYOUT_COUNT)
        return scan_fail(&parser->scan, mark, "no layout '%s'", parser->scan.token.bytes);
    return scan_expect(&parser->scan, '}');
}

static bool parse_symbol(Parser *parser, int32_t factor, Dim *dim)
{
    ScanMark mark = scan_mark(&parser->scan);
    if (!scan_word(&parser->scan, ""))
        return scan_expected(&parser->scan, "a dimension");
    const char *symbol = strchr(symbol_names, parser->scan.token.bytes[0]);
    if (parser->scan.token.length != 1 || !symbol)
        return scan_fail(&parser->scan, mark, "no symbol '%s': expected T, R, B or P",
                         parser->scan.token.bytes);
    dim->factor[symbol - symbol_names] = factor;
    return true;
}

// 2048, T, 2*T+R-1
static bool parse_dim(Parser *parser, Dim *dim)
{
    *dim = (Dim){0};
    do {
        int64_t number = 1;
        scan_blanks(&parser->scan);
        char next = *parser->scan.at;
        bool numeric = next == '-' || (next >= '0' && next <= '9');
        if (numeric && !scan_integer(&parser->scan, "dimension", -DIM_MAX, DIM_MAX, &number))
            return false;
        if (numeric && !scan_accept(&parser->scan, '*'))
            dim->constant = number;
        else if (!parse_symbol(parser, (int32_t)number, dim))
            return false;
        scan_blanks(&parser->scan);
    } while (scan_accept(&parser->scan, '+') || *parser->scan.at == '-');
    return true;
}

static bool parse_shape(Parser *parser, Shape *shape)
{
    *shape = (Shape){0};
    if (!scan_expect(&parser->scan, '['))
        return false;
    if (scan_accept(&parser->scan, ']'))
        return true;
    do {
        if (shape->rank == RANK_MAX)
            return scan_fail(&parser->scan, scan_mark(&parser->scan), "at most %d dimensions",
                             RANK_MAX);
        if (!parse_dim(parser, &shape->dims[shape->rank++]))
            return false;
    } while (scan_accept(&parser->scan, ','));
    return scan_expect(&parser->scan, ']');
}

bool parse_type(Parser *parser, ParsedType *type)
{
    type->mark = scan_mark(&parser->scan);
    return parse_dtype(parser, &type->dtype) && parse_shape(parser, &type->shape) &&
           parse_layout(parser, &type->layout);
}

static bool parse_region(Parser *parser, Region *region)
{
    ScanMark mark = scan_mark(&parser->scan);
    if (!scan_word(&parser->scan, ""))
        return scan_expected(&parser->scan, "a region");
    for (int i = REGION_NONE + 1; i < REGION_COUNT; i++) {
        *region = (Region)i;
        if (strcmp(region_names[i], parser->scan.token.bytes) == 0)
            return true;
    }
    return scan_fail(&parser->scan, mark, "no region '%s': expected w, kv, act, own or io",
                     parser->scan.token.bytes);
}

bool parse_place(Parser *parser, Place *place)
{
    place->bytes = -1;
    if (!parse_region(parser, &place->region) || !scan_expect(&parser->scan, '+') ||
        !scan_integer(&parser->scan, "offset", 0, PLACE_MAX, &place->offset))
        return false;
    return !scan_accept(&parser->scan, ':') ||
           scan_integer(&parser->scan, "size", 0, PLACE_MAX, &place->bytes);
}

bool parse_place_in(Parser *parser, Region region, Place *place)
{
    ScanMark mark = scan_mark(&parser->scan);
    if (!scan_accept(&parser->scan, '@'))
        return true;
    if (!parse_place(parser, place))
        return false;
    if (place->region != region)
        return scan_fail(&parser->scan, mark, "expected a place in region %s",
                         region_names[region]);
    return place->bytes >= 0 || scan_expected(&parser->scan, "':' and the size");
}

// --- names

static uint64_t name_hash(const char *name)
{
    return hash64(name, strlen(name), 0);
}

Named parse_find_name(Parser *parser)
{
    const char *name = parser->scan.token.bytes;
    uint32_t probe = 0;
    for (Named *named; (named = table_next(&parser->names, name_hash(name), &probe));)
        if (strcmp(named->name, name) == 0)
            return *named;
    return (Named){0};
}

bool parse_new_name(Parser *parser, const char **name)
{
    ScanMark mark = scan_mark(&parser->scan);
    if (!scan_expect(&parser->scan, '%') || !parse_word_or_string(parser, ".+-", "a name"))
        return false;
    *name = parse_token(parser);
    if (parse_find_name(parser).name)
        return scan_fail(&parser->scan, mark, "a second weight or state '%s'", *name);
    return scan_expect(&parser->scan, ':');
}

void parse_add_name(Parser *parser, const char *name, Weight *weight, State *state)
{
    Named *named = ARENA_NEW(parser->arena, Named);
    *named = (Named){name, weight, state};
    table_add(parser->arena, &parser->names, name_hash(name), named);
}

// --- states

// f16[page,kv heads,head size]
static bool parse_state_type(Parser *parser, DType *dtype, int64_t *kv_heads, int64_t *head_dim)
{
    Scanner *scan = &parser->scan;
    ScanMark mark = scan_mark(scan);
    if (!parse_dtype(parser, dtype))
        return false;
    if (!dtype_is_state(*dtype))
        return scan_fail(scan, mark, "a state is " STATE_DTYPE_NAMES ", not %s",
                         dtype_table[*dtype].name);
    if (!scan_expect(scan, '['))
        return false;
    mark = scan_mark(scan);
    if (!scan_word(scan, "") || strcmp(scan->token.bytes, "page") != 0)
        return scan_fail(scan, mark, "expected [page,heads,head size]");
    if (!scan_expect(scan, ',') || !scan_integer(scan, "heads", 1, DIM_MAX, kv_heads) ||
        !scan_expect(scan, ',') ||
        !scan_integer(scan, "head size", 1, DIM_MAX / *kv_heads, head_dim))
        return false;
    return scan_expect(scan, ']');
}

static bool parse_state(Parser *parser)
{
    Scanner *scan = &parser->scan;
    const char *name;
    DType dtype;
    Layout layout;
    int64_t kv_heads, head_dim;
    Place place = {REGION_NONE, 0, -1};
    if (!parse_new_name(parser, &name) || !parse_state_type(parser, &dtype, &kv_heads, &head_dim) ||
        !parse_layout(parser, &layout))
        return false;
    ScanMark mark = scan_mark(scan);
    bool word = scan_word(scan, "");
    bool keys = word && strcmp(scan->token.bytes, "keys") == 0;
    if (!keys && !(word && strcmp(scan->token.bytes, "values") == 0))
        return scan_fail(scan, mark, "expected keys or values");
    if (!parse_place_in(parser, REGION_KV, &place))
        return false;
    State *state = module_add_state(parser->module, name, keys ? STATE_KEYS : STATE_VALUES,
                                    (int32_t)kv_heads, (int32_t)head_dim);
    state->dtype = dtype;
    state->layout = layout;
    state->place = place;
    parse_add_name(parser, name, NULL, state);
    return scan_line_end(scan);
}

// --- the module line

static bool parse_level(Parser *parser, ScanMark mark)
{
    int level = 0;
    while (level < LEVEL_COUNT && strcmp(level_names[level], parser->scan.token.bytes) != 0)
        level++;
    if (level == LEVEL_COUNT)
        return scan_fail(&parser->scan, mark, "no level '%s'", parser->scan.token.bytes);
    parser->module->level = (Level)level;
    return true;
}

// A field whose value is a word; `name` is known.
static bool parse_word_field(Parser *parser, const char *name)
{
    Module *module = parser->module;
    Scanner *scan = &parser->scan;
    ScanMark mark = scan_mark(scan);
    if (!parse_word_or_string(parser, ".", name))
        return false;
    if (strcmp(name, "level") == 0)
        return parse_level(parser, mark);
    if (strcmp(name, "kv") == 0) {
        module->options.kv = dtype_from_name(scan->token.bytes);
        return dtype_is_state(module->options.kv) ||
               scan_fail(scan, mark, "kv is " STATE_DTYPE_NAMES ", not '%s'", scan->token.bytes);
    }
    if (strcmp(name, "act") == 0) {
        bool is_f32 = strcmp(scan->token.bytes, "f32") == 0;
        module->options.act_auto = !is_f32;
        return is_f32 || strcmp(scan->token.bytes, "auto") == 0 ||
               scan_fail(scan, mark, "act is auto or f32, not '%s'", scan->token.bytes);
    }
    if (strcmp(name, "script") == 0)
        module->script = parse_token(parser);
    else
        module->options.target = parse_token(parser);
    return true;
}

static bool parse_module_field(Parser *parser)
{
    static const char *const words[] = {"level", "target", "kv", "act", "script"};
    Module *module = parser->module;
    int64_t opt = module->options.opt;
    const struct {
        const char *name;
        int64_t least, most, *value;
    } numbers[] = {
        {"opt", 0, 2, &opt},
        {"batch", 1, BATCH_MAX, &module->options.batch},
        {"page", 1, BATCH_MAX, &module->options.page_tokens},
        {"context", 0, PLACE_MAX, &module->context_length},
        {"vocabulary", 0, DIM_MAX, &module->vocabulary_size},
        {"w", 0, PLACE_MAX, &module->w_bytes},
        {"page_bytes", 0, PLACE_MAX, &module->page_bytes},
    };
    Scanner *scan = &parser->scan;
    ScanMark mark = scan_mark(scan);
    if (!scan_word(scan, ""))
        return scan_expected(scan, "a field of the module");
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i], scan->token.bytes) == 0)
            return scan_expect(scan, '=') && parse_word_field(parser, words[i]);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (strcmp(numbers[i].name, scan->token.bytes) == 0) {
            bool read =
                scan_expect(scan, '=') && scan_integer(scan, numbers[i].name, numbers[i].least,
                                                       numbers[i].most, numbers[i].value);
            module->options.opt = (int32_t)opt;
            return read;
        }
    return scan_fail(scan, mark, "a module has no field '%s'", scan->token.bytes);
}

static bool parse_module_line(Parser *parser)
{
    static const ModuleOptions defaults = {
        .target = "ref", .opt = 1, .kv = DTYPE_f32, .batch = 512, .page_tokens = 64};
    Scanner *scan = &parser->scan;
    scan_lines(scan);
    ScanMark mark = scan_mark(scan);
    if (!scan_word(scan, "") || strcmp(scan->token.bytes, "module") != 0)
        return scan_fail(scan, mark, "expected 'module' and its name: a graph text begins so");
    if (!scan_string(scan, "the module's name"))
        return false;
    parser->module = module_new(parser->arena, parse_token(parser), defaults);
    for (scan_blanks(scan); *scan->at && *scan->at != '\n'; scan_blanks(scan))
        if (!parse_module_field(parser))
            return false;
    return true;
}

static bool parse_item(Parser *parser)
{
    Scanner *scan = &parser->scan;
    ScanMark mark = scan_mark(scan);
    if (!scan_word(scan, ""))
        return scan_expected(scan, "weight, state or graph");
    if (strcmp(scan->token.bytes, "weight") == 0)
        return parse_weight(parser);
    if (strcmp(scan->token.bytes, "state") == 0)
        return parse_state(parser);
    if (strcmp(scan->token.bytes, "graph") == 0)
        return parse_graph(parser);
    return scan_fail(scan, mark, "expected weight, state or graph, found '%s'", scan->token.bytes);
}

static bool parse_module(Parser *parser)
{
    if (!parse_module_line(parser))
        return false;
    for (scan_lines(&parser->scan); *parser->scan.at; scan_lines(&parser->scan))
        if (!parse_item(parser))
            return false;
    return true;
}

// The verifier knows no file: its message gets the path of the text.
static bool verify(Parser *parser)
{
    Diag diag = {0};
    return module_verify(parser->module, &diag) ||
           diag_fail(parser->scan.diag, (Where){parser->scan.path, 0, 0}, "%s",
                     diag.message + strlen("error: "));
}

Module *module_parse(const char *text, const char *path, Arena *arena, Diag *diag)
{
    Parser parser = {
        .scan = {.at = text, .line_begin = text, .line = 1, .path = path, .diag = diag},
        .arena = arena};
    bool right = parse_module(&parser) && verify(&parser);
    text_free(&parser.scan.token);
    return right ? parser.module : NULL;
}
