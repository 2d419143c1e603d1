-- What C calls. Both functions give a result, or nil, a message and the template's line (0 where
-- the message is not about the template).
local values, json = jinja.values, jinja.json

local function describe(problem)
    if type(problem) ~= "table" then
        return (tostring(problem):gsub("^.-:%d+: ", "")), jinja.state[1]
    end
    if problem.json_line then
        return ("%s (line %d of the JSON)"):format(problem.message, problem.json_line), 0
    end
    return problem.message, problem.line
end

local function guarded(call, ...)
    jinja.state[1] = 1
    local fine, result = pcall(call, ...)
    if fine then return result end
    return nil, describe(result)
end

local function compile(source)
    local _, bad = utf8.len(source)
    if bad then
        local _, lines = source:sub(1, bad - 1):gsub("\n", "")
        jinja.state[1] = lines + 1
        values.fail("the template is not valid UTF-8")
    end
    return jinja.parser.parse(jinja.lexer.tokens(source))
end

function jinja.compile(source)
    return guarded(compile, source)
end

local function read(text, what, kind)
    local value = json.read(text)
    if values.kind(value) ~= kind then
        error({json_line = 1, message = ("the %s are not a JSON %s"):format(what,
            kind == "list" and "array" or "object")})
    end
    return value
end

-- The texts are JSON; tools and extra may be nil. Of a name that is given twice `extra` wins.
local function render(tree, messages, tools, extra, add_generation_prompt, bos, eos)
    local variables = values.dict()
    values.dict_set(variables, "messages", read(messages, "messages", "list"))
    values.dict_set(variables, "tools", tools and read(tools, "tools", "list") or values.none)
    values.dict_set(variables, "documents", values.none)
    values.dict_set(variables, "add_generation_prompt", add_generation_prompt)
    values.dict_set(variables, "bos_token", bos)
    values.dict_set(variables, "eos_token", eos)
    if extra then
        for _, pair in ipairs(values.dict_items(read(extra, "variables", "dict"))) do
            values.dict_set(variables, pair[1], pair[2])
        end
    end
    return jinja.run(tree, variables)
end

function jinja.render(...)
    return guarded(render, ...)
end
