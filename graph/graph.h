// The graph: a Module holds weights, states and one Graph per phase; a Graph holds Nodes in program
// order that produce Values (SSA).
//
// Invariants (graph/verify.c checks them per level): operands are produced before they are used;
// use lists are exact; shapes and dtypes are those that inference gives. All memory is the module's
// arena; nothing is freed alone.
#ifndef GRAPH_GRAPH_H
#define GRAPH_GRAPH_H

#include <stdbool.h>
#include <stdint.h>

#include "graph/base/arena.h"
#include "graph/base/diag.h"
#include "graph/base/ops.h"
#include "graph/base/recipe.h"
#include "graph/base/shape.h"
#include "graph/base/text.h"
#include "graph/base/types.h"

// What a pass requires and ensures; each level promises all before it.
typedef enum Level {
    LEVEL_BUILT,       // as the script wrote it
    LEVEL_NUMERIC,     // everything that can change bits is decided
    LEVEL_SPECIALISED, // one graph per range of T
    LEVEL_LAID_OUT,    // every value and weight has its layout
    LEVEL_SELECTED,    // every node has its kernel
    LEVEL_SCHEDULED,   // order and barriers are final
    LEVEL_PLANNED,     // every value has its place
    LEVEL_COUNT
} Level;

extern const char *const level_names[LEVEL_COUNT]; // "built" …

typedef struct Node Node;
typedef struct Value Value;
typedef struct Graph Graph;
typedef struct Module Module;

// A weight: rows × columns, or a vector (rank 1). Shared by the graphs of all phases.
typedef struct Weight {
    const char *name; // unique in the module
    DType dtype;
    Layout layout;
    Shape shape;
    const Recipe *recipe;
    Place place; // bytes < 0: not planned yet
} Weight;

typedef enum StateRole { STATE_KEYS, STATE_VALUES } StateRole;

// One page's worth of keys or values of one layer: [page tokens, kv heads, head size].
typedef struct State {
    const char *name;
    StateRole role;
    DType dtype;
    Layout layout;
    int32_t kv_heads, head_dim;
    Place place; // offset within a page
} State;

typedef enum ValueKind {
    VALUE_INPUT, // a step input
    VALUE_WEIGHT,
    VALUE_STATE,
    VALUE_CONSTANT, // a scalar f32
    VALUE_RESULT,   // of a node
} ValueKind;

// One reading of a value: an operand slot of a node, or an output of the graph (user == NULL).
typedef struct Use {
    Value *value;
    Node *user;
    struct Use *next, *previous; // all uses of the value
} Use;

struct Value {
    ValueKind kind;
    DType dtype;
    Layout layout;
    Shape shape;
    const char *name; // given by the script (named), or NULL
    union {
        StepInput input;
        Weight *weight;
        State *state;
        float constant;
        struct {
            Node *node;
            int32_t index;
        } producer;
    };
    Use *uses;       // in the order they were made; the first one's `previous` is the last
    Value *alias_of; // planned: shares the bytes of this value (in place)
    Place place;
    int32_t number; // dense, in program order; set by graph_number
};

typedef struct SourceLocation {
    const char *file; // NULL: none
    int32_t line;
} SourceLocation;

struct Node {
    Op op;
    Attributes attributes;
    int32_t operand_count, result_count;
    Use *operands;
    Value *results[RESULTS_MAX];
    Vector(SourceLocation) locations; // sorted, without repeats; kept to the end
    const char *kernel;               // selected: the row's name
    bool barrier_before;              // scheduled: begins an epoch
    Graph *graph;
    Node *next, *previous; // program order
    int32_t mark;          // scratch for one pass
};

typedef struct GraphOutput {
    const char *name; // "logits", "tap.NAME"
    Use use;
    int32_t io_index; // planned; INPUT_COUNT + i
} GraphOutput;

struct Graph {
    Module *module;
    const char *name; // "step" until specialise, then "decode", "prefill"
    int64_t bound_t;  // T <= bound_t; 0 until specialise
    Node *first, *last;
    int32_t node_count;
    Vector(Value *) leaves; // inputs, weights, states, constants: one value each, made on demand
    Vector(GraphOutput *) outputs;
    int64_t act_bytes, act_lower_bound; // planned
    struct NodeTable *table;            // hash-consing of pure nodes
};

// The choices a compile was asked for; printed in the module line and kept in the plan.
typedef struct ModuleOptions {
    const char *target; // "ref", "avx2", "avx512", "avx512bf16"
    int32_t opt;        // 0, 1, 2
    DType kv;           // of STATE_DTYPES
    bool act_auto;      // activations rounded where numerics thinks so; else f32
    int64_t batch;      // largest T
    int64_t page_tokens;
} ModuleOptions;

struct Module {
    Arena *arena;
    const char *name;   // the script's model name
    const char *script; // base name of the script that built it; NULL: written by hand
    ModuleOptions options;
    Level level;
    int64_t context_length, vocabulary_size; // of the model
    Vector(Weight *) weights;
    Vector(State *) states;
    Vector(Graph *) graphs;
    int64_t w_bytes, page_bytes; // planned: size of region w; bytes of one kv page
};

// --- building (build.c)

// Largest constant of a dimension, most elements of a shape without symbols, largest T (and tokens
// a page): no byte count can overflow.
#define DIM_MAX INT32_MAX
#define ELEMENTS_MAX ((int64_t)1 << 48)
#define BATCH_MAX (1 << 20)
// Every place begins at a multiple of this many bytes.
#define PLACE_ALIGNMENT 64

