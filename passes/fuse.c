// Producer/consumer pairs for which the catalogue has a kernel. A rule asks the catalogue by op,
// types and target; it never names an instruction set or a packing.
#include "passes/rules.h"

#include <assert.h>

bool pass_fuse(PassContext *context)
{
    Module *module = context->module;
    for (int32_t i = 0; i < module->graphs.count; i++) {
        int32_t order = 0;
        for (Node *node = module->graphs.items[i]->first; node; node = node->next)
            node->mark = ++order;
    }
    rules_run(context);
    module_sweep(module);
    return true;
}

// Whether there is a kernel for what a rule would make of `root`; says what is missing otherwise.
static bool has_kernel(PassContext *context, RuleId rule, const Node *root,
                       const KernelQuery *query)
{
    if (kernel_find(query))
        return true;
    Text reason = {0};
    no_kernel_print(&reason, query);
    rule_miss(context, rule, root, reason.bytes);
    text_free(&reason);
    return false;
}

// s = x + y; n = rms_norm(s, w)  ->  s, n = add_rms_norm(x, y, w): x and y are read once.
bool rule_add_rms_norm(PassContext *context, Node *root)
{
    Node *add = value_produced_by(root->operands[0].value, OP_add);
    if (!add)
        return rule_miss(context, RULE_add_rms_norm, root, "the input is not a sum");
    Value *x = add->operands[0].value, *y = add->operands[1].value;
    Value *weight = root->operands[1].value;
    const Node *maker = value_producer(weight);
    if (maker && maker->mark > add->mark)
        return rule_miss(context, RULE_add_rms_norm, root, "the weight is computed after the sum");
    if (!shape_equal(&x->shape, &y->shape))
        return rule_miss(context, RULE_add_rms_norm, root, "the sum broadcasts an operand");
    if (!dim_equal(weight->shape.dims[0], x->shape.dims[1]))
        return rule_miss(context, RULE_add_rms_norm, root, "each head is normed by itself");
    KernelQuery query = {.op = OP_add_rms_norm,
                         .target = context->target,
                         .inputs = DTYPE_SET(f32),
                         .post = (DType)root->attributes.rms_norm.post};
    if (!has_kernel(context, RULE_add_rms_norm, root, &query))
        return false;
    Attributes attributes = op_default_attributes(OP_add_rms_norm);
    attributes.add_rms_norm.eps = root->attributes.rms_norm.eps;
    attributes.add_rms_norm.post = root->attributes.rms_norm.post;
    // In the sum's place, so that its other readers stand behind.
    Node *fused = graph_insert(root->graph, add, OP_add_rms_norm, 3, (Value *[]){x, y, weight},
                               &attributes, root);
    fused->mark = add->mark;
    node_add_locations(fused, add);
    value_replace_uses(add->results[0], fused->results[0]);
    value_replace_uses(root->results[0], fused->results[1]);
    graph_remove(root);
    graph_remove(add);
    return true;
}

// One third of qkv: the slice it comes from and, for q and k, its rotation.
typedef struct Part {
    Node *slice, *rope;
} Part;

static Part part_of(Value *value, bool rotated)
{
    Part part = {0};
    if (rotated) {
        part.rope = value_produced_by(value, OP_rope);
        if (!part.rope)
            return part;
        value = part.rope->operands[0].value;
    }
    part.slice = value_produced_by(value, OP_slice);
    if (part.slice && part.slice->attributes.slice.axis != 1)
        part.slice = NULL;
    return part;
}

static Node *store_of_part(const Node *values, const Node *rope)
{
    for (const Use *use = rope->results[0]->uses; use; use = use->next) {
        Node *node = use->user;
        if (node && node->op == OP_kv_store && node->mark < values->mark &&
            use == &node->operands[0] && node->operands[1].value == values->operands[1].value &&
            node->operands[4].value->state->role == STATE_KEYS)
            return node;
    }
    return NULL;
}

