local q = model.weight("blk.0.atn_q.weight", {64, 64})
