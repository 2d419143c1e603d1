-- The statements of Jinja's grammar, without include, import, extends, block and recursive loops:
-- those are refused by name. A template's tree is a list of statements.
local values = jinja.values
local fail, current, is, is_operator = jinja.parser.fail, jinja.parser.current, jinja.parser.is,
    jinja.parser.is_operator
local skip, expect, node_at, nested = jinja.parser.skip, jinja.parser.expect,
    jinja.parser.node_at, jinja.parser.nested
local parse_expression, parse_tuple, parse_filter = jinja.parser.parse_expression,
    jinja.parser.parse_tuple, jinja.parser.parse_filter
local parse_filters_and_tests = jinja.parser.parse_filters_and_tests
local constants = jinja.parser.constants

local parse_statements

-- What can be assigned to: names, and tuples of them.
local function parse_target(parser, in_parentheses)
    local node, comma = node_at(parser, "targets", {items = {}}), false
    repeat
        if #node.items > 0 and not is(parser, "name") and not is_operator(parser, "(") then
            break
        end
        if skip(parser, "operator", "(") then
            node.items[#node.items + 1] = nested(parser, parse_target, true)
            expect(parser, "operator", ")")
        else
            local name = expect(parser, "name").value
            if constants[name] ~= nil then fail(parser, "'%s' cannot be assigned to", name) end
            node.items[#node.items + 1] = {kind = "name", name = name, line = node.line}
        end
        comma = skip(parser, "operator", ",") or comma
    until not comma or parser.tokens[parser.at - 1].value ~= ","
    if #node.items == 1 and not comma then
        return in_parentheses and node or node.items[1]
    end
    return node
end

-- What follows an opening tag, up to one of the words; returns that word too.
local function body_until(parser, words, opener)
    expect(parser, "block_end")
    local body, word = nested(parser, parse_statements, words)
    if not word then
        fail(parser, "{%% %s %%} of line %d does not end", opener.word, opener.line)
    end
    return body, word
end

local function set_of(...)
    local set = {}
    for _, word in ipairs {...} do set[word] = true end
    return set
end

local parsers = {}

-- After the word `if` or `elif`.
local function parse_branches(parser, opener)
    local node = node_at(parser, "if", {test = parse_tuple(parser, false, true)})
    local body, word = body_until(parser, set_of("elif", "else", "endif"), opener)
    node.yes = body
    if word == "elif" then
        node.no = {nested(parser, parse_branches, opener)}
    elseif word == "else" then
        node.no = body_until(parser, set_of("endif"), opener)
    end
    return node
end

parsers["if"] = function(parser, opener)
    parser.soft = parser.soft + 1
    local node = parse_branches(parser, opener)
    parser.soft = parser.soft - 1
    return node
end

-- A body that has a scope of its own, in which filters must be known again.
local function scoped(parser, parse, ...)
    local soft = parser.soft
    parser.soft = 0
    local body, word = parse(parser, ...)
    parser.soft = soft
    return body, word
end

parsers["for"] = function(parser, opener)
    local node = node_at(parser, "for", {target = parse_target(parser)})
    expect(parser, "name", "in")
    node.iterable = parse_tuple(parser, false, true)
    if skip(parser, "name", "if") then node.test = parse_expression(parser) end
    if is(parser, "name", "recursive") then fail(parser, "recursive loops are not supported") end
    parser.loops = parser.loops + 1
    local word
    node.body, word = scoped(parser, body_until, set_of("else", "endfor"), opener)
    parser.loops = parser.loops - 1
    if word == "else" then
        node.otherwise = scoped(parser, body_until, set_of("endfor"), opener)
    end
    return node
end

local function parse_loop_control(word)
    return function(parser)
        if parser.loops == 0 then fail(parser, "'%s' outside loop", word) end
        return node_at(parser, word, {})
    end
end
parsers["break"], parsers["continue"] = parse_loop_control("break"), parse_loop_control("continue")

parsers.set = function(parser, opener)
    local node = node_at(parser, "set", {})
    local after = parser.tokens[parser.at + 1]
    if is(parser, "name") and after.type == "operator" and after.value == "." then
        local object = expect(parser, "name").value
        expect(parser, "operator", ".")
        node.target = {kind = "field", line = node.line, object = object,
            name = expect(parser, "name").value}
    else
        node.target = parse_target(parser)
    end
    if skip(parser, "operator", "=") then
        node.value = parse_tuple(parser)
        return node
    end
    node.kind = "set_block"
    if skip(parser, "operator", "|") then
        node.filters = parse_filters_and_tests(parser, parse_filter(parser, {kind = "captured"}))
    end
    node.body = scoped(parser, body_until, set_of("endset"), opener)
    return node
end

local function parse_parameters(parser)
    local parameters = {}
    expect(parser, "operator", "(")
    while not is_operator(parser, ")") do
        local parameter = {name = expect(parser, "name").value}
        if skip(parser, "operator", "=") then
            parameter.default = parse_expression(parser)
        elseif #parameters > 0 and parameters[#parameters].default then
            fail(parser, "a parameter without a default follows one that has it")
        end
        parameters[#parameters + 1] = parameter
        if not skip(parser, "operator", ",") then break end
    end
    expect(parser, "operator", ")")
    return parameters
end

-- Loops of the template around a macro are not around its body.
local function parse_macro_body(parser, node, words, opener)
    local outer, loops = parser.macro, parser.loops
    parser.macro, parser.loops = {uses = node.uses}, 0
    node.body = scoped(parser, body_until, words, opener)
    parser.macro, parser.loops = outer, loops
    for name in pairs(node.uses) do
        if outer then outer.uses[name] = true end
    end
    return node
end

parsers.macro = function(parser, opener)
    local node = node_at(parser, "macro", {uses = {}, name = expect(parser, "name").value})
    node.parameters = parse_parameters(parser)
    return parse_macro_body(parser, node, set_of("endmacro"), opener)
end

parsers.call = function(parser, opener)
    local node = node_at(parser, "call_block", {uses = {}, name = "caller"})
    node.parameters = is_operator(parser, "(") and parse_parameters(parser) or {}
    node.call = parse_expression(parser)
    if node.call.kind ~= "call" then fail(parser, "a call was expected") end
    return parse_macro_body(parser, node, set_of("endcall"), opener)
end

parsers.filter = function(parser, opener)
    local node = node_at(parser, "filter_block", {})
    node.filters = parse_filters_and_tests(parser, parse_filter(parser, {kind = "captured"}))
    node.body = scoped(parser, body_until, set_of("endfilter"), opener)
    return node
end

parsers.with = function(parser, opener)
    local node = node_at(parser, "with", {targets = {}, values = {}})
    while not is(parser, "block_end") do
        if #node.targets > 0 then expect(parser, "operator", ",") end
        node.targets[#node.targets + 1] = parse_target(parser)
        expect(parser, "operator", "=")
        node.values[#node.values + 1] = parse_expression(parser)
    end
    node.body = scoped(parser, body_until, set_of("endwith"), opener)
    return node
end

local refused_words = set_of("include", "import", "from", "extends", "block", "autoescape",
    "print")

local function parse_tag(parser, word)
    local opener = {word = word, line = current(parser).line}
    local parse = parsers[word]
    if refused_words[word] then fail(parser, "the tag '%s' is not supported", word) end
    if not parse then fail(parser, "Encountered unknown tag '%s'.", word) end
    parser.at = parser.at + 1
    local node = parse(parser, opener)
    expect(parser, "block_end")
    return node
end

-- Up to a tag whose word is in `stops` (that word is then consumed and returned too), or the end.
function parse_statements(parser, stops)
    local body = {}
    while not is(parser, "end") do
        local token = current(parser)
        parser.at = parser.at + 1
        if token.type == "data" then
            body[#body + 1] = {kind = "data", line = token.line, text = token.value}
        elseif token.type == "variable_begin" then
            body[#body + 1] = node_at(parser, "output", {value = parse_tuple(parser)})
            expect(parser, "variable_end")
        else
            local word = current(parser).type == "name" and current(parser).value
            if not word then fail(parser, "a tag name was expected") end
            if stops[word] then
                parser.at = parser.at + 1
                return body, word
            end
            body[#body + 1] = nested(parser, parse_tag, word)
        end
    end
    return body
end

function jinja.parser.parse(tokens)
    local parser = {tokens = tokens, at = 1, depth = 0, soft = 0, loops = 0, unknown = {}}
    local body = parse_statements(parser, {})
    local unknown = parser.unknown[1]
    if unknown then
        jinja.state[1] = unknown.line
        values.fail("No %s named '%s'.", unknown.what, unknown.name)
    end
    return body
end
