-- olmo2: norms behind attention and feed-forward instead of before them; q and k are normed whole.
-- OLMo Team 2024.

local blocks = require "blocks"
local rotate = require "rope".rotation(blocks.head_dim)

blocks.only("hidden_act", "silu")

local x = blocks.embedding()
for i = 0, blocks.layers - 1 do
    local blk = "blk." .. i .. "."
    local q, k, v = blocks.qkv(x, i)
    q = rotate(blocks.rms_norm(q, blk .. "attn_q_norm"))
    k = rotate(blocks.rms_norm(k, blk .. "attn_k_norm"))
    local mixed = blocks.attention(q, k, v, i, {window = blocks.window(i, false)})
    x = x + blocks.rms_norm(mixed, blk .. "post_attention_norm")
    x = x + blocks.rms_norm(blocks.gated(x, i, swiglu), blk .. "post_ffw_norm")
    x = named("l" .. i, x)
end
output("logits", blocks.logits(x, blocks.rms_norm))
