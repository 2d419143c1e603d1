-- gemma2: Gemma with norms before and behind attention and feed-forward, capped scores and logits,
-- and a window in every other layer. Gemma Team 2024.

local blocks = require "blocks"
local rotate = require "rope".rotation(blocks.head_dim)
local hp = model.hyperparameters

blocks.only("hidden_activation", "gelu_pytorch_tanh")

-- Files without the scale: the model of 46 layers divides by width / heads, the others by the head.
local divisor = blocks.layers == 46 and blocks.width // blocks.heads or blocks.head_dim
local scale = hp:get("attention.scale", divisor ^ -0.5)

local x = blocks.embedding() * blocks.width ^ 0.5
for i = 0, blocks.layers - 1 do
    local blk = "blk." .. i .. "."
    local q, k, v = blocks.qkv(blocks.rms_norm(x, blk .. "attn_norm"), i)
    local mixed = blocks.attention(rotate(q), rotate(k), v, i, {
        scale = scale, window = blocks.window(i, i % 2 == 0),
        softcap = hp:get("attn_logit_softcapping"),
    })
    x = x + blocks.rms_norm(mixed, blk .. "post_attention_norm")
    local out = blocks.gated(blocks.rms_norm(x, blk .. "ffn_norm"), i, geglu)
    x = x + blocks.rms_norm(out, blk .. "post_ffw_norm")
    x = named("l" .. i, x)
end
local logits = blocks.logits(x, blocks.rms_norm)
output("logits", blocks.softcap(logits, hp:get("final_logit_softcapping")))
