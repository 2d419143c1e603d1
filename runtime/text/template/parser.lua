-- From tokens to a tree of nodes {kind, line, …}: the expressions, and the walk over tokens that
-- statements.lua shares.
--
-- Filters and tests that do not exist are an error here, but inside an `if` or `a if b else c`,
-- where a template may ask first: there they are an error when they are met.
local values = jinja.values

local DEPTH_MAX = 200
local parse_expression, parse_unary, parse_primary, parse_tuple

local function fail(parser, what, ...)
    jinja.state[1] = parser.tokens[parser.at].line
    values.fail(what, ...)
end

local token_names = {
    ["end"] = "the end of the template", data = "text", block_end = "%}", variable_end = "}}",
}

local function describe(token)
    return token_names[token.type] or ("'%s'"):format(token.value or token.type)
end

-- --- tokens

local function current(parser)
    return parser.tokens[parser.at]
end

local function is(parser, kind, value)
    local token = parser.tokens[parser.at]
    return token.type == kind and (value == nil or token.value == value)
end

local function is_operator(parser, value)
    return is(parser, "operator", value)
end

local function skip(parser, kind, value)
    if not is(parser, kind, value) then return false end
    parser.at = parser.at + 1
    return true
end

local function expect(parser, kind, value)
    local token = current(parser)
    if not skip(parser, kind, value) then
        fail(parser, "%s was expected, not %s", value or token_names[kind] or "a " .. kind,
            describe(token))
    end
    return token
end

local function node_at(parser, kind, fields)
    fields.kind = kind
    fields.line = current(parser).line
    return fields
end

-- Calls parse(parser, …), which gives one value or two, one level deeper.
local function nested(parser, parse, ...)
    parser.depth = parser.depth + 1
    if parser.depth > DEPTH_MAX then fail(parser, "nested too deeply") end
    local first, second = parse(parser, ...)
    parser.depth = parser.depth - 1
    return first, second
end

-- --- expressions

