local x = embed(model.weight("token_embd.weight", {32, 64}), token)
named("ids", route(x, {k = 2, normalise = 1}))
