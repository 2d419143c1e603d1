local x = embed(model.weight("token_embd.weight", {32, 64}), token)
local y
x = x + y
