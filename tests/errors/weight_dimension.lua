local hp = model.hyperparameters
local q = model.weight("blk.0.attn_q.weight", {hp.embedding_length / 3, 64})
