local hp = {}
local norm = model.weight("output_norm.weight", {hp.embedding_length})
