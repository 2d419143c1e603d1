local embedding = model.weight("token_embd.weight", {32, 64})
local x = embed(embedding, token)
output("logits", matmul(x, embedding))
model.describe {context = 128, vocabulary = 32}
