local q = model.wieght("blk.0.attn_q.weight", {64, 64})
