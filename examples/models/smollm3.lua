-- smollm3: Llama of which every fourth layer has no positions at all (NoPE).
-- Bakouch et al. 2025.

local blocks = require "blocks"
local rotate = require "rope".rotation(blocks.head_dim)
local hp = model.hyperparameters
local rotated, every = hp:get("no_rope_layers"), hp:get("no_rope_layer_interval", 4)

blocks.only("hidden_act", "silu")

-- The list holds 1 for a layer that has positions, whatever its name says.
local function has_positions(i)
    if rotated then return rotated[i + 1] ~= 0 end
    return (i + 1) % every ~= 0
end

local x = blocks.embedding()
for i = 0, blocks.layers - 1 do
    local blk = "blk." .. i .. "."
    local q, k, v = blocks.qkv(blocks.rms_norm(x, blk .. "attn_norm"), i)
    if has_positions(i) then q, k = rotate(q), rotate(k) end
    x = x + blocks.attention(q, k, v, i, {window = blocks.window(i, false)})
    x = x + blocks.gated(blocks.rms_norm(x, blk .. "ffn_norm"), i, swiglu)
    x = named("l" .. i, x)
end
output("logits", blocks.logits(x, blocks.rms_norm))
