// The graph core: building with hash-consing, every edit, cse, and the verifier on what edits can
// break.
#include <math.h>

#include "tests/unit/run_suite.h"
#include "tests/unit/small_graph.h"

static Value *inserted_silu(Value *x)
{
    return graph_insert(graph, NULL, OP_silu, 1, &x, NULL, NULL)->results[0];
}

// --- building

START_TEST(equal_pure_nodes_are_one)
{
    Value *x = rows("w", WIDTH);
    Value *y = rows("v", WIDTH);
    Node *sum = ADD(add, NULL, x, y);
    ck_assert_ptr_eq(sum, ADD(add, NULL, x, y));
    ck_assert_ptr_ne(sum, ADD(add, NULL, y, y));
    ck_assert_ptr_ne(sum, ADD(mul, NULL, x, y));
    check_verified();
}
END_TEST

START_TEST(attributes_tell_nodes_apart)
{
    Value *x = rows("w", WIDTH), *n = vector("n", DTYPE_f32, WIDTH);
    Node *norm = ADD(rms_norm, WITH(.rms_norm = {.eps = 1e-5f}), x, n);
    ck_assert_ptr_eq(norm, ADD(rms_norm, WITH(.rms_norm = {.eps = 1e-5f}), x, n));
    ck_assert_ptr_ne(norm, ADD(rms_norm, WITH(.rms_norm = {.eps = 1e-6f}), x, n));
}
END_TEST

START_TEST(nodes_that_read_states_stay_apart)
{
    Value *q = rows("q", WIDTH);
    Value *operands[] = {q,
                         input(INPUT_POS),
                         input(INPUT_SEQ),
                         input(INPUT_TABLE),
                         state("k", STATE_KEYS, KV_HEADS, HEAD_DIM),
                         state("v", STATE_VALUES, KV_HEADS, HEAD_DIM)};
    const Attributes *with = WITH(.attention = {.heads = HEADS, .scale = 1});
    ck_assert_ptr_ne(must_add(OP_attention, with, 6, operands),
                     must_add(OP_attention, with, 6, operands));
}
END_TEST

START_TEST(equal_nodes_gather_their_locations_sorted)
{
    Value *x = rows("w", WIDTH);
    graph_add(graph, OP_silu, 1, &x, NULL, (SourceLocation){"m.lua", 9}, &diag);
    graph_add(graph, OP_silu, 1, &x, NULL, (SourceLocation){"a.lua", 12}, &diag);
    graph_add(graph, OP_silu, 1, &x, NULL, (SourceLocation){"m.lua", 9}, &diag);
    Node *node = graph_add(graph, OP_silu, 1, &x, NULL, (SourceLocation){"m.lua", 3}, &diag);
    ck_assert_int_eq(node->locations.count, 3);
    ck_assert_str_eq(node->locations.items[0].file, "a.lua");
    ck_assert_int_eq(node->locations.items[1].line, 3);
    ck_assert_int_eq(node->locations.items[2].line, 9);
}
END_TEST

START_TEST(removed_and_edited_nodes_are_not_found_again)
{
    Value *x = rows("w", WIDTH), *y = rows("v", WIDTH);
    Node *removed = ADD(silu, NULL, x);
    graph_remove(removed);
    Node *edited = ADD(silu, NULL, x);
    ck_assert_ptr_ne(removed, edited);
    node_set_operand(edited, 0, y);
    ck_assert_ptr_ne(ADD(silu, NULL, x), edited);
    check_verified();
}
END_TEST

START_TEST(leaves_are_one_value_each)
{
    Value *w = matrix("w", DTYPE_f16, 8, WIDTH);
    ck_assert_ptr_eq(w, graph_weight(graph, w->weight));
    ck_assert_ptr_eq(input(INPUT_POS), input(INPUT_POS));
    ck_assert_ptr_ne(input(INPUT_POS), input(INPUT_SEQ));
    ck_assert_ptr_eq(graph_constant(graph, 0.5f), graph_constant(graph, 0.5f));
    ck_assert_ptr_ne(graph_constant(graph, 0.0f), graph_constant(graph, -0.0f));
    ck_assert_ptr_eq(graph_constant(graph, NAN), graph_constant(graph, -NAN));
    ck_assert_int_eq(input(INPUT_POS)->dtype, DTYPE_i32);
}
END_TEST

START_TEST(attribute_bytes_beyond_the_op_do_not_count)
{
    Value *x = rows("w", WIDTH);
    Attributes dirty;
    memset(&dirty, 0xff, sizeof dirty);
    dirty.quantise.type = DTYPE_q8;
    ck_assert_ptr_eq(must_add(OP_quantise, &dirty, 1, &x),
                     ADD(quantise, WITH(.quantise = {.type = DTYPE_q8}), x));
}
END_TEST

