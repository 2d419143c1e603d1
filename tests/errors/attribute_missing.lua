local x = embed(model.weight("token_embd.weight", {32, 64}), token)
x = rms_norm(x, model.weight("output_norm.weight", {64}))
