local x = embed(model.weight("token_embd.weight", {32, 64}), token)
x = named("hidden", x)
x = named("hidden", -x)