// --- editing

START_TEST(insert_places_before_and_copies_locations)
{
    Value *x = rows("w", WIDTH);
    Node *last = ADD(neg, NULL, x);
    Node *made = graph_insert(graph, last, OP_silu, 1, &x, NULL, last);
    ck_assert_ptr_eq(made->next, last);
    ck_assert_ptr_eq(last->previous, made);
    ck_assert_int_eq(made->locations.items[0].line, here.line);
    ck_assert_ptr_ne(made, graph_insert(graph, last, OP_silu, 1, &x, NULL, last));
    check_verified();
}
END_TEST

START_TEST(set_operand_moves_the_use)
{
    Value *x = rows("w", WIDTH), *y = rows("v", WIDTH);
    Node *node = ADD(silu, NULL, x);
    node_set_operand(node, 0, y);
    ck_assert_ptr_eq(node->operands[0].value, y);
    ck_assert_int_eq(value_use_count(x), 0);
    ck_assert_ptr_eq(value_single_user(y), node);
    check_verified();
}
END_TEST

START_TEST(replace_uses_takes_operands_outputs_and_the_name)
{
    Value *x = rows("w", WIDTH), *old = silu(x);
    Value *replacement = ADD(neg, NULL, x)->results[0];
    old->name = "l0.x";
    Node *user = ADD(exp, NULL, old);
    graph_add_output(graph, "logits", old);
    value_replace_uses(old, replacement);
    ck_assert_ptr_eq(user->operands[0].value, replacement);
    ck_assert_ptr_eq(graph->outputs.items[0]->use.value, replacement);
    ck_assert_int_eq(value_use_count(old), 0);
    ck_assert_int_eq(value_use_count(replacement), 2);
    ck_assert_str_eq(replacement->name, "l0.x");
    check_verified();
}
END_TEST

START_TEST(replace_uses_keeps_a_name_that_is_there)
{
    Value *x = rows("w", WIDTH), *old = silu(x), *replacement = ADD(neg, NULL, x)->results[0];
    old->name = "old";
    replacement->name = "new";
    value_replace_uses(old, replacement);
    ck_assert_str_eq(replacement->name, "new");
}
END_TEST

START_TEST(a_single_user_is_a_node_alone)
{
    Value *x = rows("w", WIDTH);
    ck_assert_ptr_null(value_single_user(x));
    Node *twice = ADD(mul, NULL, x, x);
    ck_assert_ptr_eq(value_single_user(x), twice);
    graph_add_output(graph, "tap.x", x);
    ck_assert_ptr_null(value_single_user(x));
    silu(twice->results[0]);
    ADD(neg, NULL, twice->results[0]);
    ck_assert_ptr_null(value_single_user(twice->results[0]));
}
END_TEST

START_TEST(producers_are_found_by_op)
{
    Value *x = rows("w", WIDTH), *y = silu(x);
    ck_assert_ptr_eq(value_produced_by(y, OP_silu), value_producer(y));
    ck_assert_ptr_null(value_produced_by(y, OP_neg));
    ck_assert_ptr_null(value_producer(input(INPUT_POS)));
}
END_TEST

START_TEST(remove_takes_the_node_out)
{
    Value *x = rows("w", WIDTH), *y = silu(x);
    int32_t before = graph->node_count;
    graph_remove(value_producer(y));
    ck_assert_int_eq(graph->node_count, before - 1);
    ck_assert_int_eq(value_use_count(x), 0);
    check_verified();
}
END_TEST

START_TEST(remove_asserts_that_nobody_reads)
{
    Value *x = rows("w", WIDTH);
    silu(x);
    graph_remove(value_producer(x));
}
END_TEST

START_TEST(move_changes_the_order_only)
{
    Value *x = rows("w", WIDTH);
    Node *first = ADD(silu, NULL, x), *second = ADD(neg, NULL, x), *third = ADD(exp, NULL, x);
    graph_move(third, first);
    ck_assert_ptr_eq(third->next, first);
    graph_move(first, NULL);
    ck_assert_ptr_eq(graph->last, first);
    ck_assert_ptr_eq(second->next, first);
    graph_move(second, second);
    ck_assert_int_eq(graph->node_count, 4);
    check_verified();
}
END_TEST

