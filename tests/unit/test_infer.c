// Inference: the types that it gives and what it says of operands and attributes that do not fit.
#include <math.h>
#include <stdio.h>

#include "tests/unit/run_suite.h"
#include "tests/unit/small_graph.h"

// --- results

static void check_type(const Value *value, const char *expected)
{
    Text text = {0};
    type_print(&text, value->dtype, &value->shape, LAYOUT_plain);
    ck_assert_str_eq(text.bytes, expected);
    text_free(&text);
}

START_TEST(results_have_the_types_of_the_signatures)
{
    Value *x = rows("x", WIDTH), *n = vector("n", DTYPE_bf16, WIDTH), *y = rows("y", WIDTH);
    Value *w = matrix("w", DTYPE_q8_0, 64, WIDTH), *v = matrix("v", DTYPE_q4_0, 96, WIDTH);
    check_type(x, "f32[T,128]");
    check_type(ADD(gather_rows, NULL, x, input(INPUT_ROW))->results[0], "f32[R,128]");
    check_type(ADD(slice, WITH(.slice = {1, 32, 96, 0}), x)->results[0], "f32[T,64]");
    check_type(ADD(slice, WITH(.slice = {0, 16, 48, 0}), w)->results[0], "q8_0[32,128]");
    check_type(ADD(concat, WITH(.concat = {1, 0}), x, y)->results[0], "f32[T,256]");
    check_type(ADD(concat, WITH(.concat = {0, 0}), w, w)->results[0], "q8_0[128,128]");
    check_type(ADD(add, NULL, x, n = vector("b", DTYPE_f32, WIDTH))->results[0], "f32[T,128]");
    check_type(ADD(mul, NULL, x, graph_constant(graph, 2))->results[0], "f32[T,128]");
    Value *column = ADD(reduce_sum, NULL, x)->results[0];
    check_type(column, "f32[T,1]");
    check_type(ADD(div, NULL, x, column)->results[0], "f32[T,128]");
    check_type(ADD(matmul, NULL, x, w, v)->results[0], "f32[T,160]");
    Value *q8 = ADD(quantise, WITH(.quantise = {.type = DTYPE_q8}), x)->results[0];
    check_type(q8, "q8[T,128]");
    check_type(ADD(matmul, WITH(.matmul = {EPILOGUE_swiglu, DTYPE_q8, 0}), q8, w)->results[0],
               "q8[T,32]");
    Node *norm = ADD(add_rms_norm, WITH(.add_rms_norm = {1e-5f, DTYPE_q8, 0}), x, y, n);
    check_type(norm->results[0], "f32[T,128]");
    check_type(norm->results[1], "q8[T,128]");
    Value *few = picked_rows("p", WIDTH);
    check_type(ADD(rms_norm, WITH(.rms_norm = {.eps = 1e-5f}), few, n)->results[0], "f32[R,128]");
    Value *head = vector("h", DTYPE_f32, 32);
    check_type(ADD(rms_norm, WITH(.rms_norm = {1e-5f, DTYPE_q8, 0}), x, head)->results[0],
               "q8[T,128]");
    check_type(ADD(layer_norm, WITH(.layer_norm = {.eps = 1e-5f}), x, n, n)->results[0],
               "f32[T,128]");
    check_type(ADD(geglu, NULL, x, y)->results[0], "f32[T,128]");
    check_verified();
}
END_TEST

