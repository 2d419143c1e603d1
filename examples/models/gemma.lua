-- gemma: Llama with GeGLU and embeddings times the root of their width.
-- Gemma Team 2024.

local blocks = require "blocks"
local rotate = require "rope".rotation(blocks.head_dim)

-- Configs of the first release say gelu and mean its tanh form.
blocks.only("hidden_act", "gelu_pytorch_tanh", "gelu")
blocks.only("hidden_activation", "gelu_pytorch_tanh")

local x = blocks.embedding() * blocks.width ^ 0.5
for i = 0, blocks.layers - 1 do
    local blk = "blk." .. i .. "."
    local q, k, v = blocks.qkv(blocks.rms_norm(x, blk .. "attn_norm"), i)
    x = x + blocks.attention(rotate(q), rotate(k), v, i, {})
    x = x + blocks.gated(blocks.rms_norm(x, blk .. "ffn_norm"), i, geglu)
    x = named("l" .. i, x)
end
output("logits", blocks.logits(x, blocks.rms_norm))
