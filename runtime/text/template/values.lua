-- Python's values as templates see them, and what the language does with any of them.
--
-- Strings, integers, floats and booleans are Lua's; all else is a table with a `kind`:
--   none; undefined; list, tuple, range, view and generator (elements at 1..n; a generator is
--   spent by whoever goes through it); dict (keys in the order of insertion); namespace; macro,
--   function, loop. No value but a namespace changes after it was made: the sandbox that the
--   templates are written for refuses the methods that change lists and dicts.
-- Integers have 64 bits; what would need more is refused, not rounded.
jinja = {}
local values = {}
jinja.values = values

-- The template's line that is being worked on; C reads it after a limit was passed.
jinja.state = {1}

function values.fail(format, ...)
    error({line = jinja.state[1], message = select("#", ...) > 0 and format:format(...) or format})
end
local fail = values.fail

values.none = {kind = "none"}
local none = values.none

-- --- making values

function values.list(items)
    items.kind = "list"
    return items
end

function values.tuple(items)
    items.kind = "tuple"
    return items
end

function values.generator(items)
    items.kind = "generator"
    return items
end

-- The message is that of the error when the value is used.
function values.undefined(message)
    return {kind = "undefined", message = message}
end

function values.kind(value)
    local kind = type(value)
    return kind == "table" and value.kind or kind
end
local kind_of = values.kind

local python_names = {
    string = "str", boolean = "bool", none = "NoneType", undefined = "Undefined",
    view = "dict view", ["function"] = "function",
}

function values.type_name(value)
    if kind_of(value) == "number" then
        return math.type(value) == "integer" and "int" or "float"
    end
    return python_names[kind_of(value)] or value.kind
end
local type_name = values.type_name

-- --- dicts

-- The Lua key of a dict's key. True and 1, 1 and 1.0 are one key, as in Python.
local function hash(key)
    local kind = kind_of(key)
    if kind == "boolean" then return key and 1 or 0 end
    if kind == "string" or kind == "number" or kind == "none" then return key end
    fail("a value of type %s cannot be a key of a dict", type_name(key))
end

function values.dict()
    return {kind = "dict", keys = {}, values = {}, index = {}}
end

function values.dict_set(dict, key, value)
    local hashed = hash(key)
    local place = dict.index[hashed]
    if not place then
        place = #dict.keys + 1
        dict.index[hashed] = place
        dict.keys[place] = key
    end
    dict.values[place] = value
end

-- nil where there is no such key.
function values.dict_get(dict, key)
    local place = dict.index[hash(key)]
    return place and dict.values[place]
end

function values.dict_items(dict)
    local items = {kind = "view"}
    for i, key in ipairs(dict.keys) do
        items[i] = values.tuple {key, dict.values[i]}
    end
    return items
end

-- --- going through values