START_TEST(attention_parts_have_the_types_of_the_signatures)
{
    Value *pos = input(INPUT_POS), *seq = input(INPUT_SEQ), *table = input(INPUT_TABLE);
    Value *keys = state("k", STATE_KEYS, KV_HEADS, HEAD_DIM);
    Value *values = state("v", STATE_VALUES, KV_HEADS, HEAD_DIM);
    Value *qkv = rows("x", (HEADS + 2 * KV_HEADS) * HEAD_DIM);
    Value *angles = ADD(rope_table, WITH(.rope_table = {16, 1e4f, 1, 1, 0}), pos)->results[0];
    check_type(angles, "f32[T,16]");
    check_type(ADD(rope, WITH(.rope = {HEAD_DIM, STYLE_neox, 0}), qkv, angles)->results[0],
               "f32[T,256]");
    Value *q = ADD(rope_qk_store, WITH(.rope_qk_store = {HEADS, KV_HEADS, STYLE_norm, 0}), qkv,
                   angles, pos, seq, table, keys, values)
                   ->results[0];
    check_type(q, "f32[T,128]");
    check_type(ADD(attention, WITH(.attention = {HEADS, 1, 0, DTYPE_q8, 0, 0}), q, pos, seq, table,
                   keys, values)
                   ->results[0],
               "q8[T,128]");
    check_verified();
}
END_TEST

START_TEST(experts_have_the_types_of_the_signatures)
{
    Value *x = rows("x", WIDTH), *logits = rows("l", 4), *w = matrix("w", DTYPE_q8_0, 256, WIDTH);
    Node *routed = ADD(route, WITH(.route = {2, 1, 0}), logits);
    check_type(routed->results[0], "i32[T,2]");
    check_type(routed->results[1], "f32[T,2]");
    Value *ids = routed->results[0];
    Value *parts =
        ADD(matmul_experts, WITH(.matmul_experts = {.experts = 4}), x, w, ids)->results[0];
    check_type(parts, "f32[T,128]");
    check_type(ADD(combine, NULL, parts, routed->results[1])->results[0], "f32[T,64]");
    Value *own = rows("y", 2 * WIDTH);
    Value *q8 = ADD(quantise, WITH(.quantise = {.type = DTYPE_q8}), own)->results[0];
    check_type(
        ADD(matmul_experts, WITH(.matmul_experts = {4, EPILOGUE_swiglu, DTYPE_q8, 0}), q8, w, ids)
            ->results[0],
        "q8[T,64]");
    Value *few = ADD(gather_rows, NULL, ids, input(INPUT_ROW))->results[0];
    check_type(few, "i32[R,2]");
    check_type(
        ADD(matmul_experts, WITH(.matmul_experts = {.experts = 4}), picked_rows("p", WIDTH), w, few)
            ->results[0],
        "f32[R,128]");
    check_verified();
}
END_TEST

// --- messages

