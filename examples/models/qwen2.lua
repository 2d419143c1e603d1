-- qwen2: Llama with biases on q, k and v, and a window in the layers from max_window_layers on.
-- Yang et al. 2024.

local blocks = require "blocks"
local rotate = require "rope".rotation(blocks.head_dim)
local windowed = model.hyperparameters:get("max_window_layers", blocks.layers)

blocks.only("hidden_act", "silu")
blocks.dense()

local x = blocks.embedding()
for i = 0, blocks.layers - 1 do
    local blk = "blk." .. i .. "."
    local q, k, v = blocks.qkv(blocks.rms_norm(x, blk .. "attn_norm"), i)
    local window = blocks.window(i, i >= windowed)
    x = x + blocks.attention(rotate(q), rotate(k), v, i, {window = window})
    x = x + blocks.gated(blocks.rms_norm(x, blk .. "ffn_norm"), i, swiglu)
    x = named("l" .. i, x)
end
output("logits", blocks.logits(x, blocks.rms_norm))
