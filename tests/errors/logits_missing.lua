local x = gather_rows(embed(model.weight("token_embd.weight", {32, 64}), token), row)
output("hidden", x)
model.describe {context = 128, vocabulary = 32}
