local x = embed(model.weight("token_embd.weight", {32, 64}), token)
x = rope(x, rope_table(pos, {dims = 32, theta = 10000}), {head_dim = 32, style = "halves"})