// Names and file names are copied, here and below.
Module *module_new(Arena *arena, const char *name, ModuleOptions options);
Graph *module_add_graph(Module *module, const char *name);
// A weight by recipe, in layout plain. The dtype may differ from that of the recipe's tensors
// (conversion); the shape may not. Names are unique among weights and states.
Weight *module_add_weight(Module *module, const char *name, DType dtype, Shape shape,
                          const Recipe *recipe);
// A state of dtype options.kv, in layout plain.
State *module_add_state(Module *module, const char *name, StateRole role, int32_t kv_heads,
                        int32_t head_dim);

Recipe *recipe_tensor(Arena *arena, const char *name, DType dtype, int64_t rows, int64_t columns);
Recipe *recipe_concat(Arena *arena, int32_t count, const Recipe *const *children);
Recipe *recipe_slice(Arena *arena, const Recipe *child, int64_t begin, int64_t end);
Recipe *recipe_interleave(Arena *arena, const Recipe *a, const Recipe *b, int64_t rows_in_turn);
Recipe *recipe_permute(Arena *arena, const Recipe *child, int64_t m, int64_t n, int64_t inner);
Recipe *recipe_transpose(Arena *arena, const Recipe *child);
Recipe *recipe_add(Arena *arena, const Recipe *child, float addend);
Recipe *recipe_values(Arena *arena, const float *values, int64_t count);

// Leaves: the one value of the graph for it. Weights' and states' values mirror dtype, layout and
// shape (module_refresh_leaves); their places stand in the Weight and the State alone.
Value *graph_input(Graph *graph, StepInput input);
Value *graph_weight(Graph *graph, Weight *weight);
Value *graph_state(Graph *graph, State *state);
Value *graph_constant(Graph *graph, float value);

// Appends a node after checking it: operand count, dtypes, shapes, attributes (NULL: all defaults).
// An equal pure node that graph_add made before is returned instead (its locations grow). Pure: no
// effect and no state among the operands. NULL with a message when the check fails. Results:
// node->results.
Node *graph_add(Graph *graph, Op op, int32_t operand_count, Value *const *operands,
                const Attributes *attributes, SourceLocation location, Diag *diag);
void graph_add_output(Graph *graph, const char *name, Value *value);

// --- inference (infer.c)

// Checks operands and attributes and gives the results' dtypes and shapes (layout plain).
bool op_infer(Op op, int32_t operand_count, Value *const *operands, const Attributes *attributes,
              DType dtypes[RESULTS_MAX], Shape shapes[RESULTS_MAX], SourceLocation where,
              Diag *diag);

// --- editing (edit.c)

// Makes an unchecked node before `before` (NULL: at the end), for passes: the operands must be
// right (asserted by inference). Not hash-consed; locations are copied from `origin` (may be NULL).
Node *graph_insert(Graph *graph, Node *before, Op op, int32_t operand_count, Value *const *operands,
                   const Attributes *attributes, const Node *origin);
void node_add_location(Node *node, SourceLocation location);
void node_add_locations(Node *node, const Node *origin);
void node_set_operand(Node *node, int32_t index, Value *value);
// Every use of `old` (operands and outputs) reads `replacement` instead; a name moves along, unless
// the replacement has one or is a leaf.
void value_replace_uses(Value *old, Value *replacement);
int32_t value_use_count(const Value *value);
// The only node that reads the value; NULL if there are several or none, or an output reads it.
Node *value_single_user(const Value *value);
// The node that produces the value, NULL for leaves; and the same only if it is of the op.
Node *value_producer(const Value *value);
Node *value_produced_by(const Value *value, Op op);
void graph_remove(Node *node); // its results must be unused
// Moves a node before another (NULL: to the end).
void graph_move(Node *node, Node *before);
// Removes nodes without effect whose results nobody reads; returns how many.
int32_t graph_sweep(Graph *graph);
// Merges equal pure nodes (operands 0 and 1 of ops that commute compare in either order) into the
// first of them; returns how many went.
int32_t graph_cse(Graph *graph);
// Drops weights and states that no graph reads, and leaves without uses.
void module_sweep(Module *module);
// Copies dtype, layout and shape of weights and states to their values in every graph; for passes
// that changed them.
void module_refresh_leaves(Module *module);
// Numbers results densely in program order, from 1.
void graph_number(Graph *graph);
// A copy of the graph in the same module (weights and states shared, places and aliases unset), for
// specialise. Appended to the module's graphs.
Graph *graph_clone(const Graph *graph, const char *name);

// --- text (print.c, parse.c), checks (verify.c)

// `T+1`, and `f32[T,2048]{t8}` (a plain layout is not written).
void dim_print(Text *out, Dim dim);
void type_print(Text *out, DType dtype, const Shape *shape, Layout layout);
// `%12`, `%token`, `%name` or `0.5`: a value as an operand; results by their number (graph_number).
void value_print(Text *out, const Value *value);
// `%name`, quoted where it would read as something else.
void name_print(Text *out, const char *name);
// The one grammar (graph/README.md); parse(print(m)) prints the same bytes. Numbers the graphs.
void module_print(const Module *module, Text *out);
// Reads what module_print writes, checks every node by inference and the whole by module_verify.
// The text may be hostile. `path` is for messages. NULL with a message on failure.
Module *module_parse(const char *text, const char *path, Arena *arena, Diag *diag);
// Checks everything that the module's level promises; a failure is a bug in the pass before, or bad
// text. Numbers the graphs and uses the nodes' marks.
bool module_verify(const Module *module, Diag *diag);

#endif
