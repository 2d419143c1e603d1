-- over: shape:tinyllama-1.1b,layers=1,type=q8_0
local q = model.weight("blk.0.attn_q.weight", {2048, 2047})
