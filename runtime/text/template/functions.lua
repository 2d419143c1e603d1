-- Functions that every template has. The parameters of a `free` function are not named: it gets its
-- arguments as they are written.
local values = jinja.values
local fail = values.fail

local RANGE_MAX = 100000 -- the sandbox's

local function range(first, stop, step)
    if first == nil then fail("range expected at least 1 argument") end
    if stop == nil then first, stop = 0, first end
    step = step == nil and 1 or values.check_integer(step, "range")
    first, stop = values.check_integer(first, "range"), values.check_integer(stop, "range")
    if step == 0 then fail("range() arg 3 must not be zero") end
    if ((stop + 0.0) - first) / step > RANGE_MAX then
        fail("Range too big. The sandbox blocks ranges larger than MAX_RANGE (%d).", RANGE_MAX)
    end
    local items = {kind = "range", first = first, stop = stop, step = step}
    for value = first, stop - (step > 0 and 1 or -1), step do items[#items + 1] = value end
    return items
end

-- dict() and namespace(): a dict, pairs or nothing, then names.
local function collect(what, positional, named)
    local dict = values.dict()
    if #positional > 1 then fail("%s expected at most 1 argument", what) end
    local first = positional[1]
    if values.kind(first) == "dict" then first = values.dict_items(first) end
    for _, pair in ipairs(first ~= nil and values.elements(first) or {}) do
        pair = values.elements(pair)
        if #pair ~= 2 then fail("%s wants pairs", what) end
        values.dict_set(dict, pair[1], pair[2])
    end
    for _, argument in ipairs(named) do values.dict_set(dict, argument.name, argument.value) end
    return dict
end

local functions = {
    range = {{"1", "2", "3"}, range},
    raise_exception = {{"message"}, function(message)
        fail("%s", message == nil and "" or values.text(message))
    end},
    strftime_now = {{"format"}, function(format)
        return format_time(jinja.check_text(format, "strftime_now"))
    end},
}
local free_functions = {
    dict = function(positional, named) return collect("dict", positional, named) end,
    namespace = function(positional, named)
        return {kind = "namespace", attributes = collect("namespace", positional, named)}
    end,
}
for _, name in ipairs {"lipsum", "cycler", "joiner"} do
    free_functions[name] = function() fail("the function '%s' is not supported", name) end
end

-- The scope around every template's own.
function jinja.global_scope()
    local scope = {names = {}}
    for name, row in pairs(functions) do
        scope.names[name] = {kind = "function", name = name, parameters = row[1], call = row[2]}
    end
    for name, function_ in pairs(free_functions) do
        scope.names[name] = {kind = "function", name = name, free = true, call = function_}
    end
    return scope
end
