-- From a template's text to tokens {type, value, line}: data, the four delimiters, names, literals,
-- operators.
--
-- White space is decided here, as trim_blocks and lstrip_blocks do it: the newline after a block
-- goes, blanks before a block that begins its line go; a - inside a delimiter takes all white space
-- on that side, a + leaves it.
local values, strings = jinja.values, jinja.strings
jinja.lexer = {}

local function fail(lexer, what, ...)
    jinja.state[1] = lexer.line
    values.fail(what, ...)
end

local function push(lexer, kind, value)
    lexer.tokens[#lexer.tokens + 1] = {type = kind, value = value, line = lexer.line}
end

-- Moves on to byte `at`, counting lines.
local function advance(lexer, at)
    local _, newlines = lexer.source:sub(lexer.at, at - 1):gsub("\n", "")
    lexer.line = lexer.line + newlines
    lexer.at = at
end

-- --- around the delimiters

local function push_data(lexer, stop, sign, strip_line)
    local text = lexer.source:sub(lexer.at, stop - 1)
    if sign == "-" then
        text = strings.strip_right(text)
    elseif sign ~= "+" and strip_line then
        local blanks = #text
        while blanks > 0 and text:find("^[ \t]", blanks) do blanks = blanks - 1 end
        local before = lexer.at + blanks - 1
        if before == 0 or lexer.source:sub(before, before) == "\n" then
            text = text:sub(1, blanks)
        end
    end
    if text ~= "" then push(lexer, "data", text) end
end

-- Past an end delimiter of two bytes at `at` and the white space that its sign takes.
local function leave(lexer, at, sign, trims_newline)
    at = at + 2
    if sign == "-" then
        at = strings.skip_space(lexer.source, at)
    elseif sign ~= "+" and trims_newline and lexer.source:sub(at, at) == "\n" then
        at = at + 1
    end
    advance(lexer, at)
end

local function skip_comment(lexer)
    local stop = lexer.source:find("#}", lexer.at, true)
    if not stop then fail(lexer, "a comment does not end: #} is missing") end
    local sign = lexer.source:sub(stop - 1, stop - 1)
    leave(lexer, stop, stop > lexer.at and sign or "", true)
end

-- The place after `{% word %}` if that stands at `at`, which is after {% and its sign.
local function match_word_block(source, at, word)
    at = strings.skip_space(source, at)
    if source:sub(at, at + #word - 1) ~= word then return nil end
    at = strings.skip_space(source, at + #word)
    local sign = source:match("^[-+]", at) or ""
    if source:sub(at + #sign, at + #sign + 1) ~= "%}" then return nil end
    return at + #sign, sign
end

-- After `{% raw %}`: all up to `{% endraw %}` is data.
local function take_raw(lexer)
    local search = lexer.at
    while true do
        local open = lexer.source:find("{%", search, true)
        if not open then fail(lexer, "{% raw %} does not end: {% endraw %} is missing") end
        local sign = lexer.source:match("^[-+]", open + 2) or ""
        local stop, stop_sign = match_word_block(lexer.source, open + 2 + #sign, "endraw")
        if stop then
            push_data(lexer, open, sign, true)
            return leave(lexer, stop, stop_sign, true)
        end
        search = open + 2
    end
end

-- --- inside the delimiters

local operators = {}
for operator in ("// ** == != >= <= + - / * % ~ [ ] ( ) { } > < = . : | , ;"):gmatch("[^ ]+") do
    operators[operator] = true
end
local closing = {["("] = ")", ["["] = "]", ["{"] = "}"}

local escapes = {n = "\n", t = "\t", r = "\r", a = "\a", b = "\b", f = "\f", v = "\v",
    ["\\"] = "\\", ["'"] = "'", ['"'] = '"', ["\n"] = ""}
local escape_digits = {x = 2, u = 4, U = 8}

-- Text and length of the escape whose letter stands at `at`.
local function escape(lexer, text, at)
    local letter = text:sub(at, at)
    if escapes[letter] then return escapes[letter], 1 end
    local digits = text:match("^[0-7][0-7]?[0-7]?", at)
    if digits then return utf8.char(tonumber(digits, 8)), #digits end
    local count = escape_digits[letter]
    if not count then return "\\" .. letter, 1 end
    digits = text:match("^%x+", at + 1)
    local code = digits and #digits >= count and tonumber(digits:sub(1, count), 16)
    if not code or code > 0x10ffff or (code >= 0xd800 and code < 0xe000) then
        fail(lexer, "\\%s in a string names no character", letter)
    end
    return utf8.char(code), 1 + count
end

local function take_string(lexer)
    local source, quote = lexer.source, lexer.source:sub(lexer.at, lexer.at)
    local out, at = {}, lexer.at + 1
    while true do
        local stop = source:find(quote == "'" and "['\\]" or '["\\]', at)
        if not stop then fail(lexer, "a string does not end") end
        out[#out + 1] = source:sub(at, stop - 1)
        at = stop + 1
        if source:sub(stop, stop) == quote then break end
        local text, length = escape(lexer, source, at)
        out[#out + 1], at = text, at + length
    end
    push(lexer, "string", table.concat(out))
    advance(lexer, at)
end

local function take_number(lexer)
    local source, at = lexer.source, lexer.at
    local word = source:match("^0[xX][%x_]+", at)
    if not word then
        word = source:match("^[%d_]+", at)
        local previous = lexer.tokens[#lexer.tokens]
        if not (previous.type == "operator" and previous.value == ".") then
            word = word .. (source:match("^%.%d[%d_]*", at + #word) or "")
            word = word .. (source:match("^[eE][+-]?%d[%d_]*", at + #word) or "")
        end
    end
    local number = tonumber((word:gsub("_", "")))
    local is_float = word:find("[.eE]") and not word:find("[xX]")
    local is_long = word:find("^0[xX]") and #word > 17
    if not number or is_long or (not is_float and math.type(number) ~= "integer") then
        fail(lexer, "%s is no number of 64 bits", word)
    end
    if not is_float and word:find("^0%d*[1-9]") and not word:find("[xX]") then
        fail(lexer, "%s: integers do not begin with 0", word)
    end
    push(lexer, is_float and "float" or "integer", is_float and number + 0.0 or number)
    advance(lexer, at + #word)
end

local function take_operator(lexer, open)
    local operator = lexer.source:sub(lexer.at, lexer.at + 1)
    if not operators[operator] then operator = operator:sub(1, 1) end
    if not operators[operator] then
        fail(lexer, "unexpected character '%s'", lexer.source:match("^" .. utf8.charpattern,
            lexer.at))
    end
    if closing[operator] then
        open[#open + 1] = closing[operator]
    elseif operator == ")" or operator == "]" or operator == "}" then
        if table.remove(open) ~= operator then fail(lexer, "unexpected '%s'", operator) end
    end
    push(lexer, "operator", operator)
    advance(lexer, lexer.at + #operator)
end

-- The sign before the end delimiter that stands here, nil if none does.
local function match_end(lexer, delimiter)
    local source, at = lexer.source, lexer.at
    if source:sub(at, at + 1) == delimiter then return "" end
    local sign = source:sub(at, at)
    local signed = sign == "-" or (sign == "+" and delimiter == "%}")
    return signed and source:sub(at + 1, at + 2) == delimiter and sign or nil
end

local function take_code(lexer, kind, delimiter)
    local open, source = {}, lexer.source
    push(lexer, kind .. "_begin")
    while true do
        advance(lexer, source:match("^%s*()", lexer.at))
        local sign = #open == 0 and match_end(lexer, delimiter)
        if lexer.at > #source then
            fail(lexer, "%s is missing", delimiter)
        elseif sign then
            push(lexer, kind .. "_end")
            return leave(lexer, lexer.at + #sign, sign, kind == "block")
        elseif source:find("^%d", lexer.at) then
            take_number(lexer)
        elseif source:find("^[%a_\x80-\xff]", lexer.at) then
            local name = source:match("^[%w_\x80-\xff]+", lexer.at)
            push(lexer, "name", name)
            advance(lexer, lexer.at + #name)
        elseif source:find("^['\"]", lexer.at) then
            take_string(lexer)
        else
            take_operator(lexer, open)
        end
    end
end

-- --- the text

local function take_tag(lexer, open)
    local kind = lexer.source:sub(open + 1, open + 1)
    local sign = lexer.source:match("^[-+]", open + 2) or ""
    push_data(lexer, open, sign, kind ~= "{")
    advance(lexer, open + 2 + #sign)
    if kind == "#" then return skip_comment(lexer) end
    if kind == "{" then return take_code(lexer, "variable", "}}") end
    local stop, stop_sign = match_word_block(lexer.source, lexer.at, "raw")
    if not stop then return take_code(lexer, "block", "%}") end
    leave(lexer, stop, stop_sign, false)
    take_raw(lexer)
end

function jinja.lexer.tokens(source)
    source = source:gsub("\r\n?", "\n")
    if source:sub(-1) == "\n" then source = source:sub(1, -2) end
    local lexer = {source = source, at = 1, line = 1, tokens = {}}
    while true do
        local open = source:find("{[{%%#]", lexer.at)
        if not open then break end
        take_tag(lexer, open)
    end
    push_data(lexer, #source + 1, "+", false)
    push(lexer, "end")
    return lexer.tokens
end
