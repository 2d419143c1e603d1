-- Operators of two values: arithmetic, joining and repeating, comparison.
local values, strings = jinja.values, jinja.strings
local fail = values.fail

local function repeat_value(value, count)
    if type(value) == "string" then return value:rep(count) end
    local items = {kind = value.kind}
    for _ = 1, count do table.move(value, 1, #value, #items + 1, items) end
    return items
end

local function is_repeatable(value)
    local kind = values.kind(value)
    return kind == "string" or kind == "list" or kind == "tuple"
end

local function check_divisor(b)
    if b == 0 then fail("division by zero") end
    return b
end

local arithmetic = {
    ["+"] = values.add,
    ["-"] = values.subtract,
    ["*"] = values.multiply,
    ["/"] = function(a, b) return a / check_divisor(b) end,
    ["//"] = function(a, b) return a // check_divisor(b) end,
    ["%"] = function(a, b) return a % check_divisor(b) end,
    ["**"] = values.power,
}

local function join_sequences(a, b)
    local items = table.move(a, 1, #a, 1, {kind = a.kind})
    return table.move(b, 1, #b, #items + 1, items)
end

-- nil where the operator does not take these.
local function binary_of_others(operator, a, b)
    local kind = values.kind(a)
    if operator == "+" and kind == values.kind(b) then
        if kind == "string" then return a .. b end
        if kind == "list" or kind == "tuple" then return join_sequences(a, b) end
    elseif operator == "*" then
        if is_repeatable(b) then a, b = b, a end
        local count = values.number_of(b)
        if is_repeatable(a) and math.type(count) == "integer" then return repeat_value(a, count) end
    elseif operator == "%" and kind == "string" then
        return strings.format(a, values.kind(b) == "tuple" and b or {b})
    end
end

function jinja.binary(operator, a, b)
    local x, y = values.number_of(a), values.number_of(b)
    if x and y then return arithmetic[operator](x, y) end
    local result = binary_of_others(operator, a, b)
    if result ~= nil then return result end
    values.check_defined(a)
    values.check_defined(b)
    fail("unsupported operand type(s) for %s: '%s' and '%s'", operator, values.type_name(a),
        values.type_name(b))
end

local comparisons = {
    ["=="] = function(a, b) return values.equal(a, b) end,
    ["!="] = function(a, b) return not values.equal(a, b) end,
    ["<"] = function(a, b) return values.less(a, b, "<") end,
    [">"] = function(a, b) return values.less(b, a, ">") end,
    ["<="] = function(a, b) return values.less(a, b, "<=") or values.equal(a, b) end,
    [">="] = function(a, b) return values.less(b, a, ">=") or values.equal(a, b) end,
    ["in"] = function(a, b) return values.contains(b, a) end,
    ["not in"] = function(a, b) return not values.contains(b, a) end,
}

function jinja.compare(operator, a, b)
    return comparisons[operator](a, b)
end
