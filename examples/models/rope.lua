-- rope: rotary positions and the ways of stretching them beyond the context of the training: one
-- table of angles for all layers, from "rope.…" of the file.
--
-- A way of scaling gives up to three things: `scale` of all positions, `factors` that divide each
-- frequency, `magnitude` of the rotated values. Su et al. 2021; as in Hugging Face's
-- modeling_rope_utils.py.

local hp = model.hyperparameters
local rope_of = {}

-- Under GGUF's name, or the name that a Hugging Face config has where GGUF has none.
local function setting(name, default)
    for _, prefix in ipairs {"rope.scaling.", "rope_parameters.", "rope_scaling."} do
        local value = hp:get(prefix .. name)
        if value ~= nil then return value end
    end
    return default
end

local function needed(name)
    return setting(name) or hp["rope.scaling." .. name]
end

-- factor(i) of each frequency theta^(-2i/dims), i from 0.
local function each(dims, factor)
    local factors = {}
    for i = 0, dims // 2 - 1 do factors[i + 1] = factor(i) end
    return factors
end

local function clamp(x)
    return math.max(0, math.min(1, x))
end

local scalings = {}

function scalings.none()
    return {}
end

-- Positions are stretched.
function scalings.linear()
    local factor = hp:get("rope.scaling.factor") or hp:get("rope.scale_linear", 1)
    return {scale = factor > 0 and 1 / factor or 1}
end

-- A longer base beyond max_position_embeddings only, which is the context that a plan is made for.
function scalings.dynamic()
    return {}
end

-- Waves that turn less than `low` times in the original context are stretched, those that turn more
-- than `high` times are not, between them a mixture (Llama 3.1).
function scalings.llama3(dims, theta)
    local factor, original = needed("factor"), needed("original_context_length")
    local low, high = needed("low_freq_factor"), needed("high_freq_factor")
    return {factors = each(dims, function(i)
        local turns = original * theta ^ (-2 * i / dims) / (2 * math.pi)
        local kept = clamp((turns - low) / (high - low))
        return 1 / ((1 - kept) / factor + kept)
    end)}
end

-- The same with a ramp over dimensions, and larger values (Peng et al. 2023).
function scalings.yarn(dims, theta)
    local factor, original = needed("factor"), needed("original_context_length")
    local function dimension(turns)
        return dims * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(theta))
    end
    local low = dimension(setting("yarn_beta_fast", 32))
    local high = dimension(setting("yarn_beta_slow", 1))
    if setting("truncate", true) then low, high = math.floor(low), math.ceil(high) end
    low, high = math.max(low, 0), math.min(high, dims - 1)
    if low == high then high = high + 0.001 end
    local function magnitude(m)
        return factor > 1 and 0.1 * m * math.log(factor) + 1 or 1
    end
    local m, all = setting("mscale"), setting("mscale_all_dim", setting("yarn_log_multiplier"))
    if not all or all == 0 then m, all = 1, 0 end
    return {
        factors = each(dims, function(i)
            local stretched = clamp((i - low) / (high - low))
            return 1 / (stretched / factor + (1 - stretched))
        end),
        magnitude = setting("attn_factor") or setting("yarn_attn_factor")
            or magnitude(m or 1) / magnitude(all),
    }
end

-- Factors of the file's own, one set within the original context and one beyond (Ding et al. 2024).
-- A plan has one of them: the long ones if the model's context is the longer.
function scalings.longrope(dims)
    local original, context = needed("original_context_length"), hp.context_length
    local kind = context > original and "long" or "short"
    local name, s = "rope_factors_" .. kind .. ".weight", setting("factor", context / original)
    local grown = s > 1 and math.sqrt(1 + math.log(s) / math.log(original)) or 1
    return {
        factors = model.has(name) and model.weight(name, {dims // 2}) or needed(kind .. "_factor"),
        magnitude = setting("attn_factor", grown),
    }
end

local function scaling_of(dims, theta)
    local kind = hp:get("rope.scaling.type", model.has("rope_factors_long.weight") and "longrope"
                                             or "linear")
    if not scalings[kind] then
        local known = {}
        for name in pairs(scalings) do known[#known + 1] = name end
        error(string.format("rope scaling \"%s\" is not supported; %s are", kind,
                            table.concat(known, ", ")), 3)
    end
    local scaling = scalings[kind](dims, theta)
    if model.has("rope_freqs.weight") then
        scaling.factors = model.weight("rope_freqs.weight", {dims // 2})
    end
    return scaling
end

-- A function that rotates heads of the size. Options: theta (else the file's), unscaled.
function rope_of.rotation(head_dim, options)
    options = options or {}
    local dims = hp:get("rope.dimension_count", head_dim)
    local theta = options.theta or hp:get("rope.freq_base", 10000)
    local scaling = options.unscaled and {} or scaling_of(dims, theta)
    local factors, attributes = scaling.factors, {
        dims = dims, theta = theta, scale = scaling.scale, magnitude = scaling.magnitude,
    }
    if type(factors) == "table" then factors = vector("rope_factors", factors) end
    local angles = factors and rope_table(pos, factors, attributes) or rope_table(pos, attributes)
    return function(x)
        return rope(x, angles, {head_dim = head_dim, style = "neox"})
    end
end

return rope_of
