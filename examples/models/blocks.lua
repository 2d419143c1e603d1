-- blocks: what the scripts of this folder share: sizes, embedding, norms, projections, attention,
-- feed-forward, head. What only one architecture needs stands in its own file.
--
-- Names are those of GGUF. A projection adds its bias if the file has one; whatever else a file
-- asks for and a script does not build, the script refuses by name (`only`).

local hp, w = model.hyperparameters, model.weight
local blocks = {}

-- A hyperparameter that is one number for all layers.
local function number(key, default)
    local value = hp:get(key, default)
    if type(value) == "table" then
        error(key .. " that differs from layer to layer is not supported")
    end
    return value or hp[key]
end

-- One that may be a list, of layer i.
local function of_layer(i, key, default)
    local value = hp:get(key, default) or hp[key]
    return type(value) ~= "table" and value or value[i + 1]
        or error(key .. " lists no layer " .. i)
end

local function heads_of(i) return of_layer(i, "attention.head_count") end
local function kv_heads_of(i) return of_layer(i, "attention.head_count_kv", heads_of(i)) end
local function hidden_of(i) return of_layer(i, "feed_forward_length") end

blocks.layers   = hp.block_count
blocks.width    = hp.embedding_length
blocks.heads    = heads_of(0)
blocks.head_dim = number("attention.key_length", blocks.width // blocks.heads)
blocks.vocab    = hp:get("vocab_size") or model.shape("token_embd.weight")

if number("attention.value_length", blocks.head_dim) ~= blocks.head_dim then
    error("keys and values of different sizes are not supported")
end

-- Refuses a file whose `key` is there and none of the values. GGUF has no key for what all models
-- of an architecture do alike; a Hugging Face config may differ.
function blocks.only(key, ...)
    local given, texts = hp:get(key), {}
    for i, value in ipairs {...} do
        if given == nil or given == value then return end
        texts[i] = tostring(value)
    end
    error(string.format("%s = %s is not supported, only %s", key, tostring(given),
                        table.concat(texts, " or ")), 2)
end

-- Refuses what dense models do not have.
function blocks.dense()
    if hp:get("expert_count", 0) > 0 then error("mixtures of experts are not supported", 2) end
end

function blocks.embedding()
    model.describe {context = hp.context_length, vocabulary = blocks.vocab}
    return embed(w("token_embd.weight", {blocks.vocab, blocks.width}), token)
end

-- Norms and projections by the name of their weights. `size` columns (a head) are normed by
-- themselves, by default the whole row.
function blocks.rms_norm(x, name, size)
    local weight = w(name .. ".weight", {size or x:columns()})
    return rms_norm(x, weight, {eps = hp["attention.layer_norm_rms_epsilon"]})
end

function blocks.layer_norm(x, name)
    local weight, bias = w(name .. ".weight", {x:columns()}), name .. ".bias"
    local options = {eps = hp["attention.layer_norm_epsilon"]}
    if not model.has(bias) then return layer_norm(x, weight, options) end
    return layer_norm(x, weight, w(bias, {x:columns()}), options)
end

function blocks.linear(x, name, columns)
    local y, bias = matmul(x, w(name .. ".weight", {columns, x:columns()})), name .. ".bias"
    return model.has(bias) and y + w(bias, {columns}) or y
end

-- Columns of x in parts of the sizes.
function blocks.cut(x, ...)
    local parts, from = {}, 0
    for _, size in ipairs {...} do
        parts[#parts + 1] = slice(x, {axis = 1, begin = from, ["end"] = from + size})
        from = from + size
    end
    return table.unpack(parts)
end

-- q, k and v of layer i: three projections, or one whose columns are cut.
function blocks.qkv(x, i)
    local blk = "blk." .. i .. ".attn_"
    local q, kv = heads_of(i) * blocks.head_dim, kv_heads_of(i) * blocks.head_dim
    if model.has(blk .. "qkv.weight") then
        return blocks.cut(blocks.linear(x, blk .. "qkv", q + 2 * kv), q, kv, kv)
    end
    return blocks.linear(x, blk .. "q", q), blocks.linear(x, blk .. "k", kv),
        blocks.linear(x, blk .. "v", kv)
end

-- The window of layer i, 0 if it sees everything. A file may list which layers slide, under one
-- name or the other, or say that all but every n-th do; else `slides` says it.
function blocks.window(i, slides)
    local types, pattern = hp:get("layer_types"), hp:get("attention.sliding_window_pattern")
    if type(pattern) == "table" then
        slides = pattern[i + 1]
    elseif pattern then
        slides = (i + 1) % pattern ~= 0
    elseif types then
        local kind = types[i + 1]
        if kind ~= "sliding_attention" and kind ~= "full_attention" then
            error("layer type " .. tostring(kind) .. " is not supported")
        end
        slides = kind == "sliding_attention"
    end
    return slides and hp:get("attention.sliding_window", 0) or 0
end

-- Attention of layer i over all that it has stored, projected. Options: window, scale, softcap.
function blocks.attention(q, k, v, i, options)
    local keys, values = kv_state("k" .. i, "v" .. i,
                                  {heads = kv_heads_of(i), dim = blocks.head_dim})
    kv_store(k, pos, seq, pages, keys)
    kv_store(v, pos, seq, pages, values)
    local mixed = attention(q, pos, seq, pages, keys, values, {
        heads = heads_of(i), scale = options.scale or blocks.head_dim ^ -0.5,
        window = options.window, softcap = options.softcap,
    })
    local out = blocks.linear(mixed, "blk." .. i .. ".attn_output", blocks.width)
    return named("l" .. i .. ".attn", out)
end

-- down(activate(gate(x), up(x))) with activate swiglu or geglu.
function blocks.gated(x, i, activate)
    local blk, hidden = "blk." .. i .. ".ffn_", hidden_of(i)
    local gate, up
    if model.has(blk .. "gate.weight") then
        gate, up = blocks.linear(x, blk .. "gate", hidden), blocks.linear(x, blk .. "up", hidden)
    else
        gate, up = blocks.cut(blocks.linear(x, blk .. "up", 2 * hidden), hidden, hidden)
    end
    local out = blocks.linear(activate(gate, up), blk .. "down", blocks.width)
    return named("l" .. i .. ".ffn", out)
end

-- Experts of layer i, networks as `gated`: a row goes to those that the router gives most, and
-- their outputs are added by these shares, which `normalise` makes add up to 1. Shazeer et al.
-- 2017.
function blocks.mixture(x, i, normalise)
    local blk, experts, n = "blk." .. i .. ".ffn_", number("expert_count"), blocks.width
    local hidden = hp:get("expert_feed_forward_length") or number("feed_forward_length")
    local ids, shares = route(blocks.linear(x, blk .. "gate_inp", experts),
                              {k = number("expert_used_count"), normalise = normalise and 1 or 0})
    local function own(y, name, rows, columns)
        local weight = w(blk .. name .. "_exps.weight", {experts, rows, columns})
        return matmul_experts(y, weight, ids, {experts = experts})
    end
    local h = swiglu(own(x, "gate", hidden, n), own(x, "up", hidden, n))
    return named("l" .. i .. ".ffn", combine(own(h, "down", n, hidden), shares))
end

-- `mixture` in the layers that have experts, `gated` with swiglu in the others.
function blocks.sparse(x, i, normalise)
    blocks.only("expert_gating_func", 1)
    blocks.only("expert_weights_scale", 1, 0)
    local mixed = model.has("blk." .. i .. ".ffn_gate_inp.weight")
    return mixed and blocks.mixture(x, i, normalise) or blocks.gated(x, i, swiglu)
end

-- down(activate(up(x))).
function blocks.plain(x, i, activate)
    local blk = "blk." .. i .. ".ffn_"
    local up = activate(blocks.linear(x, blk .. "up", hidden_of(i)))
    return named("l" .. i .. ".ffn", blocks.linear(up, blk .. "down", blocks.width))
end

-- Logits of the rows that are asked for; the head may be the embedding itself.
function blocks.logits(x, norm)
    local last = norm(gather_rows(x, row), "output_norm")
    local name = model.has("output.weight") and "output" or "token_embd"
    return blocks.linear(last, name, blocks.vocab)
end

function blocks.softcap(x, cap)
    return cap and tanh(x * (1 / cap)) * cap or x
end

return blocks
