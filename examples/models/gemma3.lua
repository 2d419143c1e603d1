-- gemma3 (text): Gemma 2 without caps, each head of q and k normed; five layers with a window and
-- positions of a short base, then one that sees everything. Gemma Team 2025.

local blocks, rope = require "blocks", require "rope"
local hp = model.hyperparameters

blocks.only("hidden_activation", "gelu_pytorch_tanh")

local far = rope.rotation(blocks.head_dim)
local near = rope.rotation(blocks.head_dim,
                           {theta = hp:get("rope.freq_base_swa", 10000), unscaled = true})

-- Files without the scale: the model of 62 layers divides by width / heads, the others by the head.
local divisor = blocks.layers == 62 and blocks.width // blocks.heads or blocks.head_dim
local scale = hp:get("attention.scale", divisor ^ -0.5)
local pattern = hp:get("sliding_window_pattern", 6)

local x = blocks.embedding() * blocks.width ^ 0.5
for i = 0, blocks.layers - 1 do
    local blk = "blk." .. i .. "."
    local window = blocks.window(i, (i + 1) % pattern ~= 0)
    local rotate = window > 0 and near or far
    local q, k, v = blocks.qkv(blocks.rms_norm(x, blk .. "attn_norm"), i)
    q = rotate(blocks.rms_norm(q, blk .. "attn_q_norm", blocks.head_dim))
    k = rotate(blocks.rms_norm(k, blk .. "attn_k_norm", blocks.head_dim))
    local mixed = blocks.attention(q, k, v, i, {
        scale = scale, window = window, softcap = hp:get("attn_logit_softcapping"),
    })
    x = x + blocks.rms_norm(mixed, blk .. "post_attention_norm")
    local out = blocks.gated(blocks.rms_norm(x, blk .. "ffn_norm"), i, geglu)
    x = x + blocks.rms_norm(out, blk .. "post_ffw_norm")
    x = named("l" .. i, x)
end
local logits = blocks.logits(x, blocks.rms_norm)
output("logits", blocks.softcap(logits, hp:get("final_logit_softcapping")))