local function parse_arguments(parser)
    local positional, named = {}, {}
    expect(parser, "operator", "(")
    while not is_operator(parser, ")") do
        local token, after = current(parser), parser.tokens[parser.at + 1]
        if is_operator(parser, "*") or is_operator(parser, "**") then
            fail(parser, "* and ** before arguments are not supported")
        elseif token.type == "name" and after.type == "operator" and after.value == "=" then
            parser.at = parser.at + 2
            named[#named + 1] = {name = token.value, value = parse_expression(parser)}
        else
            if #named > 0 then fail(parser, "a positional argument follows a named one") end
            positional[#positional + 1] = parse_expression(parser)
        end
        if not skip(parser, "operator", ",") then break end
    end
    expect(parser, "operator", ")")
    return positional, named
end

local function parse_subscript_part(parser)
    if is_operator(parser, ":") or is_operator(parser, "]") or is_operator(parser, ",") then
        return nil
    end
    return parse_expression(parser)
end

local function parse_subscript(parser, object)
    local node = node_at(parser, "getitem", {object = object})
    expect(parser, "operator", "[")
    local first = parse_subscript_part(parser)
    if is_operator(parser, ":") then
        node.kind, node.first = "slice", first
        parser.at = parser.at + 1
        node.stop = parse_subscript_part(parser)
        if skip(parser, "operator", ":") then node.step = parse_subscript_part(parser) end
    elseif is_operator(parser, ",") then
        fail(parser, "a subscript of several parts is not supported")
    elseif not first then
        fail(parser, "a subscript was expected")
    end
    node.key = first
    expect(parser, "operator", "]")
    return node
end

local function parse_attribute(parser, object)
    local node = node_at(parser, "getattr", {object = object})
    expect(parser, "operator", ".")
    local token = current(parser)
    parser.at = parser.at + 1
    if token.type == "name" then
        node.name = token.value
    elseif token.type == "integer" then
        node.kind, node.key = "getitem", {kind = "const", line = token.line, value = token.value}
    else
        parser.at = parser.at - 1
        fail(parser, "a name was expected, not %s", describe(token))
    end
    return node
end

local function parse_call(parser, callee)
    local node = node_at(parser, "call", {callee = callee})
    node.positional, node.named = parse_arguments(parser)
    return node
end

local function parse_postfix(parser, node)
    while true do
        if is_operator(parser, ".") then
            node = parse_attribute(parser, node)
        elseif is_operator(parser, "[") then
            node = nested(parser, parse_subscript, node)
        elseif is_operator(parser, "(") then
            node = nested(parser, parse_call, node)
        else
            return node
        end
    end
end

-- A name of a filter or test, and what the table knows of it.
local function parse_known_name(parser, what, known, refused)
    local name = expect(parser, "name").value
    while skip(parser, "operator", ".") do
        name = name .. "." .. expect(parser, "name").value
    end
    if refused[name] then fail(parser, "the %s '%s' is not supported", what, name) end
    if not known[name] and parser.soft == 0 then
        parser.unknown[#parser.unknown + 1] = {what = what, name = name,
            line = current(parser).line}
    end
    return name
end

local function parse_filter(parser, input)
    local node = node_at(parser, "filter", {input = input, positional = {}, named = {}})
    node.name = parse_known_name(parser, "filter", jinja.filters, jinja.refused_filters)
    if is_operator(parser, "(") then
        node.positional, node.named = nested(parser, parse_arguments)
    end
    return node
end

local no_argument = {["else"] = true, ["or"] = true, ["and"] = true}
local argument_types = {name = true, string = true, integer = true, float = true}
local argument_openers = {["("] = true, ["["] = true, ["{"] = true}

local function parse_test(parser, input)
    local negated = skip(parser, "name", "not")
    local node = node_at(parser, "test", {input = input, positional = {}, named = {}})
    node.name = parse_known_name(parser, "test", jinja.tests, {})
    local token = current(parser)
    if is_operator(parser, "(") then
        node.positional, node.named = nested(parser, parse_arguments)
    elseif (argument_types[token.type] and not (token.type == "name" and no_argument[token.value]))
        or (token.type == "operator" and argument_openers[token.value]) then
        if is(parser, "name", "is") then fail(parser, "tests cannot be chained with is") end
        node.positional = {parse_postfix(parser, nested(parser, parse_primary))}
    end
    return negated and {kind = "not", line = node.line, value = node} or node
end

local function parse_filters_and_tests(parser, node)
    while true do
        if skip(parser, "operator", "|") then
            node = parse_filter(parser, node)
        elseif skip(parser, "name", "is") then
            node = parse_test(parser, node)
        elseif is_operator(parser, "(") then
            node = nested(parser, parse_call, node)
        else
            return node
        end
    end
end

-- What stands between commas up to the closing operator, a comma before that allowed.
local function parse_items(parser, close, parse_item)
    while not is_operator(parser, close) do
        parse_item()
        if not skip(parser, "operator", ",") then break end
    end
    expect(parser, "operator", close)
end

local function parse_list(parser)
    local node = node_at(parser, "list", {items = {}})
    expect(parser, "operator", "[")
    parse_items(parser, "]", function()
        node.items[#node.items + 1] = parse_expression(parser)
    end)
    return node
end

local function parse_dict(parser)
    local node = node_at(parser, "dict", {keys = {}, values = {}})
    expect(parser, "operator", "{")
    parse_items(parser, "}", function()
        node.keys[#node.keys + 1] = parse_expression(parser)
        expect(parser, "operator", ":")
        node.values[#node.values + 1] = parse_expression(parser)
    end)
    return node
end

local function parse_string(parser)
    local node = node_at(parser, "const", {value = ""})
    while is(parser, "string") do
        node.value = node.value .. current(parser).value
        parser.at = parser.at + 1
    end
    return node
end

local constants = {["true"] = true, True = true, ["false"] = false, False = false,
    none = values.none, None = values.none}

local function parse_name(parser)
    local node = node_at(parser, "name", {name = current(parser).value})
    parser.at = parser.at + 1
    if constants[node.name] ~= nil then
        return {kind = "const", line = node.line, value = constants[node.name]}
    end
    if parser.macro then parser.macro.uses[node.name] = true end
    return node
end

function parse_primary(parser)
    local token = current(parser)
    if token.type == "name" then return parse_name(parser) end
    if token.type == "string" then return parse_string(parser) end
    if token.type == "integer" or token.type == "float" then
        parser.at = parser.at + 1
        return {kind = "const", line = token.line, value = token.value}
    end
    if is_operator(parser, "[") then return parse_list(parser) end
    if is_operator(parser, "{") then return parse_dict(parser) end
    if skip(parser, "operator", "(") then
        local node = parse_tuple(parser, true)
        expect(parser, "operator", ")")
        return node
    end
    fail(parser, "unexpected %s", describe(token))
end

local signs = {["-"] = "negative", ["+"] = "positive"}

function parse_unary(parser, with_filters)
    local node = node_at(parser, "unary", {})
    node.operator = is(parser, "operator") and signs[current(parser).value]
    if node.operator then
        parser.at = parser.at + 1
        node.value = nested(parser, parse_unary, false)
    else
        node = nested(parser, parse_primary)
    end
    node = parse_postfix(parser, node)
    return with_filters and parse_filters_and_tests(parser, node) or node
end

-- One level of left-associative operators above `parse_inner`.
local function binary_level(kind, parse_inner, ...)
    local operators = {}
    for _, operator in ipairs {...} do operators[operator] = true end
    return function(parser)
        local left = parse_inner(parser, true)
        while is(parser, "operator") and operators[current(parser).value] do
            local node = node_at(parser, kind, {left = left, operator = current(parser).value})
            parser.at = parser.at + 1
            node.right = parse_inner(parser, true)
            left = node
        end
        return left
    end
end

local parse_power = binary_level("binary", function(...) return parse_unary(...) end, "**")
local parse_product = binary_level("binary", parse_power, "*", "/", "//", "%")
local parse_concatenation = binary_level("concat", parse_product, "~")
local parse_sum = binary_level("binary", parse_concatenation, "+", "-")

local comparisons = {["=="] = true, ["!="] = true, ["<"] = true, ["<="] = true, [">"] = true,
    [">="] = true}

local function skip_comparison(parser)
    local token, after = current(parser), parser.tokens[parser.at + 1]
    if token.type == "operator" and comparisons[token.value] then
        parser.at = parser.at + 1
        return token.value
    end
    if skip(parser, "name", "in") then return "in" end
    if is(parser, "name", "not") and after.type == "name" and after.value == "in" then
        parser.at = parser.at + 2
        return "not in"
    end
end

local function parse_comparison(parser)
    local node = node_at(parser, "compare", {operators = {}, operands = {parse_sum(parser)}})
    while true do
        local operator = skip_comparison(parser)
        if not operator then break end
        node.operators[#node.operators + 1] = operator
        node.operands[#node.operands + 1] = parse_sum(parser)
    end
    return #node.operators > 0 and node or node.operands[1]
end

local function parse_not(parser)
    local node = node_at(parser, "not", {})
    if not skip(parser, "name", "not") then return parse_comparison(parser) end
    node.value = nested(parser, parse_not)
    return node
end

local function word_level(word, parse_inner)
    return function(parser)
        local left = parse_inner(parser)
        while is(parser, "name", word) do
            local node = node_at(parser, word, {left = left})
            parser.at = parser.at + 1
            node.right = parse_inner(parser)
            left = node
        end
        return left
    end
end

local parse_or = word_level("or", word_level("and", parse_not))

local function parse_condition(parser, unconditional)
    local unknown = #parser.unknown
    local value = parse_or(parser)
    while not unconditional and is(parser, "name", "if") do
        local node = node_at(parser, "condition", {yes = value})
        parser.at = parser.at + 1
        node.test = parse_or(parser)
        if skip(parser, "name", "else") then node.no = parse_expression(parser) end
        value = node
        for i = #parser.unknown, unknown + 1, -1 do parser.unknown[i] = nil end
    end
    return value
end

function parse_expression(parser, unconditional)
    return nested(parser, parse_condition, unconditional)
end

-- One expression, or several with commas between them. Empty only inside parentheses.
function parse_tuple(parser, parenthesised, unconditional)
    local node = node_at(parser, "tuple", {items = {}})
    local comma = false
    while true do
        local stops = is(parser, "block_end") or is(parser, "variable_end") or
            is_operator(parser, ")")
        if stops then break end
        node.items[#node.items + 1] = parse_expression(parser, unconditional)
        if not skip(parser, "operator", ",") then break end
        comma = true
    end
    if #node.items == 1 and not comma then return node.items[1] end
    if #node.items == 0 and not parenthesised then
        fail(parser, "an expression was expected, not %s", describe(current(parser)))
    end
    return node
end

jinja.parser = {
    fail = fail, current = current, is = is, is_operator = is_operator, skip = skip,
    expect = expect, node_at = node_at, nested = nested, constants = constants,
    parse_expression = parse_expression, parse_tuple = parse_tuple, parse_filter = parse_filter,
    parse_filters_and_tests = parse_filters_and_tests,
}
