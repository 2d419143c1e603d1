local experts = require "experts"
local hp, w = model.hyperparameters, model.weight
local layers, n = hp.block_count, hp.embedding_length
local heads    = hp["attention.head_count"]
local kv_heads = hp:get("attention.head_count_kv", heads)
local head_dim = hp:get("attention.key_length", n // heads)
local eps      = hp["attention.layer_norm_rms_epsilon"]
local vocab    = hp:get("vocab_size") or model.shape("token_embd.weight")
local moe = model.architecture
local norm_topk = hp:get("expert_weights_norm", moe ~= "qwen2moe")
local angles = rope_table(pos, {dims = hp:get("rope.dimension_count", head_dim), theta = hp:get("rope.freq_base", 1e6)})

local embedding = w("token_embd.weight", {vocab, n})
local x = embed(embedding, token)
for i = 0, layers - 1 do
    local function weight(name, ...) return w("blk." .. i .. "." .. name .. ".weight", {...}) end
    local function project(h, name, rows)
        local y = matmul(h, weight(name, rows, n))
        local bias = "blk." .. i .. "." .. name .. ".bias"
        if model.has(bias) then y = y + w(bias, {rows}) end
        if model.has("blk." .. i .. "." .. name .. "_norm.weight") then y = rms_norm(y, weight(name .. "_norm", head_dim), {eps = eps}) end
        return y
    end
    local function rotate(y) return rope(y, angles, {head_dim = head_dim, style = "neox"}) end
    local keys, values = kv_state("k" .. i, "v" .. i, {heads = kv_heads, dim = head_dim})
    local h = rms_norm(x, weight("attn_norm", n), {eps = eps})
    local q = rotate(project(h, "attn_q", heads * head_dim))
    kv_store(rotate(project(h, "attn_k", kv_heads * head_dim)), pos, seq, pages, keys)
    kv_store(project(h, "attn_v", kv_heads * head_dim), pos, seq, pages, values)
    local mixed = attention(q, pos, seq, pages, keys, values, {
        heads = heads, scale = head_dim ^ -0.5, window = hp:get("attention.sliding_window", 0),
    })
    x = x + named("l" .. i .. ".attn", matmul(mixed, weight("attn_output", n, heads * head_dim)))
    h = rms_norm(x, weight("ffn_norm", n), {eps = eps})
    local y
    if model.has("blk." .. i .. ".ffn_gate_inp.weight") then
        y = experts.mixture(h, weight, norm_topk)
        if moe == "qwen2moe" then
            local open = 1 / (exp(-matmul(h, weight("ffn_gate_inp_shexp", 1, n))) + 1)
            y = y + experts.network(h, weight, hp.expert_shared_feed_forward_length, "_shexp") * open
        end
    else
        y = experts.network(h, weight, hp.feed_forward_length, "")
    end
    x = x + named("l" .. i .. ".ffn", y)
    x = named("l" .. i, x)
end
local last = rms_norm(gather_rows(x, row), w("output_norm.weight", {n}), {eps = eps})
local head = model.has("output.weight") and w("output.weight", {vocab, n}) or embedding
output("logits", matmul(last, head))
model.describe {context = hp.context_length, vocabulary = vocab}