// The kv_store of the keys that belongs to a kv_store of values: same matmul, same positions. It is
// looked for from the matmul on, for what all layers share has a reader in each.
static Node *store_of_keys(const Node *values, const Value *qkv, Part *part)
{
    for (const Use *cut = qkv->uses; cut; cut = cut->next) {
        if (!cut->user || cut->user->op != OP_slice)
            continue;
        for (const Use *use = cut->user->results[0]->uses; use; use = use->next) {
            Node *store = use->user && use->user->op == OP_rope && use == &use->user->operands[0]
                              ? store_of_part(values, use->user)
                              : NULL;
            if (!store)
                continue;
            *part = part_of(store->operands[0].value, true);
            if (part->slice)
                return store;
        }
    }
    return NULL;
}

// The rotated q of the same matmul.
static Part rotated_query(const Value *qkv, const Part *keys)
{
    for (const Use *use = qkv->uses; use; use = use->next) {
        Node *slice = use->user;
        if (!slice || slice->op != OP_slice || slice == keys->slice)
            continue;
        Node *rope = value_single_user(slice->results[0]);
        if (rope && rope->op == OP_rope && &rope->operands[0] == slice->results[0]->uses)
            return (Part){slice, rope};
    }
    return (Part){0};
}

static bool adjacent(const Node *first, const Node *second)
{
    return first->attributes.slice.end == second->attributes.slice.begin;
}

static bool same_rotation(const Node *a, const Node *b)
{
    return a->operands[1].value == b->operands[1].value &&
           a->attributes.rope.style == b->attributes.rope.style &&
           a->attributes.rope.head_dim == b->attributes.rope.head_dim;
}

static bool same_heads(const Node *rope, const State *keys, const State *values)
{
    return rope->attributes.rope.head_dim == keys->head_dim && keys->head_dim == values->head_dim &&
           keys->kv_heads == values->kv_heads && keys->dtype == values->dtype;
}

// Whether something between the two stores touches the keys, which are then stored by the later
// one.
static bool keys_touched_between(const Node *keys, const Node *values)
{
    for (const Use *use = keys->operands[4].value->uses; use; use = use->next)
        if (use->user && use->user->mark > keys->mark && use->user->mark < values->mark)
            return true;
    return false;
}

static bool stands_before_readers(const Node *root, const Value *value)
{
    for (const Use *use = value->uses; use; use = use->next)
        if (use->user && use->user->mark < root->mark)
            return false;
    return true;
}

static void insert_rope_qk_store(Node *root, Node *keys, const Part *q, const Part *k)
{
    Value *qkv = q->slice->operands[0].value;
    const State *state = keys->operands[4].value->state;
    Attributes attributes = op_default_attributes(OP_rope_qk_store);
    attributes.rope_qk_store.heads =
        (q->slice->attributes.slice.end - q->slice->attributes.slice.begin) / state->head_dim;
    attributes.rope_qk_store.kv_heads = state->kv_heads;
    attributes.rope_qk_store.style = q->rope->attributes.rope.style;
    Value *operands[] = {qkv,
                         q->rope->operands[1].value,
                         root->operands[1].value,
                         root->operands[2].value,
                         root->operands[3].value,
                         keys->operands[4].value,
                         root->operands[4].value};
    Node *fused = graph_insert(root->graph, root, OP_rope_qk_store, 7, operands, &attributes, root);
    fused->mark = root->mark;
    node_add_locations(fused, q->rope);
    node_add_locations(fused, k->rope);
    node_add_locations(fused, keys);
    value_replace_uses(q->rope->results[0], fused->results[0]);
}

