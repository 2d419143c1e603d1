local a = model.weight("blk.0.attn_norm.weight", {64})
local b = model.weight("blk.0.attn_norm.weight", {1, 64})