START_TEST(sweep_removes_dead_chains_and_keeps_effects)
{
    Value *x = rows("x", KV_HEADS * HEAD_DIM);
    ADD(kv_store, NULL, x, input(INPUT_POS), input(INPUT_SEQ), input(INPUT_TABLE),
        state("k", STATE_KEYS, KV_HEADS, HEAD_DIM));
    silu(silu(silu(x)));
    ck_assert_int_eq(graph_sweep(graph), 3);
    ck_assert_int_eq(graph->node_count, 2);
    check_verified();
}
END_TEST

START_TEST(module_sweep_drops_what_nobody_reads)
{
    Value *x = rows("read", WIDTH);
    matrix("unread", DTYPE_f16, 8, WIDTH);
    state("k", STATE_KEYS, KV_HEADS, HEAD_DIM);
    graph_constant(graph, 3);
    graph_add_output(graph, "logits", x);
    module_sweep(module);
    ck_assert_int_eq(module->weights.count, 1);
    ck_assert_str_eq(module->weights.items[0]->name, "read");
    ck_assert_int_eq(module->states.count, 0);
    ck_assert_int_eq(graph->leaves.count, 2);
    ck_assert_ptr_eq(graph_weight(graph, module->weights.items[0]),
                     x->producer.node->operands[0].value);
    check_verified();
}
END_TEST

START_TEST(refresh_copies_what_passes_changed)
{
    Value *w = matrix("w", DTYPE_f16, 32, WIDTH);
    w->weight->layout = LAYOUT_n32k1;
    ck_assert(!module_verify(module, &diag));
    ck_assert_str_eq(diag.message,
                     "error: graph @step: the value of w has another type than w itself");
    memset(&diag, 0, sizeof diag);
    module_refresh_leaves(module);
    ck_assert_int_eq(w->layout, LAYOUT_n32k1);
    check_verified();
}
END_TEST

START_TEST(numbers_are_dense_in_program_order)
{
    Value *x = rows("w", WIDTH), *y = silu(x), *z = ADD(neg, NULL, x)->results[0];
    graph_move(value_producer(z), value_producer(y));
    graph_number(graph);
    ck_assert_int_eq(x->number, 1);
    ck_assert_int_eq(z->number, 2);
    ck_assert_int_eq(y->number, 3);
}
END_TEST

START_TEST(a_clone_maps_everything_and_shares_weights)
{
    Value *x = rows("w", WIDTH), *y = silu(ADD(mul, NULL, x, graph_constant(graph, 2))->results[0]);
    y->name = "y";
    y->place = (Place){REGION_ACT, 64, 64};
    graph_add_output(graph, "logits", y);
    Graph *copy = graph_clone(graph, "copy");
    ck_assert_int_eq(copy->node_count, graph->node_count);
    ck_assert_int_eq(module->weights.count, 1);
    const Value *other = copy->outputs.items[0]->use.value;
    ck_assert_ptr_ne(other, y);
    ck_assert_str_eq(other->name, "y");
    ck_assert_int_eq(other->place.region, REGION_NONE);
    ck_assert_int_eq(copy->last->locations.items[0].line, here.line);
    check_verified();
}
END_TEST

// --- cse

START_TEST(cse_merges_chains_and_moves_names_and_locations)
{
    Value *x = rows("w", WIDTH);
    Value *first = inserted_silu(inserted_silu(x));
    Value *second = inserted_silu(inserted_silu(x));
    second->name = "l0.x";
    Node *user = graph_insert(graph, NULL, OP_add, 2, (Value *[]){first, second}, NULL, NULL);
    ck_assert_int_eq(graph_cse(graph), 2);
    ck_assert_ptr_eq(user->operands[1].value, first);
    ck_assert_str_eq(first->name, "l0.x");
    check_verified();
}
END_TEST

START_TEST(cse_commutes_add_but_not_sub)
{
    Value *x = rows("w", WIDTH), *y = rows("v", WIDTH);
    ADD(add, NULL, x, y);
    ADD(add, NULL, y, x);
    ADD(sub, NULL, x, y);
    ADD(sub, NULL, y, x);
    int32_t before = graph->node_count;
    ck_assert_int_eq(graph_cse(graph), 1);
    ck_assert_int_eq(graph->node_count, before - 1);
}
END_TEST

START_TEST(cse_leaves_effects_and_state_readers)
{
    Value *x = rows("x", KV_HEADS * HEAD_DIM);
    Value *keys = state("k", STATE_KEYS, KV_HEADS, HEAD_DIM);
    for (int i = 0; i < 2; i++)
        ADD(kv_store, NULL, x, input(INPUT_POS), input(INPUT_SEQ), input(INPUT_TABLE), keys);
    ck_assert_int_eq(graph_cse(graph), 0);
}
END_TEST

// --- the verifier on what edits can break

