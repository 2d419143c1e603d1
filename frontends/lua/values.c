// Values in scripts: boxes around Value pointers, their operators, and one constructor an op.
//
// A constructor takes operands, then attributes by name in a table. It checks what Lua knows (kinds
// of arguments, names and ranges of attributes); shapes and dtypes are inference's. Numbers stand
// for scalar constants. Operators build add, sub, mul, div, neg; where a number (or for + and * the
// smaller value) stands on the left, operands change places, since an op's first operand gives the
// shape.
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <lauxlib.h>

#include "frontends/lua/builder.h"

#define VALUE_TYPE "value"

enum { TYPE_TEXT_BYTES = 256 };

void value_describe(const Value *value, char *buffer, size_t buffer_bytes)
{
    Text text = {0};
    type_print(&text, value->dtype, &value->shape, LAYOUT_plain);
    snprintf(buffer, buffer_bytes, "%s", text.bytes);
    text_free(&text);
}

void push_value(lua_State *lua, Value *value)
{
    Value **box = lua_newuserdatauv(lua, sizeof *box, 0);
    *box = value;
    luaL_setmetatable(lua, VALUE_TYPE);
}

Value *to_value(lua_State *lua, int index)
{
    Value **box = luaL_testudata(lua, index, VALUE_TYPE);
    return box ? *box : NULL;
}

// --- nodes

// Adds the node and pushes its results.
static int add_node(lua_State *lua, Builder *builder, Op op, int32_t operand_count,
                    Value *const *operands, const Attributes *attributes)
{
    builder_count(lua, builder);
    SourceLocation location = builder_location(lua, builder);
    Diag diag = {0};
    Node *node =
        graph_add(builder->graph, op, operand_count, operands, attributes, location, &diag);
    if (!node) {
        // The host writes the place itself, with the whole path.
        const char *place = lua_pushfstring(lua, "%s:%d: error: ", location.file, location.line);
        size_t length = strlen(place);
        bool placed = strncmp(diag.message, place, length) == 0;
        return luaL_error(lua, "%s", diag.message + (placed ? length : 0));
    }
    node_add_location(node, builder_script_location(lua, builder));
    for (int32_t i = 0; i < node->result_count; i++)
        push_value(lua, node->results[i]);
    return node->result_count;
}

static Value *make_constant(lua_State *lua, Builder *builder, const char *what, double number)
{
    if (isnan(number))
        luaL_error(lua, "%s: a number that is not a number (0/0?) was given", what);
    if (fabs(number) > (double)FLT_MAX)
        luaL_error(lua, "%s: the number %f is out of range of f32", what, number);
    return graph_constant(builder->graph, (float)number);
}

static Value *check_operand(lua_State *lua, Builder *builder, Op op, int index)
{
    Value *value = to_value(lua, index);
    if (value)
        return value;
    if (lua_type(lua, index) != LUA_TNUMBER)
        luaL_error(lua, "%s: operand %d is %s: a weight or value was expected", op_table[op].name,
                   index, push_given(lua, index));
    return make_constant(lua, builder, op_table[op].name, lua_tonumber(lua, index));
}

// --- attributes

static const char *attribute_kind_text(lua_State *lua, AttributeKind kind)
{
    if (kind == ATTRIBUTE_f32)
        return "a number that fits f32";
    if (kind == ATTRIBUTE_i32)
        return "a whole number";
    luaL_Buffer names;
    luaL_buffinit(lua, &names);
    luaL_addstring(&names, "one of");
    for (int32_t i = 0; attribute_value_name(kind, i); i++) {
        luaL_addstring(&names, i ? ", \"" : " \"");
        luaL_addstring(&names, attribute_value_name(kind, i));
        luaL_addstring(&names, "\"");
    }
    luaL_pushresult(&names);
    return lua_tostring(lua, -1);
}

// Converts the Lua value on the top of the stack; false if it does not fit the kind.
static bool convert_attribute(lua_State *lua, AttributeKind kind, uint32_t *word)
{
    int whole = 0;
    bool number = lua_type(lua, -1) == LUA_TNUMBER;
    lua_Integer integer = lua_tointegerx(lua, -1, &whole);
    if (kind == ATTRIBUTE_f32) {
        double real = lua_tonumber(lua, -1);
        float narrow = number && fabs(real) <= (double)FLT_MAX ? (float)real : 0;
        memcpy(word, &narrow, sizeof narrow);
        return number && fabs(real) <= (double)FLT_MAX;
    }
    if (kind != ATTRIBUTE_i32) {
        whole = lua_type(lua, -1) == LUA_TSTRING;
        integer = whole ? attribute_value_from_name(kind, lua_tostring(lua, -1)) : -1;
        *word = (uint32_t)integer;
        return integer >= 0;
    }
    *word = (uint32_t)integer;
    return number && whole && integer >= INT32_MIN && integer <= INT32_MAX;
}

static void read_attribute(lua_State *lua, Op op, const AttributeInfo *info, uint32_t *word)
{
    bool missing = lua_isnil(lua, -1);
    if (missing && info->default_value != ATTRIBUTE_REQUIRED)
        return;
    if (missing)
        luaL_error(lua, "%s: attribute %s is missing: %s was expected", op_table[op].name,
                   info->name, attribute_kind_text(lua, info->kind));
    if (convert_attribute(lua, info->kind, word))
        return;
    const char *given = push_given(lua, -1);
    luaL_error(lua, "%s: attribute %s is %s: %s was expected", op_table[op].name, info->name, given,
               attribute_kind_text(lua, info->kind));
}

