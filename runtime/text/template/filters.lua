-- Filters: {parameters, call(value, …)}. What Jinja has and templates do not use is refused by
-- name.
local values, strings, json = jinja.values, jinja.strings, jinja.json
local fail, none = values.fail, values.none
local filters = {}
jinja.filters = filters

jinja.refused_filters = {}
for name in ("filesizeformat forceescape pprint random striptags truncate urlencode urlize " ..
    "wordcount wordwrap xmlattr"):gmatch("[^ ]+") do
    jinja.refused_filters[name] = true
end

local function flag(value, default)
    if value == nil then return default end
    return values.is_true(value)
end

local function given(value)
    if value ~= none then return value end
end

-- Calls a filter or test that a template names by a string (map, select …).
local function call_named(kind, name, value, positional, named)
    local known = (kind == "filter" and filters or jinja.tests)[name]
    if not known then fail("No %s named %s.", kind, values.repr(name)) end
    if known.free then return known.call(value, positional, named) end
    return known[2](value, jinja.bind(kind .. " '" .. name .. "'", known[1], positional, named))
end

-- --- attributes by path: "a.b.0"

local function path_parts(path)
    if path == nil then return {} end
    if type(path) ~= "string" then return {path} end
    local parts = strings.split_at(path, ".", -1)
    for i, part in ipairs(parts) do
        if part:find("^%d+$") then parts[i] = math.tointeger(tonumber(part)) end
    end
    return parts
end

-- The default stands for what is missing at any step.
local function follow(value, parts, default)
    for _, part in ipairs(parts) do
        value = jinja.get_item(value, part)
        if default ~= nil and values.kind(value) == "undefined" then value = default end
    end
    return value
end

local function fold_case(value)
    return type(value) == "string" and unicode_lower(value) or value
end

-- What sort, unique, min and max compare of a value.
local function key_maker(case_sensitive, attribute)
    local parts = path_parts(given(attribute))
    local keep_case = flag(case_sensitive, false)
    return function(value)
        value = follow(value, parts)
        return keep_case and value or fold_case(value)
    end
end

-- --- strings

local function of_text(call)
    return {{}, function(value) return call(values.text(value)) end}
end

filters.upper = of_text(function(text) return unicode_upper(text) end)
filters.lower = of_text(function(text) return unicode_lower(text) end)
filters.capitalize = of_text(strings.capitalise)
filters.string = of_text(function(text) return text end)
filters.safe = filters.string

