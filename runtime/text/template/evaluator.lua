-- Runs a tree: statements append text to `out`, expressions give values.
--
-- A scope is {names, parent}. Loops, macros, `with`, captured blocks have their own; `if` has not.
-- A macro sees the scope that it was written in as it is when the macro is called.
local values, strings = jinja.values, jinja.strings
local fail = values.fail

local CALLS_MAX = 150 -- of macros inside macros; Python's recursion ends at about 200 of them

local evaluate, run_body
local evaluators, statements = {}, {}
local calls = 0

local function at(node)
    jinja.state[1] = node.line
end

-- --- scopes

local function new_scope(parent)
    return {names = {}, parent = parent}
end

local function lookup(scope, name)
    while scope do
        local value = scope.names[name]
        if value ~= nil then return value end
        scope = scope.parent
    end
    return values.undefined("'" .. name .. "' is undefined")
end

local function assign(target, value, scope)
    if target.kind == "name" then
        scope.names[target.name] = value
        return
    end
    local items = values.elements(value)
    if #items ~= #target.items then
        fail("%d values to unpack, expected %d", #items, #target.items)
    end
    for i, inner in ipairs(target.items) do assign(inner, items[i], scope) end
end

-- --- expressions

function evaluate(node, scope)
    return evaluators[node.kind](node, scope)
end

function evaluators.const(node) return node.value end
function evaluators.name(node, scope) return lookup(scope, node.name) end
function evaluators.captured(_, scope) return scope.captured end

local function evaluate_all(nodes, scope)
    local out = {}
    for i, node in ipairs(nodes) do out[i] = evaluate(node, scope) end
    return out
end

function evaluators.list(node, scope) return values.list(evaluate_all(node.items, scope)) end
function evaluators.tuple(node, scope) return values.tuple(evaluate_all(node.items, scope)) end

function evaluators.dict(node, scope)
    local dict = values.dict()
    for i, key in ipairs(node.keys) do
        key = evaluate(key, scope)
        local value = evaluate(node.values[i], scope)
        at(node)
        values.dict_set(dict, key, value)
    end
    return dict
end

function evaluators.getattr(node, scope)
    local object = evaluate(node.object, scope)
    at(node)
    return jinja.get_attribute(object, node.name)
end

function evaluators.getitem(node, scope)
    local object, key = evaluate(node.object, scope), evaluate(node.key, scope)
    at(node)
    return jinja.get_item(object, key)
end

function evaluators.slice(node, scope)
    local object = evaluate(node.object, scope)
    local first = node.first and evaluate(node.first, scope)
    local stop = node.stop and evaluate(node.stop, scope)
    local step = node.step and evaluate(node.step, scope)
    at(node)
    return jinja.get_slice(object, first, stop, step)
end

local function evaluate_arguments(node, scope)
    local named = {}
    local positional = evaluate_all(node.positional, scope)
    for i, argument in ipairs(node.named) do
        named[i] = {name = argument.name, value = evaluate(argument.value, scope)}
    end
    return positional, named
end

local function call(callee, positional, named)
    local kind = values.kind(callee)
    if kind == "macro" then return callee.call(positional, named) end
    if kind ~= "function" then
        values.check_defined(callee)
        fail("'%s' object is not callable", values.type_name(callee))
    end
    local object, what = callee.object, callee.name .. "()"
    if callee.free and object ~= nil then return callee.call(object, positional, named) end
    if callee.free then return callee.call(positional, named) end
    if object ~= nil then
        return callee.call(object, jinja.bind(what, callee.parameters, positional, named))
    end
    return callee.call(jinja.bind(what, callee.parameters, positional, named))
end

function evaluators.call(node, scope)
    local callee = evaluate(node.callee, scope)
    local positional, named = evaluate_arguments(node, scope)
    at(node)
    return call(callee, positional, named)
end

function evaluators.filter(node, scope)
    local input = evaluate(node.input, scope)
    local positional, named = evaluate_arguments(node, scope)
    at(node)
    return jinja.call_filter(node.name, input, positional, named)
end

function evaluators.test(node, scope)
    local input = evaluate(node.input, scope)
    local positional, named = evaluate_arguments(node, scope)
    at(node)
    return jinja.call_test(node.name, input, positional, named)
end

evaluators["not"] = function(node, scope)
    return not values.is_true(evaluate(node.value, scope))
end

evaluators["and"] = function(node, scope)
    local left = evaluate(node.left, scope)
    if not values.is_true(left) then return left end
    return evaluate(node.right, scope)
end

evaluators["or"] = function(node, scope)
    local left = evaluate(node.left, scope)
    if values.is_true(left) then return left end
    return evaluate(node.right, scope)
end

function evaluators.unary(node, scope)
    local value = evaluate(node.value, scope)
    at(node)
    local number = values.number_of(value)
    if not number then
        values.check_defined(value)
        fail("bad operand type for unary operator: '%s'", values.type_name(value))
    end
    return node.operator == "negative" and values.negate(number) or number
end

local markup_filters = {safe = true, escape = true, e = true}

-- Whether the value is text that counts as HTML: what Jinja adds to it is escaped. That is followed
-- through the operands of one chain of `+` alone; a variable forgets it.
local function is_markup(node)
    if node.markup == nil then
        local is_sum = node.kind == "binary" and node.operator == "+"
        node.markup = node.kind == "filter" and markup_filters[node.name] or
            is_sum and (is_markup(node.left) or is_markup(node.right)) or false
    end
    return node.markup
end

function evaluators.binary(node, scope)
    local left, right = evaluate(node.left, scope), evaluate(node.right, scope)
    at(node)
    if node.operator == "+" and type(left) == "string" and type(right) == "string" then
        local left_markup, right_markup = is_markup(node.left), is_markup(node.right)
        if left_markup and not right_markup then right = strings.escape(right) end
        if right_markup and not left_markup then left = strings.escape(left) end
    end
    return jinja.binary(node.operator, left, right)
end

function evaluators.concat(node, scope)
    local left, right = evaluate(node.left, scope), evaluate(node.right, scope)
    at(node)
    return values.text(left) .. values.text(right)
end

-- a < b < c holds if both do; what is not needed is not evaluated.
function evaluators.compare(node, scope)
    local left = evaluate(node.operands[1], scope)
    for i, operator in ipairs(node.operators) do
        local right = evaluate(node.operands[i + 1], scope)
        at(node)
        if not jinja.compare(operator, left, right) then return false end
        left = right
    end
    return true
end

function evaluators.condition(node, scope)
    if values.is_true(evaluate(node.test, scope)) then return evaluate(node.yes, scope) end
    if node.no then return evaluate(node.no, scope) end
    return values.undefined("the inline if-expression evaluated to false and no else section " ..
        "was defined.")
end

-- --- statements: return "break" or "continue" where a loop is left

function run_body(body, scope, out)
    for _, node in ipairs(body) do
        at(node)
        local signal = statements[node.kind](node, scope, out)
        if signal then return signal end
    end
end

local function capture(body, scope)
    local out = {}
    run_body(body, scope, out)
    return table.concat(out)
end

function statements.data(node, _, out)
    out[#out + 1] = node.text
end

function statements.output(node, scope, out)
    local value = evaluate(node.value, scope)
    at(node)
    out[#out + 1] = values.text(value)
end

statements["if"] = function(node, scope, out)
    if values.is_true(evaluate(node.test, scope)) then return run_body(node.yes, scope, out) end
    if node.no then return run_body(node.no, scope, out) end
end

statements["break"] = function() return "break" end
statements["continue"] = function() return "continue" end

local function set_field(target, value, scope)
    local object = lookup(scope, target.object)
    if values.kind(object) ~= "namespace" then
        fail("cannot assign attribute on non-namespace object")
    end
    values.dict_set(object.attributes, target.name, value)
end

local function set_target(node, value, scope)
    at(node)
    local set = node.target.kind == "field" and set_field or assign
    set(node.target, value, scope)
end

function statements.set(node, scope)
    set_target(node, evaluate(node.value, scope), scope)
end

local function filtered(node, scope)
    local inner = new_scope(scope)
    local text = capture(node.body, inner)
    if not node.filters then return text end
    inner.captured = text
    return evaluate(node.filters, inner)
end

function statements.set_block(node, scope)
    set_target(node, filtered(node, scope), scope)
end

function statements.filter_block(node, scope, out)
    out[#out + 1] = values.text(filtered(node, scope))
end

statements["with"] = function(node, scope, out)
    local inner = new_scope(scope)
    local given = evaluate_all(node.values, scope)
    for i, target in ipairs(node.targets) do assign(target, given[i], inner) end
    return run_body(node.body, inner, out)
end

-- --- loops

local function cycle(loop)
    return function(positional)
        if #positional == 0 then fail("no items for cycling given") end
        return positional[(loop.index - 1) % #positional + 1]
    end
end

local function changed(loop)
    return function(positional)
        local now = values.tuple(positional)
        local differs = not loop.seen or not values.equal(loop.seen, now)
        loop.seen = now
        return differs
    end
end

local function loop_attribute(loop)
    local attributes = {
        index = function() return loop.index end,
        index0 = function() return loop.index - 1 end,
        revindex = function() return #loop.items - loop.index + 1 end,
        revindex0 = function() return #loop.items - loop.index end,
        first = function() return loop.index == 1 end,
        last = function() return loop.index == #loop.items end,
        length = function() return #loop.items end,
        depth = function() return 1 end,
        depth0 = function() return 0 end,
        previtem = function()
            return loop.items[loop.index - 1] or values.undefined("there is no previous item")
        end,
        nextitem = function()
            local item = loop.items[loop.index + 1]
            return item == nil and values.undefined("there is no next item") or item
        end,
        cycle = function() return {kind = "function", name = "cycle", free = true,
            call = cycle(loop)} end,
        changed = function() return {kind = "function", name = "changed", free = true,
            call = changed(loop)} end,
    }
    return function(name)
        if attributes[name] then return attributes[name]() end
    end
end

-- The elements for which the loop's own condition holds.
local function filter_items(node, items, scope)
    if not node.test then return items end
    local out = {}
    for _, item in ipairs(items) do
        local inner = new_scope(scope)
        assign(node.target, item, inner)
        if values.is_true(evaluate(node.test, inner)) then out[#out + 1] = item end
    end
    return out
end

statements["for"] = function(node, scope, out)
    local iterable = evaluate(node.iterable, scope)
    at(node)
    local items = filter_items(node, values.elements(iterable), scope)
    local loop = {kind = "loop", items = items}
    loop.attribute = loop_attribute(loop)
    for i, item in ipairs(items) do
        loop.index = i
        local inner = new_scope(scope)
        inner.names.loop = loop
        at(node)
        assign(node.target, item, inner)
        if run_body(node.body, inner, out) == "break" then break end
    end
    if #items == 0 and node.otherwise then
        return run_body(node.otherwise, new_scope(scope), out)
    end
end

-- --- macros

local function take_named(node, named, scope)
    local rest, names = values.dict(), {}
    for _, parameter in ipairs(node.parameters) do names[parameter.name] = true end
    for _, argument in ipairs(named) do
        if names[argument.name] then
            if scope.names[argument.name] ~= nil then
                fail("macro '%s' got multiple values for argument '%s'", node.name, argument.name)
            end
            scope.names[argument.name] = argument.value
        elseif argument.name == "caller" and node.uses.caller then
            scope.names.caller = argument.value
        elseif node.uses.kwargs then
            values.dict_set(rest, argument.name, argument.value)
        else
            fail("macro '%s' takes no keyword argument '%s'", node.name, argument.name)
        end
    end
    scope.names.kwargs = node.uses.kwargs and rest or nil
end

local function take_positional(node, positional, scope)
    if #positional > #node.parameters and not node.uses.varargs then
        fail("macro '%s' takes not more than %d argument(s)", node.name, #node.parameters)
    end
    for i, parameter in ipairs(node.parameters) do scope.names[parameter.name] = positional[i] end
    if node.uses.varargs then
        scope.names.varargs = values.tuple(table.move(positional, #node.parameters + 1, #positional,
            1, {}))
    end
end

local function take_defaults(node, scope)
    for _, parameter in ipairs(node.parameters) do
        local name = parameter.name
        if scope.names[name] == nil then
            scope.names[name] = parameter.default and evaluate(parameter.default, scope) or
                values.undefined("parameter '" .. name .. "' was not provided")
        end
    end
end

local function make_macro(node, scope)
    return {kind = "macro", name = node.name, call = function(positional, named)
        local inner = new_scope(scope)
        calls = calls + 1
        if calls > CALLS_MAX then fail("macros call each other too deeply") end
        take_positional(node, positional, inner)
        take_named(node, named, inner)
        take_defaults(node, inner)
        if node.uses.caller and inner.names.caller == nil then
            inner.names.caller = values.undefined("No caller defined")
        end
        local text = capture(node.body, inner)
        calls = calls - 1
        return text
    end}
end

function statements.macro(node, scope)
    scope.names[node.name] = make_macro(node, scope)
end

function statements.call_block(node, scope, out)
    local callee = evaluate(node.call.callee, scope)
    local positional, named = evaluate_arguments(node.call, scope)
    named[#named + 1] = {name = "caller", value = make_macro(node, scope)}
    at(node)
    out[#out + 1] = values.text(call(callee, positional, named))
end

-- --- the whole

-- Variables: a dict.
function jinja.run(tree, variables)
    local scope = new_scope(jinja.global_scope())
    for i, name in ipairs(variables.keys) do scope.names[name] = variables.values[i] end
    calls = 0
    return capture(tree, new_scope(scope))
end
