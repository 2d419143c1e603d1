// The rewrite-rule engine: rules are rows of rules.def; a pass runs those of its name to a fixed
// point.
#ifndef PASSES_RULES_H
#define PASSES_RULES_H

#include "passes/passes.h"

typedef enum RuleId {
#define RULE(pass, name, root, algebra) RULE_##name,
#include "passes/rules.def"
#undef RULE
    RULE_COUNT
} RuleId;

// Rewrites around `root` and returns true, or leaves everything as it is and returns false. Every
// rewrite strictly decreases (bytes moved, nodes, disorder), lexicographically.
typedef bool RuleRun(PassContext *context, Node *root);

typedef struct RuleInfo {
    const char *name;
    PassId pass;
    Op root;
    const char *algebra;
    RuleRun *run;
} RuleInfo;

extern const RuleInfo rule_table[RULE_COUNT];

// Runs the rules of context->pass on every node of every graph, last node first, until none fires.
void rules_run(PassContext *context);
// Says in --explain why a rule nearly fired; returns false, so that `return rule_miss(...)` reads
// well.
bool rule_miss(PassContext *context, RuleId rule, const Node *node, const char *reason);
// The weight of that name and recipe, made if the pass has not made it yet: equal data is stored
// once.
Value *rule_weight(PassContext *context, Graph *graph, const char *name, DType dtype, Shape shape,
                   const Recipe *recipe);

#define RULE(pass, name, root, algebra) RuleRun rule_##name;
#include "passes/rules.def"
#undef RULE

#endif
