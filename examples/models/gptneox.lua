-- gptneox: layer norms, biases, rotation of part of each head; attention and feed-forward read the
-- same input side by side unless the file says otherwise. Black et al. 2022 (GPT-NeoX, Pythia).

local blocks = require "blocks"
local rotate = require "rope".rotation(blocks.head_dim)
local parallel = model.hyperparameters:get("use_parallel_residual", true)

blocks.only("hidden_act", "gelu")

local x = blocks.embedding()
for i = 0, blocks.layers - 1 do
    local blk = "blk." .. i .. "."
    local q, k, v = blocks.qkv(blocks.layer_norm(x, blk .. "attn_norm"), i)
    local after = x + blocks.attention(rotate(q), rotate(k), v, i, {})
    local read = parallel and x or after
    x = after + blocks.plain(blocks.layer_norm(read, blk .. "ffn_norm"), i, gelu)
    x = named("l" .. i, x)
end
output("logits", blocks.logits(x, blocks.layer_norm))
