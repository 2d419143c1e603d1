-- qwen2moe: Qwen 2 with a mixture of experts, and beside it a network that every row goes through,
-- its output scaled by a gate of its own. Qwen 1.5 MoE too. Yang et al. 2024.

local blocks = require "blocks"
local rotate = require "rope".rotation(blocks.head_dim)
local hp, w = model.hyperparameters, model.weight
local windowed = hp:get("max_window_layers", blocks.layers)
local normalise = hp:get("expert_weights_norm", false)

blocks.only("hidden_act", "silu")

-- sigmoid(gate(x)) * network(x)
local function shared(x, i)
    local blk, hidden = "blk." .. i .. ".ffn_", hp.expert_shared_feed_forward_length
    local gate = blocks.linear(x, blk .. "gate_shexp", hidden)
    local up = blocks.linear(x, blk .. "up_shexp", hidden)
    local out = blocks.linear(swiglu(gate, up), blk .. "down_shexp", blocks.width)
    local open = matmul(x, w(blk .. "gate_inp_shexp.weight", {1, blocks.width}))
    return named("l" .. i .. ".shared", out * (1 / (exp(-open) + 1)))
end

local x = blocks.embedding()
for i = 0, blocks.layers - 1 do
    local blk = "blk." .. i .. "."
    local q, k, v = blocks.qkv(blocks.rms_norm(x, blk .. "attn_norm"), i)
    local window = blocks.window(i, i % 2 == 0 and i < windowed)
    x = x + blocks.attention(rotate(q), rotate(k), v, i, {window = window})
    local h = blocks.rms_norm(x, blk .. "ffn_norm")
    local out = blocks.sparse(h, i, normalise)
    if model.has(blk .. "ffn_gate_shexp.weight") then out = out + shared(h, i) end
    x = named("l" .. i, x + out)
end
output("logits", blocks.logits(x, blocks.rms_norm))
