local x = embed(model.weight("token_embd.weight", {32, 64}), token)
output("hidden", x)
output("hidden", -x)