static void must_not_verify(const char *message)
{
    memset(&diag, 0, sizeof diag);
    ck_assert(!module_verify(module, &diag));
    ck_assert_str_eq(diag.message, message);
}

START_TEST(the_verifier_finds_a_use_before_its_producer)
{
    Value *x = rows("w", WIDTH), *y = silu(x);
    graph_move(value_producer(y), value_producer(x));
    must_not_verify("error: graph @step, %1 = silu (m.lua:7): operand 1, %2, is produced later");
}
END_TEST

START_TEST(the_verifier_finds_broken_use_lists)
{
    Value *x = rows("w", WIDTH), *y = rows("v", WIDTH);
    Node *node = ADD(silu, NULL, x);
    node->operands[0].value = y;
    must_not_verify(
        "error: graph @step, %3 = silu (m.lua:7): operand 1 is not in the use list of its "
        "value");
}
END_TEST

START_TEST(the_verifier_finds_types_that_edits_made_wrong)
{
    Value *x = rows("w", WIDTH);
    Node *node = ADD(silu, NULL, x);
    node_set_operand(node, 0, rows("v", 64));
    graph_move(node, NULL);
    must_not_verify("error: graph @step, %3 = silu (m.lua:7): %3 is f32[T,128], inference gives "
                    "f32[T,64]");
}
END_TEST

START_TEST(the_verifier_finds_names_taken_twice)
{
    matrix("w", DTYPE_f16, 8, WIDTH);
    state("w", STATE_KEYS, 1, 32);
    must_not_verify("error: the name 'w' is taken twice");
}
END_TEST

START_TEST(the_verifier_asks_each_level_for_what_it_promises)
{
    Value *x = rows("w", WIDTH);
    ADD(quantise, WITH(.quantise = {.type = DTYPE_q8}), x);
    module->level = LEVEL_SPECIALISED;
    must_not_verify(
        "error: graph @step: T<=0, expected bounds that ascend from 1 to at most 1048576");
    graph->bound_t = 1;
    module->level = LEVEL_LAID_OUT;
    must_not_verify(
        "error: graph @step, %2 = quantise (m.lua:7): %2: expected layout t1 or t8, found "
        "plain");
    graph->last->results[0]->layout = LAYOUT_t1;
    module->level = LEVEL_SELECTED;
    must_not_verify("error: graph @step, %1 = embed (m.lua:7): no kernel is selected");
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("graph");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, equal_pure_nodes_are_one);
    tcase_add_test(tests, attributes_tell_nodes_apart);
    tcase_add_test(tests, nodes_that_read_states_stay_apart);
    tcase_add_test(tests, equal_nodes_gather_their_locations_sorted);
    tcase_add_test(tests, removed_and_edited_nodes_are_not_found_again);
    tcase_add_test(tests, leaves_are_one_value_each);
    tcase_add_test(tests, attribute_bytes_beyond_the_op_do_not_count);
    tcase_add_test(tests, insert_places_before_and_copies_locations);
    tcase_add_test(tests, set_operand_moves_the_use);
    tcase_add_test(tests, replace_uses_takes_operands_outputs_and_the_name);
    tcase_add_test(tests, replace_uses_keeps_a_name_that_is_there);
    tcase_add_test(tests, a_single_user_is_a_node_alone);
    tcase_add_test(tests, producers_are_found_by_op);
    tcase_add_test(tests, remove_takes_the_node_out);
    tcase_add_test_raise_signal(tests, remove_asserts_that_nobody_reads, 6);
    tcase_add_test(tests, move_changes_the_order_only);
    tcase_add_test(tests, sweep_removes_dead_chains_and_keeps_effects);
    tcase_add_test(tests, module_sweep_drops_what_nobody_reads);
    tcase_add_test(tests, refresh_copies_what_passes_changed);
    tcase_add_test(tests, numbers_are_dense_in_program_order);
    tcase_add_test(tests, a_clone_maps_everything_and_shares_weights);
    tcase_add_test(tests, cse_merges_chains_and_moves_names_and_locations);
    tcase_add_test(tests, cse_commutes_add_but_not_sub);
    tcase_add_test(tests, cse_leaves_effects_and_state_readers);
    tcase_add_test(tests, the_verifier_finds_a_use_before_its_producer);
    tcase_add_test(tests, the_verifier_finds_broken_use_lists);
    tcase_add_test(tests, the_verifier_finds_types_that_edits_made_wrong);
    tcase_add_test(tests, the_verifier_finds_names_taken_twice);
    tcase_add_test(tests, the_verifier_asks_each_level_for_what_it_promises);
    return run_cases("graph", tests);
}
