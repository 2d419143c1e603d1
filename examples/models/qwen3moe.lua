-- qwen3moe: Qwen 3 with a mixture of experts. Yang et al. 2025.

local blocks = require "blocks"
local rotate = require "rope".rotation(blocks.head_dim)
local hp = model.hyperparameters

-- GGUF files do not say it and mean true; a Hugging Face config that does not say it means false.
local normalise = hp:get("expert_weights_norm", hp:get("model_type") == nil)

blocks.only("hidden_act", "silu")

local x = blocks.embedding()
for i = 0, blocks.layers - 1 do
    local blk = "blk." .. i .. "."
    local q, k, v = blocks.qkv(blocks.rms_norm(x, blk .. "attn_norm"), i)
    q = rotate(blocks.rms_norm(q, blk .. "attn_q_norm", blocks.head_dim))
    k = rotate(blocks.rms_norm(k, blk .. "attn_k_norm", blocks.head_dim))
    x = x + blocks.attention(q, k, v, i, {window = blocks.window(i, true)})
    x = x + blocks.sparse(blocks.rms_norm(x, blk .. "ffn_norm"), i, normalise)
    x = named("l" .. i, x)
end
output("logits", blocks.logits(x, blocks.rms_norm))
