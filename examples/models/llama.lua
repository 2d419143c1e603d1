-- llama: Llama 1, 2 and 3 and what is built alike (TinyLlama, SmolLM 1 and 2, Yi …; Mixtral).
--
-- Pre-norm transformer: RMS norm, grouped-query attention with rotary positions, SwiGLU.
-- Touvron et al. 2023; GQA: Ainslie et al. 2023; RoPE: Su et al. 2021.

local blocks = require "blocks"
local rotate = require "rope".rotation(blocks.head_dim)

blocks.only("hidden_act", "silu")

local x = blocks.embedding()
for i = 0, blocks.layers - 1 do
    local blk = "blk." .. i .. "."
    local q, k, v = blocks.qkv(blocks.rms_norm(x, blk .. "attn_norm"), i)
    x = x + blocks.attention(rotate(q), rotate(k), v, i, {window = blocks.window(i, true)})
    x = x + blocks.sparse(blocks.rms_norm(x, blk .. "ffn_norm"), i, true)
    x = named("l" .. i, x)
end
output("logits", blocks.logits(x, blocks.rms_norm))