// rope(qkv[q]), store(rope(qkv[k])), store(qkv[v])  ->  one pass over qkv.
bool rule_rope_qk_store(PassContext *context, Node *root)
{
    const RuleId rule = RULE_rope_qk_store;
    if (root->operands[4].value->state->role != STATE_VALUES)
        return false;
    Part v = part_of(root->operands[0].value, false), k;
    if (!v.slice)
        return rule_miss(context, rule, root, "q, k and v are not slices of one matmul");
    Value *qkv = v.slice->operands[0].value;
    Node *keys = store_of_keys(root, qkv, &k);
    if (!keys)
        return rule_miss(context, rule, root, "no rotated k of the same matmul is stored before");
    Part q = rotated_query(qkv, &k);
    if (!q.slice)
        return rule_miss(context, rule, root, "no q of the same matmul goes to rope alone");
    if (!adjacent(q.slice, k.slice) || !adjacent(k.slice, v.slice) ||
        q.slice->attributes.slice.begin != 0 ||
        v.slice->attributes.slice.end != qkv->shape.dims[1].constant)
        return rule_miss(context, rule, root, "q, k and v do not make up the matmul in this order");
    if (!same_rotation(q.rope, k.rope))
        return rule_miss(context, rule, root, "q and k are rotated differently");
    if (!same_heads(k.rope, keys->operands[4].value->state, root->operands[4].value->state))
        return rule_miss(context, rule, root, "rope, keys and values differ in heads or type");
    if (keys->operands[1].value != root->operands[1].value ||
        keys->operands[2].value != root->operands[2].value ||
        keys->operands[3].value != root->operands[3].value)
        return rule_miss(context, rule, root, "k and v are stored at different positions");
    if (value_single_user(k.slice->results[0]) != k.rope ||
        value_single_user(k.rope->results[0]) != keys ||
        value_single_user(v.slice->results[0]) != root)
        return rule_miss(context, rule, root, "k or v has a second use");
    if (!stands_before_readers(root, q.rope->results[0]))
        return rule_miss(context, rule, root, "q is read before v is stored");
    if (keys_touched_between(keys, root))
        return rule_miss(context, rule, root, "the keys are touched before v is stored");
    KernelQuery query = {.op = OP_rope_qk_store,
                         .target = context->target,
                         .inputs = DTYPE_SET(f32),
                         .stored = 1u << root->operands[4].value->dtype};
    if (!has_kernel(context, rule, root, &query))
        return false;
    insert_rope_qk_store(root, keys, &q, &k);
    graph_remove(root);
    graph_remove(keys);
    return true; // what fed them is swept
}

// Finds the matmul whose two halves are gate and up; says why it is none that can be fused.
static const char *gate_up_matmul(const Node *root, Node **matmul)
{
    const char *const no_halves = "gate and up are not the halves of one matmul";
    Node *gate = value_produced_by(root->operands[0].value, OP_slice);
    Node *up = value_produced_by(root->operands[1].value, OP_slice);
    if (!gate || !up || gate->operands[0].value != up->operands[0].value ||
        gate->attributes.slice.begin != 0 || !adjacent(gate, up))
        return no_halves;
    *matmul = value_produced_by(gate->operands[0].value, OP_matmul);
    if (!*matmul || up->attributes.slice.end != (*matmul)->results[0]->shape.dims[1].constant)
        return no_halves;
    if (value_single_user(gate->results[0]) != root || value_single_user(up->results[0]) != root ||
        value_use_count((*matmul)->results[0]) != 2)
        return "gate or up has a second use";
    if ((*matmul)->attributes.matmul.epilogue != EPILOGUE_none)
        return "the matmul has an epilogue already";
    return (*matmul)->operand_count == 2 ? NULL : "gate and up have different types";
}

// Gate or up of a weight that holds both: what was joined is taken as it was.
static const Recipe *half_of(Arena *arena, const Recipe *recipe, int32_t which)
{
    int64_t half = recipe->rows / 2;
    if (recipe->kind == RECIPE_CONCAT && recipe->child_count == 2)
        return recipe->children[which];
    return recipe_slice(arena, recipe, which * half, (which + 1) * half);
}

