-- Tests, what follows `is`: {parameters, call(value, …)} with a boolean result.
local values = jinja.values
local kind_of = values.kind
local tests = {}
jinja.tests = tests

local function of_kind(...)
    local kinds = {}
    for _, kind in ipairs {...} do kinds[kind] = true end
    return {{}, function(value) return kinds[kind_of(value)] or false end}
end

tests.undefined = of_kind("undefined")
tests.defined = {{}, function(value) return kind_of(value) ~= "undefined" end}
tests.none = of_kind("none")
tests.string = of_kind("string")
tests.mapping = of_kind("dict")
tests.boolean = of_kind("boolean")
tests.number = of_kind("number", "boolean")
tests.callable = of_kind("function", "macro")
-- What has a length and can be subscripted; an undefined value has both methods.
tests.sequence = of_kind("string", "list", "tuple", "dict", "range", "undefined")
tests.iterable = {{}, values.is_iterable}
tests.integer = {{}, function(value) return math.type(value) == "integer" end}
tests.float = {{}, function(value) return math.type(value) == "float" end}
tests["true"] = {{}, function(value) return value == true end}
tests["false"] = {{}, function(value) return value == false end}
tests.escaped = {{}, function() return false end}

local function of_letters(same, other)
    return {{}, function(value)
        local text = values.text(value)
        return same(text) == text and other(text) ~= text
    end}
end
tests.upper = of_letters(unicode_upper, unicode_lower)
tests.lower = of_letters(unicode_lower, unicode_upper)

tests.sameas = {{"other"}, function(value, other)
    return rawequal(value, other) and math.type(value) == math.type(other)
end}

local function remainder(value, divisor)
    if values.check_integer(divisor, "a test") == 0 then values.fail("modulo by zero") end
    return values.check_integer(value, "a test") % divisor
end
tests.even = {{}, function(value) return remainder(value, 2) == 0 end}
tests.odd = {{}, function(value) return remainder(value, 2) == 1 end}
tests.divisibleby = {{"num"}, function(value, divisor) return remainder(value, divisor) == 0 end}

local function comparison(...)
    local test = {{"other"}, ...}
    return test
end
local function of_operator(operator)
    return comparison(function(value, other) return jinja.compare(operator, value, other) end)
end
for operator, names in pairs {
    ["=="] = {"==", "eq", "equalto"}, ["!="] = {"!=", "ne"}, ["<"] = {"<", "lt", "lessthan"},
    ["<="] = {"<=", "le"}, [">"] = {">", "gt", "greaterthan"}, [">="] = {">=", "ge"},
    ["in"] = {"in"},
} do
    for _, name in ipairs(names) do tests[name] = of_operator(operator) end
end

tests.filter = {{}, function(value) return jinja.filters[value] ~= nil end}
tests.test = {{}, function(value) return tests[value] ~= nil end}
