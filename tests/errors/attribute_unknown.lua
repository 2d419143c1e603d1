local x = embed(model.weight("token_embd.weight", {32, 64}), token)
x = rms_norm(x, model.weight("output_norm.weight", {64}), {epsilon = 1e-5, zeta = 1, alpha = 2})