// Gate and up never reach memory.
static bool fuse_gates(PassContext *context, RuleId rule, Node *root, Epilogue epilogue)
{
    Node *matmul;
    const char *reason = gate_up_matmul(root, &matmul);
    if (reason)
        return rule_miss(context, rule, root, reason);
    if (matmul->operands[1].value->kind != VALUE_WEIGHT)
        return rule_miss(context, rule, root, "the weights are cut or joined by ops");
    const Weight *weight = matmul->operands[1].value->weight;
    Arena *arena = context->module->arena;
    const Recipe *gate = half_of(arena, weight->recipe, 0), *up = half_of(arena, weight->recipe, 1);
    if (gate->rows != up->rows || gate->rows % SWIGLU_INTERLEAVE)
        return rule_miss(context, rule, root, "rows of gate and up do not interleave evenly");
    KernelQuery query = {.op = OP_matmul,
                         .target = context->target,
                         .inputs = 1u << matmul->operands[0].value->dtype,
                         .stored = 1u << weight->dtype,
                         .post = op_post(root->op, &root->attributes),
                         .epilogue = epilogue};
    if (!has_kernel(context, rule, root, &query))
        return false;
    Value *interleaved = rule_weight(
        context, root->graph, arena_format(arena, "%s.interleaved", weight->name), weight->dtype,
        weight->shape, recipe_interleave(arena, gate, up, SWIGLU_INTERLEAVE));
    Attributes attributes = matmul->attributes;
    attributes.matmul.epilogue = (int32_t)epilogue;
    attributes.matmul.post = (int32_t)op_post(root->op, &root->attributes);
    Value *operands[] = {matmul->operands[0].value, interleaved};
    Node *fused = graph_insert(root->graph, matmul, OP_matmul, 2, operands, &attributes, matmul);
    fused->mark = matmul->mark;
    node_add_locations(fused, root);
    value_replace_uses(root->results[0], fused->results[0]);
    graph_remove(root);
    return true;
}

// swiglu(x·g', x·u')  ->  matmul(x, interleave(g, u)) {epilogue=swiglu}
bool rule_swiglu_matmul(PassContext *context, Node *root)
{
    return fuse_gates(context, RULE_swiglu_matmul, root, EPILOGUE_swiglu);
}

// geglu(x·g', x·u')  ->  matmul(x, interleave(g, u)) {epilogue=geglu}
bool rule_geglu_matmul(PassContext *context, Node *root)
{
    return fuse_gates(context, RULE_geglu_matmul, root, EPILOGUE_geglu);
}

// Why gate and up are no pair of products that can be one; NULL if they are.
static const char *unlike_experts(const Node *root, const Node *gate, const Node *up)
{
    const Value *g = gate->operands[1].value, *u = up->operands[1].value;
    if (gate->operands[0].value != up->operands[0].value ||
        gate->operands[2].value != up->operands[2].value)
        return "gate and up read different values";
    if (value_single_user(gate->results[0]) != root || value_single_user(up->results[0]) != root)
        return "gate or up has a second use";
    if (g->kind != VALUE_WEIGHT || u->kind != VALUE_WEIGHT)
        return "the weights are cut or joined by ops";
    if (g->dtype != u->dtype)
        return "gate and up have different types";
    bool fresh = gate->attributes.matmul_experts.epilogue == EPILOGUE_none &&
                 up->attributes.matmul_experts.epilogue == EPILOGUE_none;
    if (!fresh || gate->attributes.matmul_experts.post != DTYPE_f32)
        return "a product has an epilogue or post already";
    int64_t rows = g->shape.dims[0].constant / gate->attributes.matmul_experts.experts;
    return rows % SWIGLU_INTERLEAVE ? "rows of an expert do not interleave evenly" : NULL;
}

