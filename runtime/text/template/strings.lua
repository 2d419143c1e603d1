-- Python's operations on strings. A string is valid UTF-8 throughout (what comes in is checked);
-- positions count characters from 0.
local strings = {}
jinja.strings = strings
local values = jinja.values

-- str.isspace of one character
local spaces = {[0x85] = true, [0xa0] = true, [0x1680] = true, [0x2028] = true, [0x2029] = true,
    [0x202f] = true, [0x205f] = true, [0x3000] = true}
for code = 9, 13 do spaces[code] = true end
for code = 28, 32 do spaces[code] = true end
for code = 0x2000, 0x200a do spaces[code] = true end

local function is_ascii(text)
    return not text:find("[\x80-\xff]")
end

-- Characters first (from 0) up to, not including, stop.
function strings.slice(text, first, stop)
    if first >= stop then return "" end
    if is_ascii(text) then return text:sub(first + 1, stop) end
    local begin = utf8.offset(text, first + 1)
    return text:sub(begin, utf8.offset(text, stop - first + 1, begin) - 1)
end

local function set_of(characters)
    if characters == nil then return spaces end
    local set = {}
    for _, code in utf8.codes(characters) do set[code] = true end
    return set
end

-- The first byte from `at` on that begins a character outside the set.
local function skip(text, at, set)
    while at <= #text and set[utf8.codepoint(text, at)] do
        at = utf8.offset(text, 2, at)
    end
    return at
end

function strings.skip_space(text, at)
    return skip(text, at, spaces)
end

function strings.strip_left(text, characters)
    return text:sub(skip(text, 1, set_of(characters)))
end

function strings.strip_right(text, characters)
    local set, stop = set_of(characters), #text + 1
    while stop > 1 do
        local begin = utf8.offset(text, -1, stop)
        if not set[utf8.codepoint(text, begin)] then break end
        stop = begin
    end
    return text:sub(1, stop - 1)
end

function strings.strip(text, characters)
    return strings.strip_right(strings.strip_left(text, characters), characters)
end

-- The separator must not be empty. `most` separators are used, all if it is negative.
function strings.split_at(text, separator, most)
    local parts, at = {}, 1
    while most ~= #parts do
        local first, last = text:find(separator, at, true)
        if not first then break end
        parts[#parts + 1] = text:sub(at, first - 1)
        at = last + 1
    end
    parts[#parts + 1] = text:sub(at)
    return parts
end

local function reverse_bytes(parts)
    local out = {}
    for i = #parts, 1, -1 do out[#out + 1] = parts[i]:reverse() end
    return out
end

function strings.split_at_from_right(text, separator, most)
    return reverse_bytes(strings.split_at(text:reverse(), separator:reverse(), most))
end

-- At runs of white space; what is left after `most` words is the last part.
function strings.split_words(text, most)
    local parts, at = {}, skip(text, 1, spaces)
    while at <= #text do
        if #parts == most then
            parts[#parts + 1] = text:sub(at)
            break
        end
        local begin = at
        while at <= #text and not spaces[utf8.codepoint(text, at)] do
            at = utf8.offset(text, 2, at)
        end
        parts[#parts + 1] = text:sub(begin, at - 1)
        at = skip(text, at, spaces)
    end
    return parts
end

local line_ends = {[10] = true, [11] = true, [12] = true, [13] = true, [28] = true, [29] = true,
    [30] = true, [0x85] = true, [0x2028] = true, [0x2029] = true}

function strings.split_lines(text, keep)
    local lines, begin, at = {}, 1, 1
    while at <= #text do
        local code, after = utf8.codepoint(text, at), utf8.offset(text, 2, at)
        if line_ends[code] then
            if code == 13 and text:byte(after) == 10 then after = after + 1 end
            lines[#lines + 1] = text:sub(begin, (keep and after or at) - 1)
            begin = after
        end
        at = after
    end
    if begin <= #text then lines[#lines + 1] = text:sub(begin) end
    return lines
end

-- Replaces at most `most` occurrences, all if negative. An empty `old` stands between characters.
function strings.replace(text, old, new, most)
    if old ~= "" then return table.concat(strings.split_at(text, old, most), new) end
    local out, done = {}, 0
    local function insert()
        if done ~= most then out[#out + 1], done = new, done + 1 end
    end
    insert()
    for _, code in utf8.codes(text) do
        out[#out + 1] = utf8.char(code)
        insert()
    end
    return table.concat(out)
end

-- The place of the first (or last) occurrence, -1 if there is none.
function strings.find(text, part)
    local at = text:find(part, 1, true)
    return at and utf8.len(text, 1, at - 1) or -1
end

function strings.find_last(text, part)
    local at = text:reverse():find(part:reverse(), 1, true)
    return at and utf8.len(text, 1, #text - at + 1 - #part) or -1
end

function strings.count(text, part)
    if part == "" then return utf8.len(text) + 1 end
    return #strings.split_at(text, part, -1) - 1
end

function strings.capitalise(text)
    return unicode_upper(strings.slice(text, 0, 1)) ..
        unicode_lower(strings.slice(text, 1, utf8.len(text)))
end

-- Each run of letters begins with a capital.
function strings.title(text)
    local out, inside = {}, false
    for _, code in utf8.codes(text) do
        local character = utf8.char(code)
        out[#out + 1] = inside and unicode_lower(character) or unicode_upper(character)
        inside = unicode_upper(character) ~= unicode_lower(character)
    end
    return table.concat(out)
end

function strings.is_space(text)
    return text ~= "" and skip(text, 1, spaces) > #text
end

local entities = {["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ["'"] = "&#39;",
    ['"'] = "&#34;"}

-- For HTML.
function strings.escape(text)
    return (text:gsub("[&<>'\"]", entities))
end

-- str % values, for the conversions that are the same in C.
function strings.format(format, arguments)
    local used, out, at = 0, {}, 1
    while true do
        local percent = format:find("%", at, true)
        out[#out + 1] = format:sub(at, (percent or 0) - 1)
        if not percent then break end
        local flags = format:match("^[-+ #0-9.]*", percent + 1)
        at = percent + #flags + 2
        local conversion = format:sub(at - 1, at - 1)
        if conversion == "%" then
            out[#out + 1] = "%"
        else
            used = used + 1
            if used > #arguments then values.fail("not enough arguments for format string") end
            out[#out + 1] = strings.convert(flags, conversion, arguments[used])
        end
    end
    if used < #arguments then
        values.fail("not all arguments converted during string formatting")
    end
    return table.concat(out)
end

function strings.convert(flags, conversion, value)
    if #flags > 6 or not ("srdixXofFeEgG"):find(conversion, 1, true) or conversion == "" then
        values.fail("the format %%%s%s is not supported", flags, conversion)
    end
    if conversion == "s" or conversion == "r" then
        local text = conversion == "s" and values.text(value) or values.repr(value)
        if flags == "" then return text end
        values.fail("the format %%%s%s is not supported", flags, conversion)
    end
    local number = values.number_of(value)
    if not number then
        values.fail("%%%s format: a number is required, not %s", conversion,
            values.type_name(value))
    end
    if conversion:find("[dixXo]") then
        if math.type(number) == "float" and conversion:find("[di]") then
            number = number < 0 and math.ceil(number) or math.floor(number)
        end
        number = values.check_integer(number, "%" .. conversion)
    end
    return ("%" .. flags .. (conversion == "F" and "f" or conversion)):format(number)
end
