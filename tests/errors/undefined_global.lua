local x = embed(model.weight("token_embd.weight", {32, 64}), token)
local h = rms_nrom(x, model.weight("output_norm.weight", {64}), {eps = 1e-5})
