-- JSON to template values and back.
--
-- Read here and not with a JSON library because 1 and 1.0 print differently in a template; written
-- as Python's json.dumps writes, with its separators.
local json = {}
jinja.json = json
local values, strings = jinja.values, jinja.strings

-- --- reading

local DEPTH_MAX = 100
local read_value

local function fail_at(reader, what)
    local _, lines = reader.text:sub(1, reader.at - 1):gsub("\n", "")
    error({json_line = lines + 1, message = what})
end

local function skip_space(reader)
    reader.at = reader.text:match("^[ \t\r\n]*()", reader.at)
end

local function take(reader, character)
    skip_space(reader)
    if reader.text:sub(reader.at, reader.at) ~= character then return false end
    reader.at = reader.at + 1
    return true
end

local function expect(reader, character)
    if not take(reader, character) then fail_at(reader, "'" .. character .. "' was expected") end
end

local simple_escapes = {['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n",
    r = "\r", t = "\t"}

local function read_code_unit(reader)
    local digits = reader.text:match("^u(%x%x%x%x)", reader.at)
    if not digits then fail_at(reader, "\\u wants four hexadecimal digits") end
    reader.at = reader.at + 5
    return tonumber(digits, 16)
end

-- After the backslash.
local function read_escape(reader)
    local letter = reader.text:sub(reader.at, reader.at)
    if simple_escapes[letter] then
        reader.at = reader.at + 1
        return simple_escapes[letter]
    end
    local unit = read_code_unit(reader)
    if unit >= 0xd800 and unit < 0xdc00 and reader.text:sub(reader.at, reader.at) == "\\" then
        reader.at = reader.at + 1
        local low = read_code_unit(reader)
        if low < 0xdc00 or low > 0xdfff then fail_at(reader, "half of a surrogate pair") end
        return utf8.char(0x10000 + (unit - 0xd800 << 10) + (low - 0xdc00))
    end
    if unit >= 0xd800 and unit < 0xe000 then fail_at(reader, "half of a surrogate pair") end
    return utf8.char(unit)
end

-- After the opening quote.
local function read_string(reader)
    local out = {}
    while true do
        local stop = reader.text:find("[%c\"\\]", reader.at)
        if not stop then fail_at(reader, "a string does not end") end
        out[#out + 1] = reader.text:sub(reader.at, stop - 1)
        local mark = reader.text:sub(stop, stop)
        reader.at = stop + 1
        if mark == '"' then return table.concat(out) end
        if mark == "\\" then
            out[#out + 1] = read_escape(reader)
        elseif mark == "\x7f" then
            out[#out + 1] = mark
        else
            reader.at = stop
            fail_at(reader, "a control character in a string")
        end
    end
end

local function read_number(reader)
    local text, at = reader.text, reader.at
    local whole = text:match("^-?0", at) or text:match("^-?[1-9]%d*", at)
    if not whole then fail_at(reader, "a value was expected") end
    at = at + #whole
    local rest = text:match("^%.%d+", at) or ""
    rest = rest .. (text:match("^[eE][+-]?%d+", at + #rest) or "")
    local number = tonumber(whole .. rest)
    if rest == "" and math.type(number) ~= "integer" then
        fail_at(reader, "an integer of more than 64 bits")
    end
    reader.at = at + #rest
    return rest == "" and number or number + 0.0
end

local function read_array(reader)
    local items = values.list {}
    if take(reader, "]") then return items end
    repeat
        items[#items + 1] = read_value(reader)
    until not take(reader, ",")
    expect(reader, "]")
    return items
end

local function read_object(reader)
    local dict = values.dict()
    if take(reader, "}") then return dict end
    repeat
        expect(reader, '"')
        local key = read_string(reader)
        expect(reader, ":")
        values.dict_set(dict, key, read_value(reader))
    until not take(reader, ",")
    expect(reader, "}")
    return dict
end

local words = {["true"] = true, ["false"] = false, null = values.none}

function read_value(reader)
    local nested = take(reader, "[") and read_array or take(reader, "{") and read_object
    if nested then
        reader.depth = reader.depth + 1
        if reader.depth > DEPTH_MAX then fail_at(reader, "nested too deeply") end
        local value = nested(reader)
        reader.depth = reader.depth - 1
        return value
    end
    if take(reader, '"') then return read_string(reader) end
    local word = reader.text:match("^%a+", reader.at)
    if word and words[word] ~= nil then
        reader.at = reader.at + #word
        return words[word]
    end
    return read_number(reader)
end

-- Raises {json_line, message}.
function json.read(text)
    local reader = {text = text, at = 1, depth = 0}
    if not utf8.len(text) then
        fail_at(reader, "the JSON is not valid UTF-8")
    end
    local value = read_value(reader)
    skip_space(reader)
    if reader.at <= #text then fail_at(reader, "something follows the value") end
    return value
end

-- --- writing

local write

local write_escapes = {['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r",
    ["\t"] = "\\t", ["\b"] = "\\b", ["\f"] = "\\f"}

local function escape_ascii(text)
    local out = {}
    for _, code in utf8.codes(text) do
        if code < 128 then
            out[#out + 1] = string.char(code)
        elseif code < 0x10000 then
            out[#out + 1] = ("\\u%04x"):format(code)
        else
            code = code - 0x10000
            out[#out + 1] = ("\\u%04x\\u%04x"):format(0xd800 + (code >> 10), 0xdc00 + (code & 1023))
        end
    end
    return table.concat(out)
end

local function write_string(text, style)
    local escaped = text:gsub("[%z\1-\31\"\\]", function(character)
        return write_escapes[character] or ("\\u%04x"):format(character:byte())
    end)
    return '"' .. (style.ascii and escape_ascii(escaped) or escaped) .. '"'
end

local function key_text(key)
    local kind = values.kind(key)
    if kind == "string" then return key end
    if kind == "none" then return "null" end
    if kind == "boolean" then return tostring(key) end
    return values.text(key)
end

local function write_members(parts, open, close, style, depth)
    if #parts == 0 then return open .. close end
    if not style.indent then
        return open .. table.concat(parts, style.comma) .. close
    end
    local line = "\n" .. style.indent:rep(depth + 1)
    return open .. line .. table.concat(parts, style.comma .. line) .. "\n" ..
        style.indent:rep(depth) .. close
end

local function write_dict(dict, style, depth)
    local order, parts = {}, {}
    for i in ipairs(dict.keys) do order[i] = i end
    if style.sort_keys then
        order = values.sort(order, function(a, b)
            return values.less(dict.keys[a], dict.keys[b], "<")
        end)
    end
    for i, place in ipairs(order) do
        parts[i] = write_string(key_text(dict.keys[place]), style) .. style.colon ..
            write(dict.values[place], style, depth + 1)
    end
    return write_members(parts, "{", "}", style, depth)
end

local function write_list(list, style, depth)
    local parts = {}
    for i, value in ipairs(list) do parts[i] = write(value, style, depth + 1) end
    return write_members(parts, "[", "]", style, depth)
end

local float_words = {nan = "NaN", inf = "Infinity", ["-inf"] = "-Infinity"}

function write(value, style, depth)
    local kind = values.kind(value)
    if kind == "string" then return write_string(value, style) end
    if kind == "none" then return "null" end
    if kind == "boolean" then return tostring(value) end
    if kind == "dict" then return write_dict(value, style, depth) end
    if kind == "list" or kind == "tuple" then return write_list(value, style, depth) end
    if kind ~= "number" then
        values.fail("Object of type %s is not JSON serializable", values.type_name(value))
    end
    local text = values.text(value)
    return float_words[text] or text
end

-- style: comma, colon, indent (text or nil), ascii, sort_keys
function json.write(value, style)
    return write(value, style, 0)
end