// Reads the table at `index`; 0: no attributes were given.
static Attributes check_attributes(lua_State *lua, Op op, int index)
{
    const AttributeInfo *info = op_table[op].attributes;
    Attributes attributes = op_default_attributes(op);
    const char *known[sizeof attributes.words / sizeof *attributes.words + 1] = {NULL};
    for (int i = 0; info[i].name; i++)
        known[i] = info[i].name;
    if (index)
        check_fields(lua, index, op_table[op].name, known);
    for (int i = 0; info[i].name; i++) {
        if (index)
            lua_getfield(lua, index, info[i].name);
        else
            lua_pushnil(lua);
        read_attribute(lua, op, &info[i], &attributes.words[i]);
        lua_pop(lua, 1);
    }
    return attributes;
}

// --- constructors and operators

// Upvalue 2: the op.
static int construct(lua_State *lua)
{
    Builder *builder = builder_of(lua);
    Op op = (Op)lua_tointeger(lua, lua_upvalueindex(2));
    const OpInfo *info = &op_table[op];
    int count = lua_gettop(lua), table = 0;
    if (count > 0 && lua_istable(lua, count))
        table = count--;
    if (count < info->least_operands || count > info->most_operands)
        return luaL_error(lua, "%s: operands given: %d, expected: %s", info->name, count,
                          info->signature);
    Value *operands[OPERANDS_MAX];
    for (int i = 0; i < count; i++)
        operands[i] = check_operand(lua, builder, op, i + 1);
    Attributes attributes = check_attributes(lua, op, table);
    return add_node(lua, builder, op, count, operands, &attributes);
}

// number - x and number / x: the op's first operand gives the shape, so the number comes second.
static int operate_on_number(lua_State *lua, Builder *builder, Op op, Value *number, Value *value)
{
    if (op == OP_sub || op == OP_div) {
        add_node(lua, builder, op == OP_sub ? OP_neg : OP_reciprocal, 1, &value, NULL);
        value = to_value(lua, -1);
        op = op == OP_sub ? OP_add : OP_mul;
        if (op == OP_mul && number->constant == 1.0f)
            return 1;
    }
    return add_node(lua, builder, op, 2, (Value *const[]){value, number}, NULL);
}

// Upvalue 2: the op, one of add, sub, mul, div.
static int operate(lua_State *lua)
{
    Builder *builder = builder_of(lua);
    Op op = (Op)lua_tointeger(lua, lua_upvalueindex(2));
    Value *left = check_operand(lua, builder, op, 1), *right = check_operand(lua, builder, op, 2);
    if (left->kind == VALUE_CONSTANT)
        return operate_on_number(lua, builder, op, left, right);
    bool swapped = op_table[op].traits & OP_COMMUTES && left->shape.rank < right->shape.rank;
    Value *operands[] = {swapped ? right : left, swapped ? left : right};
    return add_node(lua, builder, op, 2, operands, NULL);
}

static int negate(lua_State *lua)
{
    Builder *builder = builder_of(lua);
    Value *value = check_operand(lua, builder, OP_neg, 1);
    return add_node(lua, builder, OP_neg, 1, &value, NULL);
}

static int value_to_text(lua_State *lua)
{
    char text[TYPE_TEXT_BYTES];
    value_describe(*(Value **)luaL_checkudata(lua, 1, VALUE_TYPE), text, sizeof text);
    lua_pushstring(lua, text);
    return 1;
}

static int value_columns(lua_State *lua)
{
    const Value *value = *(Value **)luaL_checkudata(lua, 1, VALUE_TYPE);
    Dim last = value->shape.rank ? value->shape.dims[value->shape.rank - 1] : dim_constant(1);
    if (!dim_is_constant(last))
        return luaL_error(lua, "columns: the last dimension depends on the step");
    lua_pushinteger(lua, last.constant);
    return 1;
}

static int value_field(lua_State *lua)
{
    if (lua_type(lua, 2) == LUA_TSTRING && strcmp(lua_tostring(lua, 2), "columns") == 0) {
        lua_pushcfunction(lua, value_columns);
        return 1;
    }
    return luaL_error(lua, "a value has no field \"%s\"; it has columns()",
                      luaL_tolstring(lua, 2, NULL));
}

static void push_op_function(lua_State *lua, Builder *builder, Op op, lua_CFunction function)
{
    lua_pushlightuserdata(lua, builder);
    lua_pushinteger(lua, op);
    lua_pushcclosure(lua, function, 2);
}

void install_values(lua_State *lua, Builder *builder)
{
    static const struct {
        const char *event;
        Op op;
    } operators[] = {{"__add", OP_add}, {"__sub", OP_sub}, {"__mul", OP_mul}, {"__div", OP_div}};
    luaL_newmetatable(lua, VALUE_TYPE);
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        push_op_function(lua, builder, operators[i].op, operate);
        lua_setfield(lua, -2, operators[i].event);
    }
    set_function(lua, builder, "__unm", negate);
    set_function(lua, builder, "__tostring", value_to_text);
    set_function(lua, builder, "__index", value_field);
    lua_pushboolean(lua, false);
    lua_setfield(lua, -2, "__metatable");
    lua_pop(lua, 1);
    for (int op = 0; op < OP_COUNT; op++) {
        push_op_function(lua, builder, (Op)op, construct);
        lua_setglobal(lua, op_table[op].name);
    }
}
