// What memplan promises, recomputed from what graphc dumps, without any of its code or graphs:
// lifetimes are counted from barriers and operands as they are printed. A block is a value that
// takes nobody's place, alive as long as it or what takes its place.
#include "tests/diff/memory.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/graph.h"
#include "kernels/kernel.h"

typedef struct Life {
    bool in_arena, own;    // own: each thread has one
    bool replaced;         // replaced: another value has its place by now
    int32_t root;          // the value whose place it takes, itself if nobody's
    int32_t first, last;   // epochs; of a root with all that takes its place
    int32_t foreign_epoch; // the last in which any thread may read it, -1 if none
    int64_t begin, end;    // bytes
} Life;

typedef struct Reader {
    int32_t epoch, count;
    Life *lives; // by number, `count` of them
} Reader;

static char wrong[200];

static int64_t aligned(int64_t bytes)
{
    return (bytes + PLACE_ALIGNMENT - 1) / PLACE_ALIGNMENT * PLACE_ALIGNMENT;
}

static const char *is_wrong(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(wrong, sizeof wrong, format, arguments);
    va_end(arguments);
    return wrong;
}

// --- a node's line: results : types = op operands {attributes} !kernel

enum { LINE_MAX_BYTES = 4096, VALUES_MAX = 16 };

typedef struct Line {
    char text[LINE_MAX_BYTES];                         // without what stands in quotes
    int32_t results[VALUES_MAX], operands[VALUES_MAX]; // numbers; 0: not a computed value
    int32_t result_count, operand_count;
    char *types[VALUES_MAX]; // with their places
    Op op;
    bool row_local; // a thread that runs a tile reads and writes rows of its own only
} Line;

static void copy_unquoted(char out[LINE_MAX_BYTES], const char *from, const char *end)
{
    const char *full = out + LINE_MAX_BYTES - 1;
    bool quoted = false;
    for (; from < end && out < full; from++) {
        if (quoted && *from == '\\')
            from++;
        else if (*from == '"')
            quoted = !quoted;
        else if (!quoted)
            *out++ = *from;
    }
    *out = '\0';
}

static int32_t number_after_percent(const char *at)
{
    at = strchr(at, '%');
    return at && isdigit((unsigned char)at[1]) ? (int32_t)atol(at + 1) : 0;
}

static int32_t split_list(char *text, char *parts[VALUES_MAX])
{
    int32_t count = 0;
    for (char *next, *at = text; at && count < VALUES_MAX; at = next) {
        next = strstr(at, ", ");
        if (next)
            *next = '\0', next += 2;
        parts[count++] = at;
    }
    return count;
}

static int32_t read_numbers(char *text, int32_t numbers[VALUES_MAX])
{
    char *parts[VALUES_MAX];
    int32_t count = split_list(text, parts);
    for (int32_t i = 0; i < count; i++)
        numbers[i] = number_after_percent(parts[i]);
    return count;
}

static bool read_node(Line *line)
{
    char *kernel = strstr(line->text, " !"), *right = strstr(line->text, " = ");
    char *types = strstr(line->text, " : ");
    line->result_count = 0;
    if (!kernel || (right && !types))
        return false;
    if (right) {
        *types = *right = '\0';
        line->result_count = read_numbers(line->text, line->results);
        if (split_list(types + 3, line->types) != line->result_count)
            return false;
        right += 3;
    } else {
        right = line->text + strspn(line->text, " ");
    }
    kernel[strcspn(kernel + 2, " ") + 2] = '\0';
    const KernelRow *row = kernel_from_name(kernel + 2);
    *kernel = '\0';
    char *attributes = strstr(right, " {"), *operands = strchr(right, ' ');
    if (attributes)
        *attributes = '\0';
    if (!row || !operands)
        return false;
    *operands = '\0';
    line->op = op_from_name(right);
    line->operand_count = read_numbers(operands + 1, line->operands);
    line->row_local = row->split == SPLIT_TOKENS && (op_table[row->op].traits & OP_ROWWISE);
    return line->op == row->op;
}

// --- lives

static const char *read_value(Reader *reader, int32_t number, bool row_local)
{
    if (number >= reader->count || !reader->lives[number].root)
        return is_wrong("%%%d is read before it is made", number);
    Life *life = &reader->lives[number];
    if (life->replaced)
        return is_wrong("%%%d is read after another value took its place", number);
    if (!row_local)
        life->foreign_epoch = reader->epoch;
    reader->lives[life->root].last = reader->epoch;
    return NULL;
}

// In place: operand 0 of an op that may, read nowhere later, nor in this epoch by another thread.
static const char *take_place(Reader *reader, const Line *line, int32_t number, int32_t taken)
{
    Life *life = &reader->lives[number], *operand = &reader->lives[taken];
    if (!(op_table[line->op].traits & OP_INPLACE) || !line->row_local ||
        line->operands[0] != taken || number != line->results[0])
        return is_wrong("%%%d may not take the place of %%%d", number, taken);
    for (int32_t i = 1; i < line->operand_count; i++)
        if (line->operands[i] == taken)
            return is_wrong("%%%d takes the place of %%%d, which is read twice", number, taken);
    if (operand->foreign_epoch == reader->epoch)
        return is_wrong("%%%d takes the place of %%%d, which another thread reads", number, taken);
    if (!operand->in_arena || life->own != operand->own || life->begin != operand->begin)
        return is_wrong("%%%d is not where %%%d is", number, taken);
    operand->replaced = true;
    life->root = operand->root;
    reader->lives[life->root].last = reader->epoch;
    return NULL;
}

