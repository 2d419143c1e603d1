-- llama: Llama 1, 2 and 3 and what is built alike (TinyLlama, SmolLM, Mistral, Yi …).
--
-- Pre-norm transformer: RMS norm, grouped-query attention with rotary positions, SwiGLU.
-- Touvron et al. 2023; GQA: Ainslie et al. 2023; RoPE: Su et al. 2021.

local hp, w = model.hyperparameters, model.weight

local layers   = hp.block_count
local n        = hp.embedding_length
local heads    = hp["attention.head_count"]
local kv_heads = hp:get("attention.head_count_kv", heads)
local head_dim = hp:get("attention.key_length", n // heads)
local hidden   = hp.feed_forward_length
local eps      = hp["attention.layer_norm_rms_epsilon"]
local vocab    = hp:get("vocab_size") or model.shape("token_embd.weight")

-- What this script does not build is refused here, by name.

local scaling = hp:get("rope.scaling.type", "linear")
if scaling ~= "linear" and scaling ~= "none" then
    error("rope scaling \"" .. scaling .. "\" is not supported; none and linear are")
end
if type(kv_heads) == "table" or type(hidden) == "table" then
    error("head counts and feed-forward sizes that differ from layer to layer are not supported")
end
if hp:get("attention.value_length", head_dim) ~= head_dim then
    error("keys and values of different sizes are not supported")
end
if hp:get("expert_count", 0) > 0 then error("mixtures of experts are not supported") end
local projections = "attn_q attn_k attn_v attn_output ffn_gate ffn_up ffn_down"
for name in projections:gmatch("%S+") do
    local bias = "blk.0." .. name .. ".bias"
    if model.has(bias) then error("biases are not supported, but the file has " .. bias) end
end

-- Rotary positions: one table of angles for all layers. Linear scaling stretches positions;
-- Llama 3 divides each frequency by a factor of its own.

local factor = hp:get("rope.scaling.factor") or hp:get("rope.scale_linear", 1)
local rotation = {
    dims  = hp:get("rope.dimension_count", head_dim),
    theta = hp:get("rope.freq_base", 10000),
    scale = (scaling == "linear" and factor > 0) and 1 / factor or 1,
}
local angles = model.has("rope_freqs.weight")
    and rope_table(pos, w("rope_freqs.weight", {rotation.dims // 2}), rotation)
    or rope_table(pos, rotation)

local function rotate(x)
    return rope(x, angles, {head_dim = head_dim, style = "neox"})
end

-- The model.

local embedding = w("token_embd.weight", {vocab, n})
local x = embed(embedding, token)

for i = 0, layers - 1 do
    local function weight(name, ...) return w("blk." .. i .. "." .. name .. ".weight", {...}) end
    local keys, values = kv_state("k" .. i, "v" .. i, {heads = kv_heads, dim = head_dim})

    local h = rms_norm(x, weight("attn_norm", n), {eps = eps})
    local q = rotate(matmul(h, weight("attn_q", heads * head_dim, n)))
    local k = rotate(matmul(h, weight("attn_k", kv_heads * head_dim, n)))
    local v = matmul(h, weight("attn_v", kv_heads * head_dim, n))
    kv_store(k, pos, seq, pages, keys)
    kv_store(v, pos, seq, pages, values)
    local mixed = attention(q, pos, seq, pages, keys, values, {
        heads = heads, scale = head_dim ^ -0.5, window = hp:get("attention.sliding_window", 0),
    })
    x = x + named("l" .. i .. ".attn", matmul(mixed, weight("attn_output", n, heads * head_dim)))

    h = rms_norm(x, weight("ffn_norm", n), {eps = eps})
    local gate = matmul(h, weight("ffn_gate", hidden, n))
    local up = matmul(h, weight("ffn_up", hidden, n))
    x = x + named("l" .. i .. ".ffn", matmul(swiglu(gate, up), weight("ffn_down", n, hidden)))
    x = named("l" .. i, x)
end

-- Only the rows that are asked for go through the head, which may be the embedding itself.

local last = rms_norm(gather_rows(x, row), w("output_norm.weight", {n}), {eps = eps})
local head = model.has("output.weight") and w("output.weight", {vocab, n}) or embedding
output("logits", matmul(last, head))

model.describe {context = hp.context_length, vocabulary = vocab}
