-- Attributes and methods of values: `value.name`, `value[key]`, slices.
--
-- As in Python a method hides a dict's key of that name after a dot, a key hides it in brackets.
-- What the sandbox refuses (names with __, methods that change a list or dict) gives an undefined
-- value that cannot be used. Methods that Python has and this table has not are refused by name.
local values, strings = jinja.values, jinja.strings
local fail, none = values.fail, values.none

-- --- binding of arguments, for methods, filters, tests and functions

-- Parameters are names in order; returns what each was given, nil where nothing was.
function jinja.bind(what, parameters, positional, named)
    local bound, places = {}, {}
    if #positional > #parameters then
        fail("%s takes at most %d arguments", what, #parameters)
    end
    for i, name in ipairs(parameters) do bound[i], places[name] = positional[i], i end
    for _, argument in ipairs(named) do
        local place = places[argument.name]
        if not place then fail("%s has no argument '%s'", what, argument.name) end
        if bound[place] ~= nil then fail("%s is given '%s' twice", what, argument.name) end
        bound[place] = argument.value
    end
    return table.unpack(bound, 1, #parameters)
end

local function check_text(value, what)
    if type(value) ~= "string" then
        values.check_defined(value == nil and values.undefined(what .. " wants an argument") or
            value)
        fail("%s wants a string, not %s", what, values.type_name(value))
    end
    return value
end
jinja.check_text = check_text

local function optional(value)
    if value ~= none then return value end
end

local function optional_text(value, what)
    value = optional(value)
    return value ~= nil and check_text(value, what) or nil
end

local function optional_integer(value, what, default)
    value = optional(value)
    return value == nil and default or values.check_integer(value, what)
end

-- --- strings

-- Tells whether `matches` holds for the string or, given a tuple, for any part of it.
local function any_part(matches, what)
    return function(text, part, first)
        if first ~= nil then fail("%s with a position is not supported", what) end
        if values.kind(part) ~= "tuple" then return matches(text, check_text(part, what)) end
        for _, each in ipairs(part) do
            if matches(text, check_text(each, what)) then return true end
        end
        return false
    end
end

local function starts_with(text, part) return text:sub(1, #part) == part end
local function ends_with(text, part) return part == "" or text:sub(-#part) == part end

local function splitter(what, at_words, at_text)
    return function(text, separator, most)
        most = optional_integer(most, what, -1)
        separator = optional_text(separator, what)
        if separator == "" then fail("empty separator") end
        if separator then return values.list(at_text(text, separator, most)) end
        return values.list(at_words(text, most))
    end
end

local function split_words_from_right(text, most)
    if most >= 0 then fail("rsplit at white space with a limit is not supported") end
    return strings.split_words(text, most)
end

local function part_finder(what, find)
    return function(text, part, first)
        if first ~= nil then fail("%s with a position is not supported", what) end
        return find(text, check_text(part, what))
    end
end

local function index(text, part)
    local at = strings.find(text, part)
    return at >= 0 and at or fail("substring not found")
end

local function partition(find_last)
    return function(text, separator)
        check_text(separator, "partition")
        if separator == "" then fail("empty separator") end
        local split = find_last and strings.split_at_from_right or strings.split_at
        local parts = split(text, separator, 1)
        if #parts == 2 then return values.tuple {parts[1], separator, parts[2]} end
        return values.tuple(find_last and {"", "", text} or {text, "", ""})
    end
end

local function padder(before, after)
    return function(text, width, fill)
        fill = optional_text(fill, "padding") or " "
        local missing = values.check_integer(width, "padding") - utf8.len(text)
        if missing <= 0 then return text end
        local left = before(missing, width)
        return fill:rep(left) .. text .. fill:rep(after(missing, left))
    end
end

local function all() return function(missing) return missing end end
local function nothing() return 0 end
-- Where Python puts the odd one.
local function half(missing, width) return missing // 2 + (missing & width & 1) end
local function rest(missing, left) return missing - left end

-- Of a nonempty string, every character's code point.
local function every(test)
    return function(text)
        for _, code in utf8.codes(text) do
            if not test(code) then return false end
        end
        return text ~= ""
    end
end

local function is_cased(text, same, other)
    return same(text) == text and other(text) ~= text
end

local function join(separator, items)
    local out = {}
    for i, item in ipairs(values.elements(items)) do
        out[i] = check_text(item, "join")
    end
    return table.concat(out, separator)
end

local function replace(text, old, new, most)
    return strings.replace(text, check_text(old, "replace"), check_text(new, "replace"),
        optional_integer(most, "replace", -1))
end

local function stripper(strip, what)
    return function(text, characters) return strip(text, optional_text(characters, what)) end
end

local function zero_fill(text, width)
    local sign = text:match("^[+-]") or ""
    local missing = values.check_integer(width, "zfill") - utf8.len(text)
    return sign .. ("0"):rep(missing) .. text:sub(#sign + 1)
end

local function is_letter(code) return unicode_category(code):sub(1, 1) == "L" end
local function is_digit(code) return unicode_category(code) == "Nd" end
local function is_letter_or_number(code) return unicode_category(code):find("^[LN]") ~= nil end

-- str.format with fields that are empty, a number or a name.
local function format_fields(text, positional, named)
    local given, count, numbered = {}, 0, false
    for i, value in ipairs(positional) do given[i - 1] = value end
    for _, argument in ipairs(named) do given[argument.name] = argument.value end
    local formatted = text:gsub("[{}][^{}]*[{}]?", function(part)
        local field = part:match("^{(.*)}$")
        if part:sub(1, 2) == "{{" or part:sub(1, 2) == "}}" then return part:sub(2) end
        if not field then fail("a single brace in the format string") end
        if not field:find("^[%w_]*$") then fail("the format field {%s} is not supported", field) end
        local number = math.tointeger(tonumber(field))
        if number then numbered = true end
        if field == "" then field, count = count, count + 1 end
        if numbered and count > 0 then fail("numbered and unnumbered format fields are mixed") end
        local value = given[number or field]
        if value == nil then fail("the format field {%s} is given no value", field) end
        return values.text(value)
    end)
    return formatted
end

local string_methods = {
    split = {{"sep", "maxsplit"}, splitter("split", strings.split_words, strings.split_at)},
    rsplit = {{"sep", "maxsplit"},
        splitter("rsplit", split_words_from_right, strings.split_at_from_right)},
    splitlines = {{"keepends"}, function(text, keep)
        return values.list(strings.split_lines(text, keep ~= nil and values.is_true(keep)))
    end},
    strip = {{"chars"}, stripper(strings.strip, "strip")},
    lstrip = {{"chars"}, stripper(strings.strip_left, "lstrip")},
    rstrip = {{"chars"}, stripper(strings.strip_right, "rstrip")},
    startswith = {{"prefix", "start"}, any_part(starts_with, "startswith")},
    endswith = {{"suffix", "start"}, any_part(ends_with, "endswith")},
    replace = {{"old", "new", "count"}, replace},
    find = {{"sub", "start"}, part_finder("find", strings.find)},
    rfind = {{"sub", "start"}, part_finder("rfind", strings.find_last)},
    index = {{"sub", "start"}, part_finder("index", index)},
    count = {{"sub", "start"}, part_finder("count", strings.count)},
    partition = {{"sep"}, partition(false)},
    rpartition = {{"sep"}, partition(true)},
    removeprefix = {{"prefix"}, function(text, part)
        return starts_with(text, check_text(part, "removeprefix")) and text:sub(#part + 1) or text
    end},
    removesuffix = {{"suffix"}, function(text, part)
        return ends_with(text, check_text(part, "removesuffix")) and text:sub(1, -#part - 1) or text
    end},
    join = {{"iterable"}, join},
    upper = {{}, function(text) return unicode_upper(text) end},
    lower = {{}, function(text) return unicode_lower(text) end},
    title = {{}, strings.title},
    capitalize = {{}, strings.capitalise},
    ljust = {{"width", "fillchar"}, padder(nothing, all())},
    rjust = {{"width", "fillchar"}, padder(all(), nothing)},
    center = {{"width", "fillchar"}, padder(half, rest)},
    zfill = {{"width"}, zero_fill},
    format = {nil, format_fields},
    isspace = {{}, strings.is_space},
    isalpha = {{}, every(is_letter)},
    isdigit = {{}, every(is_digit)},
    isalnum = {{}, every(is_letter_or_number)},
    isupper = {{}, function(text) return is_cased(text, unicode_upper, unicode_lower) end},
    islower = {{}, function(text) return is_cased(text, unicode_lower, unicode_upper) end},
}

-- --- lists, tuples, dicts

local function index_of(items, value)
    for i, item in ipairs(items) do
        if values.equal(item, value) then return i - 1 end
    end
    fail("the value is not in the list")
end

local function count_of(items, value)
    local count = 0
    for _, item in ipairs(items) do
        if values.equal(item, value) then count = count + 1 end
    end
    return count
end

local list_methods = {
    index = {{"value"}, index_of},
    count = {{"value"}, count_of},
    copy = {{}, function(list) return list end},
}
local tuple_methods = {index = list_methods.index, count = list_methods.count}

local function dict_view(name, part)
    return {{}, function(dict)
        return table.move(dict[part], 1, #dict[part], 1, {kind = "view", name = name})
    end}
end

local dict_methods = {
    items = {{}, values.dict_items},
    keys = dict_view("dict_keys", "keys"),
    values = dict_view("dict_values", "values"),
    copy = {{}, function(dict) return dict end},
    get = {{"key", "default"}, function(dict, key, default)
        local value = values.dict_get(dict, key)
        if value == nil then value = default end
        return value == nil and none or value
    end},
}

local methods = {string = string_methods, list = list_methods, tuple = tuple_methods,
    dict = dict_methods}

local function name_set(names)
    local set = {}
    for name in names:gmatch("[^ ]+") do set[name] = true end
    return set
end

local changing = {
    list = name_set "append clear extend insert pop remove reverse sort",
    dict = name_set "clear pop popitem setdefault update",
}
local missing = {
    string = name_set("casefold encode expandtabs format_map isascii isdecimal " ..
        "isidentifier isnumeric isprintable istitle maketrans rindex swapcase translate"),
    dict = name_set "fromkeys",
    number = name_set("as_integer_ratio bit_count bit_length conjugate denominator from_bytes " ..
        "fromhex hex imag is_integer numerator real to_bytes"),
}
missing.boolean = missing.number

-- nil where the value has no such attribute.
local function find_attribute(object, name)
    local kind = values.kind(object)
    if name:sub(1, 2) == "__" or (changing[kind] and changing[kind][name]) then
        return values.undefined(("access to attribute '%s' of '%s' object is unsafe.")
            :format(name, values.type_name(object)))
    end
    if missing[kind] and missing[kind][name] then
        fail("'%s' of '%s' is not supported", name, values.type_name(object))
    end
    local method = methods[kind] and methods[kind][name]
    if method then
        return {kind = "function", name = name, object = object, parameters = method[1],
            call = method[2], free = method[1] == nil}
    end
    if kind == "namespace" then return values.dict_get(object.attributes, name) end
    if kind == "loop" then return object.attribute(name) end
    if kind == "macro" and name == "name" then return object.name end
    if kind == "tuple" and object.names then return object[object.names[name]] end
end

-- --- items

local function sequence_item(object, key)
    local number = values.number_of(key)
    if math.type(number) ~= "integer" then return nil end
    local length = values.length(object)
    local place = number < 0 and number + length or number
    if place < 0 or place >= length then return nil end
    if type(object) == "string" then return strings.slice(object, place, place + 1) end
    return object[place + 1]
end

-- nil where there is none.
local function find_item(object, key)
    local kind = values.kind(object)
    if kind == "dict" then
        if values.kind(key) == "list" or values.kind(key) == "dict" then return nil end
        return values.dict_get(object, key)
    end
    if kind == "string" or kind == "list" or kind == "tuple" or kind == "range" then
        return sequence_item(object, key)
    end
end

local function no_attribute(object, key)
    local owner = object == none and "None" or values.type_name(object) .. " object"
    local what = type(key) == "string" and "attribute" or "element"
    return values.undefined(("'%s' has no %s %s"):format(owner, what, values.repr(key)))
end

-- What the filter `attr` finds: no items.
function jinja.get_attribute_only(object, name)
    values.check_defined(object)
    local value = find_attribute(object, name)
    return value == nil and no_attribute(object, name) or value
end

function jinja.get_attribute(object, name)
    values.check_defined(object)
    local value = find_attribute(object, name)
    if value == nil then value = find_item(object, name) end
    return value == nil and no_attribute(object, name) or value
end

function jinja.get_item(object, key)
    values.check_defined(object)
    local value = find_item(object, key)
    if value == nil and type(key) == "string" then value = find_attribute(object, key) end
    return value == nil and no_attribute(object, key) or value
end

-- Python's slice.indices: first, stop and step over `length` elements.
local function slice_bounds(length, first, stop, step)
    step = optional_integer(step, "a slice", 1)
    if step == 0 then fail("slice step cannot be zero") end
    local low, high = step < 0 and -1 or 0, step < 0 and length - 1 or length
    local function bound(value, default)
        value = optional_integer(value, "a slice", default)
        if value == default then return default end
        return math.max(low, math.min(value < 0 and value + length or value, high))
    end
    return bound(first, step < 0 and high or low), bound(stop, step < 0 and low or high), step
end

function jinja.get_slice(object, first, stop, step)
    local kind = values.kind(object)
    if kind ~= "string" and kind ~= "list" and kind ~= "tuple" and kind ~= "range" then
        values.check_defined(object)
        return no_attribute(object, "slice")
    end
    first, stop, step = slice_bounds(values.length(object), first, stop, step)
    if kind == "string" and step == 1 then return strings.slice(object, first, stop) end
    local from, items = values.elements(object), {}
    if step > 0 then stop = stop - 1 else stop = stop + 1 end
    for i = first, stop, step do items[#items + 1] = from[i + 1] end
    if kind == "string" then return table.concat(items) end
    return kind == "tuple" and values.tuple(items) or values.list(items)
end
