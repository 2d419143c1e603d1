local x = gather_rows(embed(model.weight("token_embd.weight", {32, 64}), token), row)
output("logits", matmul(x, model.weight("token_embd.weight", {32, 64})))