static const char *make_value(Reader *reader, const Line *line, int32_t number, const char *type)
{
    const char *place = strchr(type, '@');
    if (number <= 0 || number >= reader->count || !place)
        return is_wrong("%%%d has no place", number);
    Life *life = &reader->lives[number];
    *life =
        (Life){.root = number, .first = reader->epoch, .last = reader->epoch, .foreign_epoch = -1};
    life->own = strncmp(place, "@own+", strlen("@own+")) == 0;
    if (!life->own && strncmp(place, "@act+", strlen("@act+")) != 0)
        return NULL;
    char *rest;
    life->in_arena = true;
    life->end = life->begin = strtoll(place + strlen("@act+"), &rest, 16);
    if (*rest == ':')
        life->end += aligned(strtoll(rest + 1, &rest, 16));
    if (life->begin % PLACE_ALIGNMENT != 0)
        return is_wrong("%%%d is not aligned", number);
    return *rest == '=' ? take_place(reader, line, number, number_after_percent(rest)) : NULL;
}

static const char *read_line(Reader *reader, Line *line)
{
    if (strcmp(line->text, "  barrier") == 0) {
        reader->epoch++;
        return NULL;
    }
    if (strncmp(line->text, "  output ", strlen("  output ")) == 0) {
        int32_t number = number_after_percent(line->text);
        return number ? read_value(reader, number, false) : NULL;
    }
    if (!read_node(line))
        return is_wrong("not a node with a kernel: %.100s", line->text);
    const char *bad = NULL;
    for (int32_t i = 0; i < line->operand_count && !bad; i++)
        bad = line->operands[i] ? read_value(reader, line->operands[i], line->row_local) : NULL;
    for (int32_t i = 0; i < line->result_count && !bad; i++)
        bad = make_value(reader, line, line->results[i], line->types[i]);
    return bad;
}

// --- a graph

static bool is_block(const Reader *reader, int32_t number)
{
    return reader->lives[number].in_arena && reader->lives[number].root == number;
}

static bool meet(const Life *a, const Life *b)
{
    return a->first <= b->last && b->first <= a->last && a->begin < b->end && b->begin < a->end;
}

static const char *judge(const Reader *reader, int64_t *peak, int64_t *bound)
{
    const Life *lives = reader->lives;
    *peak = *bound = 0;
    for (int32_t i = 1; i < reader->count; i++) {
        int64_t alive = 0; // a sum is largest where something begins
        for (int32_t j = 1; j < reader->count && is_block(reader, i); j++) {
            if (!is_block(reader, j))
                continue;
            if (i != j && meet(&lives[i], &lives[j]))
                return is_wrong("%%%d and %%%d are alive at once and share bytes", i, j);
            if (lives[j].first <= lives[i].first && lives[i].first <= lives[j].last)
                alive += lives[j].end - lives[j].begin;
        }
        *bound = alive > *bound ? alive : *bound;
        if (is_block(reader, i) && lives[i].end > *peak)
            *peak = lives[i].end;
    }
    return NULL;
}

// The field of a graph's first line, 0 if it is not there.
static int64_t field(const char *line, const char *name)
{
    const char *at = strstr(line, name);
    return at ? strtoll(at + strlen(name), NULL, 16) : 0;
}

// `text` stands behind the first line, whose end is the graph's.
static const char *check_graph(const char *head, const char *text, int64_t *peak, int64_t *bound)
{
    const char *end = strstr(text, "\n}"), *bad = NULL;
    Reader reader = {.count = 1};
    for (const char *at = text; at < end; at++)
        reader.count += *at == '%';
    reader.lives = calloc((size_t)reader.count, sizeof *reader.lives);
    Line *line = malloc(sizeof *line);
    if (!reader.lives || !line)
        abort();
    for (const char *next; text < end && !bad; text = next + 1) {
        next = strchr(text, '\n');
        copy_unquoted(line->text, text, next);
        bad = read_line(&reader, line);
    }
    bad = bad ? bad : judge(&reader, peak, bound);
    if (!bad && *peak != field(head, " act="))
        bad = is_wrong("the peak is not where the last value ends, %lld", (long long)*peak);
    if (!bad && *bound != field(head, " bound="))
        bad = is_wrong("the lower bound is not the most alive at once, %lld", (long long)*bound);
    free(line);
    free(reader.lives);
    return bad;
}

const char *memory_check(const char *text, MemoryFigures *figures)
{
    const char *bad = NULL;
    figures->count = 0;
    for (const char *at = text; (at = strstr(at, "\ngraph @")) && !bad; figures->count++) {
        const char *body = strchr(++at, '\n');
        char head[200];
        snprintf(head, sizeof head, "%.*s", (int)(body - at), at);
        if (figures->count == MEMORY_GRAPHS_MAX)
            return is_wrong("more than %d graphs", MEMORY_GRAPHS_MAX);
        bad = check_graph(head, body + 1, &figures->peak[figures->count],
                          &figures->bound[figures->count]);
    }
    return bad || figures->count ? bad : is_wrong("there is no graph");
}