// swiglu(experts(x, g), experts(x, u))  ->  experts(x, interleave(g, u)) {epilogue=swiglu}: the
// rows of an expert stay together.
bool rule_swiglu_experts(PassContext *context, Node *root)
{
    const RuleId rule = RULE_swiglu_experts;
    Node *gate = value_produced_by(root->operands[0].value, OP_matmul_experts);
    Node *up = value_produced_by(root->operands[1].value, OP_matmul_experts);
    if (!gate || !up)
        return false;
    const char *reason = unlike_experts(root, gate, up);
    if (reason)
        return rule_miss(context, rule, root, reason);
    const Weight *g = gate->operands[1].value->weight, *u = up->operands[1].value->weight;
    KernelQuery query = {.op = OP_matmul_experts,
                         .target = context->target,
                         .inputs = 1u << gate->operands[0].value->dtype,
                         .stored = 1u << g->dtype,
                         .post = (DType)root->attributes.swiglu.post,
                         .epilogue = EPILOGUE_swiglu};
    if (!has_kernel(context, rule, root, &query))
        return false;
    Arena *arena = context->module->arena;
    Shape shape = {2, {dim_constant(2 * g->recipe->rows), dim_constant(g->recipe->columns)}};
    Value *interleaved = rule_weight(
        context, root->graph, arena_format(arena, "%s+%s.interleaved", g->name, u->name), g->dtype,
        shape, recipe_interleave(arena, g->recipe, u->recipe, SWIGLU_INTERLEAVE));
    Attributes attributes = gate->attributes;
    attributes.matmul_experts.epilogue = EPILOGUE_swiglu;
    attributes.matmul_experts.post = root->attributes.swiglu.post;
    Value *operands[] = {gate->operands[0].value, interleaved, gate->operands[2].value};
    Node *fused =
        graph_insert(root->graph, gate, OP_matmul_experts, 3, operands, &attributes, gate);
    fused->mark = gate->mark;
    node_add_locations(fused, up);
    node_add_locations(fused, root);
    value_replace_uses(root->results[0], fused->results[0]);
    graph_remove(root);
    return true;
}

static int64_t columns_of(const Value *value)
{
    return value->shape.dims[1].constant;
}

// Attention computes by kv head, matmul by weight, a norm by head: an activation block must not
// span two of them.
static bool blocks_fit(const Node *node, DType type)
{
    int32_t block = dtype_table[type].block_elements;
    if (node->op == OP_attention) {
        const State *keys = node->operands[4].value->state;
        return node->attributes.attention.heads / keys->kv_heads * keys->head_dim % block == 0;
    }
    if (node->op == OP_rms_norm)
        return node->operands[1].value->shape.dims[0].constant % block == 0;
    if (node->op == OP_matmul_experts)
        return columns_of(node->results[0]) / columns_of(node->operands[2].value) % block == 0;
    for (int32_t i = 1; node->op == OP_matmul && i < node->operand_count; i++)
        if (node->operands[i].value->shape.dims[0].constant % block)
            return false;
    return true;
}

static int32_t *post_of(Node *node)
{
    switch (node->op) {
    case OP_rms_norm: return &node->attributes.rms_norm.post;
    case OP_add_rms_norm: return &node->attributes.add_rms_norm.post;
    case OP_layer_norm: return &node->attributes.layer_norm.post;
    case OP_swiglu: return &node->attributes.swiglu.post;
    case OP_geglu: return &node->attributes.geglu.post;
    case OP_matmul: return &node->attributes.matmul.post;
    case OP_matmul_experts: return &node->attributes.matmul_experts.post;
    case OP_attention: return &node->attributes.attention.post;
    default: return NULL;
    }
}

// quantise(f(x))  ->  f(x) {post}: the f32 result never reaches memory.
bool rule_quantise_post(PassContext *context, Node *root)
{
    const RuleId rule = RULE_quantise_post;
    Value *value = root->operands[0].value;
    Node *node = value_producer(value);
    DType type = (DType)root->attributes.quantise.type;
    int32_t *post = node ? post_of(node) : NULL;
    if (!post)
        return rule_miss(context, rule, root, "the producer has no post");
    if (value != node->results[node->result_count - 1])
        return rule_miss(context, rule, root, "the post is of the producer's other result");
    if (value_single_user(value) != root)
        return rule_miss(context, rule, root, "the f32 value has a second use");
    if (!blocks_fit(node, type))
        return rule_miss(context, rule, root, "a block would span two heads or two weights");
    KernelQuery query = node_query(node, context->target);
    query.post = type;
    query.layouts = 0;
    if (!has_kernel(context, rule, root, &query))
        return false;
    *post = (int32_t)type;
    value->dtype = type;
    node_add_locations(node, root);
    value_replace_uses(root->results[0], value);
    graph_remove(root);
    return true;
}
