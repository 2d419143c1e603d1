-- qwen3: Qwen 2 without biases, each head of q and k normed before it is rotated.
-- Yang et al. 2025.

local blocks = require "blocks"
local rotate = require "rope".rotation(blocks.head_dim)
local windowed = model.hyperparameters:get("max_window_layers", blocks.layers)

blocks.only("hidden_act", "silu")
blocks.dense()

local x = blocks.embedding()
for i = 0, blocks.layers - 1 do
    local blk = "blk." .. i .. "."
    local q, k, v = blocks.qkv(blocks.rms_norm(x, blk .. "attn_norm"), i)
    q = rotate(blocks.rms_norm(q, blk .. "attn_q_norm", blocks.head_dim))
    k = rotate(blocks.rms_norm(k, blk .. "attn_k_norm", blocks.head_dim))
    x = x + blocks.attention(q, k, v, i, {window = blocks.window(i, i >= windowed)})
    x = x + blocks.gated(blocks.rms_norm(x, blk .. "ffn_norm"), i, swiglu)
    x = named("l" .. i, x)
end
output("logits", blocks.logits(x, blocks.rms_norm))