-- Python's str.title would go on after an apostrophe; Jinja's filter begins words elsewhere.
filters.title = of_text(function(text)
    local out, starts = {}, true
    for _, code in utf8.codes(text) do
        local character = utf8.char(code)
        out[#out + 1] = starts and unicode_upper(character) or unicode_lower(character)
        starts = character:find("^[-({%[<]$") ~= nil or strings.is_space(character)
    end
    return table.concat(out)
end)

filters.trim = {{"chars"}, function(value, characters)
    characters = given(characters)
    if characters ~= nil then jinja.check_text(characters, "trim") end
    return strings.strip(values.text(value), characters)
end}

filters.replace = {{"old", "new", "count"}, function(value, old, new, count)
    if old == nil or new == nil then fail("replace wants old and new") end
    count = given(count)
    return strings.replace(values.text(value), values.text(old), values.text(new),
        count == nil and -1 or values.check_integer(count, "replace"))
end}

filters.indent = {{"width", "first", "blank"}, function(value, width, first, blank)
    local indention = type(width) == "string" and width or
        (" "):rep(width == nil and 4 or values.check_integer(width, "indent"))
    -- The added newline makes a last empty line count.
    local lines = strings.split_lines(jinja.check_text(value, "indent") .. "\n")
    for i = 2, #lines do
        if flag(blank, false) or lines[i] ~= "" then lines[i] = indention .. lines[i] end
    end
    return (flag(first, false) and indention or "") .. table.concat(lines, "\n")
end}

filters.center = {{"width"}, function(value, width)
    local text = values.text(value)
    local call = jinja.get_attribute(text, "center").call
    return call(text, width == nil and 80 or width)
end}

filters.escape = of_text(strings.escape)
filters.e = filters.escape

-- Arguments beyond these cannot be told from missing ones.
filters.format = {{"1", "2", "3", "4", "5", "6", "7", "8"}, function(value, ...)
    return strings.format(values.text(value), {...})
end}

filters.tojson = {{"ensure_ascii", "indent", "separators", "sort_keys"},
    function(value, ascii, indent, separators, sort_keys)
        indent, separators = given(indent), given(separators)
        if math.type(indent) == "integer" then indent = (" "):rep(indent) end
        local style = {indent = indent and jinja.check_text(indent, "indent"),
            comma = indent and "," or ", ", colon = ": ", ascii = flag(ascii, false),
            sort_keys = flag(sort_keys, false)}
        if separators ~= nil then
            local pair = values.elements(separators)
            if #pair ~= 2 then fail("separators are two strings") end
            style.comma = jinja.check_text(pair[1], "separators")
            style.colon = jinja.check_text(pair[2], "separators")
        end
        return json.write(value, style)
    end}

-- --- numbers

local function need_number(value, what)
    local number = values.number_of(value)
    if number then return number end
    values.check_defined(value)
    fail("%s wants a number, not %s", what, values.type_name(value))
end

local function parse_number(text)
    local digits = strings.strip(text):gsub("(%d)_(%d)", "%1%2")
    local is_plain = digits:find("^[+-]?%.?%d") and not digits:find("[xX_]")
    return is_plain and tonumber((digits:gsub("^%+", ""))) or nil
end

local function truncate(number)
    if math.type(number) == "integer" then return number end
    return math.tointeger(number < 0 and math.ceil(number) or math.floor(number))
end

filters.int = {{"default", "base"}, function(value, default, base)
    if default == nil then default = 0 end
    if base ~= nil and base ~= 10 then
        if type(value) ~= "string" then return truncate(values.number_of(value) or default) end
        base = values.check_integer(base, "int")
        if base < 2 or base > 36 then return default end
        return tonumber(strings.strip(value), base) or default
    end
    values.check_defined(value)
    local number = values.number_of(value) or (type(value) == "string" and parse_number(value))
    local whole = number and truncate(number)
    return whole == nil and default or whole or default
end}

filters.float = {{"default"}, function(value, default)
    if default == nil then default = 0.0 end
    values.check_defined(value)
    local number = values.number_of(value) or (type(value) == "string" and parse_number(value))
    return number and number + 0.0 or default
end}

filters.abs = {{}, function(value)
    local number = need_number(value, "abs")
    if number == math.mininteger then fail("an integer of more than 64 bits") end
    return math.abs(number)
end}

-- To even where two are as near, as Python rounds.
local function round_half_even(number)
    local below = math.floor(number)
    local rest = number - below
    if rest > 0.5 or (rest == 0.5 and below % 2 == 1) then return below + 1 end
    return below
end

filters.round = {{"precision", "method"}, function(value, precision, method)
    local given_number = need_number(value, "round")
    local number = given_number + 0.0
    precision = precision == nil and 0 or values.check_integer(precision, "round")
    local scale = 10.0 ^ precision
    if method == nil or method == "common" then
        if math.type(given_number) == "integer" and precision >= 0 then return given_number end
        if precision > 0 then return tonumber(("%." .. precision .. "f"):format(number)) + 0.0 end
        return round_half_even(number * scale) / scale
    end
    if method ~= "ceil" and method ~= "floor" then
        fail("method must be common, ceil or floor")
    end
    return math[method](number * scale) / scale
end}

-- --- sequences

filters.length = {{}, function(value)
    local length = values.length(value)
    if length then return length end
    values.check_defined(value)
    fail("object of type '%s' has no len()", values.type_name(value))
end}
filters.count = filters.length

filters.first = {{}, function(value)
    if values.kind(value) == "generator" then
        value.spent = (value.spent or 0) + 1
        value = {value[value.spent]}
    else
        value = values.elements(value)
    end
    if value[1] == nil then return values.undefined("No first item, sequence was empty.") end
    return value[1]
end}

filters.last = {{}, function(value)
    if values.kind(value) == "generator" then
        fail("'generator' object is not reversible")
    end
    local items = values.elements(value)
    if #items == 0 then return values.undefined("No last item, sequence was empty.") end
    return items[#items]
end}

filters.list = {{}, function(value)
    local items = values.elements(value)
    return values.list(table.move(items, 1, #items, 1, {}))
end}

filters.reverse = {{}, function(value)
    local items, out = values.elements(value), {}
    if values.kind(value) == "generator" then items = values.elements(values.list(items)) end
    for i = #items, 1, -1 do out[#out + 1] = items[i] end
    return type(value) == "string" and table.concat(out) or values.generator(out)
end}

filters.join = {{"d", "attribute"}, function(value, separator, attribute)
    local out, parts = {}, path_parts(given(attribute))
    for i, item in ipairs(values.elements(value)) do
        out[i] = values.text(follow(item, parts))
    end
    return table.concat(out, separator ~= nil and values.text(separator) or "")
end}

filters.sort = {{"reverse", "case_sensitive", "attribute"},
    function(value, reverse, case_sensitive, attribute)
        local key, backwards = key_maker(case_sensitive, attribute), flag(reverse, false)
        return values.list(values.sort(values.elements(value), function(a, b)
            if backwards then a, b = b, a end
            return values.less(key(a), key(b), "<")
        end))
    end}

filters.unique = {{"case_sensitive", "attribute"}, function(value, case_sensitive, attribute)
    local key, seen, out = key_maker(case_sensitive, attribute), values.dict(), {}
    for _, item in ipairs(values.elements(value)) do
        local k = key(item)
        if values.dict_get(seen, k) == nil then
            values.dict_set(seen, k, true)
            out[#out + 1] = item
        end
    end
    return values.generator(out)
end}

local function extreme(precedes)
    return {{"case_sensitive", "attribute"}, function(value, case_sensitive, attribute)
        local key, best = key_maker(case_sensitive, attribute), nil
        for _, item in ipairs(values.elements(value)) do
            if best == nil or precedes(key(item), key(best)) then best = item end
        end
        if best == nil then return values.undefined("No aggregated item, sequence was empty.") end
        return best
    end}
end
filters.min = extreme(function(a, b) return values.less(a, b, "<") end)
filters.max = extreme(function(a, b) return values.less(b, a, ">") end)

filters.sum = {{"attribute", "start"}, function(value, attribute, start)
    local total, parts = start == nil and 0 or start, path_parts(given(attribute))
    for _, item in ipairs(values.elements(value)) do
        total = jinja.binary("+", total, follow(item, parts))
    end
    return total
end}

filters.batch = {{"linecount", "fill_with"}, function(value, size, fill)
    size, fill = values.check_integer(size, "batch"), given(fill)
    local out, row = {}, nil
    for _, item in ipairs(values.elements(value)) do
        if not row or #row == size then
            row = values.list {}
            out[#out + 1] = row
        end
        row[#row + 1] = item
    end
    while row and fill ~= nil and #row < size do row[#row + 1] = fill end
    return values.generator(out)
end}

filters.slice = {{"slices", "fill_with"}, function(value, slices, fill)
    slices, fill = values.check_integer(slices, "slice"), given(fill)
    if slices < 1 then fail("slice wants a positive number") end
    local items, out, at = values.elements(value), {}, 1
    for i = 0, slices - 1 do
        local size = #items // slices + (i < #items % slices and 1 or 0)
        local row = table.move(items, at, at + size - 1, 1, values.list {})
        if fill ~= nil and i >= #items % slices then row[#row + 1] = fill end
        out[#out + 1], at = row, at + size
    end
    return values.generator(out)
end}

filters.groupby = {{"attribute", "default", "case_sensitive"},
    function(value, attribute, default, case_sensitive)
        local parts, groups = path_parts(given(attribute)), {}
        local keep_case = flag(case_sensitive, false)
        local function grouper(item) return follow(item, parts, default) end
        local function folded(key) return keep_case and key or fold_case(key) end
        local sorted = values.sort(values.elements(value), function(a, b)
            return values.less(folded(grouper(a)), folded(grouper(b)), "<")
        end)
        for _, item in ipairs(sorted) do
            local key, group = grouper(item), groups[#groups]
            if not group or not values.equal(folded(group[1]), folded(key)) then
                group = values.tuple {key, values.list {}}
                group.names = {grouper = 1, list = 2}
                groups[#groups + 1] = group
            end
            group[2][#group[2] + 1] = item
        end
        return values.list(groups)
    end}

-- --- dicts

local function need_dict(value, what)
    if values.kind(value) ~= "dict" then
        values.check_defined(value)
        fail("%s wants a dict, not %s", what, values.type_name(value))
    end
    return value
end

filters.items = {{}, function(value)
    if values.kind(value) == "undefined" then return values.generator {} end
    return values.generator(values.dict_items(need_dict(value, "items")))
end}

filters.dictsort = {{"case_sensitive", "by", "reverse"},
    function(value, case_sensitive, by, reverse)
        if by ~= nil and by ~= "key" and by ~= "value" then
            fail('You can only sort by either "key" or "value"')
        end
        local place = by == "value" and 2 or 1
        local keep_case, backwards = flag(case_sensitive, false), flag(reverse, false)
        local items = values.dict_items(need_dict(value, "dictsort"))
        return values.list(values.sort(items, function(a, b)
            if backwards then a, b = b, a end
            a, b = a[place], b[place]
            if not keep_case then a, b = fold_case(a), fold_case(b) end
            return values.less(a, b, "<")
        end))
    end}

filters.attr = {{"name"}, function(value, name)
    return jinja.get_attribute_only(value, values.text(name))
end}

-- --- any value

filters.default = {{"default_value", "boolean"}, function(value, default, boolean)
    local missing = values.kind(value) == "undefined" or
        (flag(boolean, false) and not values.is_true(value))
    if not missing then return value end
    return default == nil and "" or default
end}
filters.d = filters.default

-- --- map, select, reject

-- These take the name and arguments of another filter or test: `free` gets them unbound. A value
-- that is not true (none, 0) has no elements here, and the arguments are not looked at.
local function split_first(positional, what)
    if positional[1] == nil then fail("%s wants a name", what) end
    return positional[1], table.move(positional, 2, #positional, 1, {})
end

local function find_named(named, name)
    for _, argument in ipairs(named) do
        if argument.name == name then return argument.value end
    end
end

local function map_attribute(value, named)
    local attribute, default = find_named(named, "attribute"), find_named(named, "default")
    local out, parts = {}, path_parts(attribute)
    for _, argument in ipairs(named) do
        if argument.name ~= "attribute" and argument.name ~= "default" then
            fail("Unexpected keyword argument '%s'", argument.name)
        end
    end
    for i, item in ipairs(values.elements(value)) do
        out[i] = follow(item, parts, default)
    end
    return values.generator(out)
end

filters.map = {free = true, call = function(value, positional, named)
    if not values.is_true(value) then return values.generator {} end
    if #positional == 0 and find_named(named, "attribute") ~= nil then
        return map_attribute(value, named)
    end
    local name, arguments = split_first(positional, "map")
    local out = {}
    for i, item in ipairs(values.elements(value)) do
        out[i] = call_named("filter", name, item, arguments, named)
    end
    return values.generator(out)
end}

-- with_attribute: the first argument is the path of what is tested. Without a test: truth.
local function selector(wanted, with_attribute)
    return {free = true, call = function(value, positional, named)
        if not values.is_true(value) then return values.generator {} end
        local parts, out, attribute, name = {}, {}, nil, nil
        if with_attribute then
            attribute, positional = split_first(positional, "selectattr")
            parts = path_parts(attribute)
        end
        if #positional > 0 then name, positional = split_first(positional, "select") end
        for _, item in ipairs(values.elements(value)) do
            local tested, holds = follow(item, parts), nil
            if name then
                holds = call_named("test", name, tested, positional, named)
            else
                holds = values.is_true(tested)
            end
            if holds == wanted then out[#out + 1] = item end
        end
        return values.generator(out)
    end}
end
filters.select, filters.reject = selector(true, false), selector(false, false)
filters.selectattr, filters.rejectattr = selector(true, true), selector(false, true)

function jinja.call_filter(name, value, positional, named)
    return call_named("filter", name, value, positional, named)
end

function jinja.call_test(name, value, positional, named)
    return call_named("test", name, value, positional, named)
end