local function characters(text)
    local items = {}
    for _, code in utf8.codes(text) do
        items[#items + 1] = utf8.char(code)
    end
    return items
end

function values.check_defined(value)
    if kind_of(value) == "undefined" then
        fail(value.message)
    end
    return value
end

local sequences = {list = true, tuple = true, range = true, view = true}

function values.is_iterable(value)
    local kind = kind_of(value)
    return sequences[kind] or kind == "string" or kind == "dict" or kind == "generator" or
        kind == "undefined" or false
end

-- The elements as an array that must not be changed.
function values.elements(value)
    local kind = kind_of(value)
    if sequences[kind] then return value end
    if kind == "dict" then return value.keys end
    if kind == "string" then return characters(value) end
    if kind == "undefined" then return {} end
    if kind == "generator" then
        local rest = table.move(value, (value.spent or 0) + 1, #value, 1, {})
        value.spent = #value
        return rest
    end
    fail("'%s' object is not iterable", type_name(value))
end

-- nil where there is none.
function values.length(value)
    local kind = kind_of(value)
    if kind == "string" then return utf8.len(value) end
    if sequences[kind] then return #value end
    if kind == "dict" then return #value.keys end
    if kind == "undefined" then return 0 end
end

function values.is_true(value)
    local kind = kind_of(value)
    if kind == "boolean" then return value end
    if kind == "number" then return value ~= 0 end
    if kind == "none" then return false end
    return values.length(value) ~= 0
end

-- --- comparing

local function number_of(value)
    if type(value) == "boolean" then return value and 1 or 0 end
    return type(value) == "number" and value or nil
end
values.number_of = number_of

local function equal_dicts(a, b)
    if #a.keys ~= #b.keys then return false end
    for i, key in ipairs(a.keys) do
        local other = values.dict_get(b, key)
        if other == nil or not values.equal(a.values[i], other) then return false end
    end
    return true
end

function values.equal(a, b)
    if a == b then return true end
    local x, y = number_of(a), number_of(b)
    if x or y then return x == y end
    local kind = kind_of(a)
    if kind ~= kind_of(b) or kind == "string" or kind == "generator" then return false end
    if kind == "undefined" then return true end
    if kind == "dict" then return equal_dicts(a, b) end
    if not sequences[kind] or #a ~= #b then return false end
    for i = 1, #a do
        if not values.equal(a[i], b[i]) then return false end
    end
    return true
end

-- a < b; `sign` is the operator that the message names.
function values.less(a, b, sign)
    local x, y = number_of(a), number_of(b)
    if x and y then return x < y end
    local kind = kind_of(a)
    if kind == kind_of(b) then
        if kind == "string" then return a < b end
        if kind == "list" or kind == "tuple" then
            for i = 1, math.min(#a, #b) do
                if not values.equal(a[i], b[i]) then return values.less(a[i], b[i], sign) end
            end
            return #a < #b
        end
    end
    values.check_defined(a)
    values.check_defined(b)
    fail("'%s' not supported between instances of '%s' and '%s'", sign, type_name(a), type_name(b))
end

function values.contains(container, value)
    local kind = kind_of(container)
    if kind == "string" then
        if type(value) ~= "string" then
            values.check_defined(value)
            fail("'in <string>' requires string as left operand, not %s", type_name(value))
        end
        return container:find(value, 1, true) ~= nil
    end
    if kind == "dict" then return values.dict_get(container, value) ~= nil end
    for _, element in ipairs(values.elements(container)) do
        if values.equal(element, value) then return true end
    end
    return false
end

-- Stable, as Python's: merges from the bottom up. less(a, b) of elements.
function values.sort(items, less)
    local from, to, count = table.move(items, 1, #items, 1, {}), {}, #items
    local width = 1
    while width < count do
        for begin = 1, count, 2 * width do
            local i, j = begin, begin + width
            local middle, stop = math.min(j, count + 1), math.min(begin + 2 * width, count + 1)
            for k = begin, stop - 1 do
                if i < middle and (j >= stop or not less(from[j], from[i])) then
                    to[k], i = from[i], i + 1
                else
                    to[k], j = from[j], j + 1
                end
            end
        end
        from, to = to, from
        width = 2 * width
    end
    return from
end

-- --- numbers

local function check_range(exact, wrapped)
    if math.type(wrapped) == "integer" and math.abs(exact) >= 2.0 ^ 63 then
        fail("an integer of more than 64 bits")
    end
    return wrapped
end

-- Of numbers: `wrapped` as Lua computes it, refused where it does not fit.
function values.add(a, b) return check_range((a + 0.0) + b, a + b) end
function values.subtract(a, b) return check_range((a + 0.0) - b, a - b) end
function values.multiply(a, b) return check_range((a + 0.0) * b, a * b) end

function values.negate(a)
    return check_range(-(a + 0.0), -a)
end

function values.power(a, b)
    if math.type(a) ~= "integer" or math.type(b) ~= "integer" or b < 0 then
        if a == 0 and b < 0 then fail("0 cannot be raised to a negative power") end
        local result = (a + 0.0) ^ b
        if result ~= result then fail("a power that is not a real number") end
        if math.abs(result) == math.huge and math.abs(a) ~= math.huge then
            fail("a power that is too large")
        end
        return result
    end
    check_range((a + 0.0) ^ b, 0)
    local result = 1
    while b > 0 do
        if b & 1 == 1 then result = result * a end
        a, b = a * a, b >> 1
    end
    return result
end

function values.check_integer(value, what)
    local number = number_of(value)
    if math.type(number) ~= "integer" then
        values.check_defined(value)
        fail("%s wants an integer, not %s", what, type_name(value))
    end
    return number
end

-- --- printing

-- As repr(float): the shortest decimal that reads back.
function values.float_text(value)
    if value ~= value then return "nan" end
    if value == math.huge or value == -math.huge then return value > 0 and "inf" or "-inf" end
    local digits
    for precision = 0, 16 do
        digits = ("%." .. precision .. "e"):format(value)
        if tonumber(digits) == value then break end
    end
    local sign, mantissa, exponent = digits:match("^(-?)([%d.]+)e(.+)$")
    mantissa, exponent = mantissa:gsub("%.", ""), math.tointeger(tonumber(exponent))
    if exponent < -4 or exponent >= 16 then
        local rest = mantissa:sub(2)
        return ("%s%s%se%s%02d"):format(sign, mantissa:sub(1, 1), rest ~= "" and "." .. rest or "",
            exponent < 0 and "-" or "+", math.abs(exponent))
    end
    if exponent < 0 then return sign .. "0." .. ("0"):rep(-exponent - 1) .. mantissa end
    mantissa = mantissa .. ("0"):rep(exponent + 1 - #mantissa)
    local fraction = mantissa:sub(exponent + 2)
    return sign .. mantissa:sub(1, exponent + 1) .. "." .. (fraction ~= "" and fraction or "0")
end

local escapes = {[9] = "\\t", [10] = "\\n", [13] = "\\r", [92] = "\\\\"}

-- As repr(str).
local function quote(text)
    local mark = text:find("'", 1, true) and not text:find('"', 1, true) and '"' or "'"
    local out = {mark}
    for _, code in utf8.codes(text) do
        local escape = escapes[code]
        if code == mark:byte() then
            escape = "\\" .. mark
        elseif not escape and not unicode_printable(code) then
            escape = (code < 0x100 and "\\x%02x" or code < 0x10000 and "\\u%04x" or "\\U%08x")
                :format(code)
        end
        out[#out + 1] = escape or utf8.char(code)
    end
    out[#out + 1] = mark
    return table.concat(out)
end

local function repr_elements(items)
    local out = {}
    for i, item in ipairs(items) do out[i] = values.repr(item) end
    return table.concat(out, ", ")
end

local function repr_dict(dict)
    local out = {}
    for i, key in ipairs(dict.keys) do
        out[i] = values.repr(key) .. ": " .. values.repr(dict.values[i])
    end
    return "{" .. table.concat(out, ", ") .. "}"
end

local printers = {
    string = quote,
    boolean = function(value) return value and "True" or "False" end,
    number = function(value)
        return math.type(value) == "integer" and tostring(value) or values.float_text(value)
    end,
    none = function() return "None" end,
    undefined = function() return "Undefined" end,
    list = function(value) return "[" .. repr_elements(value) .. "]" end,
    tuple = function(value)
        return "(" .. repr_elements(value) .. (#value == 1 and ",)" or ")")
    end,
    range = function(value)
        return ("range(%d, %d%s)"):format(value.first, value.stop,
            value.step ~= 1 and (", %d"):format(value.step) or "")
    end,
    view = function(value)
        return (value.name or "dict_items") .. "([" .. repr_elements(value) .. "])"
    end,
    dict = repr_dict,
    namespace = function(value) return "<Namespace " .. repr_dict(value.attributes) .. ">" end,
    macro = function(value) return "<Macro " .. quote(value.name) .. ">" end,
}

function values.repr(value)
    local printer = printers[kind_of(value)]
    if not printer then
        fail("a value of type %s has no text that is the same in every run", type_name(value))
    end
    return printer(value)
end

-- As str().
function values.text(value)
    if type(value) == "string" then return value end
    if kind_of(value) == "undefined" then return "" end
    return values.repr(value)
end
