-- gpt2: learned positions, layer norms, plain feed-forward with GELU, biases everywhere.
-- Radford et al. 2019.

local blocks = require "blocks"
local hp = model.hyperparameters

blocks.only("activation_function", "gelu_new", "gelu_pytorch_tanh")
blocks.only("scale_attn_weights", true)
blocks.only("scale_attn_by_inverse_layer_idx", false)
blocks.only("add_cross_attention", false)

local positions = model.weight("position_embd.weight", {hp.context_length, blocks.width})
local x = blocks.embedding() + embed(positions, pos)
for i = 0, blocks.layers - 1 do
    local blk = "blk." .. i .. "."
    local q, k, v = blocks.qkv(blocks.layer_norm(x, blk .. "attn_norm"), i)
    x = x + blocks.attention(q, k, v, i, {})
    x = x + blocks.plain(blocks.layer_norm(x, blk .. "ffn_norm"), i, gelu_tanh)
    x = named("l" .. i, x)
end
output("logits", blocks.logits(x, blocks.layer_norm))
