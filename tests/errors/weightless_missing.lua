-- over: shape:tinyllama-1.1b,layers=2
local norm = model.weight("blk.1.attn_norm.weight", {2048})
norm = model.weight("blk.2.attn_norm.weight", {2048})