#define REFUSE(message, op, attributes, ...)                                                       \
    must_refuse(message, OP_##op, attributes, COUNT(__VA_ARGS__), (Value *[]){__VA_ARGS__})

static void must_refuse(const char *message, Op op, const Attributes *attributes, int32_t count,
                        Value **operands)
{
    char expected[512];
    snprintf(expected, sizeof expected, "m.lua:7: error: %s", message);
    memset(&diag, 0, sizeof diag);
    ck_assert_ptr_null(graph_add(graph, op, count, operands, attributes, here, &diag));
    ck_assert_str_eq(diag.message, expected);
}

START_TEST(counts_and_attributes_are_checked_for_every_op)
{
    Value *x = rows("x", WIDTH), *n = vector("n", DTYPE_f32, WIDTH);
    REFUSE("add: takes 2 operands, not 1", add, NULL, x);
    REFUSE("matmul: takes 2 to 9 operands, not 1", matmul, NULL, x);
    REFUSE("rms_norm: eps is not finite", rms_norm, WITH(.rms_norm = {.eps = NAN}), x, n);
    REFUSE("rms_norm: post has no value 99", rms_norm, WITH(.rms_norm = {1e-5f, 99, 0}), x, n);
    REFUSE("silu: x is a state, expected a value", silu, NULL, state("k", STATE_KEYS, 1, 32));
}
END_TEST

START_TEST(data_movement_says_what_it_expects)
{
    Value *x = rows("x", WIDTH), *y = rows("y", 64), *w = matrix("w", DTYPE_q8_0, 64, WIDTH);
    Value *n = vector("n", DTYPE_f32, WIDTH), *token = input(INPUT_TOKEN);
    REFUSE("embed: w is f32[128], expected a weight matrix", embed, NULL, n, token);
    REFUSE("embed: token is i32[B,P], expected i32[T]", embed, NULL, w, input(INPUT_TABLE));
    REFUSE("gather_rows: x is f32[128], expected f32[T,n] with constant n", gather_rows, NULL, n,
           input(INPUT_ROW));
    REFUSE("gather_rows: row is f32[128], expected i32[T]", gather_rows, NULL, x, n);
    REFUSE("slice: axis is 2, expected 0 or 1", slice, WITH(.slice = {2, 0, 1, 0}), x);
    REFUSE("slice: x is f32[T,128], expected a weight matrix", slice, WITH(.slice = {0, 0, 1, 0}),
           x);
    REFUSE("slice: begin=8 end=129 is no range within 128 columns", slice,
           WITH(.slice = {1, 8, 129, 0}), x);
    REFUSE("slice: begin=8 end=8 is no range within 64 rows", slice, WITH(.slice = {0, 8, 8, 0}),
           w);
    REFUSE("concat: operand 2 is q8_0[64,128], expected f32", concat, WITH(.concat = {1, 0}), x, w);
    REFUSE("concat: rows differ: T and R", concat, WITH(.concat = {1, 0}), x, picked_rows("p", 64));
    REFUSE("concat: columns differ: 128 and 64", concat, WITH(.concat = {0, 0}), w,
           matrix("u", DTYPE_q8_0, 64, 64));
    REFUSE("concat: types differ: q8_0 and q4_0", concat, WITH(.concat = {0, 0}), w,
           matrix("t", DTYPE_q4_0, 64, WIDTH));
    ck_assert_ptr_nonnull(y);
}
END_TEST

START_TEST(arithmetic_says_what_it_expects)
{
    Value *x = rows("x", WIDTH), *w = matrix("w", DTYPE_f16, 64, WIDTH);
    const char *rule = "y must have the shape of x, or be one row, one column or a scalar";
    char message[200];
    REFUSE("add: y is f16[64,128], expected f32", add, NULL, x, w);
    snprintf(message, sizeof message, "mul: x is f32[T,128], y is f32[R,128]: %s", rule);
    REFUSE(message, mul, NULL, x, picked_rows("p", WIDTH));
    snprintf(message, sizeof message, "add: x is f32[T,128], y is f32[127]: %s", rule);
    REFUSE(message, add, NULL, x, vector("n", DTYPE_f32, WIDTH - 1));
    snprintf(message, sizeof message, "sub: x is f32[], y is f32[T,128]: %s", rule);
    REFUSE(message, sub, NULL, graph_constant(graph, 1), x);
    REFUSE("exp: x is i32[T], expected f32", exp, NULL, input(INPUT_POS));
    REFUSE("reduce_max: x is f32[128], expected f32[T,n] with constant n", reduce_max, NULL,
           vector("v", DTYPE_f32, WIDTH));
    REFUSE("swiglu: shapes differ: gate is f32[T,128], up is f32[T,64]", swiglu, NULL, x,
           rows("y", 64));
}
END_TEST

START_TEST(matmul_says_what_it_expects)
{
    Value *x = rows("x", 2048), *w = matrix("w", DTYPE_f16, 48, 2048);
    REFUSE("matmul: inner sizes differ: 2048 vs 2047", matmul, NULL, x,
           matrix("a", DTYPE_f16, 8, 2047));
    REFUSE("matmul: x is f16[48,2048], expected f32, q8, q8k or bf16x2", matmul, NULL, w, w);
    REFUSE("matmul: operand 2 is f32[T,2048], expected a weight matrix [n,k]", matmul, NULL, x, x);
    REFUSE("matmul: operand 3 is f32[2048], expected a weight matrix [n,k]", matmul, NULL, x, w,
           vector("n", DTYPE_f32, 2048));
    REFUSE("matmul: 48 columns do not divide into q8 blocks of 32", matmul,
           WITH(.matmul = {EPILOGUE_none, DTYPE_q8, 0}), x, w);
    REFUSE("matmul: post is q4_0, expected f32, q8, q8k or bf16x2", matmul,
           WITH(.matmul = {EPILOGUE_none, DTYPE_q4_0, 0}), x, w);
    REFUSE("matmul: epilogue=swiglu takes one weight, not 2", matmul,
           WITH(.matmul = {EPILOGUE_swiglu, DTYPE_f32, 0}), x, w, w);
    REFUSE("matmul: epilogue=swiglu: 48 rows do not divide into pairs of 16", matmul,
           WITH(.matmul = {EPILOGUE_swiglu, DTYPE_f32, 0}), x, w);
}
END_TEST

START_TEST(norms_say_what_they_expect)
{
    Value *x = rows("x", 2048), *short_weight = vector("n", DTYPE_f32, 2047);
    Value *n = vector("m", DTYPE_f16, 2048);
    REFUSE("rms_norm: weight has 2047 elements, x has 2048 columns", rms_norm,
           WITH(.rms_norm = {.eps = 1e-5f}), x, short_weight);
    REFUSE("rms_norm: 48 columns do not divide into q8 blocks of 32", rms_norm,
           WITH(.rms_norm = {1e-5f, DTYPE_q8, 0}), rows("h", 96), vector("w", DTYPE_f32, 48));
    REFUSE("layer_norm: weight has 2047 elements, x has 2048 columns", layer_norm,
           WITH(.layer_norm = {.eps = 1e-5f}), x, short_weight);
    REFUSE("layer_norm: bias has 2047 elements, x has 2048 columns", layer_norm,
           WITH(.layer_norm = {.eps = 1e-5f}), x, n, short_weight);
    REFUSE("layer_norm: eps is -1, expected at least 0", layer_norm,
           WITH(.layer_norm = {.eps = -1}), x, n);
    REFUSE("rms_norm: eps is -1, expected at least 0", rms_norm, WITH(.rms_norm = {.eps = -1}), x,
           n);
    REFUSE("rms_norm: weight is f16[8,2048], expected a vector of floats", rms_norm,
           WITH(.rms_norm = {.eps = 1e-5f}), x, x->producer.node->operands[0].value);
    REFUSE("add_rms_norm: shapes differ: x is f32[T,2048], y is f32[R,2048]", add_rms_norm,
           WITH(.add_rms_norm = {.eps = 1e-5f}), x, picked_rows("p", 2048), n);
    REFUSE("add_rms_norm: weight has 2047 elements, x has 2048 columns", add_rms_norm,
           WITH(.add_rms_norm = {.eps = 1e-5f}), x, x, short_weight);
    REFUSE("quantise: type is f32, expected q8, q8k or bf16x2", quantise,
           WITH(.quantise = {.type = DTYPE_f32}), x);
    REFUSE("quantise: 47 columns do not divide into bf16x2 blocks of 2", quantise,
           WITH(.quantise = {.type = DTYPE_bf16x2}), rows("odd", 47));
    REFUSE("quantise: 128 columns do not divide into q8k blocks of 256", quantise,
           WITH(.quantise = {.type = DTYPE_q8k}), rows("y", WIDTH));
}
END_TEST

START_TEST(rope_says_what_it_expects)
{
    Value *x = rows("x", WIDTH), *pos = input(INPUT_POS);
    const Attributes *with = WITH(.rope = {HEAD_DIM, STYLE_norm, 0});
    REFUSE("rope_table: dims is 7, expected an even number", rope_table,
           WITH(.rope_table = {7, 1e4f, 1, 1, 0}), pos);
    REFUSE("rope_table: theta is 0, expected more than 0", rope_table,
           WITH(.rope_table = {8, 0, 1, 1, 0}), pos);
    REFUSE("rope_table: factors has 5 elements, half of dims gives 4 columns", rope_table,
           WITH(.rope_table = {8, 1e4f, 1, 1, 0}), pos, vector("f", DTYPE_f32, 5));
    REFUSE("rope_table: magnitude is -1, expected more than 0", rope_table,
           WITH(.rope_table = {8, 1e4f, 1, -1, 0}), pos);
    REFUSE("rope: head_dim is 0, expected at least 1", rope, WITH(.rope = {0, STYLE_norm, 0}), x,
           x);
    REFUSE("rope: x has 128 columns, expected a multiple of head_dim 48", rope,
           WITH(.rope = {48, STYLE_norm, 0}), x, x);
    REFUSE("rope: table has 64 columns, expected an even number up to the head size 32", rope, with,
           x, rows("t", 64));
    REFUSE("rope: rows differ: x has T, table has R", rope, with, x, picked_rows("p", 32));
}
END_TEST

START_TEST(states_say_what_they_expect)
{
    Value *pos = input(INPUT_POS), *seq = input(INPUT_SEQ), *table = input(INPUT_TABLE);
    Value *keys = state("k", STATE_KEYS, KV_HEADS, HEAD_DIM), *x = rows("x", WIDTH);
    Value *values = state("v", STATE_VALUES, KV_HEADS, HEAD_DIM);
    Value *narrow = state("n", STATE_VALUES, KV_HEADS, 16), *angles = rows("a", 32);
    const Attributes *four = WITH(.attention = {.heads = HEADS, .scale = 1});
    REFUSE("kv_store: x has 128 columns, the state holds 2 heads of 32", kv_store, NULL, x, pos,
           seq, table, keys);
    REFUSE("kv_store: state is f32[T,128], expected a state", kv_store, NULL, x, pos, seq, table,
           x);
    REFUSE("kv_store: rows differ: x has T, pos has R", kv_store, NULL, x, input(INPUT_ROW), seq,
           table, keys);
    REFUSE("attention: keys is a state of values, expected one of keys", attention, four, x, pos,
           seq, table, values, keys);
    REFUSE("attention: shapes differ: keys are f16[64,2,32], values f16[64,2,16]", attention, four,
           x, pos, seq, table, keys, narrow);
    REFUSE("attention: q has 128 columns, expected 8 heads of 32", attention,
           WITH(.attention = {.heads = 8, .scale = 1}), x, pos, seq, table, keys, values);
    REFUSE("attention: 3 heads do not divide among 2 key heads", attention,
           WITH(.attention = {.heads = 3, .scale = 1}), rows("q", 96), pos, seq, table, keys,
           values);
    REFUSE("attention: window is -1, expected at least 0", attention,
           WITH(.attention = {HEADS, 1, -1, 0, 0, 0}), x, pos, seq, table, keys, values);
    REFUSE("attention: softcap is -2, expected at least 0", attention,
           WITH(.attention = {HEADS, 1, 0, 0, -2, 0}), x, pos, seq, table, keys, values);
    REFUSE("rope_qk_store: kv_heads is 1, keys hold 2 heads", rope_qk_store,
           WITH(.rope_qk_store = {HEADS, 1, STYLE_norm, 0}), x, angles, pos, seq, table, keys,
           values);
    REFUSE("rope_qk_store: qkv has 128 columns, expected (4 + 2 * 2) heads of 32", rope_qk_store,
           WITH(.rope_qk_store = {HEADS, KV_HEADS, STYLE_norm, 0}), x, angles, pos, seq, table,
           keys, values);
}
END_TEST

START_TEST(routes_say_what_they_expect)
{
    Value *logits = rows("l", 4), *x = rows("x", WIDTH);
    REFUSE("route: logits is i32[T], expected f32", route, WITH(.route = {1, 0, 0}),
           input(INPUT_POS));
    REFUSE("route: k is 0, expected at least 1", route, WITH(.route = {0, 0, 0}), logits);
    REFUSE("route: k is 5, but logits has 4 columns", route, WITH(.route = {5, 0, 0}), logits);
    REFUSE("route: normalise is 2, expected 0 or 1", route, WITH(.route = {1, 2, 0}), logits);
    REFUSE("combine: parts has 128 columns, which do not divide among 3 slots", combine, NULL, x,
           rows("w", 3));
    REFUSE("combine: rows differ: parts has T, weights has R", combine, NULL, x,
           picked_rows("p", 2));
}
END_TEST

START_TEST(experts_say_what_they_expect)
{
    Value *x = rows("x", WIDTH), *w = matrix("w", DTYPE_q8_0, 96, WIDTH);
    Value *ids = ADD(route, WITH(.route = {2, 1, 0}), rows("l", 4))->results[0];
#define EXPERTS(...) WITH(.matmul_experts = {__VA_ARGS__, 0})
    REFUSE("matmul_experts: experts is 0, expected at least 1", matmul_experts, EXPERTS(0, 0, 0), x,
           w, ids);
    REFUSE("matmul_experts: w is f32[T,128], expected a weight matrix", matmul_experts,
           EXPERTS(4, 0, 0), x, x, ids);
    REFUSE("matmul_experts: ids is i32[B,P], expected the ids of a route", matmul_experts,
           EXPERTS(4, 0, 0), x, w, input(INPUT_TABLE));
    REFUSE("matmul_experts: experts is 3, the route chooses from 4", matmul_experts,
           EXPERTS(3, 0, 0), x, w, ids);
    REFUSE("matmul_experts: rows differ: x has R, ids has T", matmul_experts, EXPERTS(4, 0, 0),
           picked_rows("p", WIDTH), w, ids);
    REFUSE("matmul_experts: w has 98 rows, which do not divide among 4 experts", matmul_experts,
           EXPERTS(4, 0, 0), x, matrix("v", DTYPE_q8_0, 98, WIDTH), ids);
    REFUSE("matmul_experts: inner sizes differ: x has 384 columns, expected 128 or 2 * 128",
           matmul_experts, EXPERTS(4, 0, 0), rows("y", 3 * WIDTH), w, ids);
    REFUSE("matmul_experts: epilogue=swiglu: 24 rows of an expert do not divide into pairs of 16",
           matmul_experts, EXPERTS(4, EPILOGUE_swiglu, 0), x, w, ids);
    REFUSE("matmul_experts: post: 24 outputs of an expert do not divide into blocks of 32",
           matmul_experts, EXPERTS(4, 0, DTYPE_q8), x, w, ids);
}
END_TEST

START_TEST(shapes_that_would_overflow_are_refused)
{
    Value *wide = matrix("w", DTYPE_f32, 1, DIM_MAX);
    Value *x = ADD(embed, NULL, wide, input(INPUT_TOKEN))->results[0];
    REFUSE("concat: a dimension of 4294967294 in the result, at most 2147483647 is possible",
           concat, WITH(.concat = {1, 0}), x, x);
    Value *large = matrix("v", DTYPE_f32, 1 << 17, DIM_MAX);
    REFUSE("concat: the result has more than 281474976710656 elements", concat,
           WITH(.concat = {0, 0}), large, large);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("infer");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, results_have_the_types_of_the_signatures);
    tcase_add_test(tests, attention_parts_have_the_types_of_the_signatures);
    tcase_add_test(tests, experts_have_the_types_of_the_signatures);
    tcase_add_test(tests, counts_and_attributes_are_checked_for_every_op);
    tcase_add_test(tests, data_movement_says_what_it_expects);
    tcase_add_test(tests, arithmetic_says_what_it_expects);
    tcase_add_test(tests, matmul_says_what_it_expects);
    tcase_add_test(tests, norms_say_what_they_expect);
    tcase_add_test(tests, rope_says_what_it_expects);
    tcase_add_test(tests, states_say_what_they_expect);
    tcase_add_test(tests, routes_say_what_they_expect);
    tcase_add_test(tests, experts_say_what_they_expect);
    tcase_add_test(tests, shapes_that_would_overflow_are_refused);
    return run_cases("infer", tests);
}
