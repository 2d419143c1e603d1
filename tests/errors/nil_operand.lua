local x = embed(model.weight("token_embd.weight", {32, 64}), token)
local weights = {}
x = matmul(x, weights.gate)
