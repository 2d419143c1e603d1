// What parse.c (modules, states, types), parse_weight.c and parse_graph.c (graphs and their nodes)
// share.
#ifndef GRAPH_PARSE_H
#define GRAPH_PARSE_H

#include "graph/graph.h"
#include "graph/scan.h"
#include "graph/table.h"

// Largest offset or size of a place: sums of two do not overflow.
#define PLACE_MAX ((int64_t)1 << 56)

typedef struct Parser {
    Scanner scan;
    Arena *arena;
    Module *module;
    Table names;   // of weights and states
    Table numbers; // of the results of the graph at hand
} Parser;

// A weight or a state by its name; both NULL if there is none.
typedef struct Named {
    const char *name;
    Weight *weight;
    State *state;
} Named;

typedef struct ParsedType {
    ScanMark mark;
    DType dtype;
    Layout layout;
    Shape shape;
} ParsedType;

// The token that was scanned last, as a text of the arena.
const char *parse_token(Parser *parser);
// A bare word (with `also` in it) or a string, into the token.
bool parse_word_or_string(Parser *parser, const char *also, const char *what);
bool parse_dtype(Parser *parser, DType *dtype);
// "{name}" if it comes next, else plain.
bool parse_layout(Parser *parser, Layout *layout);
bool parse_type(Parser *parser, ParsedType *type);
// The offset and size behind "@region" up to the alias; `bytes` stays -1 when none are given.
bool parse_place(Parser *parser, Place *place);
// A place in the one region allowed, if there is one.
bool parse_place_in(Parser *parser, Region region, Place *place);
// The weight or state whose name is the token.
Named parse_find_name(Parser *parser);
// "%name :" of a new weight or state; a name that is taken is refused.
bool parse_new_name(Parser *parser, const char **name);
void parse_add_name(Parser *parser, const char *name, Weight *weight, State *state);
// From behind the word `weight` to the end of the line.
bool parse_weight(Parser *parser);
// From behind the word `graph` to its closing brace.
bool parse_graph(Parser *parser);

#endif
